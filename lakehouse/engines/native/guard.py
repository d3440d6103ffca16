"""The door of an in-process server of Sail: this process alone comes in, through one connection.

Sail runs what it is sent, Python included, with our environment, and asks nobody who he is; pysail 0.7.2 listens on TCP
only and knows no token. So our channel connects and the door is shut behind it: the listening socket is replaced under
Sail's hands by one that nobody can reach, and whoever got in before is noticed. It needs no privileges, but Linux;
elsewhere the door stays open, and `start` says so. The port stays ours, so nobody can answer in Sail's place either.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import socket
import stat
import struct
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pysail.flight import FlightSqlServer
    from pysail.spark import SparkConnectServer

T = TypeVar("T")
OPTIONS = (  # of the one connection, to gRPC
    ("grpc.client_idle_timeout_ms", 2**31 - 1),  # never: after 30 quiet minutes it would hang up, and not get in again
    ("grpc.enable_http_proxy", 0),  # http_proxy is not for ourselves
    ("grpc.use_local_subchannel_pool", 1),  # no other channel of this process shares the connection
)
SECONDS = 30  # to connect; it takes milliseconds
PORTS = 20  # to try: of 7,058 that Linux gives to who may share one, those are few that had a server a minute ago
EPOLL_CTL_ADD, EPOLL_CTL_DEL = 1, 2
KNOCKING, LISTENING = "02", "0A"  # states in /proc/net/tcp


def start(
    server: SparkConnectServer | FlightSqlServer, connect: Callable[[str, int], tuple[T, Any]]
) -> tuple[T, socket.socket | None, str]:
    """Start the server, connect and shut the door: the way in, the port, and why others have it too ("": they do not).

    `connect` begins to connect, with OPTIONS, and gives the way in and a future that ends when it is open.
    Raises LakehouseError if anyone else connected before the door was shut; he is cut off, stop the server then.
    """
    if not server.running:
        _listen_where_nobody_was(server)
    at = server.listening_address or ("", 0)
    port, why_not = None, ""
    try:
        fd = next(fd for fd, one in _sockets() if one.getsockname() == at and _listens(one))
        with _nobody_served(fd):
            _refuse(_accepted(at), at)  # who was there in the first millisecond
            way_in, ready = connect(*at)
            ours = _wait_for(lambda: _calling(at))
            _refuse(set(_callers(_name(at))) - ours, at)
            nowhere = _unreachable()
    except (OSError, StopIteration) as error:  # no /proc, as on macOS, or a sandbox that shows no connections
        way_in, ready = connect(*at)
        why_not = f"{platform.system()} does not let it be guarded here ({error!r})"
    else:
        _wait_for(lambda: ours & _accepted(at))
        with nowhere:
            os.dup2(nowhere.fileno(), fd, inheritable=False)  # this closes the old one, and its poll forgets it
        _refuse(_accepted(at) - ours, at)
        port = _keep(at)
    ready.result(SECONDS)
    return way_in, port, why_not


def _listen_where_nobody_was(server: SparkConnectServer | FlightSqlServer) -> None:
    """A port's earlier server may have been left politely within the minute: its callers would be taken for ours."""
    for _ in range(PORTS):
        before = {address for local, remote, _, _ in _rows() for address in (local, remote)}
        server.start(background=True)
        if _name(server.listening_address) not in before:
            return
        server.stop()
    server.start(background=True)


@contextmanager
def _nobody_served(fd: int) -> Iterator[None]:
    """The kernel completes connections, but Sail hears of none meanwhile: its polls forget the listening socket."""
    epoll_ctl = ctypes.CDLL(None).epoll_ctl
    layout = "=IQ" if platform.machine() == "x86_64" else "=I4xQ"  # sys/epoll.h: packed there only
    entry = re.compile(rf"^tfd: *{fd} +events: *(\w+) +data: *(\w+)", re.MULTILINE)
    files = Path("/proc/self/fdinfo").iterdir()
    polls = [(int(file.name), found) for file in files if (found := entry.search(_text(file)))]
    for poll, _ in polls:
        epoll_ctl(poll, EPOLL_CTL_DEL, fd, None)
    try:
        yield
    finally:
        for poll, found in polls:
            epoll_ctl(poll, EPOLL_CTL_ADD, fd, struct.pack(layout, int(found[1], 16), int(found[2], 16)))


def _refuse(strangers: set[str], at: tuple[str, int]) -> None:
    if not strangers:
        return
    users = _callers(_name(at))
    for _, one in _sockets():
        with suppress(OSError):  # gone, as one that knocked may be
            if one.getsockname() == at:  # the door itself, too, with whoever waits before it
                one.shutdown(socket.SHUT_RDWR)
    named = ", ".join(f"{stranger} of user {users.get(stranger, 'unknown')}" for stranger in sorted(strangers))
    raise LakehouseError(
        f"While the engine started, someone else connected to its port {at[1]}: {named}. He was cut off. "
        "Find out which program connects to new ports of this machine, stop it, and start again."
    )


def _unreachable() -> socket.socket:
    """A listening socket without a name: who accepts from it waits for ever, instead of failing at once."""
    with tempfile.TemporaryDirectory() as folder:
        nowhere = socket.socket(socket.AF_UNIX)
        nowhere.bind(f"{folder}/nowhere")
    nowhere.listen()
    os.set_blocking(nowhere.fileno(), False)
    return nowhere


def _keep(at: tuple[str, int]) -> socket.socket:
    """The port without a listener; as long as it is ours, nobody else can listen there and be taken for Sail."""
    port = socket.socket()
    port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # beside the connection
    try:
        port.bind(at)
    except OSError as error:
        port.close()
        raise LakehouseError(f"Someone took port {at[1]} while the engine started. Start again.") from error
    port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)  # nothing beside it
    return port


def _wait_for(found: Callable[[], set[str]]) -> set[str]:
    until = time.monotonic() + SECONDS
    while not (names := found()):
        if time.monotonic() > until:
            raise TimeoutError(f"no connection in {SECONDS} s")
    return names


def _calling(at: tuple[str, int]) -> set[str]:
    """From where this process is connected to the address."""
    return {_name(one.getsockname()) for _, one in _sockets() if _name(_peer(one)) == _name(at)}


def _accepted(at: tuple[str, int]) -> set[str]:
    """From where the connections come that Sail has taken, whoever's they are."""
    return {_name(_peer(one)) for _, one in _sockets() if one.getsockname() == at and _peer(one)}


def _callers(at: str) -> dict[str, str]:
    """Whence and as which user whoever came who is connected to the address, or left politely within a minute."""
    rows = list(_rows())
    users = {local: user for local, _, _, user in rows}
    came = {local for local, remote, state, _ in rows if remote == at and state != KNOCKING}
    came |= {remote for local, remote, state, _ in rows if local == at and state != LISTENING}
    return {caller: users.get(caller, "unknown") for caller in came}


def _rows() -> Iterator[tuple[str, str, str, str]]:
    """The local and remote address, state and user of all connections, by IPv4 also where IPv6 carries it."""
    for file in ("tcp", "tcp6"):
        for line in _text(Path("/proc/self/net") / file).splitlines()[1:]:
            _, local, remote, state, _, _, _, user, *_ = line.split()
            yield local[-13:], remote[-13:], state, user


def _sockets() -> Iterator[tuple[int, socket.socket]]:
    """The sockets of this process, each as a copy that is closed before the next one."""
    for fd in [int(name) for name in os.listdir("/proc/self/fd")]:  # noqa: PTH208
        with suppress(OSError):  # closed meanwhile
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                with socket.socket(fileno=os.dup(fd)) as one:
                    yield fd, one


def _listens(one: socket.socket) -> bool:
    return bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _peer(one: socket.socket) -> Any:  # noqa: ANN401
    with suppress(OSError):
        return one.getpeername()
    return None


def _name(at: Any) -> str:  # noqa: ANN401
    """An address of IPv4 as /proc/net/tcp writes it, also where IPv6 carries it; nothing for others."""
    with suppress(OSError, TypeError, IndexError):
        return f"{struct.unpack('=I', socket.inet_aton(at[0].removeprefix('::ffff:')))[0]:08X}:{at[1]:04X}"
    return ""


def _text(file: Path) -> str:
    with suppress(OSError):
        return file.read_text()
    return ""

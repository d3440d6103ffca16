"""The in-process server takes nobody but this process, and notices who came before it was shut."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from subprocess import PIPE
from typing import TYPE_CHECKING

import pytest

from lakehouse.engines.native import channel, guard
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pysail.spark import SparkConnectServer
    from pyspark.sql.connect.session import SparkSession

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="without /proc and Linux' filters it is not guarded")
NOBODY = 65534
# Says "connected" or why not; then what the server does, and stays until it is told to leave.
KNOCK = """
import socket, sys
try:
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=1) as caller:
        print("connected", flush=True)
        caller.settimeout(20)
        caller.sendall(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + bytes.fromhex("000000040000000000"))
        print("answered" if caller.recv(1) else "cut off", flush=True)
        sys.stdin.read()
except ConnectionRefusedError:
    print("no way in")
except OSError:
    print("cut off")
"""

AS_NOBODY = f"""
import os
from pysail.spark import SparkConnectServer
from lakehouse.engines.native import channel
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
print(repr(channel.start(SparkConnectServer("127.0.0.1", 0))[1]), flush=True)
os._exit(0)
"""


@pytest.fixture
def server() -> Iterator[SparkConnectServer]:
    from pysail.spark import SparkConnectServer  # noqa: PLC0415

    server = SparkConnectServer("127.0.0.1", 0)
    yield server
    server.stop()


@pytest.fixture
def spark(server: SparkConnectServer) -> Iterator[SparkSession]:
    from pyspark.sql.connect.session import SparkSession  # noqa: PLC0415

    way_in, why_not = channel.start(server)
    assert why_not == ""
    spark = SparkSession(way_in)
    yield spark
    spark.stop()
    way_in.channel.close()


def knock(server: SparkConnectServer, user: int | None = None) -> subprocess.Popen[str]:
    command = [sys.executable]
    if user is not None:
        if os.getuid() != 0 or not shutil.which("setpriv") or not os.access("/usr/bin/python3", os.X_OK):
            pytest.skip("to knock as another user takes root, setpriv and a Python that this user may read")
        # Popen(user=...) would fork, and a fork of a process in which gRPC has threads now and then crashes.
        command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "/usr/bin/python3"]
    _, port = server.listening_address or ("", 0)
    return subprocess.Popen([*command, "-c", KNOCK, str(port)], stdin=PIPE, stdout=PIPE, text=True, cwd="/")


def first_word(stranger: subprocess.Popen[str]) -> str:
    return stranger.stdout.readline() if stranger.stdout else ""


@pytest.mark.parametrize("user", [None, NOBODY], ids=["a process of this user", "another user"])
def test_nobody_else_gets_in(server: SparkConnectServer, spark: SparkSession, user: int | None) -> None:
    assert spark.sql("select 1").first() == (1,)
    assert knock(server, user).communicate(timeout=30)[0] == "no way in\n"


@pytest.mark.slow
def test_this_process_goes_on_from_several_threads(spark: SparkSession) -> None:
    def answer(number: int) -> int:
        return spark.range(number).count()

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(answer, range(1, 100))) == list(range(1, 100))


def test_a_session_that_stops_leaves_the_connection_to_the_others(spark: SparkSession) -> None:
    from pyspark.sql.connect.session import SparkSession as Session  # noqa: PLC0415

    way_in = spark.client._builder  # noqa: SLF001
    assert isinstance(way_in, channel.OneConnection)
    Session(way_in).stop()
    assert spark.sql("select 2").first() == (2,)


@pytest.mark.parametrize("user", [None, NOBODY], ids=["a process of this user", "another user"])
def test_who_came_before_the_door_was_shut_is_noticed_and_cut_off(server: SparkConnectServer, user: int | None) -> None:
    server.start(background=True)
    with knock(server, user) as stranger:
        assert first_word(stranger) == "connected\n"
        with pytest.raises(LakehouseError, match=f"someone else connected .* of user {user or os.getuid()}"):
            channel.start(server)
        stranger.communicate(timeout=10)


def test_callers_of_a_ports_earlier_server_are_no_strangers() -> None:
    from pysail.spark import SparkConnectServer  # noqa: PLC0415

    class OnPorts(SparkConnectServer):  # type: ignore[misc]
        def start(self, *, background: bool = True) -> None:
            SparkConnectServer.__init__(self, *ports.pop(0))
            super().start(background=background)

    with socket.create_server(("127.0.0.1", 0)) as earlier:
        ports = [earlier.getsockname(), ("127.0.0.1", 0)]
        with socket.create_connection(ports[0]), earlier.accept()[0]:
            pass  # whoever hangs up first, Linux remembers it for a minute
    assert guard._callers(guard._name(ports[0]))  # noqa: SLF001
    way_in, why_not = channel.start(server := OnPorts())
    assert (why_not, ports) == ("", [])
    way_in.end()
    assert not server.running


@pytest.mark.slow
def test_nobody_is_served_while_the_door_is_being_shut(server: SparkConnectServer) -> None:
    server.start(background=True)
    fd = next(fd for fd, one in guard._sockets() if one.getsockname() == server.listening_address)  # noqa: SLF001
    with guard._nobody_served(fd):  # noqa: SLF001
        stranger = knock(server)
        assert first_word(stranger) == "connected\n"
        with pytest.raises(subprocess.TimeoutExpired):
            stranger.wait(0.5)
    assert stranger.communicate(timeout=10)[0] == "answered\n"


def test_nobody_can_listen_in_its_place(server: SparkConnectServer, spark: SparkSession) -> None:
    assert spark.sql("select 1").first() == (1,)
    with socket.socket() as impostor:
        impostor.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            impostor.bind(server.listening_address)


@pytest.mark.slow
def test_it_needs_no_privileges() -> None:
    if os.getuid() != 0:
        pytest.skip("the other tests show it already: this is not root")
    done = subprocess.run([sys.executable, "-c", AS_NOBODY], stdout=PIPE, text=True, check=True, timeout=60)
    assert done.stdout == "''\n"


def test_where_there_is_no_proc_it_says_so(server: SparkConnectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_such_folder() -> Iterator[tuple[int, socket.socket]]:
        raise FileNotFoundError("/proc/self/fd")

    monkeypatch.setattr(guard, "_sockets", no_such_folder)
    way_in, why_not = channel.start(server)
    assert "/proc/self/fd" in why_not
    way_in.channel.close()

"""A server of this machine that outlives the process that started it: one a folder, its state and log beside it."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_STARTED_HERE: dict[tuple[int, str], subprocess.Popen[bytes]] = {}  # the children of this process


def launch(program: Sequence[str], arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> int:
    """The pid of the program, started with these last arguments, by which it is known. OSError where it cannot be."""
    nothing = subprocess.DEVNULL
    with private(log) as words:
        process = subprocess.Popen(
            [*program, *arguments],
            env=dict(environment),
            stdin=nothing,
            stdout=words,
            stderr=words,
            start_new_session=True,
        )
    _STARTED_HERE[process.pid, " ".join(arguments)] = process
    return process.pid


def is_running(pid: int, arguments: Sequence[str]) -> bool:
    """Our own program, not another one that was given its pid since; a process that has ended has no command line."""
    if process := _STARTED_HERE.get((pid, " ".join(arguments))):
        return process.poll() is None  # for some microseconds after its start it has no command line either
    line = ""
    if Path("/proc/self").exists():
        with suppress(OSError):
            line = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    else:  # macOS
        ps = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
        line = subprocess.run(ps, capture_output=True, text=True, check=False).stdout
    return line.strip().endswith(" ".join(arguments))


def end(pid: int, arguments: Sequence[str]) -> None:
    """Asked first, and after 15 seconds no longer asked."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, how)
        if within(15, lambda: not is_running(pid, arguments)):
            break


def within(seconds: float, happened: Callable[[], bool]) -> bool:
    patiently = Retrying(
        stop=stop_after_delay(seconds), wait=wait_fixed(0.05), retry=retry_if_result(lambda yes: not yes)
    )
    with suppress(RetryError):
        return patiently(happened)
    return False


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Two starts at the same moment make one server; the lock is on the folder itself and ends with the process."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def beside(folder: Path, ending: str) -> Path:
    return folder.with_name(folder.name + ending)


def private(file: Path) -> IO[str]:
    """Opened for writing, and nobody else's to read."""
    file.unlink(missing_ok=True)
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")


def remember(folder: Path, state: Mapping[str, Any]) -> None:
    scratch = beside(folder, ".json.new")
    with private(scratch) as file:
        json.dump(state, file, default=str)
    scratch.rename(beside(folder, ".json"))


def recall(folder: Path) -> dict[str, Any] | None:
    """OSError, ValueError and what else a damaged file makes of it are the caller's to say."""
    file = beside(folder, ".json")
    return json.loads(file.read_text()) if file.exists() else None


def free_port(last: str = "") -> int:
    """That of last time if it is free, so that an address someone wrote down stays right."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError, ValueError):
            probe.bind(("127.0.0.1", int(last)))
            return int(probe.getsockname()[1])
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

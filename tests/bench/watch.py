"""What a command costs: seconds, seconds of the processor and the peak of memory, of all processes that it starts."""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

EVERY = 0.2  # seconds
JVM = "java"


@dataclass(frozen=True)
class Cost:
    """`peak` in bytes: resident memory of all its processes at one moment; pages that they share count for each."""

    seconds: float
    cpu_seconds: float
    peak: int


class CommandFailedError(Exception):
    """A measured command did not end well."""


def watch(command: Sequence[str], *, folder: Path, env: Mapping[str, str]) -> tuple[Cost, str, str]:
    """Run it to its end; its cost, what it answered and what it told. Raises CommandFailedError with its last words."""
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as warned:
        begin = time.monotonic()
        with subprocess.Popen(command, cwd=folder, env=dict(env), stdout=said, stderr=warned) as process:
            sampler = Sampler(process.pid)
            sampler.start()
            process.wait()
            seconds = time.monotonic() - begin
            sampler.stop()
        said.seek(0)
        warned.seek(0)
        answer, told = said.read().decode(), warned.read().decode()
    if process.returncode:
        raise CommandFailedError(f"{' '.join(command)} ended with {process.returncode}: {told[-3000:]}")
    return Cost(seconds, sampler.cpu_seconds, sampler.peak), answer, told


class Sampler(threading.Thread):
    """Looks at a process and its descendants until it is stopped."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.root = psutil.Process(pid)
        self.peak = 0
        self._cpu: dict[int, float] = {}  # what each process had used when it was seen last
        self._stopped = threading.Event()

    @property
    def cpu_seconds(self) -> float:
        return sum(self._cpu.values())

    def run(self) -> None:
        while not self._stopped.wait(EVERY):
            self._look()

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    def _look(self) -> None:
        resident = 0
        with suppress(psutil.Error):
            for process in [self.root, *self.root.children(recursive=True)]:
                with suppress(psutil.Error), process.oneshot():
                    used = process.cpu_times()
                    self._cpu[process.pid] = used.user + used.system
                    resident += 0 if _is_its_parent_still(process) else process.memory_info().rss
        self.peak = max(self.peak, resident)


def _is_its_parent_still(process: psutil.Process) -> bool:
    """A JVM that starts a program is, for a moment, two processes of the same memory, the second one of any name."""
    parent, program = process.parent(), Path(process.exe())
    return program.name == JVM and parent is not None and Path(parent.exe()) == program

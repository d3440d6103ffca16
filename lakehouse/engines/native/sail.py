"""Sail in this process, whichever of its servers is asked: its settings, the memory it may use, and where files are."""

from __future__ import annotations

import ctypes
import logging
import os
import re
import signal
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.delta.tables import log
from lakehouse.engines.native.scratch import Scratch
from lakehouse.errors import LakehouseError
from lakehouse.store import storage
from lakehouse.store.cache import PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY_SHARE, MOST_MEMORY = 0.25, 4 << 30  # of the machine's memory, for what is sorted, grouped and joined
# Seconds after which a session that nobody uses is dropped. Sail remembers each call for as long (3 KB), so not longer.
SILENCE = 600
MORE = 1 << 30  # bytes that a process may hold beside what the engine may use


@cache
def scratch() -> Scratch:
    """The scratch folder of this process, and the settings that name it: call it before Sail is imported."""
    made = Scratch.make()
    for key, value in _settings(made).items():
        os.environ.setdefault(key, value)
    return made


def reachable(address: str) -> str:
    """The address as Sail's reader of Delta takes it: others it encodes, and then finds no commit there."""
    if PLAIN.fullmatch(address):
        return address
    if storage.is_s3(address):
        raise LakehouseError(
            f"The native engine cannot read {address}: below a bucket it takes letters, digits and -_.=+~@ only. "
            "Name another prefix, or let Spark compute: --engine spark."
        )
    return str(scratch().link(address))


def copied(address: str, version: int) -> Path | None:
    """A folder of scratch with the rows, where Sail would not find them; None where it does.

    Of a version before the last checkpoint Sail 0.7.2 looks for the commits just before it, and says that the others
    are missing.
    """
    if log.last_checkpoint(address) <= version:
        return None
    from lakehouse.delta.files import feed  # noqa: PLC0415  with Arrow's functions, which only an old version needs

    folder = scratch().folder()
    feed.of_each_file(address, lambda rows: scratch().write(rows, folder), version)
    return folder


def warn(why_not: str) -> None:
    """Say that a server's door could not be shut, unless there is no reason why not."""
    if why_not:
        logging.getLogger(__name__).warning("The engine's port is open to other users of this machine: %s", why_not)


@contextmanager
def own_interrupts() -> Iterator[None]:
    """What Ctrl-C means, this process says: Sail's server would end at once, under all that is being computed.

    Not by `signal.signal`, which only the main thread may call.
    """
    get, put = ctypes.pythonapi.PyOS_getsig, ctypes.pythonapi.PyOS_setsig
    get.restype, put.restype, put.argtypes = ctypes.c_void_p, ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p]
    ours = get(signal.SIGINT)
    try:
        yield
    finally:
        put(signal.SIGINT, ours)


def _settings(scratch: Scratch) -> dict[str, str]:
    """Sail reads its settings once, when its server starts."""
    return {
        "RUST_LOG": "error",
        "SAIL_SPARK__SESSION_TIMEOUT_SECS": str(SILENCE),
        # Milliseconds until memory that is free goes back to the machine: a process that is kept holds a quarter less
        # than with the thousand that are usual, for 3 % more of the processor (measured; with 0 half, for 24 %).
        "MIMALLOC_PURGE_DELAY": "50",
        # Not fair: that gives each of a plan's thirty sorts and groups its part, and one batch of texts needs more.
        "SAIL_RUNTIME__MEMORY_POOL__TYPE": "greedy",
        "SAIL_RUNTIME__MEMORY_POOL__GREEDY__MAX_SIZE": str(memory()),
        "SAIL_RUNTIME__TEMPORARY_FILES__PATHS": f'["{scratch.root}"]',
        # Its files become the table's own, one group of rows each: delta-rs's feed panics at a vector over several.
        "SAIL_PARQUET__COMPRESSION": "snappy",
        "SAIL_PARQUET__SKIP_ARROW_METADATA": "true",
        "SAIL_PARQUET__MAX_ROW_GROUP_SIZE": "1048576",
        # What it keeps of files that it read has no bound else, and a process that is kept makes new ones all the time.
        "SAIL_PARQUET__FILE_METADATA_CACHE__SIZE_LIMIT": str(64 << 20),
        "SAIL_PARQUET__FILE_STATISTICS_CACHE__MAX_ENTRIES": "1000",
        **storage.for_sail(),
    }


def memory() -> int:
    """Bytes that the engine may use: LAKEHOUSE_MEMORY (such as 4g), else a quarter of the machine's, at most 4 GiB."""
    if named := os.environ.get("LAKEHOUSE_MEMORY"):
        found = re.fullmatch(r"0*([1-9]\d*)([mg])", named.strip().lower())
        if not found:
            raise LakehouseError(
                f"LAKEHOUSE_MEMORY={named!r} is no size. Give megabytes or gigabytes, such as 512m or 4g."
            )
        return int(found[1]) << {"m": 20, "g": 30}[found[2]]
    return min(MOST_MEMORY, int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * MEMORY_SHARE))


def held() -> int:
    """Bytes of memory that this process holds; 0 where the system does not say it, as on macOS."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")

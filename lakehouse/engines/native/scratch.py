"""Files of one process while it computes: in one folder below the cache, taken away at its end or by the next start."""

from __future__ import annotations

import atexit
import fcntl
import shutil
import uuid
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import TYPE_CHECKING, TextIO

from lakehouse.errors import LakehouseError, refusal
from lakehouse.store.cache import plain_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

ALIVE = "alive"


class Scratch:
    """The folder of this process; it is this process's as long as it holds the lock on the file in it."""

    def __init__(self, root: Path, lock: TextIO) -> None:
        self.root, self._lock = root, lock

    @classmethod
    def make(cls, home: Path | None = None) -> Scratch:
        """A new folder; those whose processes ended without taking them away are taken away now."""
        home = home or plain_folder() / "scratch"
        root = home / uuid.uuid4().hex
        with _in_words(root):
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            root.mkdir(mode=0o700)
            lock = (root / ALIVE).open("w")
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for other in home.iterdir():
            if other != root and _is_left(other):
                shutil.rmtree(other, ignore_errors=True)
        made = cls(root, lock)
        atexit.register(made.remove)
        return made

    def folder(self) -> Path:
        """A new folder for something that is forgotten as a whole."""
        made = self.root / uuid.uuid4().hex
        with _in_words(made):
            made.mkdir()
        return made

    def link(self, target: str) -> Path:
        """A way to a folder that has only letters and digits where the folder's own name has others."""
        made = self.root / sha256(target.encode()).hexdigest()
        with _in_words(made), suppress(FileExistsError):  # another thread's, or an earlier one's
            made.symlink_to(target)
        return made

    def write(self, rows: pa.Table, folder: Path | None = None) -> Path:
        """The rows as one file, of this folder or another one; it says no bounds: see native's `_not_constant`."""
        import pyarrow.parquet as pq  # noqa: PLC0415  only a turn with work pays for it

        path = (folder or self.root) / f"{uuid.uuid4().hex}.parquet"
        how = {"compression": "zstd", "compression_level": 1, "store_schema": False, "write_statistics": False}
        with _in_words(path):
            pq.write_table(rows, path, **how)
        return path

    def forget(self, place: Path) -> None:
        shutil.rmtree(place, ignore_errors=True)

    def remove(self) -> None:
        self.forget(self.root)
        self._lock.close()


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = refusal(error) or error.strerror
        raise LakehouseError(f"{path} cannot be written: {why} LAKEHOUSE_CACHE names another place for it.") from error


def _is_left(folder: Path) -> bool:
    """Whether its process is no more: nobody holds its lock. One without a lock file is just being made."""
    try:
        with (folder / ALIVE).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):
        return False
    return True

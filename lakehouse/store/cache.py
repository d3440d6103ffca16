"""Where things that are fetched or built once, and files of a process, are kept, outside of the project."""

import os
import re
from contextlib import suppress
from pathlib import Path

from lakehouse.errors import LakehouseError, refusal

PLAIN = re.compile(r"[\w./:=+~@-]*", re.ASCII)  # of such a path every library makes the same address


def cache_folder() -> Path:
    """LAKEHOUSE_CACHE, or the user's cache folder as the XDG rules say."""
    if named := os.environ.get("LAKEHOUSE_CACHE"):
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lakehouse"


def looked() -> None:
    """Say by a file's time that this process goes on; who keeps it (docker/helm) starts it anew where that gets old."""
    sign = cache_folder() / "looked"
    with suppress(OSError):  # nobody may look, and no work is lost for it
        sign.parent.mkdir(parents=True, exist_ok=True)
        sign.touch()


def plain_folder() -> Path:
    """The cache folder for what libraries of Rust read; one of this user's in /tmp where its path is not PLAIN."""
    cache = cache_folder().absolute()
    made = cache if PLAIN.fullmatch(str(cache)) else Path("/tmp", f"lakehouse-{os.getuid()}")  # noqa: S108  looked at below
    try:
        made.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LakehouseError(f"{made} cannot be made: {refusal(error) or error.strerror} {OTHER}") from error
    if made != cache and (made.is_symlink() or made.stat().st_uid != os.getuid()):
        raise LakehouseError(f"{made} belongs to another user. {OTHER}")
    return made


OTHER = "Name another folder with LAKEHOUSE_CACHE."

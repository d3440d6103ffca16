"""Where things that are fetched or built once are kept, outside of the project."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """LAKEHOUSE_CACHE, or the user's cache folder as the XDG rules say."""
    if named := os.environ.get("LAKEHOUSE_CACHE"):
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lakehouse"

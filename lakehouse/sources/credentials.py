"""Keys and passwords, by the name of where they stand: no contract holds one, and no error or log shows one."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from lakehouse.sources.windows import SourceError

FILE = "file:"


@dataclass(frozen=True)
class Secret:
    """What nobody shows by accident: only `revealed`, for where it is sent, has the text."""

    name: str
    revealed: str = field(repr=False)


def secret(name: str) -> Secret:
    """What the environment variable of this name holds; of `file:PATH` the file, without a line's end behind it.

    Raises SourceError where there is none, or nothing in it.
    """
    if not name.startswith(FILE):
        if not (found := os.environ.get(name, "")):
            raise SourceError(f"The environment variable {name} is not set, and credentials stand there.")
        return Secret(name, found)
    path = Path(name.removeprefix(FILE))
    try:
        found = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise SourceError(f"{path}, where credentials stand, cannot be read: {why}.") from None
    if not found:
        raise SourceError(f"{path}, where credentials should stand, is empty. Write them there.")
    return Secret(name, found)

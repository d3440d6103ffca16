"""Disks that are full soon; only root can mount them."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOUNT, UNMOUNT = (shutil.which(name) or name for name in ("mount", "umount"))


@contextmanager
def of(size: str, folder: Path) -> Iterator[Path]:
    """A disk of so much, such as 60k, in a folder that is made for it."""
    folder.mkdir()
    mounted = subprocess.run([MOUNT, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run([UNMOUNT, str(folder)], check=True)

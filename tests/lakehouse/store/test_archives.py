"""A ZIP is a folder: what is in it is listed, told from what it was, and read without a name on the disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lakehouse.store import archives, storage
from lakehouse.store.storage import MissingFileError
from tests.corpus import made

if TYPE_CHECKING:
    from lakehouse.store.storage import StoredFile

THEN = 1_640_000_000


def deliver(landing: Path, **members: bytes) -> list[StoredFile]:
    """Anew, at the same time as before."""
    path = landing / "market_1" / "orders.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    for name, content in members.items():
        made.pack(path, f"{name}.csv", content, None)
    os.utime(path, (THEN, THEN))
    return sorted(archives.list_files(str(landing)), key=lambda one: one.path)


def test_a_member_is_a_file_with_its_own_size_and_the_time_of_its_archive(tmp_path: Path) -> None:
    first, second = deliver(tmp_path, a=b"1", b=b"22")
    assert (first.path, first.size) == ("market_1/orders.zip/a.csv", 1)
    assert (second.size, second.modified_at.timestamp()) == (2, THEN)
    with archives.unpacked(str(tmp_path), second.path) as place:
        assert storage.read_bytes(*place) == b"22"
    assert not Path(*place).exists()
    assert archives.content_hash(str(tmp_path), second) == archives.content_hash(str(tmp_path), second)


def test_a_member_is_still_what_it_was_until_its_archive_is_another(tmp_path: Path) -> None:
    root, (one,) = str(tmp_path), deliver(tmp_path, a=b"1")
    assert archives.is_still(root, one)
    assert deliver(tmp_path, a=b"22") != [one]
    assert not archives.is_still(root, one)
    (tmp_path / "market_1" / "orders.zip").unlink()
    assert not archives.is_still(root, one)
    assert list(archives.list_files(root)) == []


def test_a_member_that_is_another_or_gone_by_now_is_not_read(tmp_path: Path) -> None:
    root, (one,) = str(tmp_path), deliver(tmp_path, a=b"1")
    content = archives.content_hash(root, one)
    deliver(tmp_path, a=b"2")
    with (
        pytest.raises(MissingFileError, match="was replaced since it was listed"),
        archives.unpacked(root, one.path, content),
    ):
        pass
    deliver(tmp_path, b=b"1")
    with pytest.raises(MissingFileError, match=r"There is no a\.csv in"), archives.unpacked(root, one.path):
        pass


def test_a_folder_that_is_named_as_an_archive_is_said(tmp_path: Path) -> None:
    (tmp_path / "old.zip").mkdir()
    (tmp_path / "old.zip" / "a.csv").write_bytes(b"1")
    assert [one.problem for one in archives.list_files(str(tmp_path))] == [
        "lies in a folder that is named as an archive is. Rename the folder."
    ]

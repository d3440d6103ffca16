"""How much commits changed, from logs written by hand: what `plan` chooses by, and what `ops.runs` keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse.delta.files import feed
from lakehouse.delta.files.feed import Written
from tests.logs import commit, deleted, forget, rows, schema

if TYPE_CHECKING:
    from pathlib import Path


def test_rows_files_and_bytes_of_new_files_are_counted(tmp_path: Path) -> None:
    commit(tmp_path, rows(10, path="first"))
    commit(tmp_path, rows(3, path="a", size=100), rows(4, path="b", size=20))
    commit(tmp_path, rows(5, path="c", size=3))
    assert feed.written(str(tmp_path), 0, 2) == Written(12, 0, 12, 3, 123, 2)
    assert feed.written(str(tmp_path), 1, 2) == Written(5, 0, 5, 1, 3, 1)


def test_a_deletion_vector_deletes_rows_and_writes_none(tmp_path: Path) -> None:
    commit(tmp_path, rows(10, path="first"))
    commit(tmp_path, rows(10, path="first", hidden=4), deleted(10, path="first"))
    commit(tmp_path, rows(10, path="first", hidden=7), deleted(10, path="first", hidden=4), rows(2, path="new"))
    assert feed.written(str(tmp_path), 0, 1) == Written(0, 4, 4, 0, 0, 1)
    assert feed.written(str(tmp_path), 1, 2) == Written(2, 3, 3, 1, 1, 1)


def test_an_overwrite_writes_and_deletes_all(tmp_path: Path) -> None:
    commit(tmp_path, rows(10, path="first", hidden=1))
    commit(tmp_path, rows(11, path="second"), deleted(10, path="first", hidden=1))
    assert feed.written(str(tmp_path), 0, 1) == Written(11, 9, 11, 1, 1, 1)


def test_optimize_properties_and_progress_are_no_change(tmp_path: Path) -> None:
    commit(tmp_path, rows(10, path="first"))
    commit(tmp_path, rows(10, path="second", data_change=False), operation="OPTIMIZE")
    commit(tmp_path, schema(), operation="SET TBLPROPERTIES")
    commit(tmp_path)
    assert feed.written(str(tmp_path), 0, 3) == Written(commits=3)


def test_what_a_log_does_not_say_is_not_known(tmp_path: Path) -> None:
    commit(tmp_path, rows(10, path="first"))
    commit(tmp_path, rows(path="uncounted"), rows(1, path="counted"))
    assert feed.written(str(tmp_path), 0, 1) == Written(None, 0, None, 2, 2, 1)
    forget(tmp_path, commits=2)
    assert feed.written(str(tmp_path), 0, 1) is None

"""What is wrong with a stored table is told, and it is read or written when what the words ask for is done."""

from __future__ import annotations

import json
import re
import shutil
import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyroaring import BitMap64

from lakehouse.delta.commits import committer, ops
from lakehouse.delta.commits.committer import Target
from lakehouse.delta.commits.conflicts import ConflictError
from lakehouse.delta.files import feed, parquet, vectors
from lakehouse.delta.files.feed import UnreadableChangesError
from lakehouse.delta.tables import log, progress, types
from lakehouse.errors import LakehouseError
from lakehouse.store import storage
from tests import logs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCHEMA = pa.schema({"id": pa.int64(), "name": pa.string()})
WIDER = SCHEMA.set(0, pa.field("id", pa.string()))
TYPES: dict[str, ops.Kind] = {"a": "whole"}


def rows(*names: str | None, schema: pa.Schema = SCHEMA) -> pa.Table:
    return pa.table({"id": list(range(len(names))), "name": list(names)}, schema=SCHEMA).cast(schema)


def a_target(folder: Path, **changed: Any) -> Target:  # noqa: ANN401
    return Target(str(folder / "gold" / "toys"), **{"schema": SCHEMA} | changed)


def names(target: Target) -> list[str]:
    return [row["name"] for row in feed.read(target.address).to_pylist()]


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """A table of one row."""
    made = a_target(tmp_path)
    committer.overwrite(made, -1, rows("tea"), None)
    return made


# Who writes


def test_who_comes_second_writes_after_he_has_read_the_new_version(target: Target) -> None:
    committer.append(target, 0, rows("milk"), None)
    words = (
        r"Another writer made version 1 of .* \(WRITE by lakehouse\) after it was read here\. Nothing was written; "
        "start the run again, it reads the new version"
    )
    with pytest.raises(ConflictError, match=words):
        committer.append(target, 0, rows("salt"), None)
    assert names(target) == ["tea", "milk"]
    committer.append(target, 1, rows("salt"), None)
    with pytest.raises(ConflictError, match=r"holds a table already, at version 2; nothing was written\."):
        committer.overwrite(target, -1, rows("salt"), None)
    committer.overwrite(target, 2, rows("salt"), None)
    assert names(target) == ["salt"]


def test_a_table_that_went_is_written_whole(target: Target) -> None:
    shutil.rmtree(target.address)
    with pytest.raises(LakehouseError, match=r"There is no table at .* any more\. Start the run again: it is rebuilt"):
        committer.append(target, 0, rows("milk"), None)
    with pytest.raises(LakehouseError, match=r"There is no table at .*, so nothing can be replaced in it\. Write it"):
        committer.replace_units(target, -1, ["id"], rows("milk"), None, None)
    with pytest.raises(LakehouseError, match=r"There is no table at .*\. Build it first"):
        feed.read(target.address)
    committer.overwrite(target, -1, rows("milk"), None)
    assert names(target) == ["milk"]


def test_a_store_that_does_not_say_whether_it_wrote_is_asked_again(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)  # before it asks again
    with monkeypatch.context() as silent:
        silent.setattr(storage, "put_if_absent", lambda *_: None)
        with pytest.raises(LakehouseError, match=r"The store did not say whether version 1 of .* was written\. Start"):
            committer.append(target, 0, rows("milk"), None)
    committer.append(target, 0, rows("milk"), None)
    assert names(target) == ["tea", "milk"]


def test_a_column_gets_another_type_by_a_table_that_is_rebuilt_whole(target: Target) -> None:
    other = Target(target.address, WIDER)
    words = r"has other columns than those to be written \(id: int64 is stored, string is to be written\)\. A column"
    with pytest.raises(LakehouseError, match=words):
        committer.append(other, 0, rows("milk", schema=WIDER), None)
    committer.overwrite(other, 0, rows("milk", schema=WIDER), None)
    assert names(other) == ["milk"]
    with pytest.raises(UnreadableChangesError, match="id was int64 then, and is string in version 1") as refused:
        feed.changes(target.address, -1, 1)
    assert "The changes of" in str(refused.value)
    assert "in the versions 0 to 1 cannot be read: " in str(refused.value)
    assert feed.changes(target.address, 1, 1).num_rows == 0


def test_a_file_of_another_type_is_read_where_the_table_had_it(target: Target) -> None:
    (file,) = log.snapshot(target.address).files.values()  # type: ignore[union-attr]
    words = r"holds id as int64, the table as string\. Rebuild the table whole, or read a version from before its type"
    with pytest.raises(LakehouseError, match=words):
        parquet.read(target.address, file, WIDER)
    assert parquet.read(target.address, file, SCHEMA).num_rows == 1


# What a build returns


def test_a_time_is_stored_when_it_has_a_zone(tmp_path: Path) -> None:
    said, meant = (pa.schema({"at": pa.timestamp("us", zone)}) for zone in (None, "UTC"))
    with pytest.raises(LakehouseError, match=r"A timestamp of .* has no time zone\. Let the build say UTC"):
        committer.overwrite(a_target(tmp_path, schema=said), -1, said.empty_table(), None)
    assert committer.overwrite(a_target(tmp_path, schema=meant), -1, meant.empty_table(), None) == 0


def test_what_a_contract_describes_is_a_column(tmp_path: Path) -> None:
    for wrong in ({"partition_by": ("shop",)}, {"comments": {"shop": "where"}}):
        words = r"is described by columns that it has not: \['shop'\]\. See its contract"
        with pytest.raises(LakehouseError, match=words):
            committer.overwrite(a_target(tmp_path, **wrong), -1, rows("tea"), None)
    right = a_target(tmp_path, partition_by=("name",), comments={"name": "what"})
    assert committer.overwrite(right, -1, rows("tea"), None) == 0


def test_an_empty_text_divides_no_table_and_null_does(tmp_path: Path) -> None:
    by_name = a_target(tmp_path, partition_by=("name",))
    with pytest.raises(LakehouseError, match=r"The column name divides the table into partitions and holds an empty"):
        committer.overwrite(by_name, -1, rows(""), None)
    committer.overwrite(by_name, -1, rows(None), None)
    assert names(by_name) == [None]
    undivided = a_target(tmp_path)
    committer.overwrite(undivided, 0, rows(""), None)
    assert names(undivided) == [""]


def test_rows_are_written_when_they_are_what_is_promised(tmp_path: Path) -> None:
    words = r"holds the columns \{'id': 'string'\}, promised are \{'id': 'long'\}\. Change the build or the contract"
    with pytest.raises(LakehouseError, match=words):
        committer.overwrite(a_target(tmp_path), -1, rows("tea", schema=WIDER), None)
    committer.overwrite(a_target(tmp_path, schema=WIDER), -1, rows("tea", schema=WIDER), None)
    committer.overwrite(a_target(tmp_path), 0, rows("tea"), None)


def test_a_column_that_delta_cannot_have_is_cast() -> None:
    with pytest.raises(LakehouseError, match=r"Delta has no column type for Arrow's timestamp\[ns\]\. Cast the column"):
        types.delta_type(pa.timestamp("ns"))
    assert types.delta_type(pa.timestamp("us", "UTC")) == "timestamp"


def test_a_column_that_the_lake_does_not_know_is_rewritten() -> None:
    with pytest.raises(LakehouseError, match=r"The lake does not know the column type 'variant'\. Rewrite it in one"):
        types.stored_type("variant")
    assert types.stored_type("string") == pa.string()


# What others did to a table


def test_a_version_that_is_not_there_is_named_with_the_newest(target: Target) -> None:
    with pytest.raises(LakehouseError, match=r"has no version 7, its newest is 0\. Read that one"):
        feed.read(target.address, 7)
    assert feed.read(target.address, 0).num_rows == 1


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def gone(path: Path) -> None:
    path.unlink()


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def of_somebody_else(path: Path) -> None:
    path.write_bytes(b"[1]")


def without_the_schema(path: Path) -> None:
    """As somebody writes it who seals nothing."""
    lines = path.read_bytes().replace(b'"checksum"', b'"other"').splitlines()
    path.write_bytes(b"\n".join(line for line in lines if b"metaData" not in line))


@pytest.mark.parametrize("way", ["from a copy", "deleted"])
@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (cut, r"\.json is damaged: a line of it is no JSON\. Bring that file back from a copy; a computed table"),
        (emptied, r"\.json is damaged: nothing stands in it\. Bring that file back from a copy; a computed table"),
        (
            of_somebody_else,
            r"\.json is damaged: a line of it is no action of Delta's\. Bring that file back from a copy",
        ),
        (without_the_schema, r"\.json is damaged: no commit says what the table is\. Bring that file back from a copy"),
        (gone, r"gold/toys cannot be read: a part of its log is gone\. Bring the file back from a copy\."),
    ],
)
def test_a_log_that_is_not_whole_comes_from_a_copy_or_goes(
    tmp_path: Path, harm: Callable[[Path], None], words: str, way: str
) -> None:
    made = a_target(tmp_path)
    for version in range(-1, 1):
        committer.append(made, version, rows("tea"), None)
    first = tmp_path / "gold" / "toys" / log.commit_path(0)
    copy = first.read_bytes()
    harm(first)
    log.forget(made.address)
    with pytest.raises(LakehouseError, match=words):
        feed.read(made.address)
    if way == "deleted":
        shutil.rmtree(made.address)
        assert committer.overwrite(made, -1, rows("tea", "tea"), None) == 0  # as the next run builds it
    else:
        first.write_bytes(copy)
    assert names(made) == ["tea", "tea"]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (cut, "it is no Parquet. If all commits before it are there, it and _last_checkpoint may be deleted instead"),
        (
            flip,
            "it is not what was written. If all commits before it are there, it and _last_checkpoint may be deleted",
        ),
    ],
)
def test_a_checkpoint_that_is_damaged_goes_where_all_commits_are_there(
    target: Target, tmp_path: Path, harm: Callable[[Path], None], words: str
) -> None:
    for version in range(10):
        committer.note_only(target, version, None)
    checkpoint = tmp_path / "gold" / "toys" / "_delta_log" / f"{10:020}.checkpoint.parquet"
    harm(checkpoint)
    log.forget(target.address)
    with pytest.raises(LakehouseError, match=re.escape(words)):
        names(target)
    checkpoint.unlink()
    checkpoint.with_name("_last_checkpoint").unlink()
    assert names(target) == ["tea"]


def test_a_version_whose_log_was_cleaned_is_not_read_and_a_newer_one_is(target: Target, tmp_path: Path) -> None:
    committer.append(target, 0, rows("milk"), None)
    logs.forget(tmp_path / "gold" / "toys", 1)
    log.forget(target.address)
    with pytest.raises(
        LakehouseError, match=r"Version 0 of .* cannot be read: the log before it is gone\. Read a newer"
    ):
        feed.read(target.address, 0)
    assert feed.read(target.address, 1).num_rows == 2


def test_a_feature_that_the_lake_does_not_know_is_dropped(tmp_path: Path) -> None:
    logs.commit(tmp_path)
    asks = {"minReaderVersion": 3, "minWriterVersion": 7}
    features: dict[str, object] = {"readerFeatures": ["typeWidening"], "writerFeatures": ["typeWidening"]}
    logs.commit(tmp_path, {"protocol": asks | features})
    words = "asks for typeWidening, which the lake does not know. Use the engine that set it, or drop it there"
    with pytest.raises(LakehouseError, match=words):
        feed.read(str(tmp_path))
    logs.commit(tmp_path, {"protocol": asks | {"readerFeatures": [], "writerFeatures": []}}, operation="DROP FEATURE")
    assert feed.read(str(tmp_path)).num_rows == 0


def test_a_deletion_vector_comes_from_a_copy_or_its_files_are_rewritten(tmp_path: Path) -> None:
    (one,) = vectors.write(str(tmp_path), [BitMap64([1, 2])])
    (file,) = tmp_path.iterdir()
    copy = file.read_bytes()
    file.write_bytes(copy[:-6] + bytes(6))
    with pytest.raises(LakehouseError, match=r"The deletion vector .* is damaged\. Bring that file back from a copy"):
        vectors.read(str(tmp_path), one)
    file.write_bytes(copy)
    assert list(vectors.read(str(tmp_path), one)) == [1, 2]
    other = bytes(4) + vectors.encode(BitMap64([1, 2]))[4:]
    with pytest.raises(LakehouseError, match=r"A deletion vector has an unknown format\. Rewrite the table's files"):
        vectors.decode(other)
    assert list(vectors.read(str(tmp_path), None)) == []  # what OPTIMIZE leaves has none


def test_a_data_file_that_cannot_be_read_comes_from_a_copy(target: Target, tmp_path: Path) -> None:
    (file,) = (tmp_path / "gold" / "toys").glob("*.parquet")
    copy = file.read_bytes()
    cut(file)
    words = r"gold/toys/.*\.parquet cannot be read: it is damaged\. Bring that file back from a copy"
    with pytest.raises(LakehouseError, match=words):
        feed.read(target.address)
    gone(file)
    with pytest.raises(storage.MissingFileError, match=r"There is no .*\.parquet\."):
        feed.read(target.address)
    file.write_bytes(copy)
    assert names(target) == ["tea"]


def test_a_lake_of_a_later_version_is_read_by_that() -> None:
    note = json.loads(logs.a_note().to_json())
    note["lakehouse"]["format"] = progress.FORMAT + 1
    words = r"was written by a later lakehouse \(its notes have format 3, this one knows 2\)\. Use that version"
    with pytest.raises(LakehouseError, match=words):
        progress.Progress.from_json(json.dumps(note))
    note["lakehouse"]["format"] = progress.FORMAT  # as that version knows it
    assert progress.Progress.from_json(json.dumps(note)) == logs.a_note()


# The core's own tables


def test_the_core_writes_beside_another_run_when_that_is_done(tmp_path: Path) -> None:
    root, address = str(tmp_path), progress.address(str(tmp_path), "ops.some")
    words = r"Another writer made version 1 of .*ops/some "
    ops.create(root, "ops.some", TYPES, [{"a": 1}])
    with pytest.raises(ConflictError, match="holds a table already"):
        ops.create(root, "ops.some", TYPES, [{"a": 2}])
    ops.replace(root, "ops.some", TYPES, [{"a": 2}], 0, ["a"])
    with pytest.raises(ConflictError, match=words):
        ops.replace(root, "ops.some", TYPES, [{"a": 3}], 0, ["a"])
    ops.replace(root, "ops.some", TYPES, [{"a": 3}], 1, ["a"])
    assert sorted(row["a"] for row in ops.query(address, "select a from t")) == [1, 2, 3]


def test_a_table_of_the_core_that_went_is_restored(tmp_path: Path) -> None:
    root, folder = str(tmp_path / "lake"), tmp_path / "lake" / "ops" / "some"
    ops.create(root, "ops.some", TYPES, [{"a": 1}])
    shutil.move(folder, tmp_path / "copy")
    with pytest.raises(LakehouseError, match=r"ops/some is gone\. Restore it before the next run\."):
        ops.replace(root, "ops.some", TYPES, [{"a": 2}], 0, ["a"])
    shutil.move(tmp_path / "copy", folder)
    ops.replace(root, "ops.some", TYPES, [{"a": 2}], 0, ["a"])
    assert len(ops.query(str(folder), "select a from t")) == 2

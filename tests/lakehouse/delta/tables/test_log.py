"""A log is read once, then only its new commits; what was written anew meanwhile is noticed."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.delta.tables import features, log, types
from lakehouse.errors import LakehouseError
from lakehouse.store import storage
from tests import logs

if TYPE_CHECKING:
    from pathlib import Path


def paths(table: Path, version: int | None = None) -> list[str]:
    snapshot = log.snapshot(str(table), version)
    assert snapshot
    return sorted(snapshot.files)


def described(**metadata: object) -> log.Snapshot:
    """A table of which only the description counts."""
    protocol = {name: metadata.pop(name) for name in list(metadata) if name.startswith(("min", "reader", "writer"))}
    said = {"id": "one", "schemaString": logs.SCHEMA, "partitionColumns": [], "configuration": {}}
    return log.Snapshot("gold/sales", 3, said | metadata, {"minReaderVersion": 1, "minWriterVersion": 2} | protocol)


def test_where_there_is_no_table_there_is_no_snapshot(tmp_path: Path) -> None:
    assert log.snapshot(str(tmp_path)) is None
    assert log.snapshot(str(tmp_path / "nowhere")) is None
    assert log.history(str(tmp_path)) == []


def test_files_come_and_go_and_each_version_is_what_it_was(tmp_path: Path) -> None:
    logs.commit(tmp_path, logs.rows(1, path="a"), logs.rows(1, path="b"))
    logs.commit(tmp_path, logs.deleted(path="a"), logs.rows(1, path="c"))
    assert paths(tmp_path) == ["b", "c"]
    assert paths(tmp_path, 0) == ["a", "b"]
    logs.commit(tmp_path, logs.rows(1, path="d"))
    assert paths(tmp_path) == ["b", "c", "d"]
    assert paths(tmp_path, 1) == ["b", "c"]


def test_a_file_that_gets_a_vector_stays_whatever_the_order_of_its_actions(tmp_path: Path) -> None:
    logs.commit(tmp_path, logs.rows(5, path="a"))
    logs.commit(tmp_path, logs.rows(5, path="a", hidden=1), logs.deleted(5, path="a"))
    logs.commit(tmp_path, logs.deleted(5, path="a", hidden=1), logs.rows(5, path="a", hidden=2))
    snapshot = log.snapshot(str(tmp_path))
    assert snapshot
    assert snapshot.files["a"]["deletionVector"]["cardinality"] == 2


def test_the_last_version_of_an_app_and_the_table_are_known(tmp_path: Path) -> None:
    logs.commit(tmp_path, {"txn": {"appId": "silver.orders", "version": 4}})
    logs.commit(tmp_path, {"txn": {"appId": "silver.orders", "version": 5}})
    snapshot = log.snapshot(str(tmp_path))
    assert snapshot
    assert (snapshot.id, snapshot.version, snapshot.txn) == ("one", 1, {"silver.orders": 5})


def test_a_version_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    logs.commit(tmp_path)
    with pytest.raises(LakehouseError, match="has no version 7, its newest is 0"):
        log.snapshot(str(tmp_path), 7)


@pytest.mark.slow
def test_on_s3_a_log_is_read_with_one_request_for_each_file_and_its_newest_commit_is_not_read_again(
    tmp_path: Path, on_s3: str
) -> None:
    for row in range(3):
        logs.commit(tmp_path, logs.rows(1, path=str(row)))
        storage.put(on_s3, f"t/{log.commit_path(row)}", (tmp_path / log.commit_path(row)).read_bytes())
    asked: list[str] = []
    storage.client().meta.events.register("before-call.s3", lambda model, **_: asked.append(model.name))
    assert log.snapshot(f"{on_s3}/t")
    assert asked == ["GetObject"] * 5, "the hint of a checkpoint, three commits, and none after them"
    assert log.history(f"{on_s3}/t", 1, until=2)[0].version == 2
    assert asked[5:] == ["HeadObject"]


def test_a_table_made_anew_is_noticed(tmp_path: Path) -> None:
    logs.commit(tmp_path, logs.rows(1, path="a"))
    assert paths(tmp_path) == ["a"]
    shutil.rmtree(tmp_path / "_delta_log")
    logs.commit(tmp_path, logs.rows(1, path="z"), table_id="two")
    snapshot = log.snapshot(str(tmp_path))
    assert snapshot
    assert (snapshot.id, list(snapshot.files)) == ("two", ["z"])


def test_a_commit_written_over_is_noticed(tmp_path: Path) -> None:
    logs.commit(tmp_path, logs.rows(1, path="a"))
    logs.commit(tmp_path, logs.rows(1, path="b"))
    assert (paths(tmp_path), log.actions(str(tmp_path), 1)[1]["add"]["path"]) == (["a", "b"], "b")
    (tmp_path / log.commit_path(1)).unlink()
    assert paths(tmp_path) == ["a"]
    logs.commit(tmp_path, logs.rows(1, path="x"))
    assert (paths(tmp_path), log.actions(str(tmp_path), 1)[1]["add"]["path"]) == (["a", "x"], "x")


def test_a_later_call_reads_only_what_is_new(tmp_path: Path) -> None:
    logs.commit(tmp_path, logs.rows(1, path="a"))
    logs.commit(tmp_path, logs.rows(1, path="b"))
    paths(tmp_path)
    (tmp_path / log.commit_path(0)).unlink()
    (tmp_path / log.commit_path(2)).write_text(json.dumps(logs.rows(1, path="c")))
    assert paths(tmp_path) == ["a", "b", "c"]


ADD = pa.struct(
    [
        ("path", pa.string()), ("partitionValues", pa.map_(pa.string(), pa.string())), ("size", pa.int64()),
        ("modificationTime", pa.int64()), ("dataChange", pa.bool_()), ("stats", pa.string()),
        ("stats_parsed", pa.struct([("numRecords", pa.int64())])),
        ("deletionVector", pa.struct([("storageType", pa.string()), ("offset", pa.int32())])),
    ]
)  # fmt: skip
META = pa.struct(
    [
        ("id", pa.string()), ("schemaString", pa.string()), ("partitionColumns", pa.list_(pa.string())),
        ("configuration", pa.map_(pa.string(), pa.string())), ("name", pa.string()),
    ]
)  # fmt: skip


def added(path: str) -> dict[str, Any]:
    return {"add": {"path": path, "partitionValues": [("p", None)], "size": 1, "deletionVector": None}}


def checkpoint(table: Path, name: str, *actions: dict[str, Any]) -> None:
    """A part of a checkpoint, as engines write it: a column per kind of action."""
    kinds = {"add": ADD, "metaData": META, "sidecar": pa.struct([("path", pa.string())])}
    columns = {kind: pa.array([one.get(kind) for one in actions], of) for kind, of in kinds.items()}
    target = table / "_delta_log" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), target)


METADATA = {
    "metaData": {"id": "one", "schemaString": logs.SCHEMA, "partitionColumns": [], "configuration": [("a", "b")]}
}


def hint(table: Path, **said: object) -> None:
    (table / "_delta_log" / "_last_checkpoint").write_text(json.dumps({"version": 2, "size": 1} | said))


def after_version_2(table: Path) -> None:
    """The commits before the checkpoint are gone, one came after it."""
    (table / log.commit_path(3)).write_text(json.dumps(logs.rows(1, path="new")))


def test_a_checkpoint_stands_for_the_commits_before_it(tmp_path: Path) -> None:
    checkpoint(tmp_path, f"{2:020}.checkpoint.parquet", METADATA, added("a"))
    hint(tmp_path)
    after_version_2(tmp_path)
    snapshot = log.snapshot(str(tmp_path))
    assert snapshot
    assert sorted(snapshot.files) == ["a", "new"]
    assert snapshot.files["a"] == {"path": "a", "partitionValues": {"p": None}, "size": 1}
    assert (snapshot.id, snapshot.version, snapshot.configuration) == ("one", 3, {"a": "b"})


def test_a_checkpoint_in_parts_is_read_whole(tmp_path: Path) -> None:
    checkpoint(tmp_path, f"{2:020}.checkpoint.{1:010}.{2:010}.parquet", METADATA, added("a"))
    checkpoint(tmp_path, f"{2:020}.checkpoint.{2:010}.{2:010}.parquet", added("b"))
    hint(tmp_path, parts=2)
    after_version_2(tmp_path)
    assert paths(tmp_path) == ["a", "b", "new"]


@pytest.mark.parametrize("kind", ["parquet", "json"])
def test_a_checkpoint_with_sidecars_is_read_with_them(tmp_path: Path, kind: str) -> None:
    checkpoint(tmp_path, "_sidecars/one.parquet", added("a"))
    name = f"{2:020}.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.{kind}"
    if kind == "parquet":
        checkpoint(tmp_path, name, METADATA, {"sidecar": {"path": "one.parquet"}})
    else:
        lines = [logs.schema(), {"sidecar": {"path": "one.parquet"}}]
        (tmp_path / "_delta_log" / name).write_text("\n".join(map(json.dumps, lines)))
    hint(tmp_path, v2Checkpoint={"path": name})
    after_version_2(tmp_path)
    assert paths(tmp_path) == ["a", "new"]


def test_without_a_hint_the_newest_whole_checkpoint_is_found(tmp_path: Path) -> None:
    checkpoint(tmp_path, f"{1:020}.checkpoint.parquet", METADATA, added("old"))
    checkpoint(tmp_path, f"{2:020}.checkpoint.parquet", METADATA, added("a"))
    checkpoint(tmp_path, f"{3:020}.checkpoint.{1:010}.{2:010}.parquet", METADATA, added("half"))
    after_version_2(tmp_path)
    assert paths(tmp_path) == ["a", "new"]
    assert paths(tmp_path, 1) == ["old"]
    with pytest.raises(LakehouseError, match=r"Version 0 of .* cannot be read"):
        paths(tmp_path, 0)


def test_a_hint_at_a_checkpoint_that_is_gone_is_not_believed(tmp_path: Path) -> None:
    logs.commit(tmp_path, logs.rows(1, path="a"))
    hint(tmp_path)
    assert paths(tmp_path) == ["a"]


NO_COMMIT = [
    b"",
    b" \n",
    b"{",
    b'{"add": {"path": "a',
    b"\x00" * 9,
    b"\xff\xfe",
    b"[1]",
    b"5",
    b'{"add": 5}',
    b"<html></html>",
]


@pytest.mark.parametrize("text", NO_COMMIT)
@pytest.mark.parametrize("version", [0, 1, 2])
def test_a_commit_that_is_damaged_is_named_and_never_read_past(tmp_path: Path, version: int, text: bytes) -> None:
    for path in ("a", "b", "c"):
        logs.commit(tmp_path, logs.rows(1, path=path))
    (tmp_path / log.commit_path(version)).write_bytes(text)
    with pytest.raises(log.DamagedLogError, match=f"{version:020}.json is damaged: .* Bring that file back"):
        log.snapshot(str(tmp_path))
    assert log.harm(str(tmp_path)) == f"{version:020}.json is damaged"
    assert [one.version for one in log.history(str(tmp_path), until=2)] == list(range(2, version, -1))


@pytest.mark.parametrize("cut", [0, 4, 100, -1])
def test_a_checkpoint_that_is_cut_is_named_and_the_remedy_that_is_said_helps(tmp_path: Path, cut: int) -> None:
    for path in ("a", "b", "c"):
        logs.commit(tmp_path, logs.rows(1, path=path))
    checkpoint(tmp_path, name := f"{2:020}.checkpoint.parquet", METADATA, added("a"))
    hint(tmp_path)
    (file := tmp_path / "_delta_log" / name).write_bytes(file.read_bytes()[:cut])
    with pytest.raises(log.DamagedLogError, match=r"checkpoint.parquet is damaged: .* it and _last_checkpoint may be"):
        log.snapshot(str(tmp_path))
    assert log.harm(str(tmp_path)) == f"{name} is damaged"
    file.unlink()
    (tmp_path / "_delta_log" / "_last_checkpoint").unlink()
    assert paths(tmp_path) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "text", [b"", b"{", b"\x00\xff", b"[]", b"7", b"{}", b'{"version": "two"}', b'{"version": null}']
)
def test_a_hint_that_says_nothing_is_not_believed(tmp_path: Path, text: bytes) -> None:
    checkpoint(tmp_path, f"{2:020}.checkpoint.parquet", METADATA, added("a"))
    (tmp_path / "_delta_log" / "_last_checkpoint").write_bytes(text)
    after_version_2(tmp_path)
    assert paths(tmp_path) == ["a", "new"]


def test_a_log_that_never_says_what_the_table_is_is_damaged(tmp_path: Path) -> None:
    logs.commit(tmp_path)
    (tmp_path / log.commit_path(0)).write_text(json.dumps(logs.rows(1, path="a")))
    assert log.harm(str(tmp_path)) == f"{0:020}.json is damaged"


def test_history_is_newest_first_and_ends_where_the_log_was_cleaned(tmp_path: Path) -> None:
    for number in range(20):
        logs.commit(tmp_path, operation=f"op {number}", note=f"note {number}")
    said = log.history(str(tmp_path), 2)
    assert [(one.version, one.operation, one.user_metadata) for one in said] == [
        (19, "op 19", "note 19"),
        (18, "op 18", "note 18"),
    ]
    assert said[0].timestamp == 1_700_000_000_019
    assert [one.version for one in log.history(str(tmp_path), 3, until=10)] == [10, 9, 8]
    assert len(log.history(str(tmp_path))) == 20
    (tmp_path / log.commit_path(6)).unlink()
    assert [one.version for one in log.history(str(tmp_path))] == list(range(19, 6, -1))


def test_a_commit_that_is_gone_is_a_missing_file(tmp_path: Path) -> None:
    logs.commit(tmp_path)
    log.actions(str(tmp_path), 0)
    (tmp_path / log.commit_path(0)).unlink()
    with pytest.raises(storage.MissingFileError):
        log.actions(str(tmp_path), 0)


def test_every_type_comes_back_from_its_text() -> None:
    schema = pa.schema(
        {
            "b": pa.bool_(), "i8": pa.int8(), "i16": pa.int16(), "i32": pa.int32(), "i64": pa.int64(),
            "f32": pa.float32(), "f64": pa.float64(), "s": pa.string(), "x": pa.binary(), "d": pa.date32(),
            "t": pa.timestamp("us", "UTC"), "ntz": pa.timestamp("us"), "m": pa.decimal128(38, 18),
            "l": pa.list_(pa.field("element", pa.int32())), "o": pa.struct([("a", pa.string())]),
            "map": pa.map_(pa.string(), pa.decimal128(10, 2)),
        }
    )  # fmt: skip
    text = types.schema_text(schema, {"b": "whether it is so"})
    assert log.schema(described(schemaString=text)) == schema
    assert log.comments(described(schemaString=text)) == {"b": "whether it is so"}


def test_a_type_that_the_lake_does_not_know_is_refused() -> None:
    with pytest.raises(LakehouseError, match="'variant'"):
        types.stored_type("variant")
    with pytest.raises(LakehouseError, match="no column type"):
        types.delta_type(pa.timestamp("ns"))


FEATURES = {"minReaderVersion": 3, "minWriterVersion": 7}


@pytest.mark.parametrize(
    "table",
    [
        described(),
        described(minReaderVersion=2, minWriterVersion=4),
        described(**FEATURES, readerFeatures=["deletionVectors"], writerFeatures=["deletionVectors", "appendOnly"]),
        described(**FEATURES, readerFeatures=["timestampNtz", "v2Checkpoint"], writerFeatures=["invariants"]),
    ],
)
def test_what_is_known_is_read_and_written(table: log.Snapshot) -> None:
    features.check_readable(table)
    features.check_writable(table)


@pytest.mark.parametrize(
    ("table", "named"),
    [
        (described(minReaderVersion=4), "reader version 4"),
        (described(**FEATURES, readerFeatures=["typeWidening"]), "typeWidening"),
        (described(minReaderVersion=2, configuration={"delta.columnMapping.mode": "name"}), "columnMapping"),
    ],
)
def test_what_is_not_known_is_not_read(table: log.Snapshot, named: str) -> None:
    with pytest.raises(LakehouseError, match=f"We do not read gold/sales: version 3 asks for {named}"):
        features.check_readable(table)


@pytest.mark.parametrize(
    ("table", "named"),
    [
        (described(minWriterVersion=5), "writer version 5"),
        (described(minWriterVersion=7, writerFeatures=["rowTracking", "appendOnly"]), "rowTracking"),
        (described(configuration={"delta.constraints.paid": "x > 0"}), "check constraint delta.constraints.paid"),
        (described(configuration={"delta.appendOnly": "true"}), "appendOnly"),
        (described(schemaString=logs.SCHEMA.replace("{}", '{"delta.invariants":"n"}')), "delta.invariants"),
        (described(schemaString=logs.SCHEMA.replace("{}", '{"delta.generationExpression":"n"}')), "generation"),
    ],
)
def test_promises_that_we_would_not_keep_are_not_written_to(table: log.Snapshot, named: str) -> None:
    features.check_readable(table)
    with pytest.raises(LakehouseError, match=f"We do not write to gold/sales: .*{named}"):
        features.check_writable(table)

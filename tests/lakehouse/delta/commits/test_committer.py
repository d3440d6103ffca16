"""What we commit is read alike by everyone: ourselves, delta-rs, Polars, Sail, and Spark."""

from __future__ import annotations

import json
import multiprocessing
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, QueryBuilder

from lakehouse.delta.commits import committer
from lakehouse.delta.commits.committer import Target
from lakehouse.delta.commits.conflicts import ConflictError
from lakehouse.delta.files import feed, parquet, vectors
from lakehouse.delta.tables import log, progress
from lakehouse.errors import LakehouseError
from lakehouse.store import storage

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from lakehouse.engines.spark.engine import Spark

SCHEMA = pa.schema(
    {
        "market": pa.int32(), "order_id": pa.int64(), "line": pa.int32(), "name": pa.string(), "day": pa.date32(),
        "at": pa.timestamp("us", "UTC"), "amount": pa.decimal128(38, 10), "share": pa.float64(), "paid": pa.bool_(),
    }
)  # fmt: skip
UNIT = ["market", "order_id"]
BOTH = pytest.mark.parametrize("has_vectors", [True, False], ids=["vectors", "copies"])


def a_line(order_id: int, line: int | None = 1, name: str | None = "tea", market: int = 1) -> dict[str, Any]:
    at = datetime(2024, 1, 1, 10, 0, 0, 123456, tzinfo=UTC).replace(second=order_id % 60)
    day, amount = date(2024, 1, 1 + order_id % 28), Decimal(f"{order_id}.1234567891")
    facts = {"day": day, "at": at, "amount": amount, "share": order_id / 3, "paid": order_id % 2 == 0}
    return {"market": market, "order_id": order_id, "line": line, "name": name, **facts}


def lines(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), SCHEMA)


def gone(*order_ids: int) -> pa.Table:
    return pa.table({"market": pa.array([1] * len(order_ids), pa.int32()), "order_id": pa.array(order_ids, pa.int64())})


def a_target(table: Path, **changed: object) -> Target:
    facts: dict[str, Any] = {"schema": SCHEMA, "comments": {"line": "1, 2, 3"}, **changed}
    return Target(str(table), **facts)


def orders(target: Target, version: int | None = None) -> list[tuple[int, int | None, str | None]]:
    rows = feed.read(target.address, version, ["order_id", "line", "name"]).to_pylist()
    return sorted(((row["order_id"], row["line"], row["name"]) for row in rows), key=str)


def as_texts(rows: pa.Table) -> list[str]:
    names = sorted(rows.column_names)
    return sorted(str([str(row[name]) for name in names]) for row in rows.to_pylist())


def by_delta_rs(address: str, version: int, where: str = "true") -> pa.Table:
    opened = DeltaTable(address, version=version)
    return pa.table(QueryBuilder().register("t", opened).execute(f"select * from t where {where}").read_all())


@pytest.fixture
def sail(spark: SparkSession) -> SparkSession:
    """The native engine's session, by its name, since Spark reads here too."""
    return spark


def by_sail(sail: SparkSession, address: str, version: int) -> pa.Table:
    return sail.read.format("delta").option("versionAsOf", version).load(address).toArrow()


def assert_all_agree(sail: SparkSession, target: Target) -> None:
    """Every version, by every reader; and the changes of every version, by delta-rs."""
    newest = log.snapshot(target.address)
    assert newest
    for version in range(newest.version + 1):
        ours = as_texts(feed.read(target.address, version))
        assert as_texts(by_delta_rs(target.address, version)) == ours
        assert as_texts(pl.scan_delta(target.address, version=version).collect().to_arrow()) == ours
        assert as_texts(by_sail(sail, target.address, version)) == ours
        changed = DeltaTable(target.address, version=version).load_cdf(version, version).read_all()
        theirs = pa.table(changed).drop_columns(["_commit_timestamp"])
        assert as_texts(theirs) == as_texts(feed.changes(target.address, version - 1, version))


# Tables


def test_a_new_table_has_the_protocol_that_spark_gives_it(tmp_path: Path) -> None:
    committer.overwrite(a_target(tmp_path / "plain"), -1, lines(a_line(1)), "note")
    committer.overwrite(a_target(tmp_path / "vectors", vectors=True), -1, lines(a_line(1)), "note")
    plain, with_vectors = (log.snapshot(str(tmp_path / name)) for name in ("plain", "vectors"))
    assert plain
    assert with_vectors
    features = ["appendOnly", "changeDataFeed", "invariants"]
    assert plain.protocol == {"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": features}
    assert plain.configuration == committer.PROPERTIES
    assert with_vectors.features("reader") == {"deletionVectors"}
    assert with_vectors.features("writer") == {"deletionVectors", *features}
    assert with_vectors.configuration["delta.enableDeletionVectors"] == "true"
    assert log.schema(plain) == SCHEMA
    assert log.comments(plain) == {"line": "1, 2, 3"}
    assert DeltaTable(plain.address).to_pyarrow_table().num_rows == 1


def test_a_commit_says_who_made_it_and_what_it_did(tmp_path: Path) -> None:
    committer.overwrite(a_target(tmp_path), -1, lines(a_line(1), a_line(2)), '{"a":"é"}', operation="REBUILD")
    (said,) = log.history(str(tmp_path))
    assert (said.version, said.operation, said.user_metadata) == (0, "REBUILD", '{"a":"é"}')
    assert said.metrics["numOutputRows"] == "2"
    info = log.actions(str(tmp_path), 0)[0]["commitInfo"]
    assert (info["engineInfo"], info["isBlindAppend"], info["isolationLevel"]) == ("lakehouse", False, "Serializable")


def test_a_note_alone_changes_nothing(tmp_path: Path) -> None:
    target = a_target(tmp_path)
    committer.overwrite(target, -1, lines(a_line(1)), None)
    assert committer.note_only(target, 0, "a note") == 1
    assert committer.note_only(target.address, 1, "another") == 2
    assert [list(action) for action in log.actions(target.address, 2)] == [["commitInfo"]]
    assert [one.user_metadata for one in log.history(target.address)] == ["another", "a note", None]
    assert orders(target) == [(1, 1, "tea")]


def test_rows_of_other_columns_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(LakehouseError, match=r"promised are \{'market': 'integer'\}"):
        committer.overwrite(a_target(tmp_path), -1, lines(a_line(1)).drop_columns(["market"]), None)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@BOTH
def test_an_overwrite_replaces_all_rows_and_old_versions_stay(
    tmp_path: Path, sail: SparkSession, *, has_vectors: bool
) -> None:
    target = a_target(tmp_path, vectors=has_vectors)
    committer.overwrite(target, -1, lines(a_line(1), a_line(2), a_line(3)), None)
    committer.replace_units(target, 0, UNIT, None, gone(2), None)
    committer.overwrite(target, 1, lines(a_line(4)), None)
    committer.overwrite(target, 2, None, None)
    committer.overwrite(target, 3, lines(a_line(5)), None)
    assert [len(orders(target, version)) for version in range(5)] == [3, 2, 1, 0, 1]
    assert_all_agree(sail, target)


def test_a_file_with_a_vector_is_never_removed_bare_and_hidden_once_only(tmp_path: Path) -> None:
    target = a_target(tmp_path, vectors=True)
    committer.overwrite(target, -1, lines(a_line(1), a_line(2)), None)
    committer.replace_units(target, 0, UNIT, None, gone(1), None)
    committer.overwrite(target, 1, lines(a_line(3)), None)
    done = log.actions(target.address, 2)
    removed = {action["remove"]["path"]: action["remove"] for action in done if "remove" in action}
    added = {action["add"]["path"]: action["add"] for action in done if "add" in action}
    ((path, file),) = removed.items()
    assert (file["deletionVector"]["cardinality"], added[path]["deletionVector"]["cardinality"]) == (1, 2)
    committer.overwrite(target, 2, lines(a_line(4)), None)
    assert path not in {action["remove"]["path"] for action in log.actions(target.address, 3) if "remove" in action}


def test_an_overwrite_brings_new_columns_comments_and_partitions_and_keeps_the_tables_id(tmp_path: Path) -> None:
    target = a_target(tmp_path, vectors=True)
    committer.overwrite(target, -1, lines(a_line(1), a_line(2)), None)
    committer.replace_units(target, 0, UNIT, None, gone(1), None)
    narrow = pa.schema({"market": pa.int32(), "line": pa.string()})
    other = Target(target.address, narrow, {"line": "as text"}, ("market",), vectors=True)
    committer.overwrite(other, 1, pa.table({"market": [1], "line": ["x"]}, narrow), None)
    before, after = (log.snapshot(target.address, version) for version in (1, 2))
    assert before
    assert after
    assert (after.id, after.metadata["createdTime"]) == (before.id, before.metadata["createdTime"])
    assert (log.schema(after), log.comments(after), after.partition_by) == (narrow, {"line": "as text"}, ("market",))
    assert len(after.files) == 1  # a hidden file would hold `line` as it was
    committer.overwrite(other, 2, pa.table({"market": [2], "line": ["y"]}, narrow), None)
    assert not [action for action in log.actions(target.address, 3) if action.keys() & {"metaData", "protocol"}]


def test_a_table_can_lose_its_vectors_and_get_them_again(tmp_path: Path, sail: SparkSession) -> None:
    target = a_target(tmp_path, vectors=True)
    committer.overwrite(target, -1, lines(a_line(1), a_line(2)), None)
    committer.replace_units(target, 0, UNIT, lines(a_line(1, name="milk")), None, None)
    plain = a_target(tmp_path)
    committer.overwrite(plain, 1, lines(a_line(7)), None)
    assert DeltaTable(target.address).to_pyarrow_table().num_rows == 1
    assert DeltaTable(target.address).protocol().reader_features is None
    for version, expected in enumerate([2, 2, 1]):
        assert by_delta_rs(target.address, version).num_rows == expected
        assert by_sail(sail, target.address, version).num_rows == expected
        assert feed.read(target.address, version).num_rows == expected
    committer.overwrite(target, 2, lines(a_line(8)), None)
    committer.replace_units(target, 3, UNIT, None, gone(8), None)
    newest = log.snapshot(target.address)
    assert newest
    assert newest.features("reader") == {"deletionVectors"}
    assert orders(target) == []


# Appends


def test_an_append_adds_its_columns_at_the_end_and_old_rows_have_none(tmp_path: Path, sail: SparkSession) -> None:
    committer.append(a_target(tmp_path), -1, lines(a_line(1)), None)
    wide = a_target(tmp_path, schema=SCHEMA.append(pa.field("colour", pa.string())), comments={"colour": "of it"})
    committer.append(wide, 0, lines(a_line(2)).append_column("colour", pa.array(["red"])), None)
    committer.append(a_target(tmp_path), 1, lines(a_line(3)), None)
    assert feed.read(wide.address, columns=["colour"]).to_pylist().count({"colour": None}) == 2
    snapshot = log.snapshot(wide.address)
    assert snapshot
    assert log.comments(snapshot) == {"line": "1, 2, 3", "colour": "of it"}
    assert_all_agree(sail, wide)


def test_an_append_does_not_change_a_columns_type(tmp_path: Path) -> None:
    committer.append(a_target(tmp_path), -1, lines(a_line(1)), None)
    other = SCHEMA.set(0, pa.field("market", pa.string()))
    with pytest.raises(LakehouseError, match="market: int32 is stored"):
        committer.append(a_target(tmp_path, schema=other), 0, lines(a_line(2)).cast(other), None)


def test_a_transaction_of_an_app_is_written_once(tmp_path: Path) -> None:
    target = a_target(tmp_path)
    assert committer.append(target, -1, lines(a_line(1)), None, txn=("bronze.orders", 1)) == 0
    assert committer.append(target, 0, lines(a_line(1)), None, txn=("bronze.orders", 1)) == 0
    assert committer.append(target, 0, lines(a_line(2)), None, txn=("bronze.orders", 2)) == 1
    assert DeltaTable(target.address).transaction_version("bronze.orders") == 2
    assert orders(target) == [(1, 1, "tea"), (2, 1, "tea")]


# Units


@BOTH
def test_a_unit_shrinks_another_grows_one_vanishes_one_comes_and_a_grain_may_be_null(
    tmp_path: Path, sail: SparkSession, *, has_vectors: bool
) -> None:
    target = a_target(tmp_path, vectors=has_vectors)
    first = [a_line(1, 1), a_line(1, 2), a_line(1, None), a_line(2, 1), a_line(3, None), a_line(4), a_line(1, market=2)]
    committer.overwrite(target, -1, lines(*first), None)
    changed = lines(a_line(1, None, "milk"), a_line(2, 1), a_line(2, None), a_line(9))
    assert committer.replace_units(target, 0, UNIT, changed, gone(3, 77), "the note") == 1
    rest = [(1, 1, "tea"), (1, None, "milk"), (2, 1, "tea"), (2, None, "tea"), (4, 1, "tea"), (9, 1, "tea")]
    assert orders(target) == rest
    assert log.history(target.address)[0].user_metadata == "the note"
    assert feed.written(target.address, 0, 1) == feed.Written(4, 5, 5, 1, files_of(target, 1), 1)
    assert_all_agree(sail, target)


def files_of(target: Target, version: int) -> int:
    """The bytes of the new files of a commit."""
    done = log.actions(target.address, version)
    removed = {action["remove"]["path"] for action in done if "remove" in action}
    return sum(one["add"]["size"] for one in done if "add" in one and one["add"]["path"] not in removed)


@BOTH
def test_a_file_is_used_up_in_two_commits(tmp_path: Path, sail: SparkSession, *, has_vectors: bool) -> None:
    target = a_target(tmp_path, vectors=has_vectors)
    committer.overwrite(target, -1, lines(a_line(1), a_line(2), a_line(3)), None)
    committer.replace_units(target, 0, UNIT, None, gone(1), None)
    committer.replace_units(target, 1, UNIT, lines(a_line(9)), gone(2, 3), None)
    committer.replace_units(target, 2, UNIT, lines(a_line(1)), gone(2, 9), None)
    assert [len(orders(target, version)) for version in range(4)] == [3, 2, 1, 1]
    assert_all_agree(sail, target)


@pytest.mark.slow
@BOTH
def test_a_partitioned_table_is_replaced_alike(tmp_path: Path, sail: SparkSession, *, has_vectors: bool) -> None:
    target = a_target(tmp_path, vectors=has_vectors, partition_by=("market", "day"))
    first = [a_line(number, market=market) for number in range(1, 6) for market in (1, 2)]
    committer.overwrite(target, -1, lines(*first), None)
    committer.replace_units(target, 0, UNIT, lines(a_line(1, 2), a_line(30, 1)), gone(2), None)
    committer.replace_units(target, 1, UNIT, lines(a_line(30, 2) | {"day": None}), gone(1), None)
    assert [len(orders(target, version)) for version in range(3)] == [10, 10, 9]
    assert_all_agree(sail, target)


@BOTH
def test_where_nothing_matches_and_nothing_comes_the_note_alone_is_committed(
    tmp_path: Path, *, has_vectors: bool
) -> None:
    target = a_target(tmp_path, vectors=has_vectors)
    committer.overwrite(target, -1, lines(a_line(1)), None)
    committer.replace_units(target, 0, UNIT, lines(), gone(5), "note")
    assert [list(action) for action in log.actions(target.address, 1)] == [["commitInfo"]]


def test_vectors_copy_nothing_and_copies_say_all_changes_in_change_files(tmp_path: Path) -> None:
    for has_vectors, kinds in (
        (True, {"commitInfo", "add", "remove"}),
        (False, {"commitInfo", "add", "remove", "cdc"}),
    ):
        target = a_target(tmp_path / str(has_vectors), vectors=has_vectors)
        committer.overwrite(target, -1, lines(*(a_line(number) for number in range(50))), None)
        committer.replace_units(target, 0, UNIT, lines(a_line(7, name="milk")), None, None)
        done = log.actions(target.address, 1)
        assert {kind for action in done for kind in action} == kinds
        assert max(parquet.rows_in(target.address, one["add"]) for one in done if "add" in one) == 50


def test_new_rows_join_a_copy_so_that_small_commits_make_no_small_files(tmp_path: Path) -> None:
    target = a_target(tmp_path)
    committer.overwrite(target, -1, lines(a_line(1), a_line(2)), None)
    for version in range(5):
        committer.replace_units(target, version, UNIT, lines(a_line(1), a_line(100 + version)), None, None)
    snapshot = log.snapshot(target.address)
    assert snapshot
    assert len(snapshot.files) == 1


def test_files_that_cannot_hold_a_unit_are_not_read(tmp_path: Path) -> None:
    target = a_target(tmp_path, vectors=True)
    committer.overwrite(target, -1, lines(a_line(1), a_line(2)), None)
    committer.append(target, 0, lines(a_line(100, name="x" * 50)), None)
    (far,) = (action["add"]["path"] for action in log.actions(target.address, 0) if "add" in action)
    (tmp_path / far).unlink()
    committer.replace_units(target, 1, UNIT, None, gone(100), None)
    names = pa.table({"name": ["x" * 50]})
    with pytest.raises(storage.MissingFileError):
        committer.replace_units(target, 2, UNIT, None, gone(2), None)
    assert committer.replace_units(target, 2, ["name"], None, names, None) == 3


def test_a_unit_of_long_texts_is_found_by_bounds_that_were_cut(tmp_path: Path) -> None:
    target = a_target(tmp_path, vectors=True)
    committer.overwrite(target, -1, lines(a_line(1, name="y" * 50), a_line(2, name="z" * 40 + "é")), None)
    committer.replace_units(target, 0, ["name"], None, pa.table({"name": ["z" * 40 + "é", "z" * 40]}), None)
    assert [one[0] for one in orders(target)] == [1]


def test_units_are_replaced_only_where_the_stored_columns_are_the_targets(tmp_path: Path) -> None:
    committer.overwrite(a_target(tmp_path), -1, lines(a_line(1)), None)
    fewer = SCHEMA.remove(SCHEMA.get_field_index("name"))
    more = SCHEMA.append(pa.field("colour", pa.string()))
    for schema, said in ((fewer, "name: string is stored, None is"), (more, "colour: None is stored")):
        with pytest.raises(LakehouseError, match=said):
            committer.replace_units(a_target(tmp_path, schema=schema), 0, UNIT, None, gone(1), None)
    with pytest.raises(LakehouseError, match=r"partitions: \[\] are stored"):
        committer.replace_units(a_target(tmp_path, partition_by=("market",)), 0, UNIT, None, gone(1), None)


@BOTH
def test_null_is_a_value_of_a_unit_like_any_other(tmp_path: Path, sail: SparkSession, *, has_vectors: bool) -> None:
    target = a_target(tmp_path, vectors=has_vectors)
    nobody, both = {"name": None}, {"name": None, "line": None}
    stored = lines(*(a_line(1) | one for one in ({}, nobody, both)), a_line(2), a_line(2) | nobody, a_line(3) | both)
    committer.overwrite(target, -1, stored, None)
    left = pa.table(
        {"order_id": [2, 3, 3], "name": pa.nulls(3, pa.string()), "line": pa.array([1, 1, None], pa.int32())}
    )
    committer.replace_units(
        target, 0, ["order_id", "name", "line"], lines(a_line(1) | nobody | {"day": None}), left, None
    )
    assert orders(target) == [(1, 1, "tea"), (1, 1, None), (1, None, None), (2, 1, "tea")]
    assert_all_agree(sail, target)


@BOTH
def test_files_that_an_engine_wrote_replace_units_too(tmp_path: Path, sail: SparkSession, *, has_vectors: bool) -> None:
    target = a_target(tmp_path, vectors=has_vectors)
    committer.overwrite(target, -1, lines(a_line(1), a_line(2), a_line(3)), None)
    frame = sail.createDataFrame(lines(a_line(2, name="milk"), a_line(4)))
    frame.select(*SCHEMA.names).coalesce(1).write.parquet(f"{tmp_path}/new")
    paths = [file.path for file in storage.list_files(f"{tmp_path}/new") if file.path.endswith(".parquet")]
    files = parquet.adopt(str(tmp_path), {f"{tmp_path}/new/{path}": {} for path in paths}, SCHEMA)
    committer.replace_units(target, 0, UNIT, files, gone(3), None)
    assert orders(target) == [(1, 1, "tea"), (2, 1, "milk"), (4, 1, "tea")]
    assert_all_agree(sail, target)


@pytest.mark.slow
def test_a_file_whose_vector_would_be_too_large_is_copied_and_hidden_whole(tmp_path: Path, sail: SparkSession) -> None:
    schema = pa.schema({"n": pa.int64(), "odd": pa.bool_()})
    target, rows = Target(str(tmp_path), schema, vectors=True), 1_100_000
    import pyarrow.parquet as pq  # noqa: PLC0415

    numbers = pa.array(range(rows), pa.int64())
    odd = pc.equal(pc.bit_wise_and(numbers, 1), 1)
    pq.write_table(pa.table({"n": numbers, "odd": odd}), tmp_path / "large.parquet")
    (large,) = parquet.adopt(str(tmp_path), {f"{tmp_path}/large.parquet": {}}, schema)
    committer.overwrite(target, -1, [large], None)
    committer.replace_units(target, 0, ["n"], None, pa.table({"n": [0]}), None)
    committer.replace_units(target, 1, ["odd"], None, pa.table({"odd": [True]}), None)
    snapshot = log.snapshot(target.address)
    assert snapshot
    assert snapshot.files[large["path"]]["deletionVector"]["cardinality"] == rows
    assert all(
        (one.get("deletionVector") or {}).get("sizeInBytes", 0) < vectors.LARGEST for one in snapshot.files.values()
    )
    assert feed.read(target.address, columns=["n"]).num_rows == rows // 2 - 1
    assert by_sail(sail, target.address, 2).num_rows == by_delta_rs(target.address, 2).num_rows == rows // 2 - 1
    net = feed.changes(target.address, 1, 2, ["n"])["_change_type"].value_counts().to_pylist()
    assert {one["values"]: one["counts"] for one in net} == {"delete": rows - 1, "insert": rows // 2 - 1}


# Back


def of_five_versions(folder: Path, *, has_vectors: bool) -> Target:
    """Rows come, change, vanish, and all are written anew; of the first file a part is hidden, then all, or copied."""
    target = a_target(folder, vectors=has_vectors)
    committer.overwrite(target, -1, lines(a_line(1), a_line(2), a_line(3)), None)
    committer.replace_units(target, 0, UNIT, lines(a_line(2, name="milk"), a_line(4)), None, None)
    committer.replace_units(target, 1, UNIT, None, gone(1, 4), None)
    committer.overwrite(target, 2, lines(a_line(5), a_line(6)), None)
    committer.replace_units(target, 3, UNIT, lines(a_line(6, name="beer")), None, None)
    return target


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("version", [-1, 0, 2, 3])
def test_a_restored_table_is_what_it_was_for_every_reader_of_rows_and_of_changes(
    tmp_path: Path, sail: SparkSession, version: int, *, has_vectors: bool
) -> None:
    target = of_five_versions(tmp_path, has_vectors=has_vectors)
    then = orders(target, version) if version >= 0 else []
    assert committer.restore(target.address, 4, version, "the note") == 5
    assert orders(target) == then
    assert version < 0 or progress.held(target.address, 5) == progress.held(target.address, version)
    (said,) = log.history(target.address, 1)
    assert (said.operation, said.user_metadata) == ("RESTORE", "the note")
    committer.replace_units(target, 5, UNIT, lines(a_line(2, name="wine")), gone(3, 6), None)
    committer.restore(target.address, 6, 4, None)
    assert orders(target) == orders(target, 4)
    assert_all_agree(sail, target)


def test_columns_protocol_and_partitions_come_back_and_what_a_table_has_seen_stays(tmp_path: Path) -> None:
    plain, wide = a_target(tmp_path), SCHEMA.append(pa.field("colour", pa.string()))
    committer.append(plain, -1, lines(a_line(1)), None, txn=("bronze.orders", 1))
    other = a_target(tmp_path, schema=wide, vectors=True, partition_by=("market",))
    rows = lines(a_line(1), a_line(2)).append_column("colour", pa.array(["red", "blue"]))
    committer.overwrite(other, 0, rows, None)
    committer.replace_units(other, 1, UNIT, None, gone(1), None)
    committer.restore(plain.address, 2, 0, None, txn=("bronze.orders", 7))
    first, now = log.snapshot(plain.address, 0), log.snapshot(plain.address)
    assert first
    assert now
    assert (now.metadata, now.protocol, now.files) == (first.metadata, first.protocol, first.files)
    assert now.txn == {"bronze.orders": 7}
    assert DeltaTable(plain.address).to_pyarrow_table().num_rows == 1
    committer.restore(plain.address, 3, 2, None)
    assert (orders(other), feed.read(other.address).schema) == ([(2, 1, "tea")], wide)
    assert len(log.actions(plain.address, committer.restore(plain.address, 4, 4, None))) == 1


@pytest.mark.parametrize(("has_vectors", "gone"), [(False, "part-"), (True, "deletion_vector_")])
def test_what_needs_a_file_that_is_gone_is_refused_in_words_before_anything_is_written(
    tmp_path: Path, gone: str, *, has_vectors: bool
) -> None:
    target = of_five_versions(tmp_path, has_vectors=has_vectors)
    now = log.snapshot(target.address)
    assert now
    used = set(now.files) | {place[1] for file in now.files.values() if (place := vector_of(target, file))}
    for file in list(storage.list_files(target.address)):
        if file.path not in used and not file.path.startswith("_delta_log"):
            storage.delete(target.address, file.path)
    before = sorted(file.path for file in storage.list_files(target.address))
    with pytest.raises(LakehouseError, match=rf"cannot go back to version 1: {gone}\S+ is gone or cut") as refused:
        committer.restore(target.address, 4, 1, None)
    assert "or choose a later version" in str(refused.value)
    assert sorted(file.path for file in storage.list_files(target.address)) == before
    assert committer.restore(target.address, 4, 4, None) == 5


def vector_of(target: Target, file: dict[str, Any]) -> tuple[str, str] | None:
    return log.place_of_vector(target.address, file["deletionVector"]) if file.get("deletionVector") else None


# Bounds


BOUNDED = [field.name for field in SCHEMA if field.name not in {"line", "paid"}]


def literal(value: object) -> str:
    if isinstance(value, datetime):
        return f"timestamp '{value:%Y-%m-%d %H:%M:%S.%f}Z'"
    kinds = {date: "date", str: "string", Decimal: "decimal(38, 10)", float: "double", int: "bigint"}
    return f"cast('{value}' as {kinds[type(value)]})"


@pytest.mark.parametrize("column", BOUNDED)
def test_a_filter_on_a_bound_finds_its_row(tmp_path: Path, sail: SparkSession, column: str) -> None:
    target = a_target(tmp_path)
    low = a_line(-5, name="é" * 40, market=-1) | {
        "at": datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        "share": -0.0,
    }
    low |= {"amount": Decimal("-1234567890123456789012345678.0123456789"), "day": date(1600, 1, 1)}
    high = a_line(2**40, name="\U0001f600" * 40, market=9) | {
        "at": datetime(2200, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        "share": 1e300,
    }
    high |= {"amount": Decimal("9234567890123456789012345678.0123456789"), "day": date(9999, 12, 31)}
    committer.overwrite(target, -1, lines(low), None)
    committer.append(target, 0, lines(high), None)
    for row in (low, high):
        value = row[column]
        assert by_delta_rs(target.address, 1, f"{column} = {literal(value)}").num_rows == 1
        same = pl.col(column) == pl.lit(value, dtype=pl.Series(pa.array([value], SCHEMA.field(column).type)).dtype)
        by_polars = pl.scan_delta(target.address).filter(same)
        assert by_polars.select(pl.len()).collect().item() == 1
        sails = sail.read.format("delta").option("versionAsOf", 1).load(target.address)
        assert sails.where(f"{column} = {literal(value).replace('Z', '')}").count() == 1
        assert (
            feed.read(target.address, where=pc.field(column) == pa.scalar(value, SCHEMA.field(column).type)).num_rows
            == 1
        )


# Others who write


def test_who_comes_second_is_told_and_nothing_of_his_is_there(tmp_path: Path) -> None:
    target = a_target(tmp_path)
    committer.overwrite(target, -1, lines(a_line(1)), None)
    committer.append(target, 0, lines(a_line(2)), None)
    for write in (committer.append, committer.overwrite):
        with pytest.raises(ConflictError, match=r"made version 1 of .* \(WRITE by lakehouse\)"):
            write(target, 0, lines(a_line(3)), None)
    with pytest.raises(ConflictError, match="holds a table already"):
        committer.overwrite(target, -1, lines(a_line(3)), None)
    assert orders(target) == [(1, 1, "tea"), (2, 1, "tea")]


def test_a_commit_whose_answer_was_lost_is_known_by_its_transaction(tmp_path: Path) -> None:
    target = a_target(tmp_path)
    committer.overwrite(target, -1, lines(a_line(1)), None)
    ours = [{"commitInfo": {"txnId": "mine", "operation": "WRITE"}}]
    committer.land(target.address, 1, ours)
    committer.land(target.address, 1, ours)
    with pytest.raises(ConflictError):
        committer.land(target.address, 1, [{"commitInfo": {"txnId": "another"}}])


def test_a_half_written_commit_is_nothing(tmp_path: Path) -> None:
    target = a_target(tmp_path)
    committer.overwrite(target, -1, lines(a_line(1)), None)
    (tmp_path / "_delta_log" / ".0a1b.tmp").write_text("{")
    assert committer.note_only(target, 0, None) == 1
    assert DeltaTable(target.address).version() == 1


def write_five(address: str, who: int) -> list[int]:
    """Five appends, each tried again upon the newest version until it lands."""
    landed: list[int] = []
    while len(landed) < 5:
        now = log.snapshot(address)
        rows = lines(a_line(who * 10 + len(landed)))
        try:
            landed.append(committer.append(Target(address, SCHEMA), now.version if now else -1, rows, f"{who}"))
        except ConflictError:
            continue
    return landed


@pytest.mark.slow
def test_of_two_processes_every_commit_lands_once(tmp_path: Path) -> None:
    target = a_target(tmp_path)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        versions = [
            one for landed in pool.starmap(write_five, [(target.address, 1), (target.address, 2)]) for one in landed
        ]
    assert sorted(versions) == list(range(10))
    assert [one[0] for one in orders(target)] == [10, 11, 12, 13, 14, 20, 21, 22, 23, 24]


def test_every_tenth_version_has_a_checkpoint_that_says_the_same(tmp_path: Path) -> None:
    target = a_target(tmp_path, vectors=True, partition_by=("market",))
    committer.overwrite(target, -1, lines(a_line(1), a_line(2), a_line(3, market=2)), None)
    committer.replace_units(target, 0, UNIT, lines(a_line(1)), None, None)
    committer.append(target, 1, lines(a_line(4)), None, txn=("app", 3))
    for version in range(2, 11):
        committer.note_only(target, version, f"{version}")
    assert json.loads((tmp_path / "_delta_log" / "_last_checkpoint").read_text())["version"] == 10
    replayed = log.snapshot(target.address)
    assert replayed
    for version in range(10):
        (tmp_path / log.commit_path(version)).unlink()
    log.forget(target.address)
    read = log.snapshot(target.address)
    assert read == replayed
    assert len(orders(target)) == 4


def test_a_table_that_is_gone_or_asks_too_much_is_not_written_to(tmp_path: Path) -> None:
    target = a_target(tmp_path)
    with pytest.raises(LakehouseError, match="There is no table at"):
        committer.append(target, 3, lines(a_line(1)), None)
    constrained = a_target(tmp_path, properties=committer.PROPERTIES | {"delta.constraints.c": "line > 0"})
    committer.overwrite(constrained, -1, lines(a_line(1)), None)
    with pytest.raises(LakehouseError, match="check constraint"):
        committer.append(target, 0, lines(a_line(2)), None)
    with pytest.raises(LakehouseError, match="check constraint"):
        committer.note_only(target, 0, None)


# On S3


@pytest.mark.slow
@pytest.mark.parametrize("has_vectors", [True, False], ids=["vectors", "copies"])
def test_on_s3_a_table_is_written_and_read_alike(on_s3: str, *, has_vectors: bool) -> None:
    target = Target(f"{on_s3}/{has_vectors}", SCHEMA, partition_by=("market",), vectors=has_vectors)
    assert log.snapshot(target.address) is None
    committer.overwrite(target, -1, lines(a_line(1), a_line(2), a_line(3, market=2)), None)
    committer.replace_units(target, 0, UNIT, lines(a_line(1, name="milk")), gone(2), "note")
    for version in range(1, 10):
        committer.note_only(target, version, None)
    assert orders(target) == [(1, 1, "milk"), (3, 1, "tea")]
    assert feed.changes(target.address, 0, 1).num_rows == 3
    assert log.history(target.address, 1, until=1)[0].user_metadata == "note"
    assert storage.token(target.address, f"_delta_log/{10:020}.checkpoint.parquet")
    with pytest.raises(ConflictError):
        committer.append(target, 5, lines(a_line(9)), None)
    same = [{"commitInfo": {"txnId": "mine"}}]
    committer.land(target.address, 11, same)
    committer.land(target.address, 11, same)
    log.forget(target.address)
    assert len(orders(target)) == 2
    opened = DeltaTable(target.address, storage_options=storage.for_deltalake(target.address))
    assert pa.table(QueryBuilder().register("t", opened).execute("select * from t").read_all()).num_rows == 2


# With Spark


def by_spark(spark: SparkSession, address: str, version: int) -> pa.Table:
    return spark.read.format("delta").option("versionAsOf", version).load(address).toArrow()


@pytest.mark.spark
@BOTH
def test_spark_reads_what_we_wrote_and_goes_on(tmp_path: Path, on_spark: Spark, *, has_vectors: bool) -> None:
    spark = on_spark.for_a_turn(0).spark
    target = a_target(tmp_path, vectors=has_vectors, partition_by=("market",))
    first = [a_line(number, market=market) for number in range(1, 6) for market in (1, 2)]
    committer.overwrite(target, -1, lines(*first), None)
    committer.replace_units(target, 0, UNIT, lines(a_line(1, None), a_line(30)), gone(2), None)
    committer.replace_units(target, 1, UNIT, lines(a_line(1)), gone(3, 4, 5), None)
    committer.replace_units(target, 2, UNIT, None, gone(1, 30), None)
    for version in range(4):
        assert as_texts(by_spark(spark, target.address, version)) == as_texts(feed.read(target.address, version))
    spark.sql(f"delete from delta.`{target.address}` where order_id = 4")
    spark.sql(f"optimize delta.`{target.address}`")
    version = len(log.history(target.address)) - 1
    committer.replace_units(target, version, UNIT, lines(a_line(5, market=2, name="milk")), None, None)
    assert as_texts(by_spark(spark, target.address, version + 1)) == as_texts(feed.read(target.address))
    committer.overwrite(a_target(tmp_path), version + 1, lines(a_line(8)), None)
    assert by_spark(spark, target.address, version + 2).num_rows == 1
    assert by_spark(spark, target.address, version + 1).num_rows == 4


@pytest.mark.spark
@BOTH
def test_spark_reads_a_restored_table_and_its_changes(tmp_path: Path, on_spark: Spark, *, has_vectors: bool) -> None:
    spark = on_spark.for_a_turn(0).spark
    target = of_five_versions(tmp_path, has_vectors=has_vectors)
    for base, version in enumerate((1, 3, -1, 2), start=4):
        committer.restore(target.address, base, version, None)
    for version in range(5, 9):
        assert as_texts(by_spark(spark, target.address, version)) == as_texts(feed.read(target.address, version))
    asked = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 5)
    changed = asked.load(target.address).drop("_commit_timestamp").toArrow()
    assert as_texts(changed) == as_texts(feed.changes(target.address, 4, 8))

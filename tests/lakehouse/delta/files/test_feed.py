"""What changed is read alike from every way in which a commit may say it, whoever wrote it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any
from unittest import mock

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake
from pyroaring import BitMap64

from lakehouse.delta.commits import committer
from lakehouse.delta.commits.committer import Target
from lakehouse.delta.files import feed, parquet, vectors
from lakehouse.delta.files.feed import UnreadableChangesError, Written
from lakehouse.delta.tables import log
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pyspark.sql import SparkSession

    from lakehouse.engines.spark.engine import Spark

SCHEMA = pa.schema({"n": pa.int64(), "s": pa.string()})
Rows = list[tuple[str, int]]


def numbers(*values: int, s: str | None = "x") -> pa.Table:
    return pa.table({"n": pa.array(values, pa.int64()), "s": pa.array([s] * len(values), pa.string())}, SCHEMA)


def a_table(folder: Path, *values: int, has_vectors: bool = True) -> Target:
    target = Target(str(folder), SCHEMA, vectors=has_vectors)
    committer.overwrite(target, -1, numbers(*values), None)
    return target


def the_file(target: Target, version: int) -> dict[str, Any]:
    snapshot = log.snapshot(target.address, version)
    assert snapshot
    (file,) = snapshot.files.values()
    return file


def with_vector(target: Target, file: dict[str, Any], hidden: Iterable[int]) -> dict[str, Any]:
    (descriptor,) = vectors.write(target.address, [BitMap64(hidden)])
    return file | {"deletionVector": descriptor}


def foreign(target: Target, base: int, *actions: dict[str, Any]) -> int:
    return committer.commit(target.address, base, list(actions), operation="FOREIGN", note=None)


def changed(target: Target, since: int, until: int) -> Rows:
    rows = feed.changes(target.address, since, until, ["n"]).to_pylist()
    return sorted((row["_change_type"], row["n"]) for row in rows)


# Rows


def test_a_table_is_read_at_a_version_with_the_asked_columns_and_rows(tmp_path: Path) -> None:
    target = a_table(tmp_path, 1, 2, 3)
    committer.append(target, 0, numbers(4, s=None), None)
    assert feed.read(target.address, 0, ["n"]).to_pylist() == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert feed.read(target.address, where=pc.field("n") > 3, columns=["s"]).to_pylist() == [{"s": None}]
    with pytest.raises(LakehouseError, match="There is no table at"):
        feed.read(str(tmp_path / "nowhere"))


def test_no_versions_are_no_changes_in_the_tables_columns(tmp_path: Path) -> None:
    target = a_table(tmp_path, 1)
    nothing = feed.changes(target.address, 0, 0)
    assert nothing.schema.names == ["n", "s", "_change_type", "_commit_version"]
    assert nothing.num_rows == 0


def test_changes_of_several_versions_say_which_they_are_of(tmp_path: Path) -> None:
    target = a_table(tmp_path, 1, 2)
    committer.replace_units(target, 0, ["n"], numbers(2, s="y"), None, None)
    committer.append(target, 1, numbers(3), None)
    rows = feed.changes(target.address, 0, 2).to_pylist()
    said = sorted((one["_commit_version"], one["_change_type"], one["n"], one["s"]) for one in rows)
    assert said == [(1, "delete", 2, "x"), (1, "insert", 2, "y"), (2, "insert", 3, "x")]


def test_a_column_of_changes_is_read_once_and_stays_with_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, known, read = a_table(tmp_path, *range(50)), feed.Known(), list[list[str]]()

    def noted(address: str, since: int, until: int, columns: list[str]) -> pa.Table:
        read.append(columns)
        return really(address, since, until, columns)

    committer.replace_units(target, 0, ["n"], numbers(*range(0, 50, 3), s="y"), numbers(7).select(["n"]), None)
    committer.append(target, 1, numbers(60, 61, s="z"), None)
    whole, really = feed.changes(target.address, 0, 2), feed.changes
    monkeypatch.setattr(feed, "changes", noted)
    for columns in (["s"], ["n"], ["s", "n"], ["n", "s"]):
        assert known.changes(target.address, 0, 2, columns).equals(whole.select([*columns, feed.CHANGE, feed.VERSION]))
    assert read == [["s"], ["n"]]
    monkeypatch.setattr(feed, "MOST_KNOWN", 0)
    assert known.changes(target.address, 1, 2, ["n"]).num_rows == 2
    assert known.changes(target.address, 0, 2, ["n"]).equals(whole.select(["n", feed.CHANGE, feed.VERSION]))
    assert read == [["s"], ["n"], ["n"], ["n"]]


def test_a_vector_that_grows_deletes_one_that_shrinks_brings_back(tmp_path: Path) -> None:
    target = a_table(tmp_path, 10, 11, 12, 13)
    file = the_file(target, 0)
    first, second = with_vector(target, file, [0, 1]), with_vector(target, file, [1, 2])
    foreign(target, 0, {"remove": file}, {"add": first})
    foreign(target, 1, {"add": second}, {"remove": first})
    foreign(target, 2, {"remove": second}, {"add": file})
    assert changed(target, 0, 1) == [("delete", 10), ("delete", 11)]
    assert changed(target, 1, 2) == [("delete", 12), ("insert", 10)]
    assert changed(target, 2, 3) == [("insert", 11), ("insert", 12)]
    assert feed.written(target.address, 0, 1) == Written(0, 2, 2, 0, 0, 1)
    assert feed.written(target.address, 2, 3) == Written(2, 0, 2, 0, 0, 1)


def test_where_no_row_came_back_a_file_with_a_new_vector_is_read_once(tmp_path: Path) -> None:
    target = a_table(tmp_path, 1, 2, 3)
    for version in (0, 1):
        committer.replace_units(target, version, ["n"], None, pa.table({"n": [version + 1]}), None)
    with mock.patch.object(parquet, "read", wraps=parquet.read) as read:
        assert changed(target, 1, 2) == [("delete", 2)]
    assert read.call_count == 1


def test_a_foreign_commit_that_removes_a_file_with_a_vector_deletes_what_was_visible(tmp_path: Path) -> None:
    target = a_table(tmp_path, 1, 2, 3)
    committer.replace_units(target, 0, ["n"], None, pa.table({"n": [2]}), None)
    write_deltalake(target.address, numbers(9), mode="overwrite")
    assert changed(target, 1, 2) == [("delete", 1), ("delete", 3), ("insert", 9)]
    assert feed.written(target.address, 1, 2) == Written(1, 2, 2, 1, the_file(target, 2)["size"], 1)


def test_rows_that_were_only_rearranged_did_not_change(tmp_path: Path) -> None:
    target = a_table(tmp_path, 1, 2, 3)
    committer.append(target, 0, numbers(4), None)
    committer.replace_units(target, 1, ["n"], None, pa.table({"n": [1]}), None)
    DeltaTable(target.address).optimize.compact()
    assert changed(target, 2, 3) == []
    assert feed.written(target.address, 2, 3) == Written(0, 0, 0, 0, 0, 1)
    assert sorted(feed.read(target.address)["n"].to_pylist()) == [2, 3, 4]


def test_where_a_commit_has_change_files_they_alone_count(tmp_path: Path) -> None:
    target = a_table(tmp_path, 1, 2, 3, has_vectors=False)
    opened = DeltaTable(target.address)
    opened.update(updates={"s": "'y'"}, predicate="n = 2")
    opened.delete("n = 3")
    opened.merge(
        numbers(1, 7, s="z"), "s.n = t.n", "s", "t"
    ).when_matched_update_all().when_not_matched_insert_all().execute()
    assert changed(target, 0, 1) == [("update_postimage", 2), ("update_preimage", 2)]
    assert changed(target, 1, 2) == [("delete", 3)]
    assert changed(target, 2, 3) == [("insert", 7), ("update_postimage", 1), ("update_preimage", 1)]
    counts = [feed.written(target.address, version, version + 1) for version in range(3)]
    assert [(one.rows, one.deleted, one.changed) for one in counts if one] == [(1, 1, 1), (0, 1, 1), (2, 1, 2)]


def test_a_removed_file_may_not_say_its_partition(tmp_path: Path) -> None:
    target = Target(str(tmp_path), SCHEMA, partition_by=("s",))
    committer.overwrite(target, -1, numbers(1), None)
    foreign(target, 0, {"remove": {"path": the_file(target, 0)["path"], "dataChange": True, "deletionTimestamp": 0}})
    assert feed.changes(target.address, 0, 1, ["s"]).to_pylist() == [
        {"s": "x", "_change_type": "delete", "_commit_version": 1}
    ]
    assert feed.written(target.address, 0, 1) == Written(0, 1, 1, 0, 0, 1)  # the footer counts


def test_a_column_that_came_later_is_null_before_and_one_that_went_is_not_there(tmp_path: Path) -> None:
    target = a_table(tmp_path, 1)
    wide = Target(target.address, SCHEMA.append(pa.field("more", pa.int32())), vectors=True)
    committer.append(wide, 0, numbers(2).append_column("more", pa.array([5], pa.int32())), None)
    assert sorted(feed.changes(target.address, -1, 1)["more"].to_pylist(), key=str) == [5, None]
    committer.overwrite(target, 1, numbers(3), None)
    assert feed.changes(target.address, -1, 2).schema.names == ["n", "s", "_change_type", "_commit_version"]


def test_changes_across_a_change_of_type_cannot_be_read(tmp_path: Path) -> None:
    target = a_table(tmp_path, 1)
    committer.append(target, 0, numbers(2), None)
    other = pa.schema({"n": pa.string(), "s": pa.string()})
    committer.overwrite(Target(target.address, other, vectors=True), 1, numbers(3).cast(other), None)
    committer.append(Target(target.address, other, vectors=True), 2, numbers(4).cast(other), None)
    for since in (-1, 0, 1):
        with pytest.raises(UnreadableChangesError, match="n was int64 then, and is string"):
            feed.changes(target.address, since, 3)
    assert feed.changes(target.address, 2, 3)["n"].to_pylist() == ["4"]


def test_where_a_file_or_a_log_is_gone_the_changes_cannot_be_read(tmp_path: Path) -> None:
    target = a_table(tmp_path, 1, 2)
    committer.overwrite(target, 0, numbers(3), None)
    committer.append(target, 1, numbers(4), None)
    (tmp_path / the_file(target, 0)["path"]).unlink()
    with pytest.raises(UnreadableChangesError, match="versions 1 to 2 cannot be read: There is no"):
        feed.changes(target.address, 0, 2)
    assert feed.written(target.address, 0, 2) == Written(2, 2, 3, 2, sum(sizes(target)), 2)
    (tmp_path / log.commit_path(1)).unlink()
    with pytest.raises(UnreadableChangesError, match="There is no"):
        feed.changes(target.address, 0, 2)
    assert feed.written(target.address, 0, 2) is None


def sizes(target: Target) -> list[int]:
    snapshot = log.snapshot(target.address)
    assert snapshot
    return [file["size"] for file in snapshot.files.values()]


def test_rows_that_neither_the_log_nor_a_file_counts_are_not_known(tmp_path: Path) -> None:
    target = a_table(tmp_path)
    foreign(target, 0, {"add": {"path": "gone.parquet", "partitionValues": {}, "size": 1, "dataChange": True}})
    assert feed.written(target.address, 0, 1) == Written(None, 0, None, 1, 1, 1)


def test_a_lost_vector_is_noticed(tmp_path: Path) -> None:
    target = a_table(tmp_path, 1, 2)
    committer.replace_units(target, 0, ["n"], None, pa.table({"n": [1]}), None)
    next(tmp_path.glob("*.bin")).unlink()
    with pytest.raises(LakehouseError):
        feed.read(target.address)
    with pytest.raises(UnreadableChangesError):
        feed.changes(target.address, 0, 1)


# With Spark


def as_texts(rows: pa.Table) -> list[str]:
    names = sorted(set(rows.column_names) - {"_commit_timestamp"})
    return sorted(str([str(row[name]) for name in names]) for row in rows.select(names).to_pylist())


def few_rows(engine: Spark) -> SparkSession:
    """A session that makes no code of its own, which takes longer than these rows do."""
    return engine.for_a_turn(0).spark


def statements(table: str, has_vectors: str) -> list[str]:
    """What other engines do to a table, one commit each, or none; without vectors what is written otherwise then."""
    some = "select id as n, 'merged' as s, 1 as p from range(6, 12)"
    upsert = "when matched then update set * when not matched then insert *"
    changing = [
        f"delete from {table} where n in (3, 4)",
        f"update {table} set s = 'updated' where n in (5, 6)",
        f"merge into {table} as t using ({some}) as s on t.n = s.n {upsert}",
    ]
    if has_vectors == "false":
        return [*changing, f"restore {table} to version as of 1"]
    return [
        *changing,
        f"delete from {table} where n = 7",
        f"restore {table} to version as of 2",
        f"optimize {table}",
        f"delete from {table} where n = 8",
        f"insert overwrite {table} select id as n, 'new' as s, cast(null as int) as p from range(20, 22)",
    ]


@pytest.mark.spark
@pytest.mark.parametrize(("has_vectors", "by"), [("true", ("p",)), ("false", ())])
def test_the_changes_that_spark_makes_are_read_as_spark_reads_them(
    tmp_path: Path, on_spark: Spark, has_vectors: str, by: tuple[str, ...]
) -> None:
    address, spark = str(tmp_path), few_rows(on_spark)
    first = spark.range(10).selectExpr("id as n", "'x' as s", "cast(id % 2 as int) as p", "timestamp'2024-01-01' as at")
    writer = first.coalesce(1).write.format("delta").partitionBy(*by).option("delta.enableChangeDataFeed", "true")
    writer.option("delta.enableDeletionVectors", has_vectors).save(address)
    said = statements(f"delta.`{address}`", has_vectors)
    for statement in said:
        spark.sql(statement.replace("as p", "as p, timestamp'2024-01-02' as at"))
    new = spark.range(20, 23).selectExpr("id as n", "'using' as s", "2 as p", "timestamp'2024-01-03' as at")
    new.write.format("delta").mode("overwrite").option("replaceUsing", "n").save(address)
    newest = log.snapshot(address)
    assert newest
    assert newest.version == len(said) + 1
    reader = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 0)
    changes = reader.load(address).toArrow()
    there: Counter[str] = Counter()  # after each version, by Spark's changes; asking it for each takes a job more
    for version in range(newest.version + 1):
        theirs = changes.filter(pc.equal(changes["_commit_version"], version))
        ours = feed.changes(address, version - 1, version)
        assert as_texts(ours) == as_texts(theirs), version
        counted = feed.written(address, version - 1, version)
        assert counted
        assert (counted.rows or 0) - (counted.deleted or 0) == balance(ours)
        there.update(rows_of(theirs, feed.AFTER))
        there.subtract(rows_of(theirs, feed.BEFORE))
        assert as_texts(feed.read(address, version)) == sorted(there.elements()), version
    now = spark.read.format("delta").load(address).toArrow()
    assert as_texts(now) == sorted(there.elements())


def rows_of(changes: pa.Table, kinds: Iterable[str]) -> list[str]:
    of_kinds = changes.filter(pc.is_in(changes["_change_type"], pa.array([*kinds])))
    return as_texts(of_kinds.drop_columns(["_change_type", "_commit_version"]))


def balance(rows: pa.Table) -> int:
    kinds = rows["_change_type"].to_pylist()
    return sum(kind in feed.AFTER for kind in kinds) - sum(kind in feed.BEFORE for kind in kinds)


@pytest.mark.spark
@pytest.mark.parametrize("has_vectors", [True, False], ids=["vectors", "copies"])
def test_the_changes_that_we_commit_are_read_by_spark_as_we_read_them(
    tmp_path: Path, on_spark: Spark, *, has_vectors: bool
) -> None:
    target, spark = (
        Target(str(tmp_path), SCHEMA, partition_by=("s",), vectors=has_vectors),
        on_spark.for_a_turn(0).spark,
    )
    committer.overwrite(target, -1, pa.concat_tables([numbers(1, 2, 3), numbers(4, 5, s=None)]), None)
    committer.replace_units(target, 0, ["n"], numbers(1, 9), pa.table({"n": [4]}), None)
    committer.replace_units(target, 1, ["n"], numbers(2, s=None), pa.table({"n": [1, 3]}), None)
    committer.overwrite(target, 2, numbers(7), None)
    reader = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 0)
    changes = reader.load(target.address).toArrow()
    for version in range(4):
        theirs = changes.filter(pc.equal(changes["_commit_version"], version))
        assert as_texts(feed.changes(target.address, version - 1, version)) == as_texts(theirs)


def test_a_table_that_asks_too_much_is_not_read(tmp_path: Path) -> None:
    target = a_table(tmp_path, 1)
    foreign(target, 0, {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["typeWidening"]}})
    with pytest.raises(LakehouseError, match="typeWidening"):
        feed.read(target.address)
    with pytest.raises(UnreadableChangesError, match="typeWidening"):
        feed.changes(target.address, 0, 1)


def test_a_file_says_its_rows_itself_where_its_vector_has_to_count_them(tmp_path: Path) -> None:
    target = a_table(tmp_path)
    (file,) = parquet.write(target.address, numbers(1, 2))
    committer.append(target, 0, [{name: value for name, value in file.items() if name != "stats"}], None)
    committer.replace_units(target, 1, ["n"], None, pa.table({"n": [1]}), None)
    assert '"numRecords":2' in the_file(target, 2)["stats"]

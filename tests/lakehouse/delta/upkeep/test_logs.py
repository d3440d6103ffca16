"""Old entries of a log go before a checkpoint that stands whole, and every reader opens what is kept as before."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from lakehouse.conf import Retention
from lakehouse.delta.commits import committer
from lakehouse.delta.commits.committer import Target
from lakehouse.delta.tables import log, progress
from lakehouse.delta.upkeep import logs
from lakehouse.errors import LakehouseError
from lakehouse.recovery import check, maintain
from lakehouse.store import storage
from tests.lakehouse.delta.upkeep.test_vacuum import SCHEMA, a_history, aged, by_delta_rs, by_us, numbers
from tests.test_retention import removed, sources
from tests.toy import Toy

if TYPE_CHECKING:
    from lakehouse.engines.native.engine import Native
    from lakehouse.engines.spark.engine import Spark

NEWEST = 22


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Target:
    """Twenty-three versions, with checkpoints of the tenth and the twentieth."""
    target = a_history(tmp_path_factory.mktemp("made") / "ops" / "numbers", Random(1), vectors=True)  # noqa: S311
    for base in range(15, NEWEST):
        committer.append(target, base, numbers([base]), None, txn=("app", base))
    aged(target.address)
    return target


@pytest.fixture
def address(made: Target, tmp_path: Path) -> str:
    shutil.copytree(Path(made.address).parents[1], tmp_path / "lake")
    return progress.address(str(tmp_path / "lake"), "ops.numbers")


def numbers_of(address: str) -> list[int]:
    return sorted(log.commits(address))


def cleaned(address: str, since: int) -> None:
    for one in logs.unneeded(address, since):
        storage.delete(address, f"_delta_log/{one.path}")
    log.forget(address)


@pytest.mark.slow
@pytest.mark.parametrize(("since", "first"), [(22, 20), (20, 20), (19, 10), (10, 10), (9, 0)])
def test_all_goes_before_the_last_checkpoint_that_is_not_newer_than_what_is_kept(
    address: str, since: int, first: int
) -> None:
    before = {version: by_us(address, version) for version in range(first, NEWEST + 1)}
    cleaned(address, since)
    assert numbers_of(address) == [*range(first, NEWEST + 1)]
    assert {version: by_us(address, version) for version in before} == before
    assert {version: by_delta_rs(address, version) for version in before} == before
    assert log.harm(address) == ""
    if first:
        with pytest.raises(LakehouseError, match="the log before it is gone"):
            log.snapshot(address, first - 1)


def test_nothing_goes_before_a_checkpoint_that_is_damaged_or_says_something_else(address: str) -> None:
    folder = Path(address) / "_delta_log"
    (folder / f"{20:020}.checkpoint.parquet").write_bytes((folder / f"{10:020}.checkpoint.parquet").read_bytes())
    cleaned(address, NEWEST)
    assert numbers_of(address)[0] == 10
    (folder / f"{10:020}.checkpoint.parquet").write_bytes(b"PAR1")
    assert logs.unneeded(address, NEWEST) == []


@pytest.mark.slow
def test_when_it_breaks_off_nothing_that_is_kept_is_lost(address: str) -> None:
    rows = {version: by_us(address, version) for version in (20, NEWEST)}
    for one in logs.unneeded(address, 20):
        storage.delete(address, f"_delta_log/{one.path}")
        log.forget(address)
        assert {version: by_us(address, version) for version in rows} == rows
        assert by_delta_rs(address, NEWEST) == rows[NEWEST]
        assert check.check(str(Path(address).parents[1]), {}, deep=True) == []
    assert committer.append(Target(address, SCHEMA, vectors=True), NEWEST, numbers([99]), None) == NEWEST + 1


def test_maintenance_cleans_logs_and_keeps_what_releases_and_readers_behind_need(address: str) -> None:
    root = str(Path(address).parents[1])
    kept = maintain.maintain(root, {}, Retention(1, 1, 1), {"ops.numbers": [12]})
    assert [(one.table, one.problem) for one in kept] == [("ops.numbers", "")]
    assert (kept[0].logs, numbers_of(address)[0]) == (10, 10)
    would = maintain.maintain(root, {}, Retention(1, 1, 1), {}, dry_run=True)
    assert (would[0].logs, numbers_of(address)[0]) == (11, 10)
    assert maintain.maintain(root, {}, Retention(1, 1), {})[0].logs == 0
    aged(address)
    assert maintain.maintain(root, {}, Retention(1, 1, 1), {})[0].logs == 11
    assert numbers_of(address)[0] == 20


@pytest.mark.slow
def test_sail_and_polars_open_a_table_whose_old_log_is_gone(address: str, engine: Native) -> None:
    rows = by_us(address, NEWEST)
    cleaned(address, NEWEST)
    there = engine.read(address, NEWEST).select("n", "s").collect()
    assert sorted(str({"n": row["n"], "s": row["s"]}) for row in there) == rows
    polars = pytest.importorskip("polars", reason="a reader of others")
    assert sorted(map(str, polars.scan_delta(address).select("n", "s").collect().to_dicts())) == rows


@pytest.mark.slow
def test_spark_opens_a_table_whose_old_log_is_gone(address: str, on_spark: Spark) -> None:
    rows = by_us(address, NEWEST)
    cleaned(address, NEWEST)
    there = on_spark.read(address, NEWEST).select("n", "s").collect()
    assert sorted(str({"n": row["n"], "s": row["s"]}) for row in there) == rows


@pytest.mark.slow
def test_spark_finds_the_same_deliveries_that_count_no_more(
    tmp_path: Path, engine: Native, request: pytest.FixtureRequest
) -> None:
    """What leaves bronze; here, since this file's tests run where Spark does."""
    toy = Toy(tmp_path, engine, sources())
    toy.deliver("first.csv", "7,A,1,1.00", "8,A,1,1.00", day=1)
    toy.deliver("wrong.csv", "10,A,two,1.00", "8,A,3,1.00", day=2)
    toy.deliver("newest.csv", "7,A,2,1.00", "8,A,2,1.00", day=3)
    toy.run()
    would = removed(toy, dry_run=True)
    toy.engine = request.getfixturevalue("on_spark")  # not before: PySpark's functions are one engine's at a time
    assert removed(toy, dry_run=True) == would
    assert [(one.rows, one.deliveries) for one in removed(toy) if one.rows] == [(2, 1)]

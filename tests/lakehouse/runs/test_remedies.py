"""No dead ends: what went wrong in the store is told, and the remedy that is named is followed until all is right."""

from __future__ import annotations

import re
import shutil
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from deltalake import DeltaTable
from rich.console import Console

from jobs.runs import planned
from lakehouse import engines
from lakehouse.delta.tables import log, progress
from lakehouse.errors import LakehouseError
from lakehouse.intake.records import ledger
from lakehouse.runs import plan
from lakehouse.runs.run import Run
from tests.toy import Toy, of_monday, with_vectors

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakehouse.engines.native.engine import Native
    from lakehouse.engines.spark.engine import Spark

pytestmark = pytest.mark.slow
BRONZE, LINES, ORDERS, TOTALS = "bronze.orders", "silver.order_lines", "silver.orders", "gold.totals"
COMPUTED = (LINES, ORDERS, TOTALS, f"{LINES}__rejected")
WHOLE = [(1, 7, 3), (1, 8, 5), (1, 9, 1)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, engine: Native) -> Toy:
    """Monday's orders 7 and 8; tuesday's 8 and 9, and 10, which is rejected."""
    toy = of_monday(tmp_path_factory.mktemp("made"), engine)
    toy.deliver("tuesday.csv", "8,B,5,5.00", "9,C,1,1.00", "10,C,two,1.00")
    toy.run()
    return toy


@pytest.fixture
def toy(made: Toy, tmp_path: Path) -> Toy:
    return made.copied(tmp_path / "toy")


def is_right(toy: Toy) -> bool:
    """All orders once, each table equal to its rebuild, and nothing left to do."""
    orders = toy.rows(BRONZE, "order_id")
    assert len(orders) == 6, orders
    assert toy.rows(ORDERS) == WHOLE
    assert toy.rows(TOTALS) == [(1, 9)]
    assert [row[0] for row in toy.rejected()] == [10]
    return not [one.decision for one in toy.run().values() if one.decision.does_something]


def restore(toy: Toy, version: int, name: str = BRONZE) -> None:
    toy.opened(name).restore(version)


def folder(toy: Toy, name: str) -> Path:
    return Path(toy.lake.address(name))


def a_file(toy: Toy, name: str) -> Path:
    """Of the table's files the first that its newest version has."""
    now = log.snapshot(str(folder(toy, name)))
    assert now is not None
    return folder(toy, name) / min(now.files)


# RESTORE of bronze


@pytest.mark.parametrize("times", [1, 3])
def test_restoring_bronze_after_somebodys_delete_is_the_way_back(toy: Toy, times: int) -> None:
    for order in (7, 8, 9)[:times]:
        toy.opened(BRONZE).delete(f"order_id = '{order}'")
    with pytest.raises(
        LakehouseError, match=r"was changed outside of the lakehouse: .* TO VERSION AS OF 1 .*again\.$"
    ) as refused:
        toy.run()
    found = re.search(r"DeltaTable\('(.+)'\).restore\((\d+)\)", str(refused.value))
    assert found
    DeltaTable(found[1]).restore(int(found[2]))
    assert toy.run()[BRONZE].decision.path == "nothing"
    assert is_right(toy)
    toy.deliver("wednesday.csv", "9,C,2,1.00")
    toy.run()
    assert toy.rows(ORDERS) == [*WHOLE[:2], (1, 9, 2)]


def test_after_a_delete_and_a_vacuum_the_way_back_is_a_new_lake(toy: Toy, tmp_path: Path) -> None:
    toy.opened(BRONZE).delete("order_id = '7'")
    toy.opened(BRONZE).vacuum(0, dry_run=False, enforce_retention_duration=False)
    monday, tuesday = "market_1/monday.csv", "market_1/tuesday.csv"
    with pytest.raises(LakehouseError, match=f"load into a new lake, with these files in landing: {monday}, {tuesday}"):
        toy.run()
    shutil.move(toy.folder / "lake", tmp_path / "old")
    toy.run()
    assert is_right(toy)


@pytest.mark.parametrize("between", ["nothing", "delete", "delivery", "restore"])
def test_batches_that_a_restore_took_back_are_loaded_again_once(toy: Toy, between: str) -> None:
    if between == "delete":
        toy.opened(BRONZE).delete("order_id = '7'")
    restore(toy, 0)
    if between == "restore":
        restore(toy, 1)
        restore(toy, 0)
    if between == "delivery":
        toy.deliver("wednesday.csv", "7,A,2,10.00")
        toy.run()
        assert len(toy.rows(BRONZE)) == 7
        assert toy.rows(ORDERS)[0] == (1, 7, 2)
        return
    assert toy.run()[BRONZE].rows_in == 3
    assert is_right(toy)


def test_what_bronze_no_longer_says_leaves_silver_and_comes_back(toy: Toy) -> None:
    tuesday = toy.landing / "market_1" / "tuesday.csv"
    text = tuesday.read_bytes()
    restore(toy, 0)
    tuesday.unlink()
    with pytest.raises(LakehouseError, match=r"restored to a version before these.*market_1/tuesday.csv\. Put them"):
        toy.run()
    tuesday.write_bytes(text.replace(b"8,B,5", b"8,B,6"))
    with pytest.raises(LakehouseError, match="does not hold them as they were"):
        toy.run()
    tuesday.write_bytes(text)
    toy.run()
    assert len(toy.rows(BRONZE)) == 9  # the other tuesday was seen, and tuesday as it was once more
    assert toy.rows(ORDERS) == WHOLE


@pytest.mark.spark
def test_what_spark_restored_of_bronze_is_loaded_again_and_its_comments_are_harmless(toy: Toy, on_spark: Spark) -> None:
    here = f"delta.`{toy.lake.address(BRONZE)}`"
    somebody = on_spark.for_a_turn(0).spark
    somebody.sql(f"delete from {here} where order_id = '7'")
    somebody.sql(f"restore table {here} to version as of 0")
    engines.start(engines.NATIVE)
    assert toy.run()[BRONZE].rows_in == 3
    assert is_right(toy)
    engines.start(on_spark.name)
    somebody.sql(f"comment on table {here} is 'theirs'")
    somebody.sql(f"alter table {here} alter column order_id comment 'theirs'")
    engines.start(engines.NATIVE)
    assert is_right(toy)


# Comments and properties


def test_a_comment_or_a_property_of_somebody_elses_is_harmless(toy: Toy) -> None:
    for name in (BRONZE, *COMPUTED):
        table = toy.opened(name)
        table.alter.set_table_properties({"somebody.elses": "1"}, raise_if_not_exists=False)
        table.alter.set_table_description("theirs")
    assert is_right(toy)
    toy.deliver("wednesday.csv", "9,C,2,1.00")
    done = toy.run()
    assert {name: one.decision.path for name, one in done.items()} == {
        BRONZE: "load",
        LINES: "new",
        ORDERS: "incremental",
        TOTALS: "whole",
    }
    assert toy.rows(ORDERS) == [*WHOLE[:2], (1, 9, 2)]


# Files that are gone


def without_a_file(toy: Toy, name: str) -> None:
    a_file(toy, name).unlink()


def without_the_first_commit(toy: Toy, name: str) -> None:
    (folder(toy, name) / log.commit_path(0)).unlink()


def without_the_log(toy: Toy, name: str) -> None:
    shutil.rmtree(folder(toy, name) / "_delta_log")


def without_its_folder(toy: Toy, name: str) -> None:
    shutil.rmtree(folder(toy, name))


def with_a_first_commit_without_bytes(toy: Toy, name: str) -> None:
    (folder(toy, name) / log.commit_path(0)).write_bytes(b"")


def with_a_newest_commit_that_is_cut(toy: Toy, name: str) -> None:
    newest = max((folder(toy, name) / "_delta_log").glob("*.json"))
    newest.write_bytes(newest.read_bytes()[:-20])


def with_a_checkpoint_that_is_cut(toy: Toy, name: str) -> None:
    toy.opened(name).create_checkpoint()
    (checkpoint,) = (folder(toy, name) / "_delta_log").glob("*.parquet")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-20])


def with_a_file_that_is_cut(toy: Toy, name: str) -> None:
    a_file(toy, name).write_bytes(a_file(toy, name).read_bytes()[:-20])


DAMAGES = (with_a_first_commit_without_bytes, with_a_newest_commit_that_is_cut, with_a_checkpoint_that_is_cut)
LOSSES = (
    without_a_file,
    without_the_first_commit,
    without_the_log,
    without_its_folder,
    with_a_file_that_is_cut,
    *DAMAGES,
)


@pytest.mark.parametrize("name", COMPUTED)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_computed_table_that_lost_a_file_is_rebuilt_by_the_next_run(
    toy: Toy, name: str, loss: Callable[[Toy, str], None]
) -> None:
    loss(toy, name)
    toy.run()
    assert is_right(toy)


@pytest.mark.parametrize("cut", [0, 4, None])
def test_a_computed_table_that_lost_a_vector_is_rebuilt_by_the_next_run(
    tmp_path: Path, engine: Native, cut: int | None
) -> None:
    toy = of_monday(tmp_path, engine)
    toy.sources |= with_vectors(toy.sources)
    toy.run()
    toy.deliver("tuesday.csv", "8,B,5,5.00", "9,C,1,1.00", "10,C,two,1.00")
    toy.run()
    found = sorted(folder(toy, ORDERS).glob("deletion_vector_*"))
    assert found
    for vector in found:
        vector.unlink() if cut is None else vector.write_bytes(vector.read_bytes()[:cut])
    assert toy.run()[ORDERS].decision.reason.endswith(".bin of it is gone or cut")
    assert is_right(toy)


@pytest.mark.parametrize("at", [0, 300, -20])
@pytest.mark.parametrize("name", [LINES, ORDERS, f"{LINES}__rejected"])
def test_a_file_that_holds_something_else_may_be_deleted(toy: Toy, name: str, at: int) -> None:
    content = bytearray(a_file(toy, name).read_bytes())
    for place in range(at, at + 20):
        content[place] ^= 0xFF
    a_file(toy, name).write_bytes(content)
    toy.deliver("wednesday.csv", "9,C,2,1.00")
    with pytest.raises(LakehouseError, match=r"it is damaged\. .* may be deleted instead") as refused:
        toy.run()
    Path(str(refused.value).split(" cannot be read")[0].split()[-1]).unlink()
    toy.run()
    assert toy.rows(ORDERS) == [*WHOLE[:2], (1, 9, 2)]


@pytest.mark.parametrize("loss", LOSSES)
def test_a_lost_file_and_a_new_delivery_come_together(toy: Toy, loss: Callable[[Toy, str], None]) -> None:
    loss(toy, ORDERS)
    toy.deliver("wednesday.csv", "9,C,2,1.00")
    toy.run()
    assert toy.rows(ORDERS) == [*WHOLE[:2], (1, 9, 2)]
    assert toy.rows(TOTALS) == [(1, 10)]


def test_a_commit_that_is_gone_between_others_is_never_written_over(toy: Toy) -> None:
    """The table would read as at version 0, and later commits would follow upon ours."""
    toy.deliver("wednesday.csv", "9,C,2,1.00")
    toy.run()
    (folder(toy, ORDERS) / log.commit_path(1)).unlink()
    assert toy.run()[ORDERS].decision.reason == f"of its log {1:020}.json is gone"
    assert toy.rows(ORDERS) == [*WHOLE[:2], (1, 9, 2)]
    assert toy.versions()[ORDERS] == 0


def test_bronze_that_lost_a_file_names_the_deliveries_that_bring_it_back(toy: Toy) -> None:
    commits = log.actions(str(folder(toy, BRONZE)), 1)
    (folder(toy, BRONZE) / next(one["add"]["path"] for one in commits if "add" in one)).unlink()
    with pytest.raises(LakehouseError) as refused:
        toy.run()
    words = str(refused.value)
    assert "is gone or cut. Put it back from a copy; or RESTORE TABLE" in words
    assert "and run again, with these files in landing: market_1/tuesday.csv." in words
    found = re.search(r"TO VERSION AS OF (\d+)", words)
    assert found
    restore(toy, int(found[1]))
    toy.run()
    assert is_right(toy)


def test_a_process_that_is_kept_looks_into_folders_now_and_then_and_each_round_where_something_is_wrong(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, listed, looks = list[str](), progress.listed, plan.Looks()
    tables = toy.tables()

    def look(address: str) -> dict[str, int]:
        looked.append(address)
        return listed(address)

    monkeypatch.setattr(progress, "listed", look)

    def goes_on() -> str:
        run = Run(toy.lake.root, str(toy.landing), tables, engine=toy.engine, is_kept=True)
        run.looks = looks
        try:
            run.execute(tables)
        except LakehouseError as error:
            return str(error)
        return ""

    assert goes_on() == ""
    assert looked
    looked.clear()
    commits = log.actions(str(folder(toy, BRONZE)), 1)
    gone = folder(toy, BRONZE) / next(one["add"]["path"] for one in commits if "add" in one)
    away = gone.rename(toy.folder / "away")
    assert (goes_on(), looked) == ("", [])
    monkeypatch.setattr(plan, "LOOK_EVERY", 0.0)
    assert "is gone or cut" in goes_on()
    monkeypatch.setattr(plan, "LOOK_EVERY", 600.0)
    assert "is gone or cut" in goes_on()
    away.rename(gone)
    assert goes_on() == ""


def test_bronze_that_lost_its_first_file_is_loaded_anew(toy: Toy, tmp_path: Path) -> None:
    commits = log.actions(str(folder(toy, BRONZE)), 0)
    (folder(toy, BRONZE) / next(one["add"]["path"] for one in commits if "add" in one)).unlink()
    with pytest.raises(
        LakehouseError, match=r"into a new lake, with these files in landing: market_1/monday.csv, market_1/tu"
    ):
        toy.run()
    shutil.move(toy.folder / "lake", tmp_path / "old")
    toy.run()
    assert is_right(toy)


def test_bronze_that_lost_a_commit_takes_it_from_a_copy(toy: Toy) -> None:
    commit = folder(toy, BRONZE) / log.commit_path(0)
    text = commit.read_bytes()
    commit.unlink()
    with pytest.raises(LakehouseError, match=f"{commit.name} is gone. Put that file back"):
        toy.run()
    commit.write_bytes(text)
    assert is_right(toy)


NOTES = (
    """
    owner: tests
    description: notes as delivered
    write: append
    grain: [_file, _row]
    source: {files: ["notes/*.csv"], format: csv}
    columns: {note: {type: string, meaning: what}}
    """,
    "def build(landing):\n    return landing\n",
)


@pytest.mark.parametrize("damage", [*DAMAGES, without_the_first_commit, without_a_file])
def test_what_stops_bronze_stops_no_other_source_and_no_look_at_the_lake(
    toy: Toy, damage: Callable[[Toy, str], None]
) -> None:
    toy.sources["bronze.notes"] = NOTES
    copy = shutil.copytree(folder(toy, BRONZE), toy.folder / "copy")
    damage(toy, BRONZE)
    (toy.landing / "notes").mkdir()
    (toy.landing / "notes" / "a.csv").write_text("note\nA\n")
    with pytest.raises(LakehouseError, match=r"^bronze\.orders (cannot be read|lost rows): .*from a copy"):
        toy.run()
    assert toy.rows("bronze.notes", "note") == [("A",)]
    status = said(toy, planned.status)
    assert "  stops  failed" in status
    assert "bronze.orders stops: bronze.orders" in status
    assert f"{TOTALS}  1  1  " in status
    assert "bronze.orders stops: bronze.orders" in said(toy, planned.plan)
    shutil.rmtree(folder(toy, BRONZE))
    shutil.move(copy, folder(toy, BRONZE))
    assert is_right(toy)


def said(toy: Toy, shown: Callable[..., None]) -> str:
    """As a person sees it, blanks in a row as two."""
    text, tables = StringIO(), toy.tables()
    one = Run(toy.lake.root, str(toy.landing), tables)
    wanted = (tables,) if shown is planned.plan else ()
    shown(Console(file=text, width=2000), one, *wanted, "native")
    return re.sub(" {2,}", "  ", text.getvalue())


# What the core notes of runs

OF_RUNS = ("ops.runs", "ops.quality", "ops.schema_changes")


def with_a_data_file_that_is_gone(toy: Toy, name: str) -> None:
    for file in folder(toy, name).glob("*.parquet"):
        file.unlink()


@pytest.mark.parametrize("damage", [*DAMAGES[:2], with_a_data_file_that_is_gone])
def test_what_is_noted_of_runs_stops_no_table_and_no_look_at_the_lake(
    toy: Toy, damage: Callable[[Toy, str], None], tmp_path: Path
) -> None:
    for name in OF_RUNS:
        damage(toy, name)
    status = said(toy, planned.status)
    assert len(re.findall(r"not (?:shown|counted):.* (?:damaged|gone or cut)", status)) == len(OF_RUNS)
    assert f"{TOTALS}  1  1  " in status
    toy.deliver("wednesday.csv", "9,C,2,1.00")
    if damage is with_a_data_file_that_is_gone:
        with pytest.raises(LakehouseError, match=r"schema_changes/.* is gone or cut\. Bring that file back"):
            toy.run()
    else:
        with pytest.raises(LakehouseError, match=r"is damaged: .*Or move \S+ away: it tells of earlier runs"):
            toy.run()
    assert toy.rows(ORDERS) == [*WHOLE[:2], (1, 9, 2)]
    for name in OF_RUNS:
        shutil.move(folder(toy, name), tmp_path / name)
    toy.deliver("thursday.csv", "9,C,1,1.00")
    assert toy.run()[ORDERS].decision.path == "incremental"
    assert "not shown" not in said(toy, planned.status)


@pytest.mark.parametrize("damage", [*DAMAGES, with_a_data_file_that_is_gone])
def test_a_damaged_ledger_is_named_the_tables_are_shown_and_a_copy_heals_it(
    toy: Toy, damage: Callable[[Toy, str], None]
) -> None:
    copy = shutil.copytree(folder(toy, ledger.FILES), toy.folder / "copy")
    damage(toy, ledger.FILES)
    with pytest.raises(LakehouseError, match=r"ops/files/.*(damaged|gone or cut).*Bring that file back from a copy"):
        toy.run()
    status = said(toy, planned.status)
    assert re.search(r"The ledger.* not counted: \S+/ops/files/", status)
    assert f"{TOTALS}  1  1  " in status
    shutil.rmtree(folder(toy, ledger.FILES))
    shutil.move(copy, folder(toy, ledger.FILES))
    assert is_right(toy)


# The ledger


def restored(toy: Toy) -> None:
    """To the version that has monday's delivery alone."""
    restore(toy, 1, ledger.FILES)


def without_its_last_commits(toy: Toy) -> None:
    newest = ledger.read(toy.lake.root).version
    for version in range(2, newest + 1):
        (folder(toy, ledger.FILES) / log.commit_path(version)).unlink()


def deleted(toy: Toy) -> None:
    shutil.rmtree(folder(toy, ledger.FILES))


def without_some_rows(toy: Toy) -> None:
    """Of the older file: nothing else tells that the ledger is behind."""
    toy.opened(ledger.FILES).delete("path = 'market_1/monday.csv'")


REWOUND = (restored, without_its_last_commits, deleted, without_some_rows)


@pytest.mark.parametrize("rewind", REWOUND)
@pytest.mark.parametrize("delivers", [False, True])
def test_what_a_lost_ledger_knew_is_noted_again_and_nothing_comes_twice(
    toy: Toy, rewind: Callable[[Toy], None], *, delivers: bool
) -> None:
    before = {one.delivery.sequence: (one.batch, one.status, one.counts) for one in ledger.read(toy.lake.root).taken()}
    rewind(toy)
    if delivers:
        toy.deliver("wednesday.csv", "9,C,1,1.00")
    done = toy.run()
    assert (done[BRONZE].rows_in or 0, len(toy.rows(BRONZE))) == (delivers, 6 + delivers)
    now = {one.delivery.sequence: (one.batch, one.status, one.counts) for one in ledger.read(toy.lake.root).taken()}
    assert {one: (batch, status) for one, (batch, status, _) in now.items() if one in before} == {
        one: (batch, status) for one, (batch, status, _) in before.items()
    }
    assert len(now) == 2 + delivers
    assert all({"rows", "kept"} <= counts.keys() for *_, counts in now.values())
    assert toy.rows(ORDERS) == WHOLE
    assert not [one.decision for one in toy.run().values() if one.decision.does_something]
    toy.deliver("thursday.csv", "7,A,2,10.00", "7,B,1,1.00")
    toy.run()
    assert len(toy.rows(BRONZE)) == 8 + delivers
    assert toy.rows(ORDERS) == WHOLE


@pytest.mark.parametrize("rewind", REWOUND)
def test_files_that_a_lost_ledger_knew_and_landing_lacks_are_named_and_put_back(
    toy: Toy, rewind: Callable[[Toy], None], tmp_path: Path
) -> None:
    """Whatever their time is now; in between the file holds something else, which is a delivery, too."""
    for name in ("monday.csv", "tuesday.csv"):
        shutil.move(toy.landing / "market_1" / name, tmp_path / name)
    rewind(toy)
    before = ledger.read(toy.lake.root).version
    toy.deliver("monday.csv", "7,A,2,11.00")
    with pytest.raises(LakehouseError, match=r"landing does not hold .*: .*(monday|tuesday).csv\. Put them back"):
        toy.run()
    assert ledger.read(toy.lake.root).version == before
    for name in ("monday.csv", "tuesday.csv"):
        shutil.copyfile(tmp_path / name, toy.landing / "market_1" / name)
    toy.run()
    assert is_right(toy)


def test_a_lost_ledger_is_restored_or_put_back_from_a_copy(toy: Toy, tmp_path: Path) -> None:
    newest = ledger.read(toy.lake.root).version
    shutil.move(toy.landing / "market_1" / "tuesday.csv", tmp_path / "tuesday.csv")
    restored(toy)
    with pytest.raises(LakehouseError, match="restore the newest version that it had"):
        toy.run()
    restore(toy, newest, ledger.FILES)
    assert is_right(toy)
    shutil.move(folder(toy, ledger.FILES), tmp_path / "copy")
    with pytest.raises(LakehouseError, match="Put them back"):
        toy.run()
    assert not folder(toy, ledger.FILES).exists()
    shutil.move(tmp_path / "copy", folder(toy, ledger.FILES))
    assert is_right(toy)


def test_a_batch_that_brought_no_row_leaves_its_number_in_a_lost_ledger(toy: Toy) -> None:
    """What comes next must not be taken for something that bronze includes."""
    empty = toy.deliver("empty.csv")
    toy.run()
    deleted(toy)
    empty.unlink()
    toy.run()
    toy.deliver("wednesday.csv", "9,C,1,1.00")
    toy.run()
    assert len(toy.rows(BRONZE)) == 7
    assert toy.rows(ORDERS) == WHOLE


def test_plan_says_that_a_run_notes_again_what_the_ledger_lost(toy: Toy) -> None:
    restored(toy)
    taken = ledger.read(toy.lake.root).taken()
    with pytest.raises(LakehouseError, match="`lakehouse run` notes them again"):
        plan.decide(toy.lake.root, toy.tables()[BRONZE], taken)
    toy.run()
    assert is_right(toy)


def test_a_version_that_comes_again_under_its_name_stays_two_deliveries_of_a_lost_ledger(toy: Toy) -> None:
    """A, then B, then A again, of which the ledger knows B alone: each A comes back as it was."""
    toy.deliver("monday.csv", "7,A,4,10.00")
    toy.run()
    toy.deliver("monday.csv", "7,A,2,10.00", "7,B,1,1.00", "8,B,1,5.00")
    toy.run()
    rows, orders = len(toy.rows(BRONZE)), toy.rows(ORDERS)
    toy.opened(ledger.FILES).delete(f"size = {(toy.landing / 'market_1' / 'monday.csv').stat().st_size}")
    toy.deliver("thursday.csv", "30,A,1,1.00")
    toy.run()
    assert (len(toy.rows(BRONZE)), toy.rows(ORDERS)) == (rows + 1, [(1, 30, 1), *orders])
    assert len([one for one in ledger.read(toy.lake.root).taken() if one.delivery.path.endswith("monday.csv")]) == 3

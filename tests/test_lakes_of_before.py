"""Lakes that earlier versions wrote are run, maintained, verified and continued (tests/lakes/README.md)."""

from __future__ import annotations

import dataclasses
import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import deltalake
import pytest

from jobs.samples import daily
from lakehouse import contract, graph
from lakehouse.conf import Retention
from lakehouse.delta.files import feed
from lakehouse.delta.tables import log, progress
from lakehouse.delta.upkeep import compaction
from lakehouse.intake.records import ledger, retracted
from lakehouse.proof import verify
from lakehouse.recovery import maintain, releases, retention
from lakehouse.recovery import rewind as back
from lakehouse.runs import plan
from lakehouse.runs.run import Run
from lakehouse.writes.lake import Lake
from tests.real import OF_EACH_KIND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lakehouse.audit.turns import Decision
    from lakehouse.engines.native.engine import Native
    from lakehouse.graph import Table

pytestmark = pytest.mark.slow
LAKES = sorted(Path(__file__).with_name("lakes").glob("*.tar.gz"))
VECTORS = "deletionVectors"
DELIVERED = {"bronze.customers", "bronze.deliveries", "bronze.orders"}  # in those lakes; of what came later nothing
OF_SOME = (*OF_EACH_KIND, "silver.customer_versions", "silver.exchange_rates")  # those lakes have no rates
DAY = "2022-01-06"


@pytest.fixture(scope="module", params=[OF_SOME, pytest.param((), marks=pytest.mark.long)], ids=["of each kind", "all"])
def tables(request: pytest.FixtureRequest, tables: dict[str, Table]) -> dict[str, Table]:
    chosen = graph.selected(tables, request.param)
    return {name: one for name, one in chosen.items() if one.serves & DELIVERED}


@pytest.fixture(scope="module", params=LAKES, ids=[path.name for path in LAKES])
def folder(request: pytest.FixtureRequest, tables: dict[str, Table], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake as it was, from which these tables go on."""
    assert tables
    made = tmp_path_factory.mktemp("before")
    with tarfile.open(request.param) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # which Python 3.11 has from 3.11.4 on
        archive.extractall(made)  # noqa: S202  an archive of ours
    return made


@pytest.fixture(scope="module")
def before(folder: Path, tables: dict[str, Table]) -> dict[str, Decision]:
    run = Run(str(folder / "lake"), str(folder / "landing"), tables)
    run.look()
    return plan.decide_all(run.root, tables.values(), run.taken)


@pytest.fixture(scope="module")
def lake(folder: Path, engine: Native, before: dict[str, Decision], tables: dict[str, Table]) -> Lake:
    assert before
    Run(str(folder / "lake"), str(folder / "landing"), tables, engine=engine).execute(tables)
    let_go(folder, tables, engine)
    releases.publish(str(folder / "lake"), tables)
    maintained(folder, tables)
    daily.generate(folder / "landing", lines=60, days=4, deliver=[3])
    rates = folder / "landing" / "exchange_rates" / DAY / "rates.csv"
    rates.parent.mkdir(parents=True)
    rates.write_text(f"rate_date,currency,reporting_currency,rate\n{DAY},KES,USD,0.0088\n", encoding="utf-8")
    Run(str(folder / "lake"), str(folder / "landing"), tables, engine=engine).execute(tables)
    maintained(folder, tables)
    return Lake(str(folder / "lake"))


def let_go(folder: Path, tables: dict[str, Table], engine: Native) -> None:
    """A file comes once more, with other words; the older one leaves bronze, as if it was old and contracts said so."""
    file = min((folder / "landing").rglob("*Orders*.csv"))
    at = file.stat().st_mtime
    file.write_text(file.read_text(encoding="utf-8").replace("COMPLETED", "CANCELLED"), encoding="utf-8")
    os.utime(file, (at + 1, at + 1))
    Run(str(folder / "lake"), str(folder / "landing"), tables, engine=engine).execute(tables)
    some = {name: one for name, one in tables.items() if one.contract.source}
    kept = {"retention": contract.Retention.model_validate({"bronze": "1d"})}
    some = {name: dataclasses.replace(one, contract=one.contract.model_copy(update=kept)) for name, one in some.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger.Delivery, "is_older", lambda _, days, __: days is not None)
        done = retention.remove(str(folder / "lake"), str(folder / "landing"), tables | some, {}, lambda: engine)
    assert [one.problem for one in done if one.problem] == []
    assert [one.table for one in done if one.rows]


def maintained(folder: Path, tables: dict[str, Table]) -> None:
    """As if two small files were many; the first version of each table is of a release."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "PILED_UP", 2)
        first = {name: [0] for name in tables}
        done = maintain.maintain(str(folder / "lake"), tables, Retention(1, 30), first)
    assert [one.problem for one in done if one.problem] == []
    assert [one.table for one in done if one.compacted]


def test_the_plan_says_why_each_table_is_computed_anew(before: dict[str, Decision], tables: dict[str, Table]) -> None:
    computed = {name: one.reason for name, one in before.items() if not tables[name].contract.source}
    old = {name for name, one in before.items() if one.path == "whole"}
    assert len(old) > len(tables) // 3
    assert {computed[name] for name in old} == {"its definition changed"}
    assert all(computed[name].endswith(plan.NOT_YET.removeprefix("it ")) for name in computed.keys() - old)
    assert {before[name].path for name in DELIVERED} == {"nothing"}


def test_every_table_is_continued_and_equals_its_rebuild(folder: Path, lake: Lake, tables: dict[str, Table]) -> None:
    wanted = verify.chosen(lake, tables, [])
    verdicts = verify.verify("native", lake, str(folder / "landing"), tables, wanted, verify.Scope())
    assert [one.table for one in verdicts if not one.is_right] == []
    assert len([one for one in verdicts if one.comparisons]) == len(tables)


def test_notes_are_of_todays_format_and_a_further_run_does_nothing(
    folder: Path, lake: Lake, tables: dict[str, Table], engine: Native
) -> None:
    computed = [name for name, one in tables.items() if not one.contract.source]
    notes = [state.progress for name in computed if (state := lake.state(name))]
    assert {note.format for note in notes if note} == {progress.FORMAT}
    assert len(notes) == len(computed)
    report = Run(lake.root, str(folder / "landing"), tables, engine=engine).execute(tables)
    assert not [one for one in report.done if one.decision.does_something]


def test_gold_without_vectors_is_read_by_plain_readers_and_its_older_versions_stay(
    lake: Lake, before: dict[str, Decision], tables: dict[str, Table]
) -> None:
    there = [name for name, one in before.items() if name.startswith("gold.") and one.path == "whole"]
    for name in (name for name in there if not tables[name].contract.vectors):
        now, first = log.snapshot(lake.address(name)), log.snapshot(lake.address(name), 0)
        assert now is not None
        assert first is not None
        assert VECTORS in first.features("reader"), name
        assert VECTORS not in now.features("reader"), name
        table = deltalake.DeltaTable(lake.address(name))
        assert table.to_pyarrow_table().num_rows == feed.read(lake.address(name)).num_rows, name
        old = deltalake.QueryBuilder().register("t", deltalake.DeltaTable(lake.address(name), version=0))
        counted = old.execute("select count(*) as n from t").read_all()
        assert counted.column("n").to_pylist() == [feed.read(lake.address(name), 0).num_rows], name


def content(lake: Lake, versions: Mapping[str, int]) -> dict[str, list[str]]:
    """The rows of the computed tables, without where they stand."""
    tables = {name: feed.read(lake.address(name), version) for name, version in versions.items()}
    told = {name: rows.select([one for one in rows.column_names if one[0] != "_"]) for name, rows in tables.items()}
    return {name: sorted(map(str, rows.to_pylist())) for name, rows in told.items()}


def test_a_day_of_files_of_each_kind_is_retracted_then_rewound_and_brought_again(
    folder: Path, lake: Lake, tables: dict[str, Table], engine: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    def now() -> dict[str, list[str]]:
        return content(lake, {name: state.version for name in computed if (state := lake.state(name))})

    monkeypatch.setattr(retracted, "FILE", folder / "retracted.yml")
    root, landing = lake.root, str(folder / "landing")
    computed = [name for name, one in tables.items() if not one.contract.source]
    point = releases.release(root, 1).point
    first, present = content(lake, {name: int(point[name].version) for name in computed}), now()
    entries = ledger.read(root).entries
    of_the_day = [retracted.of_file(entries, one.delivery.path) for one in entries if DAY in one.delivery.path]
    retracted.add([one for found in of_the_day for one in found], "a test")
    assert {one.source for one in retracted.read()} == {*DELIVERED, "bronze.exchange_rates"}
    Run(root, landing, tables, engine=engine).execute(tables)
    assert now() == first
    back.go(root, back.look(root, landing, tables, "to release 1", point))
    assert now() == first
    retracted.FILE.write_text("[]", encoding="utf-8")
    Run(root, landing, tables, engine=engine).execute(tables)
    assert now() == present
    assert first != present

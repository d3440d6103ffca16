"""What a run would do with each table, and why: decided from logs that are written here by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse import engines, graph
from lakehouse.audit import history
from lakehouse.audit.history import Ran
from lakehouse.audit.turns import Decision
from lakehouse.delta.commits import committer, ops
from lakehouse.delta.commits.committer import Target
from lakehouse.delta.tables import progress
from lakehouse.delta.tables.progress import Input, Progress
from lakehouse.errors import LakehouseError
from lakehouse.intake.records import ledger
from lakehouse.intake.records.ledger import Delivery, Entry
from lakehouse.runs import plan
from lakehouse.runs.plan import Size
from tests.logs import a_note, commit, deleted, forget, rows, schema
from tests.promises import a_table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lakehouse.engines.native.engine import Native
    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table

MARKETS = Input(graph.conf_file("conf.markets")[0])


ORDERS = a_table("bronze.orders", "append", "landing")
LINES = a_table("silver.lines", "latest", "bronze.orders")
SALES = a_table("gold.sales", "refresh", "silver.lines")


def taken(batch: int, day: int, *, market: int = 1, table: str = "bronze.orders") -> Entry:
    at = datetime(2024, 1, day, tzinfo=UTC)
    path = f"market_{market}/{day}.csv"
    delivery = Delivery(table, path, 1, at, "content", at, {"market": market}, ("order_id",))
    return Entry(delivery, batch, "loaded", counts={"rows": 1, "kept": 1})


class Lake:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def commit(self, name: str, *actions: dict[str, object], note: Progress | None = None, **facts: str) -> int:
        return commit(self.folder / name.replace(".", "/"), *actions, note=note, **facts)

    def load(self, batch: int) -> int:
        """A batch is appended to bronze.orders; its version."""
        state = progress.state(progress.address(str(self.folder), "bronze.orders"))
        base = -1 if state is None else state.version
        return self.commit("bronze.orders", rows(), note=a_note(base, {ledger.FILES: Input(batch)}))

    def decide(self, table: Table, *files: Entry) -> Decision:
        return plan.decide(str(self.folder), table, list(files))

    def says(self, table: Table, *files: Entry) -> tuple[str, str]:
        decision = self.decide(table, *files)
        return decision.path, decision.reason


@pytest.fixture(autouse=True)
def _no_files_but_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a log written by hand names is nowhere; test_remedies.py loses real files."""
    monkeypatch.setattr(progress, "lost_files", lambda *_: [])


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


@pytest.fixture
def settled(lake: Lake) -> Lake:
    """bronze.orders has batch 0; silver.lines and gold.sales include it."""
    lake.load(batch=0)
    lake.commit("silver.lines", rows(), note=a_note(-1, {"bronze.orders": Input(0, "one", 0)}))
    lake.commit("gold.sales", rows(), note=a_note(-1, {"silver.lines": Input(0, "one")}))
    return lake


# What nobody delivers


def test_what_nothing_was_delivered_for_does_not_come_into_being_but_what_goes_into_something_delivered_does(
    lake: Lake,
) -> None:
    stores = replace(a_table("bronze.stores", "append", "landing"), serves=frozenset({"bronze.stores"}))
    rates = replace(a_table("bronze.rates", "append", "landing"), serves=frozenset({"bronze.orders", "bronze.rates"}))
    assert lake.says(stores, taken(0, day=1)) == ("nothing", "nothing was delivered for bronze.stores")
    assert lake.says(rates, taken(0, day=1))[0] == "load"
    assert lake.says(stores, taken(0, day=1, table="bronze.stores")) == ("load", "1 new file")


# bronze


def test_new_batches_of_the_ledger_are_loaded(settled: Lake) -> None:
    files = [taken(0, day=1), taken(1, day=2), taken(2, day=3)]
    assert settled.says(ORDERS, *files) == ("load", "2 new files")
    assert settled.says(ORDERS, *files[:2]) == ("load", "1 new file")
    assert settled.decide(ORDERS, *files).inputs == {ledger.FILES: Input(2)}


def test_a_ledger_that_knows_less_than_bronze_includes_is_an_error_and_no_reason_to_load_nothing(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.load(batch=7)
    monkeypatch.setattr(ops, "query", lambda *_: [{"_file": "7.csv", "_sequence": "its own", "_batch": 7}])
    with pytest.raises(LakehouseError, match="the ledger was lost or rewound"):
        lake.decide(ORDERS, taken(0, day=1))


def test_a_bronze_table_that_has_all_batches_does_nothing(settled: Lake) -> None:
    others = taken(7, day=2, table="bronze.customers")
    assert settled.says(ORDERS, taken(0, day=1), others) == ("nothing", "no new files")
    assert not settled.decide(ORDERS, taken(0, day=1)).does_something


def test_a_bronze_table_without_any_file_is_made_empty(lake: Lake) -> None:
    assert lake.says(ORDERS) == ("load", "0 new files")


def test_what_somebody_else_wrote_into_bronze_is_an_error_that_says_what_to_do(settled: Lake) -> None:
    settled.commit("bronze.orders", rows(), operation="DELETE")
    with pytest.raises(LakehouseError) as refused:
        settled.decide(ORDERS, taken(0, day=1))
    words = "bronze.orders was changed outside of the lakehouse: somebody else's DELETE made version 1. To go back, "
    there = f"RESTORE TABLE delta.`{settled.folder}/bronze/orders` TO VERSION AS OF 0 (Spark)"
    assert str(refused.value).startswith(words + there)


def test_optimize_of_bronze_is_nobodys_change(settled: Lake) -> None:
    settled.commit("bronze.orders", rows(data_change=False), operation="OPTIMIZE")
    assert settled.says(ORDERS, taken(0, day=1)) == ("nothing", "no new files")
    assert settled.says(LINES, taken(0, day=1)) == ("nothing", "its inputs did not move")


# the others


def test_a_table_that_is_not_there_is_built_first(settled: Lake) -> None:
    table = a_table("gold.customers", "refresh", "silver.lines", "conf.markets")
    decision = settled.decide(table)
    assert (decision.path, decision.reason) == ("first", "it is not there yet")
    assert decision.inputs == {"silver.lines": Input(0, "one"), "conf.markets": MARKETS}


def test_a_table_waits_for_inputs_that_are_not_there(settled: Lake) -> None:
    table = a_table("gold.customers", "refresh", "silver.lines", "silver.customers", "silver.agents")
    assert settled.says(table) == ("wait", "silver.customers, silver.agents is not there yet")


def test_inputs_that_did_not_move_are_nothing_to_do(settled: Lake) -> None:
    for table in (LINES, SALES):
        assert settled.says(table, taken(0, day=1)) == ("nothing", "its inputs did not move")


def test_maintenance_and_progress_of_an_input_are_nothing_to_do(settled: Lake) -> None:
    settled.commit("silver.lines", rows(data_change=False), operation="OPTIMIZE")
    settled.commit("silver.lines", schema(), operation="SET TBLPROPERTIES")
    settled.commit("silver.lines", note=a_note(2))
    decision = settled.decide(SALES)
    assert (decision.path, decision.inputs["silver.lines"].version) == ("nothing", 3)


def test_a_changed_definition_rebuilds(settled: Lake) -> None:
    table = a_table("gold.sales", "refresh", "silver.lines", fingerprint="another")
    assert settled.says(table) == ("whole", "its definition changed")


def test_other_inputs_rebuild(settled: Lake) -> None:
    table = a_table("gold.sales", "refresh", "silver.lines", "conf.markets")
    assert settled.says(table) == ("whole", "it reads other inputs")


def test_a_changed_conf_file_rebuilds(lake: Lake) -> None:
    lake.commit("gold.sales", rows(), note=a_note(-1, {"conf.markets": Input("before")}))
    lake.commit("gold.lines", rows(), note=a_note(-1, {"conf.markets": MARKETS}))
    assert lake.says(a_table("gold.sales", "refresh", "conf.markets")) == ("whole", "conf/markets.yml changed")
    assert lake.says(a_table("gold.lines", "refresh", "conf.markets")) == ("nothing", "its inputs did not move")


FACTS = [{"market": 1, "sign": "KSh", "point_value": "1.00"}, {"market": 2, "sign": "N", "point_value": "5.00"}]
OTHER = FACTS[0] | {"point_value": "2.00"}


def dated(facts: dict[str, object], since: str | None, until: str | None = None) -> dict[str, object]:
    return facts | {"valid_from": since, "valid_until": until}


@pytest.mark.parametrize(
    ("rows_now", "words"),
    [
        (FACTS, []),
        ([OTHER, FACTS[1]], ["market 1: point_value 1.00 -> 2.00"]),
        ([FACTS[0] | {"sign": "K", "point_value": None}, FACTS[1]], [
            "market 1: sign KSh -> K", "market 1: point_value 1.00 -> nothing",
        ]),
        ([FACTS[0] | {"open": 8}, FACTS[1]], ["market 1: open nothing -> 8"]),
        ([FACTS[1]], ["market 1 is gone"]),
        ([*FACTS, {**FACTS[0], "market": 3}], []),
        ([dated(FACTS[0], None, "2022-02-01"), dated(OTHER, "2022-02-01"), dated(FACTS[1], None)], []),
        ([dated(OTHER, None, "2022-02-01"), dated(OTHER, "2022-02-01"), dated(FACTS[1], None)], [
            "market 1: point_value 1.00 -> 2.00",
        ]),
    ],
)  # fmt: skip
def test_facts_that_are_edited_in_place_are_said_since_they_hold_for_past_days(
    lake: Lake, rows_now: list[dict[str, object]], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = a_table("gold.sales", "refresh", "conf.markets")
    monkeypatch.setattr(graph, "conf_file", lambda _: ("before", FACTS))
    lake.commit("gold.sales", rows(), note=a_note(-1, dict(lake.decide(table).inputs)))
    monkeypatch.setattr(graph, "conf_file", lambda _: (str(rows_now), rows_now))
    decision = lake.decide(table)
    assert decision.revalues == tuple(f"conf/markets.yml, {one}" for one in words)
    assert decision.reason == "conf/markets.yml changed"


def test_what_an_engine_computed_that_was_found_wrong_is_computed_again(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.commit("silver.lines", rows())
    lake.commit("gold.sales", rows(), note=replace(a_note(-1, {"silver.lines": Input(0, "one")}), engine="native 0.1"))
    assert lake.says(SALES) == ("nothing", "its inputs did not move")
    monkeypatch.setattr(engines, "WRONG", frozenset({"native 0.1"}))
    assert lake.says(SALES) == ("whole", "it was computed by native 0.1, which was found wrong")


def test_a_note_of_a_later_program_stops_the_plan(lake: Lake) -> None:
    lake.commit("silver.lines", rows(), note=replace(a_note(), format=3))
    with pytest.raises(LakehouseError, match="was written by a later lakehouse"):
        lake.decide(LINES)


def test_a_table_that_is_to_have_vectors_and_has_none_is_written_anew(settled: Lake) -> None:
    contract = SALES.contract.model_copy(update={"vectors": True})
    reason = "it is stored without deletion vectors, and its contract wants them"
    assert settled.says(replace(SALES, contract=contract)) == ("whole", reason)


# its quarantine


def judged(lake: Lake, rejected: Input | None, number: int = 2) -> None:
    """silver.lines includes bronze.orders, and says which quarantine belongs to it."""
    lake.load(batch=0)
    note = a_note(-1, {"bronze.orders": Input(0, "one", 0)})
    lake.commit("silver.lines", rows(), note=replace(note, rejected=rejected, format=number))


def test_the_quarantine_that_belongs_to_the_table_is_nothing_to_do(lake: Lake) -> None:
    lake.commit("silver.lines__rejected", rows())
    judged(lake, Input(0, "one"))
    assert lake.says(LINES, taken(0, day=1)) == ("nothing", "its inputs did not move")


@pytest.mark.parametrize("rejected", [None, Input(0, "one"), Input(1, "two")])
def test_another_quarantine_than_the_tables_is_judged_anew(lake: Lake, rejected: Input | None) -> None:
    for _ in range(2):
        lake.commit("silver.lines__rejected", rows())
    judged(lake, rejected)
    assert lake.says(LINES, taken(0, day=1)) == ("whole", "silver.lines__rejected is not as its last run left it")


def test_maintenance_of_the_quarantine_is_nothing_to_do_and_what_comes_after_it_is(lake: Lake) -> None:
    name = "silver.lines__rejected"
    lake.commit(name, rows())
    judged(lake, Input(0, "one"))
    lake.commit(name, rows(data_change=False), operation="OPTIMIZE")
    lake.commit(name, schema(), operation="SET TBLPROPERTIES")
    lake.commit(name, operation="VACUUM END")
    assert lake.says(LINES, taken(0, day=1)) == ("nothing", "its inputs did not move")
    lake.commit(name, rows(), operation="DELETE")
    assert lake.says(LINES, taken(0, day=1)) == ("whole", f"{name} is not as its last run left it")


def test_a_quarantine_that_is_gone_is_judged_anew(lake: Lake) -> None:
    judged(lake, Input(0, "one"))
    assert lake.says(LINES, taken(0, day=1)) == ("whole", "silver.lines__rejected is gone")


def test_a_note_of_the_first_format_knows_no_quarantine(lake: Lake) -> None:
    lake.commit("silver.lines__rejected", rows())
    judged(lake, None, number=1)
    assert lake.says(LINES, taken(0, day=1)) == ("nothing", "its inputs did not move")


# inputs


def test_an_input_that_was_made_anew_rebuilds(lake: Lake) -> None:
    lake.commit("silver.lines", rows(), table_id="two")
    lake.commit("gold.sales", rows(), note=a_note(-1, {"silver.lines": Input(0, "one")}))
    assert lake.says(SALES) == ("whole", "silver.lines was made anew")


def test_an_input_that_was_rewound_rebuilds(lake: Lake) -> None:
    lake.commit("silver.lines", rows())
    lake.commit("gold.sales", rows(), note=a_note(-1, {"silver.lines": Input(5, "one")}))
    assert lake.says(SALES) == ("whole", "silver.lines was rewound from version 5 to 0")


def test_a_foreign_commit_rebuilds_what_is_not_bronze(settled: Lake) -> None:
    settled.commit("gold.sales", rows(), operation="UPDATE")
    assert settled.says(SALES) == ("whole", "somebody else's UPDATE made version 1")


@pytest.mark.parametrize(("write", "path"), [("refresh", "incremental"), ("replace", "whole")])
@pytest.mark.parametrize("action", [rows(), deleted(), schema(column="m")])
def test_an_input_that_moved_is_followed(settled: Lake, write: str, path: str, action: dict[str, object]) -> None:
    settled.commit("silver.lines", action, note=a_note(0))
    settled.commit("silver.lines", rows(data_change=False), operation="OPTIMIZE")
    assert settled.says(a_table("gold.sales", write, "silver.lines")) == (path, "silver.lines moved 0 -> 2")


def test_all_inputs_that_moved_are_named(settled: Lake) -> None:
    for name in ("silver.agents", "silver.shops"):
        settled.commit(name, rows())
        settled.commit(name, rows())
    inputs = {name: Input(0, "one") for name in ("silver.agents", "silver.shops", "silver.lines")}
    settled.commit("gold.all", rows(), note=a_note(-1, inputs))
    table = a_table("gold.all", "refresh", "silver.agents", "silver.lines", "silver.shops")
    assert settled.says(table) == ("incremental", "silver.agents moved 0 -> 1, silver.shops moved 0 -> 1")
    assert settled.decide(table).moved == {"silver.agents": (0, 1), "silver.shops": (0, 1)}


# in time or late


def test_deliveries_that_are_newer_than_all_loaded_ones_are_in_time(settled: Lake) -> None:
    settled.load(batch=1)
    decision = settled.decide(LINES, taken(0, day=1), taken(1, day=2))
    assert (decision.path, decision.reason) == ("new", "bronze.orders moved 0 -> 1")
    assert decision.inputs["bronze.orders"] == Input(1, "one", 1)


def test_a_delivery_that_is_older_than_a_loaded_one_is_late(settled: Lake) -> None:
    settled.load(batch=1)
    assert settled.decide(LINES, taken(0, day=5), taken(1, day=6), taken(1, day=4)).path == "late"


def test_each_market_has_its_own_time(settled: Lake) -> None:
    settled.load(batch=1)
    loaded = [taken(0, day=1, market=1), taken(0, day=9, market=2)]
    assert settled.decide(LINES, *loaded, taken(1, day=2, market=1)).path == "new"
    assert settled.decide(LINES, *loaded, taken(1, day=2, market=2)).path == "late"
    assert settled.decide(LINES, *loaded, taken(1, day=1, market=3)).path == "new"


def test_a_table_that_judges_no_deliveries_is_refreshed_whatever_their_time(lake: Lake) -> None:
    lake.load(batch=0)
    lake.commit("silver.files", rows(), note=a_note(-1, {"bronze.orders": Input(0, "one", 0)}))
    lake.load(batch=1)
    table = a_table("silver.files", "refresh", "bronze.orders")
    assert lake.decide(table, taken(0, day=1), taken(1, day=2)).path == "incremental"


def test_other_tables_and_batches_to_come_make_nothing_late(settled: Lake) -> None:
    settled.load(batch=1)
    others = [taken(0, day=9, table="bronze.customers"), taken(2, day=1)]
    assert settled.decide(LINES, taken(0, day=1), taken(1, day=2), *others).path == "new"


def test_without_a_known_batch_all_is_judged_anew(lake: Lake) -> None:
    lake.load(batch=0)
    lake.commit("silver.lines", rows(), note=a_note(-1, {"bronze.orders": Input(0, "one")}))
    lake.load(batch=1)
    assert lake.decide(LINES, taken(0, day=1), taken(1, day=2)).path == "whole"


# incremental or whole

MILLION = 1_000_000


@pytest.fixture
def large(lake: Lake) -> Lake:
    """silver.lines has a million rows, silver.agents a thousand; gold.sales includes them."""
    lake.commit("silver.lines", rows(MILLION))
    lake.commit("silver.agents", rows(1000))
    lake.commit(
        "gold.sales", rows(), note=a_note(-1, {name: Input(0, "one") for name in ("silver.lines", "silver.agents")})
    )
    return lake


BOTH = a_table("gold.sales", "refresh", "silver.lines", "silver.agents")


def test_the_changed_rows_are_read_from_the_log(large: Lake) -> None:
    large.commit("silver.lines", rows(300, path="new"), rows(MILLION, hidden=200), deleted(MILLION))
    large.commit("silver.agents", rows(7, path="new"))
    decision = large.decide(BOTH)
    assert (decision.path, decision.rows, decision.rows_of_inputs) == ("incremental", 307, MILLION - 200 + 300 + 1007)


def test_more_than_half_of_the_rows_is_computed_whole(large: Lake) -> None:
    large.commit("silver.lines", rows(1_100_000, path="new"))
    assert large.says(BOTH) == ("whole", "1,100,000 of 2,101,000 input rows changed: more than half")


def test_half_of_a_few_rows_is_not_worth_a_choice(lake: Lake) -> None:
    lake.commit("silver.lines", rows(10))
    lake.commit("gold.sales", rows(), note=a_note(-1, {"silver.lines": Input(0, "one")}))
    lake.commit("silver.lines", rows(10_000, path="new"))
    assert lake.decide(SALES).path == "incremental"
    lake.commit("silver.lines", rows(1, path="newer"))
    assert lake.decide(SALES).path == "whole"


def test_a_log_that_was_cleaned_up_leaves_no_way_but_the_whole(large: Lake) -> None:
    large.commit("silver.lines", rows(1, path="new"))
    large.commit("silver.lines", rows(1, path="newer"))
    forget(large.folder / "silver/lines", commits=2)
    assert large.says(BOTH) == ("whole", "the log of silver.lines no longer reaches back to version 0")


def whole(seconds: float, rows: int = MILLION) -> Ran:
    return Ran("gold.sales", "whole", seconds=seconds, rows_of_inputs=rows)


def incremental(seconds: float, changed: int) -> Ran:
    return Ran("gold.sales", "incremental", seconds=seconds, rows_changed=changed)


def choice(changed: int, *past: Ran, rows: int = MILLION) -> str:
    return plan.whole_is_cheaper(changed, rows, past)


def test_runs_that_took_longer_than_the_whole_make_it_whole() -> None:
    why = "300,000 of 1,000,000 input rows changed: whole took 12.0 s and incremental 31.0 s"
    slow = incremental(31, changed=250_000)
    assert choice(300_000, slow, slow, whole(12)) == why
    assert choice(300_000, slow, whole(12)) == "", "one may have stood beside other work"


def test_runs_that_took_less_than_the_whole_keep_it_incremental_at_any_share() -> None:
    assert choice(900_000, incremental(10, changed=800_000), whole(12)) == ""


def test_a_gain_of_a_few_seconds_or_per_cent_changes_nothing() -> None:
    short, long = [incremental(5.5, changed=1000)] * 2, [incremental(100, changed=1000)] * 2
    assert choice(1000, *short, whole(1)) == ""
    assert choice(1000, *long, whole(81)) == ""
    assert choice(1000, *long, whole(80)) != ""


def test_only_runs_with_about_as_many_changed_rows_tell() -> None:
    assert choice(100_000, incremental(60, changed=401_000), incremental(60, changed=24_000), whole(12)) == ""
    assert choice(100_000, incremental(60, changed=25_000), incremental(60, changed=400_000), whole(12)) != ""


def test_the_best_of_each_way_counts_since_a_cold_start_can_take_any_time() -> None:
    assert choice(1000, incremental(60, changed=1000), incremental(14, changed=1000), whole(12)) == ""
    assert choice(1000, *[incremental(31, changed=1000)] * 2, whole(12), whole(90)) != ""


def test_the_whole_takes_longer_where_the_inputs_have_grown_and_as_long_where_they_shrank() -> None:
    twice = [incremental(31, changed=1000)] * 2
    assert choice(1000, *twice, whole(12, rows=MILLION // 3)) == ""
    assert choice(1000, *twice, whole(28, rows=MILLION * 3)) == ""


def test_what_broke_and_the_start_of_the_session_tell_nothing() -> None:
    cold = Ran("gold.sales", "incremental", seconds=31, phases={"waiting": 20}, rows_changed=1000)
    assert choice(1000, cold, cold, whole(12)) == ""
    assert choice(1000, *[incremental(31, changed=1000)] * 2, replace(whole(1), error="no room")) == ""


def test_what_is_not_known_is_no_reason() -> None:
    assert plan.whole_is_cheaper(None, MILLION, [whole(1)]) == plan.whole_is_cheaper(MILLION, None, [whole(1)]) == ""


def ran(lake: Lake, engine: str, *turns: Ran) -> None:
    at = datetime(2024, 1, 1, tzinfo=UTC)
    history.write(str(lake.folder), "monday", at, [replace(one, engine=engine) for one in turns])


def test_the_recorded_runs_make_the_choice(large: Lake) -> None:
    large.commit("silver.lines", rows(300, path="new"))
    ran(large, "native", whole(12), *[incremental(31, changed=400)] * 2)
    assert large.says(BOTH) == (
        "whole",
        "300 of 1,001,300 input rows changed: whole took 12.0 s and incremental 31.0 s",
    )


@pytest.mark.parametrize("engine", ["spark", ""])
def test_seconds_of_the_other_engine_or_of_an_unknown_one_do_not_decide(large: Lake, engine: str) -> None:
    large.commit("silver.lines", rows(300, path="new"))
    ran(large, "native", whole(12))
    ran(large, engine, whole(1), *[incremental(31, changed=400)] * 2)
    assert large.says(BOTH) == ("incremental", "silver.lines moved 0 -> 1")
    ran(large, "native", *[incremental(31, changed=400)] * 2)
    assert large.says(BOTH)[1].endswith("whole took 12.0 s and incremental 31.0 s")


def test_all_tables_are_decided_as_each_alone(large: Lake) -> None:
    large.commit("silver.lines", rows(300, path="new"))
    tables = [BOTH, a_table("gold.agents", "refresh", "silver.agents")]
    assert plan.decide_all(str(large.folder), tables, []) == {table.name: large.decide(table) for table in tables}


# what a turn would read


def no_engine() -> Engine:
    raise AssertionError("an engine was started")


def test_the_rows_of_the_inputs_are_those_of_their_versions(lake: Lake) -> None:
    for count in (10, 5):
        lake.commit("silver.lines", rows(count, path=str(count)))
    lake.commit("silver.agents", rows(7))
    decision = replace(lake.decide(BOTH), inputs={"silver.lines": Input(0, "one"), "silver.agents": Input(0, "one")})
    tables = {"gold.sales": BOTH}
    assert plan.sizes(str(lake.folder), tables, {"gold.sales": decision}, no_engine) == {"gold.sales": Size(17)}
    lake.commit("silver.agents", rows(path="uncounted"))
    decision = replace(decision, inputs={**decision.inputs, "silver.agents": Input(1, "one")})
    assert plan.sizes(str(lake.folder), tables, {"gold.sales": decision}, no_engine) == {"gold.sales": Size()}


def test_what_does_nothing_has_no_size_and_starts_no_engine(settled: Lake) -> None:
    decisions = {"gold.sales": settled.decide(SALES)}
    assert plan.sizes(str(settled.folder), {"gold.sales": SALES}, decisions, no_engine) == {"gold.sales": Size()}


OF_UNIT: dict[str, dict[str, Any]] = {
    "carried": {"unit": ["market", "order_id"]},
    "derived": {
        "unit": ["market", "order_date"],
        "inputs": {"silver.orders": {"unit": {"order_date": "to_date(ordered_at)"}}},
    },
    "through": {
        "unit": ["market", "order_id"],
        "inputs": {"silver.customers": {"through": "silver.orders", "on": ["market", "customer_id"]}},
    },
}


def with_unit(kind: str) -> Table:
    types = {"market": "int", "order_id": "bigint", "order_date": "date"}
    parents = ("silver.customers", "silver.orders") if kind == "through" else ("silver.orders",)
    return a_table("gold.sales", "refresh", *parents, columns=types, grain=OF_UNIT[kind]["unit"], **OF_UNIT[kind])


def some_orders(numbers: Iterable[int], day: datetime, customer: int | None = None) -> pa.Table:
    """Orders of one market, an hour after each other where they have no customer of their own."""
    every = list(numbers)
    hours = [0 if customer else number for number in every]
    at = [day + timedelta(hours=hour) for hour in hours]
    return pa.table(
        {
            "market": pa.array([1] * len(every), pa.int32()),
            "order_id": pa.array(every, pa.int64()),
            "customer_id": pa.array([customer or number % 10 for number in every], pa.int64()),
            "ordered_at": pa.array(at, pa.timestamp("us", "UTC")),
        }
    )


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """silver.orders and silver.customers, changed by every kind of commit that a run or a person makes."""
    root = tmp_path_factory.mktemp("orders")
    place, feed = str(root / "silver/orders"), {"delta.enableChangeDataFeed": "true"}
    write_deltalake(place, some_orders(range(100), datetime(2024, 1, 1, tzinfo=UTC)), configuration=feed)
    customers = pa.table({"market": pa.array([1] * 10, pa.int32()), "customer_id": range(10), "platform": ["WEB"] * 10})
    write_deltalake(str(root / "silver/customers"), customers, configuration=feed)
    day = datetime(2024, 2, 1, tzinfo=UTC)
    target = Target(place, some_orders([0], day).schema)
    committer.replace_units(target, 0, ["market", "order_id"], some_orders(range(5), day, customer=3), None, None)
    DeltaTable(place).delete("order_id in (50, 51)")
    DeltaTable(place).optimize.compact()
    DeltaTable(place).update({"customer_id": "null"}, predicate="order_id = 60")
    write_deltalake(place, some_orders(range(200, 203), datetime(2024, 3, 1, tzinfo=UTC), customer=2), mode="append")
    DeltaTable(str(root / "silver/customers")).update({"platform": "'IOS'"}, predicate="customer_id = 7")
    return root


def moved(root: Path, table: Table) -> Decision:
    now = {name: progress.state(progress.address(str(root), name)) for name in table.parents}
    inputs = {name: Input(state.version, state.id) for name, state in now.items() if state}
    spans = {name: (0, int(one.version)) for name, one in inputs.items()}
    return Decision(table.name, "incremental", "it moved", inputs, moved=spans, rows=11)


@pytest.mark.parametrize(("kind", "expected"), [("carried", 11), ("derived", 4), ("through", 21)])
def test_the_units_of_changed_rows_are_counted(orders: Path, engine: Native, kind: str, expected: int) -> None:
    table = with_unit(kind)
    decisions = {table.name: moved(orders, table)}
    found = plan.sizes(str(orders), {table.name: table}, decisions, lambda: engine)
    assert found == {table.name: Size(11, expected)}


def test_units_by_a_text_that_the_engine_does_not_know_are_not_counted(orders: Path, engine: Native) -> None:
    table = with_unit("derived")
    reach = table.contract.inputs["silver.orders"].model_copy(
        update={"unit": {"order_date": "no_such_function(market)"}}
    )
    table = replace(table, contract=table.contract.model_copy(update={"inputs": {"silver.orders": reach}}))
    decisions = {table.name: moved(orders, table)}
    assert plan.sizes(str(orders), {table.name: table}, decisions, lambda: engine) == {table.name: Size(11)}

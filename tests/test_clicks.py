"""What is made of user events equals what DuckDB makes of them, and plain Python, whatever the events are."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from lakehouse import engines, graph
from lakehouse.contract import Contract
from lakehouse.delta.commits import committer
from lakehouse.delta.commits.committer import Target
from lakehouse.delta.files import feed
from lakehouse.delta.tables.progress import Progress
from lakehouse.delta.tables.types import arrow_schema
from lakehouse.proof import verify
from lakehouse.proof.verify import Scope
from lakehouse.runs.run import Run
from lakehouse.writes.lake import Lake, conf_rows, conform
from lakehouse.writes.measures import ChecksFailedError
from tests.clicks import DAY, an_event, deliver, random_events, sessions, when
from tests.events import Events
from tests.events import an_event as a_message
from tests.oracle.recompute import recompute_all
from tests.rows import typed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyspark.sql import DataFrame

    from lakehouse.engines.native.engine import Native
    from lakehouse.engines.spark.engine import Spark
    from lakehouse.graph import Table
    from tests.rows import Cells

pytestmark = pytest.mark.slow
EVENTS, USER_DAYS, GUIDE = "silver.events", "silver.user_days", graph.HOME / "docs/how-to/clicks.md"
MADE = [name for name, table in graph.load().items() if EVENTS in table.parents or USER_DAYS in table.parents]
MADE += ["gold.funnel", "gold.product_conversion"]
GOLD = [name for name in MADE if name.startswith("gold.")]


def built(engine: Native | Spark, tables: dict[str, Table], events: list[Cells]) -> dict[str, DataFrame]:
    """All tables that are made of events."""
    types = {column: promise.type for column, promise in tables[EVENTS].contract.columns.items()}
    frames = {EVENTS: typed(engine.spark, types, events)} | conf_rows(engine, ["conf.events"])
    for name in (one for one in tables if one in MADE):
        table = tables[name]
        made = conform(table, table.build(*(frames[one] for one in table.inputs)))
        frames[name] = engine.frame(engine.arrow(made.select(*table.contract.columns)))
    return frames


def rows(engine: Native | Spark, made: DataFrame) -> list[dict[str, Any]]:
    """Times without a zone, as DuckDB has them."""
    return [{name: plain(value) for name, value in row.items()} for row in engine.arrow(made).to_pylist()]


def plain(value: object) -> object:
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value


@pytest.mark.parametrize("seed", [0, *(pytest.param(one, marks=pytest.mark.long) for one in range(1, 60))])
def test_tables_of_events_equal_what_duckdb_makes_of_them(
    seed: int, engine: Native, tables: dict[str, Table], tmp_path: Path
) -> None:
    assert_as_duckdb(engine, tables, seed, tmp_path)


@pytest.mark.spark
def test_spark_makes_of_events_what_duckdb_makes_of_them(
    on_spark: Spark, tables: dict[str, Table], tmp_path: Path
) -> None:
    assert_as_duckdb(on_spark.for_a_turn(0), tables, 99, tmp_path)


def assert_as_duckdb(engine: Native | Spark, tables: dict[str, Table], seed: int, folder: Path) -> None:
    events = random_events(Random(seed))  # noqa: S311
    made = built(engine, tables, events)
    expected = recompute_all(deliver(folder, events), [name.removeprefix("gold.") for name in GOLD])
    for name in GOLD:
        grain = tables[name].contract.grain

        def key(row: dict[str, Any], grain: tuple[str, ...] = grain) -> list[str]:
            return [str(row[one]) for one in grain]

        theirs = expected[name.removeprefix("gold.")]
        assert theirs
        assert sorted(rows(engine, made[name]), key=key) == sorted(theirs, key=key), name


@dataclass
class Clicks:
    """A lake of the tables that are made of events; silver.events is laid down, without a topic or bronze."""

    folder: Path
    tables: dict[str, Table]
    events: list[Cells] = field(default_factory=list)
    version: int = -1

    @property
    def lake(self) -> Lake:
        return Lake(str(self.folder / "lake"))

    def arrive(self, engine: Native | Spark, events: list[Cells]) -> None:
        self.events += events
        self._commit(engine, committer.append if self.version >= 0 else committer.overwrite, events)

    def are_taken_back(self, engine: Native | Spark, random: Random, share: float) -> None:
        self.events = [one for one in self.events if random.random() > share]
        self._commit(engine, committer.overwrite, self.events)

    def _commit(self, engine: Native | Spark, write: Callable[..., int], events: list[Cells]) -> None:
        promise = self.tables[EVENTS].contract
        types = {column: one.type for column, one in promise.columns.items()}
        rows, schema = engine.arrow(typed(engine.spark, types, events)), arrow_schema(types)
        target = Target(self.lake.address(EVENTS), schema, {}, promise.partition_by, vectors=False)
        note = Progress(EVENTS, "tests", "tests", self.version, {}).to_json()
        self.version = write(target, self.version, rows.select(schema.names).cast(schema), note)

    def turns(self, engine: Native | Spark) -> set[str]:
        """How the tables were brought up to date."""
        (self.folder / "landing").mkdir(exist_ok=True)
        run = Run(self.lake.root, str(self.folder / "landing"), self.tables, engine=engine)
        run.open()
        return {run._turn(self.tables[name]).decision.path for name in self.tables if name in MADE}  # noqa: SLF001

    def assert_as_rebuilt(self, engine: Native) -> None:
        rebuilt = built(engine, self.tables, self.events)
        for name in MADE:
            columns = list(self.tables[name].contract.columns)
            found = feed.read(self.lake.address(name)).select(columns).to_pylist()
            expected = engine.arrow(rebuilt[name]).select(columns).to_pylist()
            assert sorted(map(str, found)) == sorted(map(str, expected)), name


def history(tables: dict[str, Table], folder: Path, seed: int, steps: int, *others: Spark) -> None:
    """Events arrive out of order, a fifth of them days late, and at last some are taken back; engines take turns."""
    random = Random(seed)  # noqa: S311
    native: Native = engines.start(engines.NATIVE)  # type: ignore[assignment]
    either: list[Native | Spark] = [native, *others]
    here = {name: replace(table, serves=frozenset()) for name, table in tables.items()}  # which nobody has delivered
    clicks, events = Clicks(folder, here), random_events(random, 25 * steps)
    events.sort(key=lambda one: when(one) + DAY * random.choice([0, 0, 0, 0, 3 * random.random()]))
    size = -(-len(events) // steps)
    for step in range(steps):
        engines.start(native.name)
        clicks.arrive(native, events[step * size : (step + 1) * size])
        if step == steps - 1:
            clicks.are_taken_back(native, random, 0.05)
        engine = either[step % len(either)]
        engines.start(engine.name)
        assert clicks.turns(engine) == {"incremental" if step else "first"}
        engines.start(native.name)
        clicks.assert_as_rebuilt(native)


@pytest.mark.parametrize("seed", [0, *(pytest.param(one, marks=pytest.mark.long) for one in range(1, 20))])
def test_tables_of_events_are_after_every_turn_as_a_rebuild(
    seed: int, tables: dict[str, Table], tmp_path: Path
) -> None:
    history(tables, tmp_path, seed, steps=8 if seed else 3)


@pytest.mark.long
@pytest.mark.spark
def test_what_one_engine_made_of_events_the_other_continues(
    on_spark: Spark, tables: dict[str, Table], tmp_path: Path
) -> None:
    history(tables, tmp_path, 77, 4, on_spark)


def test_a_late_message_joins_the_sessions_of_two_days_and_all_is_verified(
    engine: Native, tables: dict[str, Table], tmp_path: Path
) -> None:
    lake = Events(tmp_path, engine, dict(tables))
    lake.arrive(a_message("2026-11-09T23:50:00Z", event_id="a"), a_message("2026-11-10T00:30:00Z", event_id="b"))
    found = []
    for _ in range(2):
        lake.run()
        run = Run(lake.lake.root, str(tmp_path / "landing"), lake.tables, engine=engine)
        run.open()
        for name in (one for one in tables if one in MADE):
            run._turn(tables[name])  # noqa: SLF001
        found.append(lake.rows("gold.sessions", "session_date", "events"))
        late = a_message("2026-11-10T00:10:00Z", event_id="c", event_name="click")
        lake.arrive(late, late)
    before, after = (date(2026, 11, 9), date(2026, 11, 10))
    assert [set(one) for one in found] == [{(before, 1), (after, 1)}, {(before, 3)}]
    for scope in (Scope("sample"), Scope("since")):
        done = verify.verify(engine.name, lake.lake, "", tables, [tables[name] for name in MADE], scope)
        assert [(one.table, one.differing) for one in done if not one.is_right] == []


def test_a_limit_of_more_days_needs_the_days_and_the_rule_of_the_contract(
    engine: Native, tables: dict[str, Table], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the rule says that stops it; then a touch that comes late for so many days before is found."""
    name, limits = "gold.touches", "conf.events"
    clicks = Clicks(tmp_path, {one: replace(tables[one], serves=frozenset()) for one in (EVENTS, USER_DAYS, name)})
    known, (version, [said]) = graph.conf_file, graph.conf_file(limits)
    of_60_days = (f"{version} 60", [said | {"touch_days": 60}])
    monkeypatch.setattr(graph, "conf_file", lambda one, *where: of_60_days if one == limits else known(one, *where))
    clicks.arrive(engine, [an_event("2026-03-20 10:00:00", event_name="purchase")])
    with pytest.raises(ChecksFailedError, match="change `days:` of this contract, and this rule, with it"):
        clicks.turns(engine)
    text = (graph.HOME / "conf/gold/touches.yml").read_text(encoding="utf-8")
    text = text.replace("days: [-30, 0]", "days: [-60, 0]").replace("between 0 and 30", "between 0 and 60")
    contracts = {one: table.contract for one, table in tables.items()}
    promise = contracts[name] = Contract.model_validate(yaml.safe_load(text))
    clicks.tables[name] = replace(graph.table(name, promise, contracts), serves=frozenset())
    clicks.turns(engine)
    clicks.arrive(engine, [an_event("2026-02-01 10:00:00", sku="B")])
    assert clicks.turns(engine) == {"incremental"}
    assert feed.read(clicks.lake.address(name))["first_touch_sku"].to_pylist() == ["B"]


def test_the_questions_of_the_guide_are_answered(engine: Native, tables: dict[str, Table]) -> None:
    made = built(engine, tables, random_events(Random(1)))  # noqa: S311
    for name in GOLD:
        made[name].createOrReplaceTempView(name.removeprefix("gold."))
    asked = re.findall(r"```sql\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    answers = [engine.spark.sql(text.replace("gold.", "")).collect() for text in asked]
    assert [bool(one) for one in answers] == [*[True] * 6, False]  # no minute has a tenth of its hour's busiest
    sections = pytest.importorskip("jobs.report.sections", reason="needs the extra `report`")
    told = {
        one.name: [row.asDict() for row in engine.spark.sql(one.asked("true", "true").replace("gold.", "")).collect()]
        for one in sections.SECTIONS
        if not one.has_markets
    }
    days = rows(engine, made["gold.funnel"])
    for step in ("viewed", "clicked", "purchased"):
        steps = [row["sessions"] for row in told["funnel"] if row["step"].endswith(step)]
        assert sum(steps) == sum(day[f"sessions_{step}"] for day in days) > 0
    assert all(one["active_users"] == one["new_users"] + one["returning_users"] for one in told["active_users"])


def test_sessions_are_those_that_one_look_at_each_event_finds(engine: Native, tables: dict[str, Table]) -> None:
    events = [event for seed in range(8) for event in named(random_events(Random(seed)), seed)]  # noqa: S311
    made = rows(engine, built(engine, tables, events)["gold.sessions"])
    found = sorted((one["user_id"], one["platform"], one["started_at"], one["events"]) for one in made)
    by_python = [
        (one[0]["user_id"], one[0]["platform"] or "unknown", plain(when(one[0])), len(one)) for one in sessions(events)
    ]
    assert found == sorted(by_python)


def named(events: list[Cells], seed: int) -> list[Cells]:
    return [event | {"user_id": event["user_id"] and f"{event['user_id']} {seed}"} for event in events]

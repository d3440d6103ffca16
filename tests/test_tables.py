"""What holds for every table that is computed from others, on a small lake of sample exports."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib import import_module
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema

from jobs.samples import branches, daily
from lakehouse import engines, graph
from lakehouse.contract import EVIDENCE
from lakehouse.documents import latest
from lakehouse.documents.judgement import judging, parsing
from lakehouse.engines import protocol
from lakehouse.events import judging as of_events
from lakehouse.intake.deliveries import landing
from lakehouse.intake.records.ledger import Entry, Ledger
from lakehouse.intake.rows import messages
from lakehouse.lineage import columns
from lakehouse.lineage.origins import DIRECT, JOIN
from lakehouse.writes import append, needed, units
from lakehouse.writes.checks import check
from lakehouse.writes.lake import conf_rows, conform
from lakehouse.writes.measures import ChecksFailedError
from tests import perturbed
from tests.alike import assert_alike
from tests.clicks import random_events
from tests.real import OF_EACH_KIND
from tests.rows import as_texts, typed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pyarrow as pa
    from pyspark.sql import DataFrame

    from lakehouse.engines.native.engine import Native
    from lakehouse.engines.protocol import Engine
    from lakehouse.engines.spark.engine import Spark
    from lakehouse.graph import Table
    from lakehouse.lineage.columns import Lineage
    from lakehouse.lineage.origins import Place

    Frames = dict[str, DataFrame]
    Texts = list[tuple[str, ...]]

TABLES = graph.load()
pytestmark = pytest.mark.slow  # what they share takes seconds to make
COMPUTED = [name for name, table in TABLES.items() if table.contract.write in {"refresh", "replace"}]
REFRESHED = [name for name in COMPUTED if TABLES[name].contract.unit]
# What `test_both_engines.py` has by Spark from the real exports is not read once more.
READ = [name for name, one in TABLES.items() if one.contract.write == "latest" and name not in OF_EACH_KIND]
CHECKED = [name for name in COMPUTED if TABLES[name].contract.checks]
JUDGED = [name for name, table in TABLES.items() if table.contract.judges]
FEW = {"silver.branch_names", "silver.user_days", "gold.blocked_customers", "gold.touches"}  # in every run
# Days until which stores without an end count: what they add to the span they take off again with the lifespan.
CANCELLED = {"gold.store_lifespan": "away_days"}
EVENTS = "silver.events"  # which come from a topic
each_computed = pytest.mark.parametrize("name", COMPUTED)
each_refreshed = pytest.mark.parametrize("name", REFRESHED)
each_checked = pytest.mark.parametrize("name", CHECKED)


def over_months(lines: DataFrame) -> DataFrame:
    """Orders of 70 days instead of two, at prices that differ."""
    days = F.pmod("order_id", F.lit(70)).cast("int")
    prices = {"unit_price": (F.col("unit_price") + F.pmod("order_id", F.lit(3))).cast("decimal(18,2)")}
    at = F.col("ordered_at") + F.make_dt_interval(days)
    return lines.withColumns(prices | {"order_date": F.date_add("order_date", days), "ordered_at": at})


def often_blocked(customers: DataFrame) -> DataFrame:
    return customers.withColumn("is_blocked", F.pmod("customer_id", F.lit(3)) == 0)


def changing(versions: DataFrame) -> DataFrame:
    """Some customers change between the orders; some are known by their orders alone."""
    later = versions.where("customer_id % 2 = 0").withColumns(
        {"delivered_at": F.col("delivered_at") + F.make_dt_interval(F.lit(30)), "last_used_platform": F.lit("IOS")}
    )
    return versions.unionByName(later).where("customer_id % 5 <> 0")


def repriced(versions: DataFrame) -> DataFrame:
    """Each product is dearer a month later, between the orders."""
    later = {"delivered_at": F.col("delivered_at") + F.make_dt_interval(F.lit(30)), "product_name": F.lit("dearer")}
    return versions.unionByName(versions.withColumns(later))


def rated(deliveries: DataFrame) -> DataFrame:
    """Rows that have to be mended have a rating too."""
    return deliveries.withColumn("_raw", F.regexp_replace("_raw", ",0,-,", ",4,-,"))


def pairs_of_one_order(baskets: DataFrame) -> DataFrame:
    return baskets.withColumn("minimum_orders", F.lit(1).cast("bigint"))


# What two days of sample exports are too few for.
LIVENED = {
    "bronze.deliveries": rated,
    "silver.order_lines": over_months,
    "silver.customers": often_blocked,
    "silver.customer_versions": changing,
    "silver.product_versions": repriced,
}


@pytest.fixture(scope="module")
def frames(engine: Native, tables: dict[str, Table], tmp_path_factory: pytest.TempPathFactory) -> Frames:
    """Every input of a table, from two days of sample exports: what a lake would hold, without the lake."""
    exports = tmp_path_factory.mktemp("landing")
    daily.generate(exports, lines=200, days=2)
    branches.generate(exports, days=70, every=35, receipts=0.4)
    days = [date(2022, 1, 1) + timedelta(days=number) for number in range(90)]
    rates = [f"{day},{currency},USD,0.01{day.day}" for day in days for currency in ("KES", "NGN")]
    (exports / "exchange_rates").mkdir()
    text = "\n".join(["rate_date,currency,reporting_currency,rate", *rates, ""])
    (exports / "exchange_rates" / "rates.csv").write_text(text, encoding="utf-8")
    deliver_what_no_sample_has(exports, tables)
    found = landing.find(str(exports), tables.values(), Ledger()).new
    rows: Frames = {}
    for name in COMPUTED:
        rows |= conf_rows(engine, tables[name].inputs)
    read = {parent for name in COMPUTED for parent in tables[name].parents}
    for table in graph.selected(tables, {*read, *JUDGED}).values():
        rows |= conf_rows(engine, table.inputs)
        if table.contract.source and table.contract.source.kafka:
            sent = import_module(f"tests.bronze.test_{table.name.removeprefix('bronze.')}").MESSAGES
            topic, at = table.contract.source.kafka.topic, datetime(2026, 1, 31, tzinfo=UTC)
            sent = messages.read(sent, list(table.contract.columns))
            made = engine.frame(messages.rows(messages.types(table.contract), topic, 0, at, sent))
        elif table.name == EVENTS:
            types = {name: column.type for name, column in table.contract.columns.items()}
            made = typed(engine.spark, types, random_events(Random(7)))  # noqa: S311
        elif table.contract.write == "append":
            batch = [Entry(delivery, 0, "claimed") for delivery in found if delivery.table == table.name]
            made = append.rows(engine, table, str(exports), batch).rows
        elif table.contract.write == "latest":
            delivered = rows[table.parents[0]]
            promise = tables[table.parents[0]].contract
            parsed = parsing.parse(table, promise, delivered, dict(delivered.dtypes), rows)
            newest = engine.spark.createDataFrame([], "_file string, _newest string")
            made = latest.stored_rows(table, judging.judge(table, parsed, newest, None, -1))
        else:
            made = build(table, rows)
        if table.name in LIVENED:
            made = LIVENED[table.name](made)
        rows[table.name] = once(made)
    return rows | {"conf.baskets": pairs_of_one_order(rows["conf.baskets"])}


def deliver_what_no_sample_has(exports: Path, tables: dict[str, Table]) -> None:
    """Of a source that jobs/samples/daily.py does not know the files of its own test."""
    known = {one.table for one in landing.find(str(exports), tables.values(), Ledger()).new}
    for table in tables.values():
        if table.contract.takes_files and table.name not in known:
            files = import_module(f"tests.bronze.test_{table.name.removeprefix('bronze.')}").FILES
            for path, text in files.items():
                (exports / path).parent.mkdir(parents=True, exist_ok=True)
                (exports / path).write_bytes(text.encode())


@pytest.fixture(scope="module")
def whole(frames: Frames, tables: dict[str, Table]) -> Callable[[str], DataFrame]:
    """A table as all of its inputs make it, computed once for all tests."""
    return cache(lambda name: once(build(tables[name], frames)))


@pytest.fixture(scope="module")
def texts(whole: Callable[[str], DataFrame]) -> Callable[[str], Texts]:
    return cache(lambda name: sorted_texts(whole(name)))


def once(rows: DataFrame) -> DataFrame:
    """Computed once, however often it is used."""
    return engines.start().frame(rows.toArrow())


def build(table: Table, frames: Frames) -> DataFrame:
    """As the contract promises it, or an error that says where it is not so."""
    return with_what_rules_read(table, frames).select(*table.contract.columns)


def with_what_rules_read(table: Table, frames: Frames) -> DataFrame:
    return conform(table, table.build(*(frames[name] for name in table.inputs)))


def sorted_texts(rows: DataFrame) -> Texts:
    return sorted(tuple(map(str, row.values())) for row in as_texts(rows))


def some_units(rows: DataFrame, unit: tuple[str, ...]) -> DataFrame:
    """About a third of them, at least one."""
    every = once(rows.select(*unit).distinct())
    return every.orderBy(F.xxhash64(*unit)).limit(max(1, every.count() // 3))


@each_refreshed
def test_a_units_rows_depend_on_that_units_input_only(
    name: str, frames: Frames, tables: dict[str, Table], whole: Callable[[str], DataFrame]
) -> None:
    table, everything = tables[name], whole(name)
    some = once(some_units(everything, table.contract.unit))
    of_some = everything.join(some, on=list(table.contract.unit), how="left_semi")
    expected = sorted_texts(of_some.select(*everything.columns))
    assert 0 < len(expected) < everything.count()
    built = build(table, units.narrowed(table, inputs_of(table, frames), some))
    assert sorted_texts(units.only(table, built, some)) == expected


@pytest.mark.parametrize(("name", "parent"), [(name, one) for name in REFRESHED for one in TABLES[name].parents])
def test_every_unit_that_a_changed_row_of_an_input_changes_is_touched(
    name: str, parent: str, frames: Frames, tables: dict[str, Table], whole: Callable[[str], DataFrame]
) -> None:
    table, promise, unit = tables[name], tables[name].contract, list(tables[name].contract.unit)
    every, row_hash = frames[parent], F.xxhash64(*frames[parent].columns)
    removed = once(every.where(F.pmod(row_hash, F.lit(7)) == 3))
    removed = once(every.orderBy(row_hash).limit(1)) if removed.isEmpty() else removed
    after = frames | {parent: once(frames[parent].exceptAll(removed))}
    now, before = (units.with_digest(promise, one) for one in (build(table, after), whole(name)))
    changed = once(units.differing(promise, now, before).select(*unit))
    touched = units.touched(table, {parent: removed}, inputs_of(table, after))
    assert not changed.isEmpty()
    assert changed.join(touched, on=unit, how="left_anti").isEmpty()


def inputs_of(table: Table, frames: Frames) -> Frames:
    return {name: frames[name] for name in table.inputs}


@each_computed
def test_rows_do_not_depend_on_the_order_in_which_inputs_are_read(
    name: str, frames: Frames, tables: dict[str, Table], texts: Callable[[str], Texts]
) -> None:
    mixed = {
        parent: frame.orderBy(F.rand(7)).repartition(3)
        for parent, frame in frames.items()
        if parent in tables[name].parents
    }
    assert sorted_texts(build(tables[name], frames | mixed)) == texts(name)


@each_computed
def test_the_grain_names_one_row_and_is_never_null(
    name: str, tables: dict[str, Table], whole: Callable[[str], DataFrame]
) -> None:
    grain = tables[name].contract.grain
    keys = as_texts(whole(name).select(*grain))
    assert keys
    assert len({tuple(key.values()) for key in keys}) == len(keys)
    assert not [key for key in keys if None in key.values()]


@each_checked
def test_every_check_holds_until_what_it_guards_is_broken(name: str, frames: Frames, tables: dict[str, Table]) -> None:
    table, inputs, checks = tables[name], inputs_of(tables[name], frames), tables[name].contract.checks
    whole = once(with_what_rules_read(table, frames))
    half = whole.where(F.pmod(F.xxhash64(*table.contract.grain), F.lit(2)) == 0)
    emptied = {one.references: frames[one.references].limit(0) for one in checks.values() if one.references}
    agreements = {name for name, one in checks.items() if one.agrees_with}
    assert red(table, whole, inputs) == set()
    assert red(table, whole.unionByName(whole), inputs) == agreements | {name for name in checks if checks[name].unique}
    assert red(table, half, inputs | emptied) == agreements | {name for name in checks if checks[name].references}


def red(table: Table, rows: DataFrame, inputs: Frames) -> set[str]:
    """The names of the contract's checks that do not hold."""
    try:
        measures, _ = check(engines.start(), table, rows, inputs)
    except ChecksFailedError as error:
        measures = list(error.measures)
    return {one.name for one in measures if one.name in table.contract.checks and one.broken}


@each_computed
def test_nothing_depends_on_columns_that_the_plan_does_not_need(
    name: str, frames: Frames, tables: dict[str, Table], engine: Native, texts: Callable[[str], Texts]
) -> None:
    """Two that read plans agree: the engine's optimizer, and the lineage of columns, which asks none."""
    table, inputs = tables[name], inputs_of(tables[name], frames)
    used = needed.of_build(engine, table, inputs)
    assert sorted_texts(build(table, needed.pruned(inputs, used))) == texts(name)
    lineage = columns.derived(table, tables)
    assert not lineage.unknown
    for one, some in used.items():
        named = {column for of in (*lineage.columns.values(), lineage.rows) for name, column in of if name == one}
        # Of conf/ the few rows are there anyway: an engine may say that it does not know.
        assert named <= some if one.startswith("conf.") else named == some


def test_the_lineage_of_every_table_is_understood(tables: dict[str, Table]) -> None:
    assert [lineage.unknown for name in tables if (lineage := columns.derived(tables[name], tables)).unknown] == []


@pytest.fixture(scope="module")
def arrows(frames: Frames) -> dict[str, pa.Table]:
    return {name: rows.toArrow() for name, rows in frames.items()}


@pytest.mark.usefixtures("on_spark")
@pytest.mark.parametrize("name", [*COMPUTED, *READ])
def test_both_engines_build_the_same(
    name: str, arrows: dict[str, pa.Table], tables: dict[str, Table], engine: Native
) -> None:
    """Whole lakes of each kind of table, with what Spark commits, `test_both_engines.py` compares."""
    made = []
    for one in (turn_of_spark(), engine):
        engines.start(one.name)
        inputs = {parent: one.frame(arrows[parent]) for parent in tables[name].inputs}
        made.append((build if name in COMPUTED else parsed)(tables[name], inputs).toArrow())
    found, expected = made
    assert_alike(found, expected, f"{name}: found by Spark, expected by Sail")


@cache
def turn_of_spark() -> Engine:
    """One for all tables: a session of its own for each takes longer than its rows."""
    return engines.start(engines.SPARK).for_a_turn(0)


def parsed(table: Table, inputs: Frames) -> DataFrame:
    """Bronze's texts as what they say, and the rules that they break."""
    promise, delivered = TABLES[table.parents[0]].contract, inputs[table.parents[0]]
    return parsing.parse(table, promise, delivered, dict(delivered.dtypes), inputs).drop("_source")


@pytest.mark.spark
@pytest.mark.usefixtures("arrows")  # so that the same process has the frames
def test_both_engines_find_the_same_columns_needed(frames: Frames, tables: dict[str, Table], on_spark: Spark) -> None:
    schemas = {name: to_arrow_schema(rows.schema, timezone="UTC") for name, rows in frames.items()}
    empty = {name: on_spark.frame(schema.empty_table()) for name, schema in schemas.items()}

    def found(engine: Engine, inputs: Frames) -> dict[str, set[str]]:
        """Of conf/ the few rows are there anyway: an engine may say that it does not know."""
        used = {name: needed.of_build(engine, tables[name], inputs_of(tables[name], inputs)) for name in COMPUTED}
        return {
            f"{name}({of})": some for name, all_of in used.items() for of, some in all_of.items() if "conf." not in of
        }

    by_spark = found(on_spark, empty)
    assert found(engines.start(), frames) == by_spark


# --- column lineage, by trying


def influences(
    name: str, tables: dict[str, Table], frames: Frames, lineage: Lineage, *, rounds: int
) -> tuple[set[tuple[Place, str]], set[tuple[Place, str]]]:
    """Influences that a perturbed column shows and the lineage lacks; and DIRECT edges that no perturbation shows.

    In further `rounds` the other columns are others too, for what is not shown yet.
    """
    table, random = tables[name], Random(name)  # noqa: S311
    arrow = {one: perturbed.ordered(perturbed.nullable(frames[one].toArrow()), EVIDENCE) for one in table.inputs}
    is_judged = table.contract.judges
    grain = ["_place"] if is_judged else list(table.contract.grain)
    used = sorted(
        {place for of in (*lineage.columns.values(), lineage.rows) for place in of if place[1] not in EVIDENCE}
    )
    # Where rows are others, so may be all that is found under the key of one.
    of_rows = {place for place, ways in lineage.rows.items() if not is_judged or JOIN in ways}
    of_rows |= {place for one in grain for place in lineage.columns.get(one, ())}
    cancelled = CANCELLED.get(name)
    edges = ((place, column) for column, of in lineage.columns.items() for place in of if of[place] & {*DIRECT})
    unshown = {(place, column) for place, column in edges if column != cancelled}
    lacking = set()
    for number in range(1 + rounds):
        if number and not unshown:
            break
        base = arrow if number == 0 else {
            one: perturbed.mixed(rows, [column for of, column in used if of == one], random)
            for one, rows in arrow.items()
        }  # fmt: skip
        before = rows_of(table, tables, base)
        if before is None:
            continue
        for place in used if number == 0 else sorted({one for one, _ in unshown}):
            for other in perturbed.variants(base[place[0]], place[1], random):
                after = rows_of(table, tables, base | {place[0]: other})
                if after is None:
                    continue
                in_rows, values, are_others = perturbed.changed(before, after, grain)
                reach = {column for column, of in lineage.columns.items() if place in of}
                reach |= {"_broken"} if place in lineage.rows else set()
                if place not in of_rows:
                    lacking |= {(place, column) for column in in_rows - reach} | (
                        {(place, "")} if are_others else set()
                    )
                unshown -= {(place, column) for column in values}
    return lacking, unshown


def rows_of(table: Table, tables: dict[str, Table], inputs: dict[str, pa.Table]) -> list[dict[str, Any]] | None:
    """What it makes of these; None where it, or a rule of its transforms, refuses them."""
    frames = {name: engines.start().frame(rows) for name, rows in inputs.items()}
    try:
        if not table.contract.judges:
            return as_texts(build(table, frames))
        source = table.parents[0]
        types = dict(frames[source].dtypes)
        if table.contract.write == "deduplicate":
            parsed = of_events.judged(table, tables[source].contract, frames[source], types, frames, ())
            place = F.concat_ws(":", "_file", "_row")
        else:
            parsed = parsing.parse(table, tables[source].contract, frames[source], types, frames)
            place = F.concat_ws(":", "_source._file", "_source._row")
        columns = [one for one in table.contract.columns if one != table.contract.position]
        return as_texts(parsed.select(place.alias("_place"), "_broken", *columns))
    except protocol.errors():
        return None


@pytest.mark.parametrize(
    "name", [name if name in FEW else pytest.param(name, marks=pytest.mark.long) for name in (*JUDGED, *COMPUTED)]
)
def test_the_lineage_of_columns_is_what_perturbing_them_shows(
    name: str, frames: Frames, tables: dict[str, Table]
) -> None:
    """Each influence that shows is in it, and each DIRECT edge of it shows."""
    lineage = columns.derived(tables[name], tables)
    assert not lineage.unknown
    assert influences(name, tables, frames, lineage, rounds=60) == (set(), set())

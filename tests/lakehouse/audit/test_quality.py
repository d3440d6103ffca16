"""What a run measures, from literal counts, and the table it is kept in; without a JVM."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import yaml

from lakehouse.audit import quality
from lakehouse.audit.quality import Loaded, Tally
from lakehouse.contract import Contract, Source
from lakehouse.delta.commits import ops
from lakehouse.delta.tables import log
from lakehouse.formula import check_formula, evaluate
from lakehouse.writes import measures as measured
from lakehouse.writes.measures import Measure

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2024, 1, 10, 12, tzinfo=UTC)
LINES = """
owner: tests
description: lines of orders
write: latest
grain: [market, order_id]
unit: [market, order_id]
columns:
  market: {type: int, meaning: of the folder}
  order_id: {type: bigint, from: order_id, meaning: the order}
  quantity: {type: int, required: true, meaning: how many}
rules:
  quantity_is_positive: {check: quantity > 0, severity: reject, why: a test}
  quantity_is_small: {check: quantity < 9, severity: warn, why: a test}
  quantity_is_possible: {check: quantity < 99, severity: stop, why: a test}
"""


def a_source(**more: object) -> Source:
    return Source.model_validate({"files": ["*.csv"], "format": "csv", **more})


def a_file(rows: int = 10, *, market: int = 1, day: int = 10, path: str = "orders.csv") -> Loaded:
    return Loaded("bronze.orders", market, rows, datetime(2024, 1, day, tzinfo=UTC), path)


def a_tally(market: int = 1, **counts: int) -> Tally:
    return Tally("silver.order_lines", market, counts)


# Rules ---------------------------------------------------------------------------------------------------------------


def test_every_rule_is_measured_the_unbroken_and_those_of_the_core_as_well() -> None:
    rows = {"kept": 6, "unchanged": 1, "rejected": 3, "duplicate": 4, "superseded": 5}
    rejected = {"quantity_is_positive": 2, "order_id_is_readable": 1, "row_is_too_long": 1}
    counts = {"rows": rows, "rejected": rejected, "warned": {"quantity_is_small": 4}}
    measures = measured.rules("silver.order_lines", Contract.model_validate(yaml.safe_load(LINES)), {1: counts})
    assert {(one.name, one.severity, one.checked, one.broken) for one in measures} == {
        ("market_is_present", "reject", 10, 0),
        ("order_id_is_present", "reject", 10, 0),
        ("order_id_is_readable", "reject", 10, 1),
        ("quantity_is_positive", "reject", 10, 2),
        ("quantity_is_present", "reject", 10, 0),
        ("quantity_is_small", "warn", 10, 4),
        ("quantity_is_possible", "stop", 10, 0),
        ("row_is_too_long", "reject", 10, 1),
    }


def test_the_rows_of_each_market_are_measured_by_themselves() -> None:
    contract = Contract.model_validate(yaml.safe_load(LINES))
    of_one = {"rows": {"kept": 3, "rejected": 1}, "rejected": {"quantity_is_positive": 1}}
    of_two = {"rows": {"kept": 7}, "warned": {"quantity_is_small": 2}}
    measures = measured.rules("silver.order_lines", contract, {2: of_two, 1: of_one})
    found = {(one.name, one.market): (one.checked, one.broken) for one in measures}
    assert {place: found[place] for place in found if place[0] in {"quantity_is_positive", "quantity_is_small"}} == {
        ("quantity_is_positive", 1): (4, 1),
        ("quantity_is_positive", 2): (7, 0),
        ("quantity_is_small", 1): (4, 0),
        ("quantity_is_small", 2): (7, 2),
    }


def test_a_share_is_of_what_was_checked_and_null_where_nothing_was() -> None:
    assert Measure("gold.totals", "rule", "a", checked=8, broken=2).share == 0.25
    assert Measure("gold.totals", "rule", "a", checked=0, broken=0).share is None
    assert Measure("gold.totals", "volume", "a", value=2.0).share is None


# Reconciliation ------------------------------------------------------------------------------------------------------


def test_rows_that_came_in_are_each_in_one_place() -> None:
    (one,) = quality.reconcile([a_tally(rows=9, kept=3, unchanged=1, rejected=2, duplicate=2, superseded=1, warned=5)])
    assert (one.market, one.checked, one.broken) == (1, 9, 0)
    assert one.note == "9 in = 3 kept + 1 unchanged + 2 rejected + 2 duplicate + 1 superseded"


@pytest.mark.parametrize("kept", [7, 11])
def test_a_lost_or_an_invented_row_breaks_the_sum_by_one_each(kept: int) -> None:
    (one,) = quality.reconcile([a_tally(rows=9, kept=kept)])
    assert (one.checked, one.broken, one.note) == (9, 2, f"9 in = {kept} kept")


def test_rows_of_files_are_compared_with_bronze_by_market() -> None:
    files = [a_file(10), a_file(5), a_file(7, market=2), a_file(1, market=3)]
    measures = quality.reconcile_files("bronze.orders", files, {1: 15, 2: 6, 4: 1})
    assert [(one.market, one.checked, one.broken) for one in measures] == [(1, 15, 0), (2, 7, 1), (3, 1, 1), (4, 0, 1)]
    assert measures[1].note == "7 in files, 6 in bronze"


def test_rows_of_files_are_compared_with_all_of_bronze_where_only_that_is_known() -> None:
    files = [a_file(10), a_file(7, market=2)]
    (one,) = quality.reconcile_files("bronze.orders", files, {None: 16})
    assert (one.market, one.checked, one.broken) == (None, 17, 1)


# Freshness and volume ------------------------------------------------------------------------------------------------


def test_hours_are_counted_from_each_markets_newest_delivery() -> None:
    loaded = [a_file(day=9, path="new.csv"), a_file(day=8), a_file(day=10, market=2, path="two.csv")]
    measures = quality.freshness(a_source(fresh_within_hours=24), loaded, NOON)
    assert [(one.market, one.value, one.checked, one.broken) for one in measures] == [(1, 36, 1, 1), (2, 12, 1, 0)]
    assert measures[0].note == "new.csv, 36.0 hours old, at most 24 promised"


def test_without_a_promise_age_is_measured_and_nothing_is_broken() -> None:
    (one,) = quality.freshness(a_source(), [a_file(day=1)], NOON)
    assert (one.value, one.checked, one.broken, one.severity) == (228, None, None, None)


def test_a_file_is_compared_with_the_median_of_the_last_14_of_its_market() -> None:
    before = [a_file(1, day=1), *(a_file(100, day=day) for day in range(2, 10)), a_file(9, market=2)]
    before += [a_file(50, day=10, path=f"{hour}.csv") for hour in range(6)]
    (one,) = quality.volume(a_source(volume_between=[0.5, 2]), [a_file(300, day=11, path="odd.csv")], before)
    assert (one.market, one.checked, one.broken, one.value) == (1, 1, 1, 3.0)
    assert one.note == "odd.csv has 300 rows, 3.00 times the usual 100"


def test_files_older_than_the_last_14_are_forgotten() -> None:
    before = [a_file(1, day=day) for day in range(1, 15)] + [a_file(100, day=day) for day in range(15, 29)]
    (one,) = quality.volume(a_source(volume_between=[0.5, 2]), [a_file(100, day=29)], before)
    assert (one.value, one.broken, one.note) == (1.0, 0, "")


@pytest.mark.parametrize(("rows", "broken"), [(49, 1), (50, 0), (200, 0), (201, 1)])
def test_the_limits_of_volume_are_still_usual(rows: int, broken: int) -> None:
    (one,) = quality.volume(a_source(volume_between=[0.5, 2]), [a_file(rows, day=11)], [a_file(100)])
    assert one.broken == broken


@pytest.mark.parametrize(("rows", "usual", "broken"), [(1, 19, 0), (19, 1, 0), (1, 20, 1), (20, 1, 1)])
def test_of_a_few_rows_no_number_is_odd(rows: int, usual: int, broken: int) -> None:
    source = a_source(volume_between=[0.5, 2], volume_rows=20)
    (one,) = quality.volume(source, [a_file(rows, day=11)], [a_file(usual)])
    assert one.broken == broken


def test_new_files_of_one_run_are_compared_with_each_other_in_their_order() -> None:
    new = [a_file(100, day=3, path="c.csv"), a_file(10, day=1, path="a.csv"), a_file(10, day=2, path="b.csv")]
    (one,) = quality.volume(a_source(volume_between=[0.1, 5]), new, [])
    assert (one.checked, one.broken, one.value) == (3, 1, 10.0)
    assert one.note.startswith("c.csv has 100 rows")


def test_an_empty_delivery_is_odd_unless_its_source_may_be_empty() -> None:
    empty = a_file(0, day=11, path="empty.csv")
    (odd,) = quality.volume(a_source(), [empty], [])
    (usual,) = quality.volume(a_source(may_be_empty=True, volume_between=[0.5, 2]), [empty], [a_file(100)])
    (quiet,) = quality.volume(a_source(), [replace(empty, is_quiet=True)], [])
    assert (odd.checked, odd.broken, odd.note, quiet.broken) == (1, 1, "empty.csv has no rows", 0)
    assert (usual.checked, usual.broken, usual.note) == (1, 0, "")


def test_empty_deliveries_do_not_make_empty_the_usual() -> None:
    before = [a_file(0, day=day) for day in range(1, 20)] + [a_file(100, day=20)]
    (one,) = quality.volume(a_source(volume_between=[0.5, 2]), [a_file(100, day=21)], before)
    assert (one.value, one.broken) == (1.0, 0)


# The score -----------------------------------------------------------------------------------------------------------


def test_a_score_is_the_contracts_formula_by_market() -> None:
    one, two = quality.score(
        "100 * (1 - rejected / rows)", [a_tally(rows=8, rejected=2), a_tally(2, rows=5, rejected=0)]
    )
    assert (one.market, one.value, one.checked) == (1, 75, 8)
    assert (two.market, two.value) == (2, 100)
    assert one.note == "100 * (1 - rejected / rows), with rows 8, rejected 2"


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("100 - 250 * rejected / rows", 50),
        ("-rejected", 0),
        ("rows * 1e3", 100),
        ("100 * min(kept, rows) / max(rows, 1)", 80),
        ("100 / (rows - 10)", None),
        ("100 * duplicate / rows", None),
        ("max(duplicate, 7)", None),
        ("1e999 - 1e999", None),
    ],
)
def test_a_score_lies_between_0_and_100_or_is_not_known(formula: str, value: float | None) -> None:
    assert evaluate(check_formula(formula), {"rows": 10, "kept": 8, "rejected": 2}) == value


@pytest.mark.parametrize(
    "formula",
    [
        "", "rows +", "row / 2", "rows ** 9", "rows // 2", "rows % 2", "rows if kept else 1", "kept == rows", "True",
        "'rows'", "1j", "min", "min()", "min(rows, key=kept)", "min(*rows)", "abs(rows)", "rows.real", "kept[0]",
        "__import__('os').getcwd()", "(lambda: 1)()", "[rows][0]", "100 / (rows - rows) + nonsense",
        "(" * 300 + "1" + ")" * 300, "+".join("1" * 5000), "9" * 400,
    ],
)  # fmt: skip
def test_a_formula_that_is_more_than_arithmetic_is_refused(formula: str) -> None:
    with pytest.raises(ValueError, match=r"the formula .* cannot be computed .* the counts rows, kept, unchanged"):
        check_formula(formula)


# The table -----------------------------------------------------------------------------------------------------------


def test_a_run_appends_its_measures_in_one_commit_and_an_idle_run_makes_none(tmp_path: Path) -> None:
    rule = Measure("silver.order_lines", "rule", "quantity_is_positive", None, "reject", checked=8, broken=2)
    score = Measure("silver.order_lines", "score", "score", 1, checked=8, value=75.0, note="100 * kept / rows")
    quality.write(str(tmp_path), "run1", NOON, [])
    assert log.snapshot(f"{tmp_path}/ops/quality") is None
    quality.write(str(tmp_path), "run1", NOON, [rule, score])
    quality.write(str(tmp_path), "run2", NOON, [])
    rows = ops.query(f"{tmp_path}/ops/quality", "select * from t order by measure")
    stamp = {"run": "run1", "at": NOON, "table_name": "silver.order_lines"}
    assert rows == [
        stamp | {"market": None, "measure": "rule", "name": "quantity_is_positive", "severity": "reject"}
        | {"checked": 8, "broken": 2, "share": 0.25, "value": None, "note": ""},
        stamp | {"market": 1, "measure": "score", "name": "score", "severity": None}
        | {"checked": 8, "broken": None, "share": None, "value": 75.0, "note": "100 * kept / rows"},
    ]  # fmt: skip
    now = log.snapshot(f"{tmp_path}/ops/quality")
    assert now
    assert now.version == 0


def test_the_newest_measure_of_each_market_is_what_status_shows(tmp_path: Path) -> None:
    def noted(market: int, value: float) -> Measure:
        return Measure("silver.order_lines", "score", "score", market, value=value)

    age = Measure("bronze.orders", "freshness", "newest_delivery_is_fresh", 1, value=3.0)
    quality.write(str(tmp_path), "run2", NOON, [noted(1, 90.0), age])
    quality.write(str(tmp_path), "run1", NOON - timedelta(days=1), [noted(1, 50.0), noted(2, 60.0)])
    assert [(one.run, one.measure) for one in quality.newest(str(tmp_path), "score")] == [
        ("run2", noted(1, 90.0)),
        ("run1", noted(2, 60.0)),
    ]
    assert [(one.at, one.measure) for one in quality.newest(str(tmp_path), "freshness")] == [(NOON, age)]


def test_a_lake_without_measures_has_no_newest_ones(tmp_path: Path) -> None:
    assert quality.newest(str(tmp_path), "score") == []

from __future__ import annotations

import random
from decimal import Decimal
from io import StringIO
from itertools import combinations, starmap
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from jobs.runs import ran
from lakehouse import graph
from lakehouse.audit.turns import Decision, Done, Report
from lakehouse.intake.deliveries.landing import Found
from lakehouse.writes.checks import check
from lakehouse.writes.lake import conf_rows, conform
from tests.rows import an_exchange_rate, only, typed

if TYPE_CHECKING:
    from lakehouse.engines.native.engine import Native
    from lakehouse.graph import Table
    from tests.rows import Built, Cells

TABLE = "silver.judged_rates"
# A pair's rates day by day from 2022-01-01, and what becomes of each: right, refused, or right and warned of (unusual).
SERIES: list[tuple[str, str]] = [
    ("the first is right, whatever it is", "113.5 right"),
    ("a usual week", "0.0088 right, 0.00881 right, 0.00879 right, 0.0088 right, 0.00885 right"),
    ("the pair the wrong way round", "0.0088 right, 113.5 refused, 0.00881 right"),
    ("the wrong way round, after a change", "0.0088 right, 110 refused, 0.0086 right"),
    ("of a pair near to each other", "0.9 right, 1.11 refused, 0.91 right"),
    ("of a pair at par both ways are alike", "0.98 right, 1.02 right, 0.97 right"),
    ("a hundred times as much", "0.0088 right, 0.88 refused, 0.00881 right"),
    ("a hundredth", "131 right, 1.31 refused, 131.2 right"),
    ("five times at most", "1000 right, 5000 unusual, 25000.01 refused, 1000 right, 199.99 refused"),
    ("the naira", "0.0024 right, 0.0021 unusual, 0.0018 unusual, 0.0015 unusual, 0.0013 unusual, 0.0012 unusual"),
    ("two wrong days and a right one", "0.0088 right, 113.5 refused, 113.6 refused, 0.00881 right, 113.5 refused"),
    ("three days that say the same", "1 right, 1000 unusual, 1001 unusual, 1002 right, 1003 right, 1 refused"),
    ("three days that do not say the same", "1 right, 1000 refused, 0.001 refused, 1000 refused, 0.001 refused"),
    ("a wrong first one is not for ever", "113.5 right, 0.0088 unusual, 0.00881 right, 0.0087 right, 113 refused"),
    ("another wrong one begins anew", "1 right, 1000 refused, 7 unusual, 7.1 unusual, 7 right"),
]  # fmt: skip


def days(series: str, currency: str = "NGN") -> list[Cells]:
    rates = [one.split()[0] for one in series.split(", ")]
    return [
        an_exchange_rate(currency=currency, rate_date=f"2022-01-{day:02}", rate=rate)
        for day, rate in enumerate(rates, start=1)
    ]


def found(row: dict[str, str | None]) -> str:
    if row["is_accepted"] == "false":
        assert row["_warned"] == "rate_is_plausible"
        return "refused"
    return "unusual" if row["_warned"] == "rate_is_usual" else "right"


@pytest.fixture(scope="module")
def judged(built: Built) -> dict[str, list[str]]:
    """All series in one frame, one currency each, and their rows mixed: it is no matter when they came."""
    rows = [row for place, (_, series) in enumerate(SERIES) for row in days(series, f"N{place}")]
    answers: dict[str, list[str]] = {sentence: [] for sentence, _ in SERIES}
    for row in built(TABLE, {"silver_exchange_rates": sorted(rows, key=lambda row: hash(str(row)))}):
        answers[SERIES[int(str(row["currency"])[1:])][0]].append(found(row))
    return answers


@pytest.mark.parametrize(("sentence", "series"), SERIES, ids=lambda text: text)
def test_a_rate_is_held_against_the_last_accepted_of_its_pair(
    judged: dict[str, list[str]], sentence: str, series: str
) -> None:
    assert judged[sentence] == [one.split()[1] for one in series.split(", ")]


def model(rates: list[Decimal]) -> list[bool]:
    """Which of a pair's rates, in the order of their days, are accepted; as conf/rate_bounds.yml says, said again."""

    def is_far(rate: Decimal, last: Decimal) -> bool:
        is_inverse = abs(rate * last - 1) <= Decimal("0.05") and abs(last - 1) > Decimal("0.05")
        return max(rate, last) > 5 * min(rate, last) or is_inverse

    accepted: list[bool] = []
    last = rates[0]
    for place, rate in enumerate(rates):
        three = rates[place::-1][:3]
        is_third = accepted[-2:] == [False, False] and not any(starmap(is_far, combinations(three, 2)))
        if is_third:
            accepted[-2:] = [True, True]
        accepted.append(is_third or not is_far(rate, last))
        last = rate if accepted[-1] else last
    return accepted


@pytest.mark.slow
def test_any_rates_are_judged_as_the_model_says(built: Built) -> None:
    chance = random.Random(15)  # noqa: S311
    series = {}
    for number in range(200):
        usual = Decimal(chance.choice(["0.0088", "0.9", "1.02", "131", "3"]))
        odd = [1 / usual, usual * 6, usual / 6, usual * 2, usual * 100]
        steps = chance.choices([usual, usual * Decimal("1.1"), *odd], [6, 2, *[1] * len(odd)], k=chance.randint(1, 12))
        series[f"N{number}"] = [round(rate * Decimal(chance.uniform(0.97, 1.03)), 12) for rate in steps]
    rows = [row for name, rates in series.items() for row in days(", ".join(map(str, rates)), name)]
    judged: dict[str, list[bool]] = {}
    for row in built(TABLE, {"silver_exchange_rates": rows}):
        judged.setdefault(str(row["currency"]), []).append(row["is_accepted"] == "true")
    assert judged == {name: model(rates) for name, rates in series.items()}
    assert sum(False in answers for answers in judged.values()) > len(series) // 2


@pytest.mark.slow
def test_a_row_says_what_it_was_held_against(built: Built) -> None:
    rows = built(TABLE, {"silver_exchange_rates": days("1, 1.5, 1.4, 900, 2")})
    one, one_and_half, less = "1.000000000000", "1.500000000000", "1.400000000000"
    held = only(rows, "last_accepted_rate", "usual_rate")
    assert held == [(None, None), (one, one), (one_and_half, one), (less, None), (less, less)]


@pytest.mark.slow
def test_the_usual_rate_is_that_of_the_last_seven_accepted_days(built: Built) -> None:
    series = ["1.3", "1.3", "1.3", "1", "9", "1", "1", "1", "1", "1.2"]
    *_, row = built(TABLE, {"silver_exchange_rates": days(", ".join(series))})
    assert row["usual_rate"] == "1.000000000000"


@pytest.mark.slow
def test_a_run_names_the_last_three_refused_rates_with_both_values(engine: Native, tables: dict[str, Table]) -> None:
    table, series = tables[TABLE], "0.0024 right, 900 refused, 0.0025 right, 901 refused"
    types = {name: column.type for name, column in tables["silver.exchange_rates"].contract.columns.items()}
    inputs = {"silver.exchange_rates": typed(engine.spark, types, [*days(series), *days(series, "KES")])}
    inputs |= conf_rows(engine, table.inputs)
    measures, _ = check(engine, table, conform(table, table.build(*(inputs[name] for name in table.inputs))), inputs)
    [refused] = [one for one in measures if one.name == "rate_is_plausible"]
    assert (refused.checked, refused.broken) == (8, 4)
    assert refused.note.split("; ") == [
        "2022-01-04 NGN in USD 901.000000000000 after 0.002500000000",
        "2022-01-04 KES in USD 901.000000000000 after 0.002500000000",
        "2022-01-02 NGN in USD 900.000000000000 after 0.002400000000",
    ]
    text = Console(record=True, width=300, file=StringIO())
    done = Done(Decision(TABLE, "first", ""), counts={"warned": {refused.name: 4}}, measures=measures)
    ran.summary(text, Report((done,), Found((), ())))
    assert f"  warning {TABLE}: rate_is_plausible 4 {refused.note}" in text.export_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "series"),
    [
        ("rate_is_plausible", "1 right, 1000 unusual, 1001 unusual, 1 refused"),
        ("rate_is_usual", "1 right, 2 right, 2.1 unusual"),
    ],
)
def test_what_conf_accepts_by_its_key_is_right(
    built: Built, rule: str, series: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "currency=NGN, rate_date=2022-01-02, reporting_currency=USD"
    rows: list[dict[str, object]] = [{"table": TABLE, "rule": rule, "key": key, "why": "it is so"}]
    whole = graph.conf_file
    monkeypatch.setattr(graph, "conf_file", lambda name: ("", rows) if name == "conf.accepted" else whole(name))
    judged = built(TABLE, {"silver_exchange_rates": days(series)})
    assert [found(row) for row in judged] == [one.split()[1] for one in series.split(", ")]

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.regions import GERMANY, UNSAID
from tests.rows import Case, Texts, a_merchant_row, broken_in, rules_of

if TYPE_CHECKING:
    from lakehouse.graph import Table

TABLE = "silver.merchants"
CASES = [
    Case(
        "a right row is typed",
        a_merchant_row(),
        {"market": "1", "merchant_id": "893555", "merchant_name": "Duka", "commission_share": "0.150000"},
    ),
    Case("a commission that nobody says is null", a_merchant_row(commission_share=""), {"commission_share": None}),
    Case("a merchant has a number", a_merchant_row(merchant_id="-"), {"_broken": "merchant_id_is_present"}),
    Case("a market is a number", a_merchant_row(market="KE"), {
        "_broken": "market_is_known,market_is_readable",
    }),
    Case("a merchant has a market", a_merchant_row(market=""), {"_broken": "market_is_present,market_is_known"}),
    Case("a broken row is not right", a_merchant_row(_problem="row_is_too_long"), {"_broken": "row_is_too_long"}),
    Case("a share is not in per cent", a_merchant_row(commission_share="15"), {"_broken": "commission_is_a_share"}),
    Case("a share is not rounded", a_merchant_row(commission_share="0.1234567"), {
        "_broken": "commission_share_is_readable",
    }),
]  # fmt: skip

ABROAD = [
    Case("a market writes in its own way", a_merchant_row(market=GERMANY, commission_share="0,15"), {
        "commission_share": "0.150000",
    }),
    Case("what is fetched has a point everywhere", a_merchant_row(
        market=GERMANY, commission_share="0.125", _file="fetched/merchants/20220105T000000.000000Z",
    ), {"commission_share": "0.125000"}),
    Case("a thousand may be one", a_merchant_row(market=UNSAID, commission_share="1,234"), {
        "_broken": "numbers_are_certain,commission_share_is_readable",
    }),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.sentence)
def test_a_row_becomes_what_it_says_or_breaks_its_rule(rows: dict[str, Texts], case: Case) -> None:
    assert case.found_in(rows[case.sentence]) == case.wanted


@pytest.mark.parametrize("case", ABROAD, ids=lambda case: case.sentence)
def test_a_row_of_elsewhere_is_read_as_its_market_writes(rows_abroad: dict[str, Texts], case: Case) -> None:
    assert case.found_in(rows_abroad[case.sentence]) == case.wanted


def test_every_rule_is_broken_by_some_row(
    rows: dict[str, Texts], rows_abroad: dict[str, Texts], tables: dict[str, Table]
) -> None:
    assert rules_of(tables[TABLE]) <= broken_in(rows) | broken_in(rows_abroad)

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.regions import GERMANY, UNSAID
from tests.rows import Case, Texts, a_conversation_row, broken_in, only, rules_of

if TYPE_CHECKING:
    from lakehouse.graph import Table
    from tests.rows import Judged

TABLE = "silver.conversations"
a_row = a_conversation_row
CASES = [
    Case("a right row is typed", a_row(topic=" PRICE "), {
        "market": "1", "conversation_id": "70001", "branch_id": "3", "customer_id": "42", "topic": "price",
        "channel": "chat", "opened_at": "2022-01-02 21:30:00", "opened_date": "2022-01-03",
        "resolved_at": "2022-01-03 22:15:00", "resolved_date": "2022-01-04",
    }),
    Case("what is open has no end", a_row(resolved_at=None, topic="-", customer_id=""), {
        "topic": "(none)", "customer_id": None, "resolved_at": None, "resolved_date": None,
    }),
    Case("an id is needed", a_row(conversation_id=None), {"_broken": "conversation_id_is_present"}),
    Case("a branch is needed", a_row(branch_id="-"), {"_broken": "branch_id_is_present"}),
    Case("a beginning is needed", a_row(opened_at="null"), {"_broken": "opened_at_is_present,opened_date_is_present"}),
    Case("ids are numbers", a_row(conversation_id="x", branch_id="y", customer_id="Ada"), {
        "_broken": "conversation_id_is_readable,branch_id_is_readable,customer_id_is_readable",
    }),
    Case("ids are above 0", a_row(branch_id="-3"), {"_broken": "ids_are_positive"}),
    Case("times are not guessed", a_row(opened_at="yesterday", resolved_at="2022-01-04"), {
        "_broken": "opened_at_is_readable,opened_date_is_readable,resolved_at_is_readable,resolved_date_is_readable",
    }),
    Case("a market is needed", a_row(market=None), {
        "_broken": "market_is_present,market_is_known,opened_date_is_readable,resolved_date_is_readable",
    }),
    Case("nobody asked before there was a market", a_row(opened_at="2021-02-28T23:59:59+03:00"), {
        "_broken": "opened_at_is_plausible",
    }),
    Case("nothing begins in days to come", a_row(opened_at="2022-01-07T00:00:00+03:00", resolved_at=None), {
        "_broken": "opened_before_its_file",
    }),
    Case("nothing is resolved in days to come", a_row(resolved_at="2022-01-07T00:00:00+03:00"), {
        "_broken": "resolved_before_its_file",
    }),
    Case("no conversation ends before it begins", a_row(resolved_at="2022-01-03T00:29:59+03:00"), {
        "_broken": "resolved_after_it_began",
    }),
    Case("a row of the wrong width is not right", a_row(_problem="row_is_too_long"), {"_broken": "row_is_too_long"}),
]  # fmt: skip

ABROAD = [
    Case("a market writes in its own way", a_row(
        market=GERMANY, opened_at="3.1.2022 00:30 +0100", resolved_at="04.01.2022 01:15:30+01:00",
    ), {
        "opened_at": "2022-01-02 23:30:00", "opened_date": "2022-01-03", "resolved_at": "2022-01-04 00:15:30",
    }),
    Case("a time without a zone is not guessed", a_row(market=GERMANY, opened_at="3.1.2022 00:30"), {
        "_broken": "opened_at_is_readable,opened_date_is_readable",
    }),
    Case("a month may be a day", a_row(market=UNSAID, resolved_at="04/01/2022 10:00Z"), {
        "_broken": "days_are_certain,resolved_at_is_readable,resolved_date_is_readable",
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


@pytest.mark.slow
def test_it_is_as_the_newest_right_delivery_says(judged: Judged) -> None:
    rows = judged(TABLE, [a_row(resolved_at="-"), a_row(_sequence="2"), a_row(_sequence="3", opened_at="-")])
    assert only(rows, "resolved_date", "_status") == [
        (None, "superseded"),
        ("2022-01-04", "kept"),
        ("2022-01-04", "rejected"),
    ]

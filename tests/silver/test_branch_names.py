from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.regions import GERMANY, UNSAID
from tests.rows import Case, Texts, a_branch_row, broken_in, only, rules_of

if TYPE_CHECKING:
    from lakehouse.graph import Table
    from tests.rows import Judged

TABLE = "silver.branch_names"
CASES = [
    Case("a right row is typed", a_branch_row(closed_on="2022-03-31"), {
        "market": "1", "branch_id": "3", "branch_name": "Westlands", "city": "Nairobi", "opened_on": "2021-11-29",
        "closed_on": "2022-03-31", "updated_at": "2021-12-31 21:00:00",
    }),
    Case("blanks around a name are none of it", a_branch_row(branch_name=" Westlands\xa0 Mall "), {
        "branch_name": "Westlands\xa0 Mall",
    }),
    Case("only id and name are needed", a_branch_row(city="-", opened_on="", updated_at=None), {
        "city": None, "opened_on": None, "updated_at": None,
    }),
    Case("a branch has an id", a_branch_row(branch_id="-"), {"_broken": "branch_id_is_present"}),
    Case("an id is a number", a_branch_row(branch_id="HQ"), {"_broken": "branch_id_is_readable"}),
    Case("an id is above 0", a_branch_row(branch_id="0"), {"_broken": "branch_id_is_positive"}),
    Case("a branch has a name", a_branch_row(branch_name=" "), {"_broken": "branch_name_is_present"}),
    Case("a market that nobody knows is none", a_branch_row(market=9), {"_broken": "market_is_known"}),
    Case("a market is a number", a_branch_row(market="KE"), {"_broken": "market_is_known,market_is_readable"}),
    Case("a market is needed", a_branch_row(market=None), {"_broken": "market_is_present,market_is_known"}),
    Case("days are not guessed", a_branch_row(opened_on="29/11/2021", closed_on="soon", updated_at="2022-01-01"), {
        "_broken": "opened_on_is_readable,closed_on_is_readable,updated_at_is_readable",
    }),
    Case("a branch opens before it closes", a_branch_row(closed_on="2021-11-28"), {
        "_warned": "closed_after_it_opened",
    }),
    Case("a row of the wrong width is not right", a_branch_row(_problem="row_is_too_long"), {
        "_broken": "row_is_too_long",
    }),
]  # fmt: skip

ABROAD = [
    Case("a market writes in its own way", a_branch_row(
        market=GERMANY, opened_on="29.11.2021", closed_on="1.4.2022", updated_at="1.1.2022 00:00 +0100",
    ), {"opened_on": "2021-11-29", "closed_on": "2022-04-01", "updated_at": "2021-12-31 23:00:00"}),
    Case("a month may be a day", a_branch_row(market=UNSAID, closed_on="02/03/2022"), {
        "_broken": "days_are_certain,closed_on_is_readable",
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


def test_all_names_of_the_newest_right_list_enter_together(judged: Judged) -> None:
    rows = judged(TABLE, [
        a_branch_row(branch_name="Old"),
        a_branch_row(_sequence="2", branch_name="Mall"),
        a_branch_row(_sequence="2", branch_name="Westlands"),
        a_branch_row(_sequence="2", branch_name="Mall"),
        a_branch_row(_sequence="3", branch_name="New"),
        a_branch_row(_sequence="3", branch_name="Newer", opened_on="soon"),
    ])  # fmt: skip
    assert only(rows, "branch_name", "name_number", "_status") == [
        ("Old", "1", "superseded"),
        ("Mall", "1", "kept"),
        ("Westlands", "2", "kept"),
        ("Mall", "1", "duplicate"),
        ("New", "1", "rejected"),
        ("Newer", "2", "rejected"),
    ]

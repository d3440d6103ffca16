from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rows import a_branch_name, only

if TYPE_CHECKING:
    from tests.rows import Built

TABLE = "silver.branches"


def test_the_row_changed_last_says_what_a_branch_is_called_with_all_its_facts(built: Built) -> None:
    names = [
        a_branch_name(name_number=1, branch_name="Mall", updated_at="2022-01-02 00:00:00", city="Thika"),
        a_branch_name(name_number=2, branch_name="Westlands", updated_at="2022-01-03 00:00:00", city=None),
        *(a_branch_name(name_number=n, branch_name="Shop", updated_at=None, opened_on="2021-01-01") for n in (3, 4, 5)),
    ]
    rows = built(TABLE, {"silver_branch_names": names})
    assert only(rows, "branch_id", "branch_name", "names", "city", "opened_on", "_warned") == [
        ("3", "Westlands", "3", None, None, "branch_has_one_name")
    ]


def test_of_rows_changed_at_one_time_or_at_none_the_later_counts(built: Built) -> None:
    names = [
        *(a_branch_name(name_number=n, branch_name=name) for n, name in enumerate(["B", "C", "A"])),
        *(a_branch_name(branch_id=4, name_number=n, branch_name=f"{n}", updated_at=None) for n in (9, 10)),
    ]
    assert only(built(TABLE, {"silver_branch_names": names}), "branch_id", "branch_name") == [("3", "A"), ("4", "10")]


def test_names_that_differ_in_capitals_and_blanks_alone_are_one(built: Built) -> None:
    names = [a_branch_name(name_number=n, branch_name=name) for n, name in enumerate(["Sabon Gari", "SABON  GARI"])]
    names += [a_branch_name(market=2, branch_name="Ikeja"), a_branch_name(market=2, branch_id=4, branch_name="Ikeja")]
    assert only(built(TABLE, {"silver_branch_names": names}), "market", "branch_id", "names", "_warned") == [
        ("1", "3", "1", ""),
        ("2", "3", "1", ""),
        ("2", "4", "1", ""),
    ]

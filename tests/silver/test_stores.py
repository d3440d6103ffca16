from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.rows import Case, Cells, Texts, a_store_row, a_subscription, an_install, broken_in, only, rules_of

if TYPE_CHECKING:
    from lakehouse.graph import Table
    from tests.rows import Judged

TABLE = "silver.stores"
ONE_DAY = an_install("2022-05-30", "2022-05-30")
PLAN = a_subscription("2022-05-30 09:59:40.000000", "2023-03-17 02:26:39.000000")
BROKEN_INSTALLS: Cells = {"_broken": "install_history_is_json"}
BROKEN_SUBSCRIPTIONS: Cells = {"_broken": "subscription_history_is_json"}


def without(key: str) -> str:
    return json.dumps([{name: value for name, value in ONE_DAY.items() if name != key}])


def with_plan(**values: object) -> Cells:
    return a_store_row(subscriptions=[PLAN | values])


UNREADABLE = {
    "a history that breaks off": json.dumps([ONE_DAY])[:-3],
    "an object instead of an array": json.dumps(ONE_DAY),
    "a word": "none",
    "an array of numbers": "[1, 2]",
    "a comma at the end": json.dumps([ONE_DAY])[:-1] + ",]",
    "a comma that is missing": json.dumps([ONE_DAY, ONE_DAY]).replace("}, {", "} {"),
    "an object within an object": json.dumps([ONE_DAY | {"of": {}}]),
    "a key that stands twice": json.dumps([ONE_DAY])[:-2] + ', "toNow": true}]',
    "a text with a backslash": json.dumps([ONE_DAY | {"endType": '"'}]),
    "a number with zeros before it": json.dumps([ONE_DAY | {"days": 7}]).replace("7", "07"),
    "words of Python": str([ONE_DAY]),
    "an end that nobody names": without("toDate"),
    "an install that does not say whether it goes on": without("toNow"),
    "a day that there is not": json.dumps([ONE_DAY | {"fromDate": "2022-02-30 00:00:00.000000"}]),
    "a day without a time": json.dumps([ONE_DAY | {"fromDate": "2022-05-30"}]),
    "a time with a zone": json.dumps([ONE_DAY | {"fromDate": "2022-05-30 00:00:00+03:00"}]),
    "a begin that is null": json.dumps([ONE_DAY | {"fromDate": None}]),
}
CASES = [
    Case("a right store keeps its histories as they are written", a_store_row([ONE_DAY], [PLAN, PLAN]), {
        "store_id": "Store_1", "install_history": json.dumps([ONE_DAY]), "delivered_installs": "1",
        "subscription_history": json.dumps([PLAN, PLAN]), "delivered_subscriptions": "2",
    }),
    Case("a store may subscribe to nothing", a_store_row(), {
        "subscription_history": "[]", "delivered_subscriptions": "0",
    }),
    Case("blanks between say nothing", a_store_row(installhistory=json.dumps([ONE_DAY], indent=2)), {
        "delivered_installs": "1",
    }),
    Case("a key that nobody knows is no harm", with_plan(coupon="SUMMER, 20%"), {"delivered_subscriptions": "1"}),
    *(
        Case(f"{what} is not read as nothing", a_store_row(installhistory=text), BROKEN_INSTALLS)  # type: ignore[arg-type]
        for what, text in UNREADABLE.items()
    ),
    *(
        Case(f"{what} is not read either", with_plan(**values), BROKEN_SUBSCRIPTIONS)  # type: ignore[arg-type]
        for what, values in {
            "a price that is a word": {"price": "much"},
            "a price of three decimals": {"price": 19.001},
            "no price": {"price": None},
            "no plan": {"planName": None},
            "an end of elsewhere": {"toDate": "17.03.2023"},
        }.items()
    ),
    Case("a price of 0 is one", with_plan(price=0), {"delivered_subscriptions": "1"}),
    Case("a price below 0 is none", with_plan(price=-19.0), {"_broken": "prices_are_plausible"}),
    Case("a price above what conf/stores.yml allows", with_plan(price=1000000.01), {"_broken": "prices_are_plausible"}),
    Case("a year is not 9999 where an end is open", a_store_row([an_install("2022-05-30", "9999-12-31")]), {
        "_broken": "times_are_plausible",
    }),
    Case("nor 1970 where a begin is", with_plan(fromDate="1970-01-01 00:00:00"), {"_broken": "times_are_plausible"}),
    Case("the last day is one", with_plan(toDate="2099-12-31 23:59:59.999"), {"delivered_subscriptions": "1"}),
    Case("an install does not end before it begins", a_store_row([an_install("2022-05-30", "2022-05-29")]), {
        "_broken": "nothing_ends_before_it_begins",
    }),
    Case("nor does a subscription", with_plan(toDate="2022-05-30 09:59:39.999000"), {
        "_broken": "nothing_ends_before_it_begins",
    }),
    Case("but it may end as it begins", with_plan(toDate="2022-05-30 09:59:40"), {"delivered_subscriptions": "1"}),
    Case("what goes on has not ended", a_store_row([ONE_DAY | {"toNow": True}]), {
        "_broken": "what_goes_on_has_no_end",
    }),
    Case("and what does not has", a_store_row([an_install("2022-05-30", toNow=False)]), {
        "_broken": "what_goes_on_has_no_end",
    }),
    Case("a part of a day is told of", a_store_row([ONE_DAY | {"toDate": "2022-05-30 12:00:00.000000"}]), {
        "_warned": "installs_are_of_whole_days",
    }),
    Case("a store without an install is told of", a_store_row(installhistory="[]"), {
        "delivered_installs": "0", "_warned": "store_was_installed",
    }),
    Case("a date of billing is told of", with_plan(billingOnDate="2022-06-30 00:00:00.000000"), {
        "_warned": "nothing_is_billed",
    }),
    *(
        Case(f"{name} is needed", a_store_row() | {column: blank}, {"_broken": f"{name}_is_present"})
        for name, column, blank in [
            ("store_id", "store_id", "-"),
            ("install_history", "installhistory", ""),
            ("subscription_history", "subscriptionhistory", None),
        ]
    ),
    Case("a row of the wrong width is not right", a_store_row(_problem="row_is_too_long"), {
        "_broken": "row_is_too_long",
    }),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.sentence)
def test_a_row_becomes_what_it_says_or_breaks_its_rule(rows: dict[str, Texts], case: Case) -> None:
    assert case.found_in(rows[case.sentence]) == case.wanted


def test_every_rule_is_broken_by_some_row(rows: dict[str, Texts], tables: dict[str, Table]) -> None:
    never = {f"{name}_is_readable" for name in ("store_id", "install_history", "subscription_history")}  # texts are
    assert rules_of(tables[TABLE]) - never <= broken_in(rows)


@pytest.mark.slow
def test_a_store_is_taken_whole_as_its_newest_right_delivery_says(judged: Judged) -> None:
    rows = judged(TABLE, [
        a_store_row([ONE_DAY], [PLAN]),
        a_store_row([ONE_DAY], _sequence="2"),
        a_store_row(installhistory="[", _sequence="3"),
        a_store_row(store_id="Store_2"),
    ])  # fmt: skip
    assert only(rows, "store_id", "delivered_subscriptions", "_status") == [
        ("Store_1", "1", "superseded"),
        ("Store_1", "0", "kept"),
        ("Store_1", "0", "rejected"),
        ("Store_2", "0", "kept"),
    ]

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lakehouse.transforms import BLANK
from tests.regions import FRANCE, GERMANY, UNSAID
from tests.rows import Case, Cells, Texts, a_delivery_row, broken_in, only, rules_of

if TYPE_CHECKING:
    from lakehouse.graph import Table
    from tests.rows import Judged, Parsed

TABLE = "silver.delivery_items"
MENDED = {"task_status": "Completed", "distance_m": "19871", "quantity": "10", "amount": "1350.00"}
NOTE = "BY 6,30 PLEASE"
UNREADABLE = {
    "task_id": ("task_id", ["9x", "3.68E+29"]),
    "order_id": ("order_id", ["7", "YR-7,1", "YR-,0", "YR-7, 0"]),
    "agent_id": ("agent_id", ["Agent 05"]),
    "quantity": ("task_details_qty", ["two", "1.5"]),
    "amount": ("task_details_amount", ["KSh 12.3456", "KSh 1,200.00", "KSh -", "KSh"]),
    "distance_m": ("distance_m", ["1.5", "2 km"]),
    "minutes": ("total_time_taken_min", ["1:30", "1.505"]),
    "tip": ("tip", ["KSh ten", "KSh 0.123456789012345678901"]),
    "delivery_charges": ("delivery_charges", ["KSh 0.005"]),
    "discount": ("discount", ["KSh 5 %"]),
    "subtotal": ("subtotal", ["KSh 20", "20.005"]),
    "rating": ("rating", ["good"]),
    "latitude": ("latitude", ["south"]),
    "longitude": ("longitude", ["36.75 E"]),
}


def a_long_row(text: str) -> Cells:
    """A row of market 1 that does not have its header's 32 cells: only its text is right."""
    return {"market": 1, "_problem": "row_is_too_long", "_raw": text, "task_id": "900"}


RIGHT = [
    Case(
        "a right row is typed, and unknown numbers are null",
        a_delivery_row(agent_id="12", notes="Call", review="Fast", rating="5"),
        {"market": "1", "task_id": "900", "order_id": "7", "agent_id": "12", "agent_name": None, "notes": "Call"}
        | {"task_type": "Delivery", "task_status": "Completed", "quantity": "2", "amount": "20.00"}
        | {"distance_m": None, "minutes": None, "special_instructions": None, "subtotal": None, "tip": None}
        | {"review": "Fast", "rating": "5", "latitude": "-1.25", "longitude": "36.75"},
    ),
    Case(
        "the last item of a task has the task's amounts",
        a_delivery_row(tip="KSh 0.00", delivery_charges="KSh 50.00", discount="KSh 5.50", subtotal="14.5"),
        {"delivery_charges": "50.00", "discount": "5.50", "subtotal": "14.50"},
    ),
    Case("a subtotal may be negative", a_delivery_row(subtotal="-31"), {"subtotal": "-31.00"}),
    Case("a sign may have a blank", a_delivery_row(task_details_amount="KSh  120.00"), {"amount": "120.00"}),
    Case("a sign may have none", a_delivery_row(market=2, task_details_amount="₦11500.00"), {"amount": "11500.00"}),
    Case("a naira may have a blank", a_delivery_row(market=2, task_details_amount="₦ 104250.00"), {
        "amount": "104250.00",
    }),
    Case("a tip of 19 decimals is kept to the last", a_delivery_row(tip="KSh 0.1234567890123456789"), {
        "tip": "0.12345678901234567890",
    }),
    Case("minutes have decimals in market 2", a_delivery_row(total_time_taken_min="98.7"), {"minutes": "98.70"}),
    Case("0 is an unknown distance, time and rating", a_delivery_row(), {
        "distance_m": None, "minutes": None, "rating": None,
    }),
    Case("- is unknown too", a_delivery_row(distance_m="-", total_time_taken_min="-", rating="-"), {
        "distance_m": None, "minutes": None, "rating": None,
    }),
    Case("a known distance", a_delivery_row(distance_m="19871", total_time_taken_min="30"), {
        "distance_m": "19871", "minutes": "30.00",
    }),
    Case("a task may have no order", a_delivery_row(order_id="-"), {"order_id": None}),
    Case("zeros of an order id are digits", a_delivery_row(order_id="YR-1000,0"), {"order_id": "1000"}),
    Case("an unquoted comma in the notes is mended", a_long_row(
        f'900,"YR-7,0",3.68E+29,Default Team,Delivery,{NOTE},12,Agent 05,19871,-,Completed,-,0,-,-1.25,36.75,,-,'
        "Order_Details,10,KSh 1350.00,-,-,-,-,-,-,-,0,-,,"
    ), {
        **MENDED, "order_id": "7", "notes": NOTE, "agent_name": "Agent 05", "special_instructions": None,
        "subtotal": None, "_repaired": "comma_shifted",
    }),
    Case("a comma in the notes and in the instructions is mended", a_long_row(
        f'900,"YR-7,0",3.68E+29,Default Team,Delivery,{NOTE},12,Agent 05,19871,-,Completed,-,0,-,-1.25,36.75,,-,'
        f"Order_Details,10,KSh 1350.00,{NOTE},KSh 0.00,KSh 0.00,KSh 10.00,1340,Bank,-,0,-,,"
    ), {
        **MENDED, "notes": NOTE, "special_instructions": NOTE, "discount": "10.00", "subtotal": "1340.00",
        "payment_type": "Bank", "_repaired": "comma_shifted",
    }),
    Case("a comma in the instructions alone is mended", a_long_row(
        '900,"YR-7,0",3.68E+29,Default Team,Delivery,,12,Agent 05,19871,-,Completed,-,0,-,-1.25,36.75,,-,'
        f"Order_Details,10,KSh 1350.00,{NOTE},KSh 0.00,KSh 0.00,KSh 10.00,1340,Bank,-,0,-,,"
    ), {**MENDED, "notes": None, "special_instructions": NOTE, "subtotal": "1340.00", "_repaired": "comma_shifted"}),
    *(
        Case(f"a row is mended and its amount read whatever blank stands in it: {blank!a}", a_long_row(
            f'900,"YR-7,0",3.68E+29,Default Team,Delivery,{NOTE},12,Agent 05,19871,-,Completed,-,0,-,-1.25,36.75,,-,'
            f"Order_Details,10,{blank}KSh{blank}1350.00{blank},-,-,-,-,-,-,-,0,-,,"
        ), {**MENDED, "notes": NOTE, "amount": "1350.00", "_repaired": "comma_shifted"})
        for blank in BLANK
    ),
    Case("a right row is not mended", a_delivery_row(), {"_repaired": None}),
]  # fmt: skip
NOT_MENDED = {"_broken": "row_is_too_long"}
WRONG = [
    Case("a comma in the payment would move money, so it is not mended", a_long_row(
        '900,"YR-7,0",3.68E+29,Default Team,Delivery,,12,Agent,19871,-,Completed,-,0,-,-1.25,36.75,,-,Order_Details,'
        "10,KSh 1350.00,Call,KSh 0.00,KSh 0.00,KSh 10.00,1340,4,000 cash,-,0,-,,"
    ), {**NOT_MENDED, "_repaired": None}),
    Case("instructions that begin with digits and a comma may be cents, so they are not mended", a_long_row(
        '900,"YR-7,0",3.68E+29,Default Team,Delivery,,12,Agent,19871,-,Completed,-,0,-,-1.25,36.75,,-,Order_Details,'
        "10,KSh 1350,50,Call,KSh 0.00,KSh 0.00,KSh 10.00,1340,Bank,-,0,-,,"
    ), {**NOT_MENDED, "_repaired": None}),
    Case("a quoted text in a shifted row is not guessed at", a_long_row(
        f'900,"YR-7,0",3.68E+29,Default Team,Delivery,{NOTE},12,Agent,19871,-,Completed,-,5,"Good",-1.25,36.75,,-,'
        "Order_Details,10,KSh 1350.00,-,-,-,-,-,-,-,-,-,,"
    ), {**NOT_MENDED, "_repaired": None}),
    Case("two commas in the notes are not explained", a_long_row(
        '900,"YR-7,0",3.68E+29,Default Team,Delivery,A,B,C,12,Agent 05,19871,-,Completed,-,0,-,-1.25,36.75,,-,'
        "Order_Details,10,KSh 1350.00,-,-,-,-,-,-,-,0,-,,"
    ), {**NOT_MENDED, "_repaired": None}),
    Case("a comma in the notes and two in the instructions are not explained", a_long_row(
        '900,"YR-7,0",3.68E+29,Default Team,Delivery,A,B,12,Agent 05,19871,-,Completed,-,0,-,-1.25,36.75,,-,'
        "Order_Details,10,KSh 1350.00,C,D,E,KSh 0.00,KSh 0.00,KSh 10.00,1340,Bank,-,0,-,,"
    ), {**NOT_MENDED, "_repaired": None}),
    Case("two commas in the instructions are not explained", a_long_row(
        '900,"YR-7,0",3.68E+29,Default Team,Delivery,,12,Agent 05,19871,-,Completed,-,0,-,-1.25,36.75,,-,'
        "Order_Details,10,KSh 1350.00,C,D,E,KSh 0.00,KSh 0.00,KSh 10.00,1340,Bank,-,0,-,,"
    ), {**NOT_MENDED, "_repaired": None}),
    Case("without its template a row is not mended", a_long_row(
        f'900,"YR-7,0",3.68E+29,Default Team,Delivery,{NOTE},12,Agent 05,19871,-,Completed,-,0,-,-1.25,36.75,,-,'
        "-,10,KSh 1350.00,-,-,-,-,-,-,-,0,-,,"
    ), {**NOT_MENDED, "_repaired": None}),
    Case("a row too short is not mended", a_long_row('900,"YR-7,0",3.68E+29,Default Team'), {
        **NOT_MENDED, "_repaired": None,
    }),
    *(
        Case(f"{column} {text} is not readable", a_delivery_row(**{delivered: text}), {
            column: None, "_broken": f"{column}_is_readable",
        })
        for column, (delivered, texts) in UNREADABLE.items()
        for text in texts
    ),
    *(
        Case(f"without {delivered} {column} is missed", a_delivery_row(**{delivered: "-"}), {
            "_broken": f"{column}_is_present",
        })
        for column, delivered in {
            "task_id": "task_id", "task_type": "task_type", "task_status": "task_status",
            "amount": "task_details_amount",
        }.items()
    ),
    Case("a market without facts is not right", a_delivery_row(market=3), {"_broken": "market_is_known"}),
    Case("a task has a market", a_delivery_row(market=None), {"_broken": "market_is_present,market_is_known"}),
    Case("naira in Kenya are not right", a_delivery_row(task_details_amount="₦ 20.00"), {
        "_broken": "currency_is_the_markets",
    }),
    Case("an amount without a sign is not right", a_delivery_row(task_details_amount="20.00"), {
        "_broken": "currency_is_the_markets",
    }),
    Case("a discount in another currency is not right", a_delivery_row(discount="₦ 5.00"), {
        "_broken": "currency_is_the_markets",
    }),
    Case("an amount is not below 0", a_delivery_row(task_details_amount="KSh -20.00"), {
        "_broken": "amounts_are_not_negative",
    }),
    Case("a card number is no amount", a_delivery_row(task_details_amount="KSh 4111111111111111"), {
        "_broken": "amounts_are_plausible",
    }),
    Case("a barcode is no quantity", a_delivery_row(task_details_qty="100001"), {"_broken": "quantity_is_plausible"}),
    Case("a code is no time", a_delivery_row(total_time_taken_min="1000001"), {"_broken": "minutes_are_plausible"}),
    Case("a code is no distance", a_delivery_row(distance_m="4111111111111111"), {"_broken": "distance_is_plausible"}),
    Case("an item has a unit", a_delivery_row(task_details_qty="0"), {"_broken": "quantity_is_positive"}),
    Case("nine stars are told", a_delivery_row(rating="9"), {"_warned": "rating_is_plausible"}),
    Case("a place that is none is told", a_delivery_row(latitude="NaN"), {"_warned": "coordinates_are_plausible"}),
    Case("a status is known", a_delivery_row(task_status="completed"), {"_broken": "task_status_is_known"}),
    Case("a type is known", a_delivery_row(task_type="Pickup"), {"_broken": "task_type_is_known"}),
    Case("metres are not below 0", a_delivery_row(distance_m="-5"), {"_broken": "distance_is_not_negative"}),
    Case("minutes are not below 0", a_delivery_row(total_time_taken_min="-0.5"), {
        "_broken": "minutes_are_not_negative",
    }),
]  # fmt: skip
CASES = RIGHT + WRONG

ABROAD = [
    Case("a market writes in its own way, its sign behind", a_delivery_row(
        market=GERMANY, task_details_qty="1.000", task_details_amount="1.234,50 €", tip="€ 0,5", subtotal="1.234,5",
        distance_m="12.345", total_time_taken_min="12,5", latitude="52,52", longitude="13.405",
    ), {"quantity": "1000", "amount": "1234.50", "tip": "0.50000000000000000000", "subtotal": "1234.50"}
        | {"distance_m": "12345", "minutes": "12.50", "latitude": "52.52", "longitude": "13.405"}),
    Case("a space stands between sign, groups and comma", a_delivery_row(
        market=FRANCE, task_details_amount="€ 1 234,50", total_time_taken_min="0,00",
    ), {"amount": "1234.50", "minutes": None}),
    Case("a sign at both ends is one too many", a_delivery_row(market=GERMANY, task_details_amount="€ 5 €"), {
        "_broken": "amount_is_readable",
    }),
    Case("dollars are no euros", a_delivery_row(market=GERMANY, task_details_amount="5,00 $"), {
        "amount": "5.00", "_broken": "currency_is_the_markets",
    }),
    Case("a thousand may be one", a_delivery_row(market=UNSAID, task_details_amount="$ 1,000"), {
        "_broken": "numbers_are_certain,amount_is_readable",
    }),
]  # fmt: skip


@pytest.fixture(scope="module")
def items_abroad(parsed_abroad: Parsed) -> dict[str, Texts]:
    return parsed_abroad(TABLE, [*CASES, *ABROAD])


@pytest.mark.parametrize("case", ABROAD, ids=lambda case: case.sentence)
def test_a_row_of_elsewhere_is_read_as_its_market_writes(items_abroad: dict[str, Texts], case: Case) -> None:
    assert case.found_in(items_abroad[case.sentence]) == case.wanted


@pytest.mark.slow
def test_how_others_write_changes_nothing_here(rows: dict[str, Texts], items_abroad: dict[str, Texts]) -> None:
    assert {case.sentence: items_abroad[case.sentence] for case in CASES} == rows


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.sentence)
def test_a_row_becomes_what_it_says_or_breaks_its_rule(rows: dict[str, Texts], case: Case) -> None:
    assert case.found_in(rows[case.sentence]) == case.wanted


def test_every_rule_is_broken_by_some_row(
    rows: dict[str, Texts], items_abroad: dict[str, Texts], tables: dict[str, Table]
) -> None:
    assert rules_of(tables[TABLE]) <= broken_in(rows) | broken_in(items_abroad)


@pytest.mark.slow
def test_a_file_that_ends_within_a_task_is_told_by_its_missing_totals(judged: Judged) -> None:
    whole = a_delivery_row(task_id="901", subtotal="20")
    rows = judged(TABLE, [a_delivery_row(), whole, a_delivery_row(task_id="902", _is_last=True)])
    assert only(rows, "task_id", "_status", "_broken") == [
        ("900", "kept", ""),  # two real tasks have no totals anywhere
        ("901", "kept", ""),
        ("902", "rejected", "last_task_has_its_totals"),
    ]


@pytest.mark.slow
def test_exactly_repeated_items_are_two_items_in_the_order_of_the_file(judged: Judged) -> None:
    last = a_delivery_row(subtotal="40", discount="KSh 20.00")
    rows = judged(TABLE, [a_delivery_row(), a_delivery_row(task_id="901"), a_delivery_row(), last])
    assert only(rows, "task_id", "item_number", "subtotal", "_status") == [
        ("900", "1", None, "kept"),
        ("901", "1", None, "kept"),
        ("900", "2", None, "kept"),
        ("900", "3", "40.00", "kept"),
    ]

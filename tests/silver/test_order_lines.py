from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lakehouse.transforms import BLANK
from tests.regions import AMERICA, FRANCE, GERMANY, MARKETS, SWITZERLAND, UNSAID
from tests.rows import Case, Texts, an_order_row, broken_in, only, rules_of
from tests.rows import parsed as parsed_by

if TYPE_CHECKING:
    from lakehouse.engines.spark.engine import Spark
    from lakehouse.graph import Table
    from tests.rows import Cells, Judged, Parsed

TABLE = "silver.order_lines"
UNREADABLE = {
    "order_id": ["7.0", "A7", "99999999999999999999"],
    "customer_id": ["4x", "1e3"],
    "quantity": ["two", "1.5", "3000000000"],
    "unit_price": ["12.3456", "1e3", "1,200", "KSh 10"],
    "unit_cost": ["8.505", "free"],
    "line_total": ["twenty", "NaN"],
    "line_cost": ["17.00.0"],
    "order_total": ["20.005", "99999999999999999.00"],
    "sub_total": ["20 KSh"],
    "redeemed_points": ["ten", "1.0"],
    "earned_points": ["ten"],
    "rating": ["good", "4.5"],
    "pickup_at": ["2022-01-03 00:31:00"],
    "promised_at": ["2022-02-30T08:00:00.000Z"],
}
WHOLE = an_order_row(
    sku="A B", ratings="4", description="Ring twice", redeemed_loyalty_points="-", order_time="2022-01-03T00:31:00.000Z"
)
RIGHT = [
    Case(
        "a right row is typed, and nothing about it is wrong",
        an_order_row(ratings="4", description="Ring twice", reviews="Good"),
        {"market": "1", "order_id": "7", "customer_id": "42", "sku": "A", "category_name": "Flour"}
        | {"order_status": "COMPLETED", "payment_method": "CASH", "currency": "KES"}
        | {"quantity": "2", "unit_price": "10.00", "unit_cost": "8.50", "line_total": "20.00", "line_cost": "17.00"}
        | {"order_total": "20.00", "sub_total": "20.00", "rating": "4", "order_date": "2022-01-03"}
        | {"customer_note": "Ring twice", "review": "Good"},
    ),
    Case(
        "times are Nairobi's wall clock although stamped Z, and the day is the local one",
        an_order_row(order_time="2022-01-03T00:30:00.000Z", delivery_time="2022-01-03T08:00:00.000Z"),
        {"ordered_at": "2022-01-02 21:30:00", "order_date": "2022-01-03", "promised_at": "2022-01-03 05:00:00"},
    ),
    Case(
        "market 2 has its own wall clock and currency",
        an_order_row(market=2, currency_symbol="₦", pickup_time="2022-01-03T00:29:30.000Z"),
        {"ordered_at": "2022-01-02 23:30:00", "pickup_at": "2022-01-02 23:29:30", "currency": "NGN"},
    ),
    Case(
        "consumed points are points earned",
        an_order_row(redeemed_loyalty_points="10", consumed_loyalty_points="3"),
        {"redeemed_points": "10", "earned_points": "3"},
    ),
    Case(
        "every spelling of nothing is null",
        an_order_row(cost_price="-", total_cost_price="", description="null", redeemed_loyalty_points="null"),
        {"unit_cost": None, "line_cost": None, "customer_note": None, "redeemed_points": None},
    ),
    Case("a rating of 0 is none", an_order_row(ratings="0"), {"rating": None}),
    Case("an order of 0 is not unknown", an_order_row(order_total="0", redeemed_loyalty_points="0"), {
        "order_total": "0.00", "redeemed_points": "0",
    }),
    Case("an SKU may be empty", an_order_row(sku="", category_name="-"), {"sku": None, "category_name": None}),
    *(
        Case(
            f"blanks at the ends are not part of a text: {blank!a}",
            {name: f"{blank}{text}{blank}" if isinstance(text, str) else text for name, text in WHOLE.items()},
            {"order_id": "7", "customer_id": "42", "sku": "A B", "category_name": "Flour", "order_status": "COMPLETED"}
            | {"payment_method": "CASH", "currency": "KES", "quantity": "2", "unit_price": "10.00", "rating": "4"}
            | {"customer_note": "Ring twice", "redeemed_points": None, "ordered_at": "2022-01-02 21:31:00"},
        )
        for blank in BLANK
    ),
    Case("zeros after the cent lose nothing", an_order_row(unit_price="10.0000"), {"unit_price": "10.00"}),
    Case("an order id keeps its zeros", an_order_row(order_id="1000"), {"order_id": "1000"}),
    Case(
        "pickup may seem 3 minutes early, since clocks differ",
        an_order_row(pickup_time="2022-01-03T00:27:00.000Z"),
        {"pickup_at": "2022-01-02 21:27:00"},
    ),
]  # fmt: skip
WRONG = [
    *(
        Case(f"{column} {text} is not readable", an_order_row(**{delivered: text}), {
            column: None, "_broken": f"{column}_is_readable",
        })
        for column, texts in UNREADABLE.items()
        for text in texts
        for delivered in [
            {
                "unit_cost": "cost_price", "line_total": "total_price", "line_cost": "total_cost_price",
                "redeemed_points": "redeemed_loyalty_points", "earned_points": "consumed_loyalty_points",
                "rating": "ratings", "pickup_at": "pickup_time", "promised_at": "delivery_time",
            }.get(column, column)
        ]
    ),
    Case(
        "31/31/2026 is no time",
        an_order_row(order_time="31/31/2026"),
        {"ordered_at": None, "order_date": None, "_broken": "ordered_at_is_readable,order_date_is_readable"},
    ),
    *(
        Case(f"without {delivered} {column} is missed", an_order_row(**{delivered: "-"}), {
            "_broken": f"{column}_is_present",
        })
        for column, delivered in {
            "order_id": "order_id", "customer_id": "customer_id", "order_status": "order_status",
            "quantity": "quantity", "unit_price": "unit_price", "line_total": "total_price",
            "order_total": "order_total", "sub_total": "sub_total",
        }.items()
    ),
    Case(
        "without a time there is no day either",
        an_order_row(order_time=""),
        {"_broken": "ordered_at_is_present,order_date_is_present"},
    ),
    Case("an order is not older than the shop", an_order_row(
        order_time="1999-12-31T18:00:00.000Z", pickup_time="-"
    ), {"_broken": "ordered_at_is_plausible"}),
    Case("the shop's first day begins at its own midnight", an_order_row(
        order_time="2021-03-01T00:00:00.000Z", pickup_time="-"
    ), {"ordered_at": "2021-02-28 21:00:00"}),
    Case("a second before is too early", an_order_row(
        order_time="2021-02-28T23:59:59.000Z", pickup_time="-"
    ), {"_broken": "ordered_at_is_plausible"}),
    Case("another market began on another day", an_order_row(
        market=2, currency_symbol="₦", order_time="2021-06-30T23:59:59.000Z", pickup_time="-"
    ), {"_broken": "ordered_at_is_plausible"}),
    Case("an order is not placed days after its delivery", an_order_row(
        order_time="2022-01-06T03:00:01.000Z", pickup_time="-"
    ), {"_broken": "order_is_older_than_its_file"}),
    Case("a clock in Nairobi skipped this time", an_order_row(
        order_time="1928-07-01T00:15:00.000Z", pickup_time="-"
    ), {"_broken": "ordered_at_is_readable"}),
    Case("a stamp of another zone would have to be guessed", an_order_row(
        order_time="2022-01-03T00:30:00.000+03:00"
    ), {"_broken": "ordered_at_is_readable,order_date_is_readable"}),
    Case(
        "a row of the wrong width is not right",
        an_order_row(_problem="row_is_too_long"),
        {"_broken": "row_is_too_long"},
    ),
    Case(
        "a market without facts is not right",
        an_order_row(market=3),
        {
            "_broken": "market_is_known,currency_is_present,ordered_at_is_readable,pickup_at_is_readable,"
            "promised_at_is_readable"
        },
    ),
    Case(
        "a row without market is not right",
        an_order_row(market=None, order_time="2022-01-03T00:30:00.000Z"),
        {
            "_broken": "market_is_present,market_is_known,currency_is_present,ordered_at_is_readable,"
            "pickup_at_is_readable,promised_at_is_readable"
        },
    ),
    Case(
        "naira in Kenya are not right", an_order_row(currency_symbol="₦"), {"_broken": "currency_is_the_markets"}
    ),
    Case("a status is known", an_order_row(order_status="completed"), {"_broken": "order_status_is_known"}),
    Case("an order without a currency sign is not right", an_order_row(currency_symbol="-"), {
        "_broken": "currency_is_the_markets",
    }),
    Case("an id has no sign", an_order_row(order_id="-7"), {"_broken": "order_id_is_positive"}),
    Case("a cost below 0 is broken", an_order_row(cost_price="-8.5", total_cost_price="-17"), {
        "_broken": "amounts_are_not_negative",
    }),
    Case("points below 0 are broken", an_order_row(redeemed_loyalty_points="-5"), {
        "_broken": "points_are_not_negative",
    }),
    Case("an unknown way to pay is told", an_order_row(payment_method="pay later"), {
        "_warned": "payment_method_is_known",
    }),
    Case("a flat discount is told", an_order_row(flat_discount="5.00"), {"_warned": "flat_discount_is_zero"}),
    Case("a discount in words is told", an_order_row(flat_discount="ten"), {"_warned": "flat_discount_is_zero"}),
    Case("no flat discount is none", an_order_row(flat_discount="0.00"), {"_warned": ""}),
    Case("nine stars are told", an_order_row(ratings="9"), {"rating": "9", "_warned": "rating_is_plausible"}),
    Case("blanks alone are nothing", an_order_row(sku="  ", cost_price=" - "), {"sku": None, "unit_cost": None}),
    Case(
        "none is not a quantity",
        an_order_row(quantity="0", total_price="0", total_cost_price="0"),
        {"_broken": "quantity_is_positive"},
    ),
    Case("a card number is no amount", an_order_row(order_total="4111111111111111"), {
        "_broken": "amounts_are_plausible",
    }),
    Case("a market has its own largest amount", an_order_row(market=2, currency_symbol="₦", order_total="900000000"), {
        "_broken": "",
    }),
    Case("a bit more than the market's largest amount is broken", an_order_row(order_total="100000000.01"), {
        "_broken": "amounts_are_plausible",
    }),
    Case("a barcode is no quantity", an_order_row(quantity="100001", total_price="1", total_cost_price="1"), {
        "_broken": "quantity_is_plausible",
        "_warned": "line_total_is_quantity_times_price,line_cost_is_quantity_times_cost",
    }),
    Case("an id is no number of points", an_order_row(redeemed_loyalty_points="4111111111111111"), {
        "_broken": "points_are_plausible",
    }),
    Case("an amount below 0 is broken", an_order_row(sub_total="-20"), {"_broken": "amounts_are_not_negative"}),
    Case("a total below 0 is broken", an_order_row(order_total="-0.01"), {"_broken": "amounts_are_not_negative"}),
    Case(
        "a line's total should be quantity times price",
        an_order_row(total_price="20.01"),
        {"line_total": "20.01", "_warned": "line_total_is_quantity_times_price"},
    ),
    Case(
        "a line's cost should be quantity times cost",
        an_order_row(total_cost_price="16.99"),
        {"line_cost": "16.99", "_warned": "line_cost_is_quantity_times_cost"},
    ),
    Case(
        "pickup more than 3 minutes early is strange",
        an_order_row(pickup_time="2022-01-03T00:26:59.999Z"),
        {"_warned": "picked_up_after_order"},
    ),
]  # fmt: skip
COMMISSIONS = [
    Case("a commission is an amount", an_order_row(commission_amount="15 %"), {"_broken": "commission_is_readable"}),
    Case("a merchant's name is as delivered", an_order_row(commission_amount="3.1"), {
        "merchant_id": "893555", "commission": "3.10",
    }),
]  # fmt: skip
CASES = RIGHT + WRONG + COMMISSIONS


def an_order_of(market: int, order_time: str, **cells: object) -> Cells:
    signs = {GERMANY: "€", FRANCE: "€", SWITZERLAND: "CHF"}
    of_market = {"market": market, "currency_symbol": signs.get(market, "$"), "order_time": order_time}
    nothing = dict.fromkeys(("cost_price", "total_cost_price", "pickup_time", "delivery_time"), "-")
    return an_order_row(**of_market | nothing | cells)


NIGHT = "2022-01-03T00:30:00.000Z"
TWO_DAYS = "days_are_certain,ordered_at_is_readable,order_date_is_readable"
ABROAD = [
    Case(
        "a market writes in its own way",
        an_order_of(
            GERMANY, "3.1.2022 10:30:05,5", quantity="1.000", unit_price="1.234,50", total_price="1.234.500",
            cost_price="0,5", total_cost_price="500,00", order_total="+1.234.500,0", redeemed_loyalty_points="1.000",
            flat_discount="0,00",
        ),
        {"quantity": "1000", "unit_price": "1234.50", "line_total": "1234500.00", "unit_cost": "0.50"}
        | {"order_total": "1234500.00", "redeemed_points": "1000", "currency": "C49"}
        | {"ordered_at": "2022-01-03 09:30:05.5", "order_date": "2022-01-03"},
    ),
    Case("a space stands between groups", an_order_of(FRANCE, NIGHT, order_total="1\u202f234\u00a0567,5"), {
        "order_total": "1234567.50",
    }),
    Case("an apostrophe stands between groups", an_order_of(SWITZERLAND, NIGHT, order_total="1'234\u2019567.5"), {
        "order_total": "1234567.50",
    }),
    Case("the month stands first", an_order_of(AMERICA, "12/31/2021 23:30", order_total="1,234.5"), {
        "order_total": "1234.50", "ordered_at": "2022-01-01 04:30:00", "order_date": "2021-12-31",
    }),
    Case("a year that stands first is a year everywhere", an_order_of(AMERICA, "2022-01-03T00:30:00.000Z"), {
        "ordered_at": "2022-01-03 05:30:00",
    }),
    Case("summer time is an hour less to UTC", an_order_of(GERMANY, "03.07.2021 00:30"), {
        "ordered_at": "2021-07-02 22:30:00", "order_date": "2021-07-03",
    }),
    *(
        Case(f"{text} is no number in market {market}", an_order_of(market, NIGHT, order_total=text), {
            "order_total": None, "_broken": "order_total_is_readable",
        })
        for market, text in [
            (GERMANY, "12.5"), (GERMANY, "1.23"), (GERMANY, "1,234"), (GERMANY, "1.234.5"), (GERMANY, "1.2345,6"),
            (GERMANY, "0.123"), (GERMANY, "1 234,5"), (FRANCE, "1.234,5"), (FRANCE, "12 34,5"), (SWITZERLAND, "1,5"),
            (SWITZERLAND, "1'23"), (AMERICA, "1.234,5"), (AMERICA, "1,23"),
        ]
    ),
    *(
        Case(f"{text} is no time in Germany", an_order_of(GERMANY, text), {
            "_broken": "ordered_at_is_readable,order_date_is_readable",
        })
        for text in ("31.02.2021 10:00", "01.13.2021 10:00", "03.01.22 10:00", "03.01.2022", "03.01.2022 10:30 +0100")
    ),
    Case("a clock in Germany skipped this time", an_order_of(GERMANY, "28.03.2021 02:30"), {
        "ordered_at": None, "order_date": "2021-03-28", "_broken": "ordered_at_is_readable",
    }),
    Case("a clock in Germany showed this time twice", an_order_of(GERMANY, "31.10.2021 02:30"), {
        "ordered_at": "2021-10-31 00:30:00", "_broken": "hours_are_certain",
    }),
    *(
        Case(f"a clock in Germany showed {clock} once", an_order_of(GERMANY, f"31.10.2021 {clock}"), {"ordered_at": at})
        for clock, at in {"01:59:59": "2021-10-30 23:59:59", "03:00:00": "2021-10-31 02:00:00"}.items()
    ),
    Case("nor is it certain when an order was promised", an_order_of(GERMANY, "30.10.2021 10:00") | {
        "delivery_time": "31.10.2021 02:00",
    }, {"_broken": "hours_are_certain"}),
    *(
        Case(f"{text} has two readings", an_order_of(UNSAID, NIGHT, order_total=text), {
            "order_total": None, "_broken": "numbers_are_certain,order_total_is_readable",
        })
        for text in ("1.234", "1,234", "-123.456", "100.000")
    ),
    *(
        Case(f"{text} has one reading", an_order_of(UNSAID, NIGHT, order_total=text), {"order_total": number})
        for text, number in {
            "1234": "1234.00", "12,5": "12.50", "12.5": "12.50", ",5": "0.50", "0,500": "0.50", "1.234,5": "1234.50",
            "1,234.5": "1234.50", "1.234.567": "1234567.00", "1,234,567": "1234567.00", "1234.500": "1234.50",
        }.items()
    ),
    Case("2.000 pieces may be two", an_order_of(UNSAID, NIGHT, quantity="2.000"), {
        "quantity": None, "_broken": "numbers_are_certain,quantity_is_readable",
    }),
    *(
        Case(f"{text} has two readings", an_order_of(UNSAID, f"{text} 10:00"), {"_broken": TWO_DAYS})
        for text in ("01/02/2021", "1.2.2021", "12-11-2021")
    ),
    *(
        Case(f"{text} has one reading", an_order_of(UNSAID, f"{text} 10:00"), {"order_date": day})
        for text, day in {"13/12/2021": "2021-12-13", "12/13/2021": "2021-12-13", "5.05.2021": "2021-05-05"}.items()
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.sentence)
def test_a_row_becomes_what_it_says_or_breaks_its_rule(rows: dict[str, Texts], case: Case) -> None:
    assert case.found_in(rows[case.sentence]) == case.wanted


@pytest.fixture(scope="module")
def lines_abroad(parsed_abroad: Parsed) -> dict[str, Texts]:
    return parsed_abroad(TABLE, [*CASES, *ABROAD])


@pytest.mark.parametrize("case", ABROAD, ids=lambda case: case.sentence)
def test_a_row_of_elsewhere_is_read_as_its_market_writes(lines_abroad: dict[str, Texts], case: Case) -> None:
    assert case.found_in(lines_abroad[case.sentence]) == case.wanted


@pytest.mark.spark
def test_spark_reads_what_is_written_elsewhere_alike(on_spark: Spark, tables: dict[str, Table]) -> None:
    found = parsed_by(on_spark.for_a_turn(0), tables, TABLE, ABROAD, MARKETS)
    assert {case.sentence: case.found_in(found[case.sentence]) for case in ABROAD} == {
        case.sentence: case.wanted for case in ABROAD
    }


def test_how_others_write_changes_nothing_here(rows: dict[str, Texts], lines_abroad: dict[str, Texts]) -> None:
    assert {case.sentence: lines_abroad[case.sentence] for case in CASES} == rows


def test_every_rule_is_broken_by_some_row(
    rows: dict[str, Texts], lines_abroad: dict[str, Texts], tables: dict[str, Table]
) -> None:
    assert rules_of(tables[TABLE]) <= broken_in(rows) | broken_in(lines_abroad)


@pytest.mark.slow
def test_an_exact_repeat_is_a_duplicate_and_lines_are_numbered_without_it(judged: Judged) -> None:
    first, second = an_order_row(sub_total="40"), an_order_row(sku="B", sub_total="40")
    rows = judged(TABLE, [first, second, first, an_order_row(order_id="8")])
    assert only(rows, "order_id", "sku", "line_number", "_status") == [
        ("7", "A", "1", "kept"),
        ("7", "B", "2", "kept"),
        ("7", "A", "1", "duplicate"),
        ("8", "A", "1", "kept"),
    ]


@pytest.mark.slow
def test_an_order_whose_lines_are_not_all_there_is_kept_out(judged: Judged) -> None:
    rows = judged(TABLE, [an_order_row(sub_total="40"), an_order_row(order_id="8"), an_order_row(order_id="8")])
    assert only(rows, "order_id", "_status", "_broken") == [
        ("7", "rejected", "sub_total_is_the_sum_of_lines"),
        ("8", "kept", ""),
        ("8", "duplicate", ""),
    ]


@pytest.mark.slow
def test_one_wrong_line_keeps_the_whole_order_out_and_no_other(judged: Judged) -> None:
    rows = judged(TABLE, [an_order_row(), an_order_row(sku="B", quantity="two"), an_order_row(order_id="8")])
    assert only(rows, "order_id", "sku", "_status") == [
        ("7", "A", "rejected"),
        ("7", "B", "rejected"),
        ("8", "A", "kept"),
    ]


@pytest.mark.slow
def test_lines_that_differ_by_blanks_alone_are_one_line_twice(judged: Judged) -> None:
    again = [an_order_row(sku=f"A{blank}", quantity=f"{blank}2", description=f"{blank}-") for blank in BLANK]
    rows = judged(TABLE, [an_order_row(), *again])
    assert only(rows, "_status", "sku") == [("kept", "A"), *[("duplicate", "A")] * len(again)]


@pytest.mark.slow
def test_blanks_alone_are_no_key(judged: Judged) -> None:
    rows = judged(TABLE, [an_order_row(order_id=blank) for blank in BLANK])
    assert only(rows, "order_id", "_broken") == [(None, "order_id_is_present")] * len(BLANK)

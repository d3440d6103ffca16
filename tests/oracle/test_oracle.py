"""The oracle must be right before it may judge: it meets the export's known numbers and the landing's two rules."""

import csv
import hashlib
import json
import os
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from tests.oracle.recompute import CONF, numbers, recompute, recompute_all, types

EXPORT = Path(__file__).parents[2].parent / "shared" / "data"
pytestmark = pytest.mark.slow
with_export = pytest.mark.skipif(not EXPORT.is_dir(), reason=f"the two markets' export is not at {EXPORT}")

ORDER_COLUMNS = [
    "Order ID", "Order Status", "SKU", "Quantity", "Order Total", "Customer ID", "Order Time", "Payment Method",
    "Sub Total", "Redeemed Loyalty Points", "Consumed Loyalty Points", "Total Price", "Total Cost Price",
]  # fmt: skip
DELIVERY_COLUMNS = ["Task_ID", "Order_ID", "Task_Type", "Notes", "Distance(m)", "Special_Instructions"]


def deliver(landing: Path, day: str, name: str, rows: list[list[str]]) -> None:
    """One CSV of Market 1 under its date folder."""
    path = landing / "market_1" / day / f"Market 1 {name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([ORDER_COLUMNS if "Orders" in name else DELIVERY_COLUMNS, *rows])


def deliver_customers(landing: Path, day: str, *customers: dict[str, object], name: str = "Customers") -> Path:
    path = landing / "market_1" / day / f"Market 1 {name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(customers), encoding="utf-8")
    return path


def a_key(*parts: object) -> str:
    return hashlib.md5("|".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


def a_line(order: str = "1", total: str = "10.00", **cells: str) -> list[str]:
    line = {"order": order, "status": "COMPLETED", "sku": "A", "quantity": "1", "total": total, "customer": "7"}
    line |= {"at": "2022-01-02T01:30:00.000Z", "paid": "CASH", "sub_total": "10", "redeemed": "-", "earned": "-"}
    return list((line | {"line_total": "10", "line_cost": "-"} | cells).values())


def an_order(order: str, at: str, total: str = "10.00", **cells: str) -> list[str]:
    """Placed at noon of the local day `at`."""
    return a_line(order, total, at=f"{at}T12:00:00.000Z", **cells)


def an_item(
    task: str = "1", order: str = "1", metres: str = "-", *, kind: str = "Delivery", notes: tuple[str, ...] = ("",)
) -> list[str]:
    return [task, f"YR-{order},0", kind, *notes, metres, "-"]


def test_columns_and_types_are_those_of_the_contracts(tmp_path: Path) -> None:
    """All but partitions, which only repeat another column."""
    names = {"int": "INTEGER", "string": "VARCHAR"}
    contracts = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in CONF.glob("gold/*.yml")}
    expected = {
        table: {name: names.get(column["type"], column["type"].upper()) for name, column in contract["columns"].items()}
        for table, contract in contracts.items()
    }
    del expected["daily_sales"]["order_month"]
    assert types(tmp_path) == expected


@pytest.mark.slow
@with_export
def test_the_oracle_meets_every_number_of_the_export() -> None:
    names = [
        "customers", "order_rows", "order_rows_after_duplicates", "orders", "completed_orders",
        "completed_total", "order_total", "delivery_rows", "tasks",
    ]  # fmt: skip
    kenya = [4177, 12242, 12240, 3451, 3193, Decimal("31415898.46"), Decimal("34185956.22"), 44983, 19770]
    nigeria = [1095, 1429, 1426, 944, 761, Decimal("86249302.90"), Decimal("104145984.90"), 8019, 5427]
    assert numbers(EXPORT) == {
        1: dict(zip(names, kenya, strict=True)),
        2: dict(zip(names, nigeria, strict=True)),
    }


@pytest.mark.slow
@with_export
def test_every_table_of_revenue_holds_each_markets_completed_total() -> None:
    columns = dict.fromkeys(
        ["daily_sales", "weekly_sales", "hourly_demand", "customer_cohorts", "customer_rfm"], "revenue"
    )
    columns |= dict.fromkeys(["customer_metrics", "customer_windows"], "total_order_amount")
    for name, rows in recompute_all(EXPORT, columns).items():
        totals = {1: Decimal(0), 2: Decimal(0)}
        for row in rows:
            totals[int(str(row["market"]))] += Decimal(str(row[columns[name]] or 0))
        assert totals == {1: Decimal("31415898.46"), 2: Decimal("86249302.90")}, name


def test_a_later_delivery_replaces_the_whole_order(tmp_path: Path) -> None:
    deliver(tmp_path, "2022-01-09", "Orders", [a_line(total="30.00", quantity="3")])
    deliver(tmp_path, "2022-01-08", "Orders", [a_line(sku="A"), a_line(sku="B"), a_line("2", "5.00", status="ORDERED")])
    [day] = recompute(tmp_path, "daily_sales")
    assert (day["market"], day["order_date"], day["currency"]) == (1, date(2022, 1, 2), "KES")
    assert (day["orders"], day["completed_orders"], day["open_orders"], day["lines"], day["units"]) == (2, 1, 1, 2, 4)
    assert (day["revenue"], day["placed_value"], day["open_value"]) == (Decimal(30), Decimal(35), Decimal(5))


def test_the_date_folder_decides_before_the_time_at_which_a_file_was_written(tmp_path: Path) -> None:
    for number in (3, 5, 1, 4, 2):
        deliver(tmp_path, "2022-01-09", f"Orders {number}", [a_line(total=f"{number}.00")])
    deliver(tmp_path, "2022-01-08", "Orders 6", [a_line(total="6.00")])
    assert numbers(tmp_path)[1]["order_total"] == Decimal("2.00")


def test_a_later_delivery_replaces_all_items_of_a_task(tmp_path: Path) -> None:
    deliver(tmp_path, "2022-01-08", "Orders", [a_line()])
    deliver(tmp_path, "2022-01-08", "Deliveries", [an_item(metres="900"), an_item(metres="900")])
    deliver(tmp_path, "2022-01-09", "Deliveries", [an_item(metres="800")])
    [metrics] = recompute(tmp_path, "customer_metrics")
    assert metrics["total_delivery_distance_km"] == Decimal("0.800")
    assert numbers(tmp_path)[1]["delivery_rows"] == 1


def test_repeated_rows_are_removed_from_orders_and_kept_in_deliveries(tmp_path: Path) -> None:
    deliver(tmp_path, "2022-01-08", "Orders", [a_line(), a_line(), a_line(sku="B")])
    deliver(tmp_path, "2022-01-08", "Deliveries", [an_item(), an_item()])
    counted = numbers(tmp_path)[1]
    assert (counted["order_rows"], counted["order_rows_after_duplicates"]) == (3, 2)
    assert counted["delivery_rows"] == 2


def test_distance_counts_once_per_delivery_task_and_unknown_is_not_zero(tmp_path: Path) -> None:
    deliver(tmp_path, "2022-01-08", "Orders", [a_line("1"), a_line("2"), a_line("3")])
    first_order = [an_item("1", "1", "500"), an_item("1", "1", "500"), an_item("2", "1", "2001")]
    unknown = [an_item("3", "2", "0"), an_item("4", "2", "-"), an_item("5", "2", "9000", kind="Pick-up")]
    deliver(tmp_path, "2022-01-08", "Deliveries", [*first_order, *unknown, an_item("6", "3", "500")])
    [metrics] = recompute(tmp_path, "customer_metrics")
    assert metrics["total_delivery_distance_km"] == Decimal("3.001")
    assert metrics["average_delivery_distance_km"] == Decimal("1.5005")


def test_an_unquoted_comma_in_the_notes_is_mended(tmp_path: Path) -> None:
    deliver(tmp_path, "2022-01-08", "Orders", [a_line("1"), a_line("2")])
    split_once = an_item("1", "1", "700", notes=("BY 6", "30"))
    split_twice = [*an_item("2", "2", "50", notes=("BY 6", "30"))[:-1], "BY 6", "30"]
    deliver(tmp_path, "2022-01-08", "Deliveries", [split_once, split_twice])
    assert recompute(tmp_path, "customer_metrics")[0]["total_delivery_distance_km"] == Decimal("0.750")


def test_averages_round_half_up_and_times_are_utc(tmp_path: Path) -> None:
    lines = [a_line(str(order), "0.00", at="2022-01-03T00:00:00.000Z") for order in range(1, 32)]
    deliver(tmp_path, "2022-01-08", "Orders", [*lines, a_line("32", "0.04", quantity="2")])
    [metrics] = recompute(tmp_path, "customer_metrics")
    assert metrics["average_order_amount"] == Decimal("0.0013")  # 0.04 / 32 = 0.00125
    assert metrics["average_quantity_per_order"] == Decimal("1.0313")  # 33 / 32 = 1.03125
    assert metrics["first_order_at"] == datetime(2022, 1, 1, 22, 30)  # noqa: DTZ001 -- UTC, and naive by contract
    assert metrics["last_order_at"] == datetime(2022, 1, 2, 21)  # noqa: DTZ001


def test_a_customer_without_completed_orders_has_zero_counts_and_no_amounts(tmp_path: Path) -> None:
    deliver(tmp_path, "2022-01-08", "Orders", [a_line(status="CANCELLED")])
    deliver_customers(tmp_path, "2022-01-08", {"Customer ID": 7}, {"Customer ID": 8})
    rows = recompute(tmp_path, "customer_metrics")
    counts = {"order_count": 0, "total_quantity_ordered": 0, "distinct_products": 0}
    nothing = dict.fromkeys(rows[0]) | {"market": 1, "currency": "KES"} | counts
    assert rows == [nothing | {"customer_id": key} for key in (7, 8)]


def test_the_first_completed_order_is_new_and_points_and_surcharge_explain_the_rest(tmp_path: Path) -> None:
    cancelled, new = an_order("1", "2022-01-01", status="CANCELLED"), an_order("2", "2022-01-02", "6.01", redeemed="4")
    repeat = an_order("3", "2022-01-02", "7.14", paid="Pay Later", redeemed="3")
    deliver(tmp_path, "2022-01-08", "Orders", [repeat, new, cancelled])
    _, day = recompute(tmp_path, "daily_sales")
    assert (day["revenue"], day["new_revenue"], day["repeat_revenue"]) == tuple(map(Decimal, ("13.15", "6.01", "7.14")))
    assert (day["gross_revenue"], day["points_value"]) == (Decimal(20), Decimal(7))
    assert (day["pay_later_surcharge"], day["average_order_value"]) == (Decimal("0.14"), Decimal("6.5750"))


def test_weeks_without_orders_are_there_and_a_year_begins_with_its_first_day(tmp_path: Path) -> None:
    orders = [an_order("1", "2021-12-27"), an_order("2", "2022-01-02"), an_order("3", "2022-01-23", "5.01")]
    deliver(tmp_path, "2022-01-25", "Orders", orders)
    weeks = recompute(tmp_path, "weekly_sales")
    assert [str(week["week_start"]) for week in weeks] == ["2021-12-27", "2022-01-03", "2022-01-10", "2022-01-17"]
    assert [week["year_to_date"] for week in weeks] == [Decimal(10), Decimal(10), Decimal(10), Decimal("15.01")]
    assert [week["revenue_change_share"] for week in weeks] == [None, Decimal(-1), None, None]
    assert [week["four_week_mean"] for week in weeks] == [None, None, None, Decimal("6.2525")]


def test_a_week_that_is_cut_is_compared_with_none(tmp_path: Path) -> None:
    days = ("2022-01-04", "2022-01-11", "2022-01-18", "2022-01-29")  # a Tuesday to a Saturday
    deliver(tmp_path, "2022-01-30", "Orders", [an_order(str(number), day) for number, day in enumerate(days, 1)])
    weeks = recompute(tmp_path, "weekly_sales")
    assert [week["is_whole_week"] for week in weeks] == [False, True, True, False]
    assert [week["revenue_change"] for week in weeks] == [None, None, Decimal(0), None]
    assert [week["four_week_mean"] for week in weeks] == [None] * 4


def test_days_windows_and_hours_are_local(tmp_path: Path) -> None:
    monday_night = a_line(at="2022-01-17T23:30:00.000Z")  # the last day of a window; 20:30 in UTC
    deliver(
        tmp_path,
        "2022-01-20",
        "Orders",
        [monday_night, a_line("2", at="2022-01-18T00:00:00.000Z"), an_order("3", "2022-01-16")],
    )
    found = recompute_all(tmp_path, ["hourly_demand", "customer_windows"])
    assert [(row["weekday"], row["order_hour"]) for row in found["hourly_demand"]] == [(1, 23), (2, 0), (7, 12)]
    windows = [(row["window_start"], row["window_end"]) for row in found["customer_windows"]]
    assert windows == [(date(2022, 1, 8), date(2022, 1, 17)), (date(2022, 1, 18), date(2022, 1, 27))]
    assert found["customer_windows"][0]["last_order_at"] == datetime(2022, 1, 17, 20, 30)  # noqa: DTZ001


def test_a_cohort_keeps_the_months_in_which_nobody_came_back(tmp_path: Path) -> None:
    back = an_order("3", "2022-03-01", "4.00", line_total="4", line_cost="4.50")
    deliver(
        tmp_path, "2022-03-02", "Orders", [an_order("1", "2022-01-31"), an_order("2", "2022-01-01", customer="8"), back]
    )
    found = recompute_all(tmp_path, ["customer_cohorts", "customer_value"])
    ages = [(row["age_months"], row["active_customers"], row["revenue"]) for row in found["customer_cohorts"]]
    assert ages == [(0, 2, Decimal(20)), (1, 0, Decimal(0)), (2, 1, Decimal(4))]
    assert [row["retention"] for row in found["customer_cohorts"]] == [Decimal(1), Decimal(0), Decimal("0.5")]
    worth = [(row["cumulative_revenue"], row["margin_per_customer"]) for row in found["customer_value"]]
    assert worth == [(Decimal(20), 0), (Decimal(20), 0), (Decimal(24), Decimal("-0.25"))]


def test_scores_are_fifths_and_equal_values_score_alike(tmp_path: Path) -> None:
    lines = [an_order(str(day), f"2022-01-0{day}", customer=str(day)) for day in range(1, 6)]
    deliver(tmp_path, "2022-01-08", "Orders", [*lines, an_order("9", "2022-01-07", status="ORDERED")])
    rows = recompute(tmp_path, "customer_rfm")
    assert [(row["recency_days"], row["recency_score"], row["frequency_score"], row["segment"]) for row in rows] == [
        (6, 1, 1, "lost"), (5, 2, 1, "hibernating"), (4, 3, 1, "promising"), (3, 4, 1, "new"), (2, 5, 1, "new"),
    ]  # fmt: skip


def test_a_customer_is_lost_by_his_own_rhythm(tmp_path: Path) -> None:
    deliver_customers(tmp_path, "2022-01-20", {"Customer ID": 7, "Created At": "2022-01-01T09:00:27.000Z"})
    days = {"7": (1, 1), "8": (1, 3), "9": (1, 2, 18), "10": (18,), "11": (1, 4), "12": (17, 17)}
    orders = [(customer, day) for customer, days_of_one in days.items() for day in days_of_one]
    lines = [an_order(str(n), f"2022-01-{day:02}", customer=customer) for n, (customer, day) in enumerate(orders)]
    deliver(tmp_path, "2022-01-20", "Orders", lines)
    rows = {row["customer_id"]: row for row in recompute(tmp_path, "customer_lifecycle")}
    states = {customer: row["lifecycle"] for customer, row in rows.items()}
    assert states == {7: "lost", 8: "lost", 9: "active", 10: "one_order", 11: "lost", 12: "active"}
    # the first order is of 09:00:00 UTC: 27 seconds before the customer registered, 0.0075 hours
    assert (rows[7]["hours_to_first_order"], rows[8]["hours_to_first_order"]) == (Decimal("-0.01"), None)
    assert rows[9]["average_days_between_orders"] == Decimal("8.5")


def test_points_count_on_all_orders_and_a_balance_is_enough(tmp_path: Path) -> None:
    balances = {8: 5, 9: 0}
    known: list[dict[str, object]] = [
        {"Customer ID": key, "Loyalty Points": points} for key, points in balances.items()
    ]
    deliver_customers(tmp_path, "2022-01-08", *known)
    spent = a_line("2", earned="3", redeemed="2")
    deliver(tmp_path, "2022-01-08", "Orders", [a_line(status="CANCELLED", redeemed="4"), spent])
    of_orders, of_balance = recompute(tmp_path, "loyalty_points")
    assert (of_orders["earned_points"], of_orders["redeemed_points"], of_orders["redeemed_on_other_orders"]) == (
        3,
        2,
        4,
    )
    assert (of_orders["balance"], of_orders["redeemed_share"]) == (None, Decimal("0.6667"))
    assert (of_balance["customer_id"], of_balance["balance"], of_balance["redeemed_share"]) == (8, 5, None)


def test_who_is_blocked_follows_from_the_newest_delivery(tmp_path: Path) -> None:
    deliver_customers(tmp_path, "2022-01-09", {"Customer ID": 7, "Is Blocked": 0}, {"Customer ID": 8, "Is Blocked": 1})
    deliver_customers(tmp_path, "2022-01-08", {"Customer ID": 7, "Is Blocked": 1}, {"Customer ID": 9, "Is Blocked": 1})
    deliver(tmp_path, "2022-01-08", "Orders", [a_line(customer="9", status="ORDERED")])
    rows = recompute(tmp_path, "blocked_customers")
    assert [(row["customer_id"], row["open_orders"], row["open_value"]) for row in rows] == [(8, 0, 0), (9, 1, 10)]


def test_age_is_as_of_the_markets_last_day_with_an_order(tmp_path: Path) -> None:
    days = ["2022-01-01", "2022-02-01", "2022-02-02", "2022-01-31", "2022-01-02"]
    lines = [an_order(str(number), day, status="DISPATCHED") for number, day in enumerate(days)]
    deliver(tmp_path, "2022-02-08", "Orders", lines)
    rows = recompute(tmp_path, "order_status_daily")
    ages = [(row["age_days"], row["age_class"], row["open_orders"]) for row in rows]
    assert ages == [(32, "over 30", 1), (31, "over 30", 1), (2, "2-3", 1), (1, "0-1", 1), (0, "0-1", 1)]


def test_an_order_has_the_state_of_its_customer_at_that_instant(tmp_path: Path) -> None:
    for day, language in (("2022-01-15", "en"), ("2022-01-05", "en"), ("2022-01-10", "sw")):
        deliver_customers(tmp_path, day, {"Customer ID": 7, "Language": language})
    # midnight in UTC is 3 o'clock
    before, sharp, between = "2022-01-10T02:59:59.999Z", "2022-01-10T03:00:00.000Z", "2022-01-12T12:00:00.000Z"
    times = ["2022-01-01T12:00:00.000Z", before, sharp, between, "2022-01-15T03:00:00.000Z"]
    lines = [a_line(str(number), at=at) for number, at in enumerate(times)]
    deliver(tmp_path, "2022-01-20", "Orders", [*lines, a_line("9", customer="8")])
    found = recompute_all(tmp_path, ["dim_customer", "fact_sales"])
    keys = [a_key(1, 7, "first"), a_key(1, 7, 1641772800000000), a_key(1, 7, 1642204800000000)]
    states = [
        (row["version"], row["customer_key"], row["language"], row["valid_from"], row["valid_to"], row["is_current"])
        for row in found["dim_customer"]
    ]
    of_tenth, of_fifteenth = datetime(2022, 1, 10), datetime(2022, 1, 15)  # noqa: DTZ001 -- UTC, and naive by contract
    assert states == [
        (1, keys[0], "en", None, of_tenth, False),
        (2, keys[1], "sw", of_tenth, of_fifteenth, False),
        (3, keys[2], "en", of_fifteenth, None, True),
        (1, a_key(1, 8, "first"), None, None, None, True),
    ]
    assert [row["is_known"] for row in found["dim_customer"]] == [True, True, True, False]
    sold = [(row["order_id"], row["customer_key"]) for row in found["fact_sales"]]
    assert sold == [(0, keys[0]), (1, keys[0]), (2, keys[1]), (3, keys[1]), (4, keys[2]), (9, a_key(1, 8, "first"))]


def test_only_what_differs_on_another_day_is_a_new_state(tmp_path: Path) -> None:
    nothing: dict[str, object] = {"Customer ID": 7}
    rich, german, french = nothing | {"Loyalty Points": 5}, nothing | {"Language": "de"}, nothing | {"Language": "fr"}
    undated = deliver_customers(tmp_path, "", german)
    os.utime(undated, (0, 1641855600))  # 23:00 of the 10th in UTC, the 11th in Nairobi
    deliver_customers(tmp_path, "2022-01-10", french, german, name="Customers a")
    deliver_customers(tmp_path, "2022-01-10", french, nothing, name="Customers b")
    deliver_customers(tmp_path, "2022-01-09", rich)
    deliver_customers(tmp_path, "2022-01-08", nothing)
    rows = recompute(tmp_path, "dim_customer")
    assert [(row["language"], row["valid_from"], row["customer_key"]) for row in rows] == [
        (None, None, a_key(1, 7, "first")),
        ("de", datetime(2022, 1, 11), a_key(1, 7, 1641859200000000)),  # noqa: DTZ001
    ]


def test_a_day_without_a_rate_is_not_converted(tmp_path: Path) -> None:
    rates = tmp_path / "exchange_rates" / "2022-01-04" / "rates.csv"
    rates.parent.mkdir(parents=True)
    rates.write_text(
        "rate_date,currency,reporting_currency,rate\n"
        "2022-01-02,KES,USD,0.007712344500\n"
        "2022-01-03,KES,EUR,0.007\n2022-01-03,NGN,USD,0.002\n",
        encoding="utf-8",
    )
    first = an_order("1", "2022-01-02", "10000000.00")
    deliver(tmp_path, "2022-01-04", "Orders", [first, a_line("2", "100.00", at="2022-01-03T01:30:00.000Z")])
    found = recompute_all(tmp_path, ["market_comparison", "market_comparison_utc"])
    measures = ("revenue", "rate", "is_rate_missing", "reporting_revenue")
    local, utc = ([tuple(row[name] for name in measures) for row in rows] for rows in found.values())
    rate = Decimal("0.0077123445")
    # 77,123.445 exactly, which is half a cent up; the second order is of the day before in UTC: 77,124.21623445
    assert local == [(Decimal(10000000), rate, False, Decimal("77123.45")), (Decimal(100), None, True, None)]
    assert utc == [(Decimal(10000100), rate, False, Decimal("77124.22"))]


def test_an_hour_and_a_week_know_new_from_repeat(tmp_path: Path) -> None:
    new = a_line("1", "6.00", at="2022-01-03T09:10:00.000Z")
    repeat = a_line("2", "7.14", at="2022-01-10T09:50:00.000Z", paid="Pay Later", redeemed="3")
    cancelled = a_line("3", "5.00", at="2022-01-03T09:20:00.000Z", customer="8", status="CANCELLED")
    also_new = a_line("4", "4.01", at="2022-01-10T09:00:00.000Z", customer="8", quantity="2")
    deliver(tmp_path, "2022-01-20", "Orders", [repeat, also_new, cancelled, new])
    found = recompute_all(tmp_path, ["hourly_demand", "weekly_sales"])
    [hour] = found["hourly_demand"]
    expected = {"market": 1, "weekday": 1, "order_hour": 9, "currency": "KES", "days": 2, "orders_per_day": 2}
    expected |= {"orders": 4, "completed_orders": 3, "cancelled_orders": 1, "open_orders": 0}
    expected |= {"lines": 4, "units": 5, "completed_units": 4}
    amounts = {"revenue": "17.15", "gross_revenue": "30", "points_value": "3", "pay_later_surcharge": "0.14"}
    amounts |= {"placed_value": "22.15", "cancelled_value": "5", "open_value": "0"}
    amounts |= {"new_revenue": "10.01", "repeat_revenue": "7.14", "average_order_value": "5.7167"}
    assert hour == expected | {name: Decimal(amount) for name, amount in amounts.items()}
    weeks = [(row["new_revenue"], row["repeat_revenue"], row["cancelled_value"]) for row in found["weekly_sales"]]
    assert weeks == [(Decimal(6), 0, Decimal(5)), (Decimal("4.01"), Decimal("7.14"), 0)]


def test_new_years_day_is_of_the_old_years_last_week(tmp_path: Path) -> None:
    deliver(tmp_path, "2022-01-20", "Orders", [an_order("1", "2022-03-01")])
    first, *_, last = recompute(tmp_path, "dim_date")
    assert (first["date_key"], first["iso_year"], first["iso_week"], first["weekday"]) == (20220101, 2021, 52, 6)
    assert (last["date_key"], last["iso_year"], last["iso_week"], last["weekday"]) == (20221231, 2022, 52, 6)

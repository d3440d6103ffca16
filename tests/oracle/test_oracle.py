"""The oracle must be right before it may judge: it meets the export's known numbers and the landing's two rules."""

import csv
import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.oracle.recompute import numbers, recompute

EXPORT = Path(__file__).parents[2].parent / "shared" / "data"
with_export = pytest.mark.skipif(not EXPORT.is_dir(), reason=f"the two markets' export is not at {EXPORT}")

ORDER_COLUMNS = ["Order ID", "Order Status", "SKU", "Quantity", "Order Total", "Customer ID", "Order Time"]
DELIVERY_COLUMNS = ["Task_ID", "Order_ID", "Task_Type", "Notes", "Distance(m)", "Special_Instructions"]


def deliver(landing: Path, day: str, name: str, rows: list[list[str]]) -> None:
    """One CSV of Market 1 under its date folder."""
    path = landing / "market_1" / day / f"Market 1 {name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([ORDER_COLUMNS if "Orders" in name else DELIVERY_COLUMNS, *rows])


def a_line(order: str = "1", total: str = "10.00", **cells: str) -> list[str]:
    line = {"order": order, "status": "COMPLETED", "sku": "A", "quantity": "1", "total": total, "customer": "7"}
    return list((line | {"at": "2022-01-02T01:30:00.000Z"} | cells).values())


def an_item(
    task: str = "1", order: str = "1", metres: str = "-", *, kind: str = "Delivery", notes: tuple[str, ...] = ("",)
) -> list[str]:
    return [task, f"YR-{order},0", kind, *notes, metres, "-"]


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


@with_export
@pytest.mark.parametrize(("table", "column"), [("daily_sales", "revenue"), ("customer_metrics", "total_order_amount")])
def test_both_tables_hold_each_markets_completed_total(table: str, column: str) -> None:
    totals = {1: Decimal(0), 2: Decimal(0)}
    for row in recompute(EXPORT, table):
        totals[int(str(row["market"]))] += Decimal(str(row[column] or 0))
    assert totals == {1: Decimal("31415898.46"), 2: Decimal("86249302.90")}


def test_a_later_delivery_replaces_the_whole_order(tmp_path: Path) -> None:
    deliver(tmp_path, "2022-01-09", "Orders", [a_line(total="30.00", quantity="3")])
    deliver(tmp_path, "2022-01-08", "Orders", [a_line(sku="A"), a_line(sku="B"), a_line("2", "5.00", status="ORDERED")])
    assert recompute(tmp_path, "daily_sales") == [
        {
            "market": 1,
            "order_date": date(2022, 1, 2),
            "orders": 2,
            "completed_orders": 1,
            "revenue": Decimal("30.00"),
            "placed_value": Decimal("35.00"),
            "lines": 2,
            "units": 4,
        }
    ]


def test_the_date_folder_decides_before_the_file_name(tmp_path: Path) -> None:
    for number in (3, 5, 1, 4, 2):
        deliver(tmp_path, "2022-01-09", f"Orders {number}", [a_line(total=f"{number}.00")])
    deliver(tmp_path, "2022-01-08", "Orders 6", [a_line(total="6.00")])
    assert numbers(tmp_path)[1]["order_total"] == Decimal("5.00")


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
    customers = tmp_path / "market_1" / "2022-01-08" / "Market 1 Customers.json"
    customers.write_text(json.dumps([{"Customer ID": 7}, {"Customer ID": 8}]), encoding="utf-8")
    rows = recompute(tmp_path, "customer_metrics")
    counts = {"order_count": 0, "total_quantity_ordered": 0, "distinct_products": 0}
    assert rows == [dict.fromkeys(rows[0]) | {"market": 1, "customer_id": key} | counts for key in (7, 8)]

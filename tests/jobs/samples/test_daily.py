"""The sample exports look like the real ones, hold their dirt, and say the truth about themselves."""

import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from jobs.samples import daily
from jobs.samples.daily import Exports, generate, late_file

REAL = Path(__file__).parents[3].parent / "shared" / "data"
MARKETS = pytest.mark.parametrize("market", [1, 2])

Row = dict[str, str]


@dataclass(frozen=True)
class Landed:
    """A landing folder and what its generator says about it."""

    folder: Path
    exports: Exports


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Landed:
    folder = tmp_path_factory.mktemp("landing")
    return Landed(folder, generate(folder))


def contents(landing: Path) -> dict[str, bytes]:
    return {str(path.relative_to(landing)): path.read_bytes() for path in sorted(landing.rglob("*")) if path.is_file()}


def files(landing: Path, market: int, kind: str) -> list[Path]:
    """Oldest delivery first; within a day the late file comes after the usual one."""
    found = (landing / f"market_{market}").glob(f"*/*{kind}*")
    return sorted(found, key=lambda path: (path.parent.name, "late" in path.name))


def cells(landing: Path, market: int, kind: str) -> Iterator[list[str]]:
    for path in files(landing, market, kind):
        with path.open(encoding="utf-8", newline="") as file:
            yield from list(csv.reader(file))[1:]


def newest(landing: Path, market: int, kind: str, key: str) -> dict[str, list[Row]]:
    """Keep the rows of each document's newest delivery."""
    documents: dict[str, list[Row]] = {}
    for path in files(landing, market, kind):
        delivered = defaultdict(list)
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                delivered[row[key]].append(row)
        documents |= delivered
    return documents


def newest_orders(landing: Path, market: int) -> dict[str, list[Row]]:
    """Without true duplicates."""
    orders = newest(landing, market, "Orders", "Order ID")
    return {order: list({tuple(row.items()): row for row in rows}.values()) for order, rows in orders.items()}


def whole_tasks(landing: Path, market: int) -> list[list[Row]]:
    """Without the tasks whose rows are too long."""
    tasks = newest(landing, market, "Deliveries", "Task_ID").values()
    return [rows for rows in tasks if all(None not in row for row in rows)]


def amount(text: str) -> Decimal:
    return Decimal(text.lstrip("KSh₦ "))


def test_the_same_seed_gives_the_same_bytes(landed: Landed, tmp_path: Path) -> None:
    generate(tmp_path)
    assert contents(tmp_path) == contents(landed.folder)


def test_another_seed_gives_other_orders(tmp_path: Path) -> None:
    one, other = (generate(tmp_path / str(seed), lines=200, days=2, seed=seed) for seed in (1, 2))
    assert one.markets[1].order_total != other.markets[1].order_total


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(tmp_path / "one", lines=200, days=2)
    monkeypatch.setattr(daily, "LINES_WORTH_TWO_PROCESSES", 1)
    generate(tmp_path / "two", lines=200, days=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_day_is_the_same_whichever_days_are_written(landed: Landed, tmp_path: Path) -> None:
    first = generate(tmp_path, deliver=range(9))
    assert first.markets[1].orders < landed.exports.markets[1].orders
    last = generate(tmp_path, deliver=[9])
    assert last.markets == landed.exports.markets
    assert contents(tmp_path) == contents(landed.folder)
    assert len(first.files) + len(last.files) == len(landed.exports.files) == 60


def test_a_day_outside_the_history_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must name days from 0 to days - 1 = 2"):
        generate(tmp_path, days=3, deliver=[3])


@MARKETS
@pytest.mark.skipif(not REAL.exists(), reason="the real exports are not on this machine")
@pytest.mark.parametrize("kind", ["Orders.csv", "Deliveries.csv"])
def test_headers_are_the_real_ones(landed: Landed, market: int, kind: str) -> None:
    real = (REAL / f"market_{market}" / f"Market {market} {kind}").read_bytes().split(b"\n")[0]
    assert {path.read_bytes().split(b"\n")[0] for path in files(landed.folder, market, kind)} == {real}


@pytest.mark.parametrize(("market", "key"), [(1, "Number of employees"), (2, "Number of Employees")])
def test_customers_are_printed_as_the_real_printer_does(landed: Landed, market: int, key: str) -> None:
    for path in files(landed.folder, market, "Customers"):
        text = path.read_bytes().decode()
        customers = json.loads(text)
        assert [customer["Customer ID"] for customer in customers] == sorted({c["Customer ID"] for c in customers})
        assert all(list(customer)[-1] == key for customer in customers)
        body = json.dumps(customers, indent=1).replace('\n  "', '\n   "')
        assert text == body.replace("\n", "\r\n")


def test_lines_end_as_on_windows_and_the_last_one_does_not(landed: Landed) -> None:
    for content in contents(landed.folder).values():
        assert content.count(b"\n") == content.count(b"\r\n")
        assert not content.endswith(b"\n")


@MARKETS
def test_documents_come_newest_first_and_in_one_piece(landed: Landed, market: int) -> None:
    for kind in ("Orders", "Deliveries"):
        for path in files(landed.folder, market, kind):
            ids = [int(line.split(",")[0]) for line in path.read_text("utf-8").splitlines()[1:]]
            assert ids == sorted(ids, reverse=True)


@MARKETS
def test_the_truth_of_orders_equals_a_recount(landed: Landed, market: int) -> None:
    truth, orders = landed.exports.markets[market], newest_orders(landed.folder, market)
    headers = [rows[0] for rows in orders.values()]
    completed = [row for row in headers if row["Order Status"] == "COMPLETED"]
    assert (truth.orders, truth.order_lines) == (len(orders), sum(map(len, orders.values())))
    assert truth.order_total == sum(Decimal(row["Order Total"]) for row in headers)
    assert truth.completed_orders == len(completed)
    assert truth.completed_order_total == sum(Decimal(row["Order Total"]) for row in completed)
    assert truth.cancelled_orders == sum(row["Order Status"] == "CANCELLED" for row in headers)
    assert truth.orders_without_points == sum(row["Consumed Loyalty Points"] == "-" for row in completed)


@MARKETS
def test_the_truth_of_rows_in_files_equals_a_recount(landed: Landed, market: int) -> None:
    truth, folder = landed.exports.markets[market], landed.folder
    unique = repeated = 0
    for path in files(folder, market, "Orders"):
        unique += len(set(path.read_text("utf-8").splitlines()[1:]))
    for path in files(folder, market, "Deliveries"):
        rows = path.read_text("utf-8").splitlines()
        repeated += len(rows) - len(set(rows))
    widths = [len(row) for row in cells(folder, market, "Deliveries")]
    assert truth.order_rows == len(list(cells(folder, market, "Orders"))) == unique + truth.duplicate_rows
    assert (truth.delivery_rows, truth.repeated_item_rows) == (len(widths), repeated)
    assert truth.comma_shifted_rows == sum(width > min(widths) for width in widths)


@MARKETS
def test_the_truth_of_tasks_and_customers_equals_a_recount(landed: Landed, market: int) -> None:
    truth, folder = landed.exports.markets[market], landed.folder
    tasks, orders = newest(folder, market, "Deliveries", "Task_ID"), newest_orders(folder, market)
    customers = [row for path in files(folder, market, "Customers") for row in json.loads(path.read_bytes())]
    orderless = [rows for rows in tasks.values() if rows[0]["Order_ID"][3:-2] not in orders]
    assert (truth.tasks, truth.delivery_items) == (len(tasks), sum(map(len, tasks.values())))
    assert truth.tasks_without_order == len(orderless) > 0
    assert truth.customer_rows == len(customers)
    assert truth.customers == len({row["Customer ID"] for row in customers}) < truth.customer_rows
    assert {row["Customer ID"] for rows in orders.values() for row in rows} <= {
        str(c["Customer ID"]) for c in customers
    }


@MARKETS
def test_the_identities_of_orders_hold(landed: Landed, market: int) -> None:
    point_value, spend_per_point = {1: (1, 100), 2: (5, 500)}[market]
    for rows in newest_orders(landed.folder, market).values():
        order, sub_total = rows[0], sum(Decimal(row["Total Price"]) for row in rows)
        for row in rows:
            assert Decimal(row["Total Price"]) == int(row["Quantity"]) * Decimal(row["Unit Price"])
            costs = row["Cost Price"], row["Total Cost Price"]
            assert costs == ("-", "-") or Decimal(costs[1]) == int(row["Quantity"]) * Decimal(costs[0])
        redeemed = Decimal(order["Redeemed Loyalty Points"].replace("-", "0"))
        factor = Decimal("1.02") if order["Payment Method"] == "Pay Later" else 1
        assert Decimal(order["Sub Total"]) == sub_total
        assert Decimal(order["Order Total"]) == (sub_total - point_value * redeemed) * factor > 0
        points = str(sub_total // spend_per_point) if order["Order Status"] == "COMPLETED" else "-"
        assert order["Consumed Loyalty Points"] in {points, "-"}
        assert len({row["SKU"] for row in rows}) == len(rows)


@MARKETS
def test_the_subtotal_of_a_task_stands_on_its_last_row_only(landed: Landed, market: int) -> None:
    for rows in whole_tasks(landed.folder, market):
        *others, last = rows
        assert {row["Subtotal"] for row in others} <= {"-"}
        total = sum(amount(row["Task_Details_AMOUNT"]) for row in rows)
        assert Decimal(last["Subtotal"]) == total - amount(last["Discount"])


def test_duplicated_rows_break_the_sub_total(landed: Landed) -> None:
    truths = landed.exports.markets
    assert sum(truth.duplicate_rows for truth in truths.values()) >= 2
    orders = newest(landed.folder, 1, "Orders", "Order ID").values()
    assert any(sum(int(row["Total Price"]) for row in rows) != int(rows[0]["Sub Total"]) for rows in orders)


def test_unquoted_commas_make_rows_of_market_1_too_long(landed: Landed) -> None:
    widths = defaultdict(list)
    for row in cells(landed.folder, 1, "Deliveries"):
        if row[5:7] == daily.NOTE_WITH_COMMA.split(","):
            widths[row[0]].append(len(row))
    assert len(widths) >= 20
    assert {33, 34} <= {width for task in widths.values() for width in task}
    assert {len(row) for row in cells(landed.folder, 2, "Deliveries")} == {29}


def test_open_orders_are_delivered_again_and_closed(landed: Landed) -> None:
    statuses = defaultdict(list)
    for path in files(landed.folder, 2, "Orders"):
        for order, status in {tuple(line.split(",")[:2]) for line in path.read_text("utf-8").splitlines()[1:]}:
            statuses[order].append(status)
    histories = {tuple(history) for history in statuses.values()}
    assert {("ORDERED", "COMPLETED"), ("ORDERED", "DISPATCHED", "COMPLETED"), ("CANCELLED",)} <= histories
    assert sum(len(history) - 1 for history in statuses.values()) == landed.exports.markets[2].changed_orders


def test_nothing_is_spelled_in_many_ways(landed: Landed) -> None:
    orders = [row for rows in newest_orders(landed.folder, 1).values() for row in rows]
    tasks = whole_tasks(landed.folder, 1)
    assert {"", "null"} <= {row["Description"] for row in orders}
    assert any(not row["SKU"] for row in orders)
    assert any(row["Cost Price"] == "-" for row in orders)
    assert {"-", "0"} <= {rows[0]["Distance(m)"] for rows in tasks}
    assert {"-", "0"} <= {rows[0]["Total_Time_Taken(min)"] for rows in tasks}
    assert {"0", "5"} <= {rows[0]["Rating"] for rows in tasks}


def test_customers_type_phone_numbers_and_negatives_as_employees(landed: Landed) -> None:
    numbers = set()
    for path in files(landed.folder, 1, "Customers"):
        numbers |= {row["Number of employees"] for row in json.loads(path.read_bytes())}
    known = numbers - {None}
    assert None in numbers
    assert min(known) < 0
    assert max(known) > 2**31


def test_ids_of_the_two_markets_collide(landed: Landed) -> None:
    for kind in ("Orders", "Deliveries"):
        kenya, nigeria = ({row[0] for row in cells(landed.folder, market, kind)} for market in (1, 2))
        assert kenya & nigeria


def test_some_orders_of_market_2_have_two_tasks_with_the_same_items(landed: Landed) -> None:
    items = defaultdict(list)
    for rows in whole_tasks(landed.folder, 2):
        bought = [(row["Task_Details_QTY"], row["Task_Details_AMOUNT"][1:].strip()) for row in rows]
        items[rows[0]["Order_ID"]].append((rows[0]["Task_Type"], bought))
    pairs = [tasks for tasks in items.values() if len(tasks) == 2]
    assert pairs
    assert all({delivery[0], pickup[0]} == {"Delivery", "Pick-up"} for delivery, pickup in pairs)
    assert all(delivery[1] == pickup[1] for delivery, pickup in pairs)


def test_a_late_file_holds_an_old_state_and_an_order_never_seen(landed: Landed, tmp_path: Path) -> None:
    late = late_file(tmp_path)
    (path,) = late.files
    orders = newest(tmp_path, 1, "Orders", "Order ID")
    delivered = newest(landed.folder, 1, "Orders", "Order ID")
    (old,), (unseen,) = orders.keys() & delivered.keys(), orders.keys() - delivered.keys()
    assert path.parent.name == "2022-01-07"
    assert orders[old] != delivered[old]
    assert late.markets[1].orders == landed.exports.markets[1].orders + 1
    total = late.markets[1].order_total - landed.exports.markets[1].order_total
    assert total == Decimal(orders[unseen][0]["Order Total"])


def test_a_late_file_needs_a_later_day(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Raise days"):
        late_file(tmp_path, days=1)


@pytest.mark.parametrize(("lines", "days"), [(1, 1), (40, 10), (1000, 30)])
def test_any_size_works(tmp_path: Path, lines: int, days: int) -> None:
    truths = generate(tmp_path, lines=lines, days=days).markets.values()
    assert (
        abs(sum(truth.order_lines for truth in truths) - lines) <= lines * 0.02 + days
    )  # some orders gain a line later
    assert lines < 1000 or sum(truth.duplicate_rows for truth in truths) >= 2

"""Germany as docs/how-to/new-market.md makes it: semicolons, decimal commas, days first, and a clock that goes back.

Everything on that page is done as it stands there; the numbers at the end were added up by hand.
"""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from lakehouse import conf, engines, graph
from lakehouse.delta.files import feed
from lakehouse.runs.run import Run
from lakehouse.serving.questions import sql
from lakehouse.writes.lake import Lake

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakehouse.engines.native.engine import Native
    from lakehouse.graph import Table

pytestmark = pytest.mark.slow
PAGE = conf.HOME / "docs" / "how-to" / "new-market.md"
ROW = r"```yaml\n# conf/(\w+)\.yml\n(.+?)```"
DAY, STORES = "market_3/2022-11-02", "stores/2022-11-02/stores.csv"
FILES = {
    "Orders.csv": """\
Order ID;Order Status;SKU;Quantity;Unit Price;Cost Price;Total Cost Price;Total Price;Order Total;Sub Total;\
Payment Method;Currency Symbol;Customer ID;Order Time;Redeemed Loyalty Points;Consumed Loyalty Points;Commission Amount
1;COMPLETED;A;2;1.234,50;1.000,00;2.000,00;2.469,00;2.469,99;2.469,99;CASH;€;71;29.10.2022 23:30;-;2469;1,25
1;COMPLETED;B;1;0,99;-;-;0,99;2.469,99;2.469,99;CASH;€;71;29.10.2022 23:30;-;2469;1,25
2;CANCELLED;A;1;10,00;-;-;10,00;10,00;10,00;CASH;€;72;31.10.2022 00:15;-;-;-
3;COMPLETED;A;1;10,00;-;-;10,00;10,00;10,00;CASH;€;72;30.10.2022 02:30;-;10;-
4;COMPLETED;B;100;1,00;0,5;50;100,00;102,00;100,00;Pay Later;€;72;1.11.2022 09:05:30;-;100;-
""",
    "Deliveries.csv": """\
Task_ID;Order_ID;Task_Type;Notes;Agent_ID;Distance(m);Total_Time_Taken(min);Task_Status;Task_Details_QTY;\
Task_Details_AMOUNT;Tip;Delivery_Charges;Discount;Subtotal;Payment_Type;Latitude;Longitude
900;YR-1,0;Delivery;Hof, links;5;1.200;12,5;Completed;2;2.469,00 €;-;-;-;-;-;52,52;13,40
900;YR-1,0;Delivery;Hof, links;5;1.200;12,5;Completed;1;0,99 €;0,00 €;0,00 €;0,00 €;2.469,99;CASH;52,52;13,40
""",
    "Customers.json": json.dumps([
        {"Customer ID": 71, "Created At": "1.10.2022 00:30 +0200", "Outstanding Amount": 1000.5, "Is Blocked": 0},
        {"Customer ID": 72, "Created At": "2022-10-02T12:00:00.000Z", "Is Blocked": 0},
    ]),
    "Branches.csv": """\
Branch ID;Branch Name;City;Opened On;Closed On;Updated At
1;Mitte;Berlin;1.10.2022;-;1.10.2022 08:00 +0200
1;Berlin Mitte;Berlin;1.10.2022;-;2.10.2022 08:00 +0200
2;Altona;Hamburg;2.10.2022;-;1.10.2022 08:00 +0200
""",
    "Branch Transactions.csv": """\
Branch ID;Transaction ID;Sold At;Customer ID;SKU;Quantity;Unit Price;Line Total;Transaction Total
1;1;30.10.2022 02:30 +0200;71;A;3;1.234,50;3.703,50;3.703,50
1;2;30.10.2022 02:30 +0100;-;B;28;0,99;27,72;27,72
2;1;1.11.2022 00:30 +0100;72;B;1;1,05;1,05;1,05
""",
    "Branch Prices.csv": "Branch ID;SKU;Valid From;List Price\n1;A;1.10.2022;1.234,50\n2;B;1.10.2022;0,99\n",
    "Branch Customers.csv": """\
Branch ID;Customer ID;Segment;Registered On;Updated At
1;71;Privat;3.10.2022;3.10.2022 10:00 +0200
2;71;Laden;4.10.2022;4.10.2022 10:00 +0200
""",
    "Stock.csv": "Branch ID;SKU;Counted On;On Hand;Unit Price\n1;B;1.11.2022;14;0,99\n2;B;01.11.2022;1.000;1,05\n",
    "Conversations.json": json.dumps([{
        "Conversation ID": 1, "Branch ID": 1, "Customer ID": 71, "Topic": "Preis", "Channel": "chat",
        "Opened At": "30.10.2022 01:30 +0200", "Resolved At": "30.10.2022 03:30 +0100",
    }]),
}  # fmt: skip
PLAN = {"price": 19.0, "planName": "regular_1", "billingOnDate": None}
PLAN |= {"fromDate": "2022-10-01 08:00:00.000", "toDate": "2022-10-11 08:00:00.000"}
INSTALL = {"toNow": False, "startType": None, "fromDate": "2022-10-01 00:00:00.000000"}
INSTALL |= {"endType": "uninstall", "toDate": "2022-10-10 23:59:59.999000"}
STORE = [json.dumps([one]).replace('"', '""') for one in (INSTALL, PLAN)]
WANTED = {  # what is asked of gold_local, and all of its answer
    "daily_sales order_date, completed_orders, revenue, cancelled_value, pay_later_surcharge": [
        "01.11.2022 1 102,00 0,00 2,00",
        "29.10.2022 1 2.469,99 0,00 0,00",
        "31.10.2022 0 0,00 10,00 0,00",
    ],
    "customer_metrics customer_id, total_order_amount, total_delivery_distance_km, first_order_at": [
        "71 2.469,99 1,200 29.10.2022 23:30:00",
        "72 102,00 None 01.11.2022 09:05:30",
    ],
    "delivery_times p50_minutes, longest_minutes": ["12,50 12,50"],
    "delivery_areas cell, is_plausible, amount": ["5252:1340 True 2.469,99"],
    "basket_pairs sku, other_sku, orders_together, market_orders": ["A B 1 2"],
    "branch_performance branch_name, sale_month, revenue, average_transaction, customers": [
        "Altona 01.10.2022 0,00 None 0",
        "Altona 01.11.2022 1,05 1,0500 1",
        "Berlin Mitte 01.10.2022 3.731,22 1.865,6100 1",  # 02:30 twice: both clocks are told apart by their zone
        "Berlin Mitte 01.11.2022 0,00 None 0",
    ],
    "stock_cover branch_name, sku, as_of_date, units_sold, on_hand, days_of_cover": [
        "Altona B 01.11.2022 1 1000 28.000,0",
        "Berlin Mitte A 01.11.2022 3 None None",
        "Berlin Mitte B 01.11.2022 28 14 14,0",
    ],
    "conversation_daily topic, event_date, opened, resolved, p50_hours": ["preis 30.10.2022 1 1 3,00"],
}
OF_STORES = ("gold.subscription_revenue_daily", "gold.store_lifespan")
ASKED = ("silver.branch_customers", "silver.branch_prices", *OF_STORES)


@pytest.fixture(scope="module", autouse=True)
def _germany(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the page says is done to a copy of conf/."""
    home, original = tmp_path_factory.mktemp("home"), graph.conf_file
    shutil.copytree(conf.HOME / "conf", home / "conf")
    rows = re.findall(ROW, PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert [name for name, _ in rows] == ["markets", "baskets", "areas"]
    for name, row in rows:
        with (home / "conf" / f"{name}.yml").open("a", encoding="utf-8") as file:
            file.write(row)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph, "conf_file", lambda name: original(name, home))
        yield


@pytest.fixture(scope="module")
def lake(engine: Native, tables: dict[str, Table], tmp_path_factory: pytest.TempPathFactory) -> Lake:
    folder = tmp_path_factory.mktemp("germany")
    (folder / "landing" / DAY).mkdir(parents=True)
    (folder / "landing" / STORES).parent.mkdir(parents=True)
    for name, text in FILES.items():
        (folder / "landing" / DAY / name).write_text(text, encoding="utf-8")
    store = f'store_id;installHistory;subscriptionHistory\nLaden_1;"{STORE[0]}";"{STORE[1]}"\n'
    (folder / "landing" / STORES).write_text(store, encoding="utf-8")
    wanted = graph.selected(tables, [*(f"gold.{asked.partition(' ')[0]}" for asked in WANTED), *ASKED])
    Run(str(folder / "lake"), str(folder / "landing"), wanted, engine=engine).execute(wanted)
    return Lake(str(folder / "lake"))


def test_gold_local_has_the_numbers_of_the_files_as_germany_writes(lake: Lake) -> None:
    found = {}
    for asked in WANTED:
        table, _, columns = asked.partition(" ")
        rows = sql.query(engines.reader(), lake.root, f"select {columns} from gold_local.{table}").arrow().to_pylist()
        found[asked] = sorted(" ".join(map(str, row.values())) for row in rows)
    assert found == WANTED


def test_an_hour_that_the_clock_showed_twice_is_refused_and_nothing_else(lake: Lake, tables: dict[str, Table]) -> None:
    names = [name for name in tables if lake.state(f"{name}__rejected")]
    rejected = {name: feed.read(lake.address(f"{name}__rejected")).to_pylist() for name in names}
    found = {name: [(row["order_id"], *row["rules"]) for row in rows] for name, rows in rejected.items() if rows}
    assert found == {"silver.order_lines": [(3, "hours_are_certain")]}


def test_tables_without_a_market_and_questions_are_answered_beside_it(lake: Lake) -> None:
    revenue, lifespan = (feed.read(lake.address(name)).to_pylist() for name in OF_STORES)
    assert [sum(row[name] for row in revenue) for name in ("cash_revenue", "accrued_revenue")] == [19, 19]
    assert [row["lifespan_days"] for row in lifespan] == [10]
    question = (conf.HOME / "conf" / "questions" / "sold_beside_the_price_list.sql").read_text(encoding="utf-8")
    [row] = sql.query(engines.reader(), lake.root, question.rstrip().rstrip(";")).texts()
    assert row[:8] == ("3", "2", "Altona", "B", "0.99", "1.05", "1", "0.06")

"""Sample exports: daily files of two markets, as dirty as the real ones, and their exact truth.

A delivery holds what is new or changed since the day before, as whole documents: an order with all its lines, a task
with all its items, a customer. What a newcomer would get wrong: the dirt is on purpose. Exact repeats are duplicates
in orders but sales in deliveries, some rows of market 1 are too long, and ids of the two markets collide.

Only `Random.random()` is used: Python promises the same numbers for it on every machine and in every version. Money is
counted in whole cents. Days are always simulated from the first one; `deliver` only chooses which are written.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import NamedTuple, TypeVar

import typer

from jobs.samples.stores import generate as generate_stores

T = TypeVar("T")

NEWLINE = "\r\n"
HOUR = 60 * 60  # seconds
DAY = 24 * HOUR
FIRST_ORDER_ID = 10_420_000  # both markets start at the same ids, so that they collide
FIRST_TASK_ID = 338_000_000
FIRST_CUSTOMER_ID = 3_144_000
LINES_WORTH_TWO_PROCESSES = 100_000  # below this, starting a process costs more than it saves

# Shares, as measured in the real exports
OPEN = 0.035  # orders not yet completed or cancelled in their first export
CANCELLED = 0.07
CORRECTED = 0.005  # closed orders of which a line comes or goes later
DUPLICATED = 1 / 4000  # order lines exported twice
ODD = 1 / 500  # order lines without SKU or cost
REDEEMING_CAP = 2  # points pay at most one half of an order
CUSTOMERS_PER_LINE = 0.4
BUYERS = 0.13  # customers who order; the others never do
EARLIER_CUSTOMERS = 0.6  # known before the first day

ORDERS_2 = (
    "Order ID,Order Status,Category Name,SKU,Customization Group,Customization Option,Quantity,Unit Price,Cost Price,"
    "Total Cost Price,Total Price,Order Total,Sub Total,Tax,Delivery Charge,Tip,Discount,Remaining Balance,"
    "Payment Method,Additional Charge,Taxable Amount,Transaction ID,Currency Symbol,Transaction Status,Promo Code,"
    "Customer ID,Merchant ID,Description,Distance (in km),Order Time,Pickup Time,Delivery Time,Ratings,Reviews,"
    "Merchant Earning,Commission Amount,Commission Payout Status,Order Preparation Time,Redeemed Loyalty Points,"
    "Consumed Loyalty Points,Cancellation Reason,Flat Discount,Checkout Template Name,Checkout Template Value"
)
ORDERS_1 = ORDERS_2.replace("Order Preparation Time,", "Order Preparation Time,Debt Amount,")
DELIVERIES_2 = (
    "Task_ID,Order_ID,Relationship,Team_Name,Task_Type,Notes,Agent_ID,Distance(m),Total_Time_Taken(min),Task_Status,"
    "Ref_Images,Rating,Review,Latitude,Longitude,Tags,Promo_Applied,Custom_Template_ID,Task_Details_QTY,"
    "Task_Details_AMOUNT,Special_Instructions,Tip,Delivery_Charges,Discount,Subtotal,Payment_Type,Task_Category,"
    "Earning,Pricing"
)
DELIVERIES_1 = DELIVERIES_2.replace("Agent_ID,", "Agent_ID,Agent_Name,") + ",,"

NOTES = ("Ask for the kitchen", "Bring change", "Call on arrival", "Deliver before noon", "Second floor")
QUOTED_NOTES = ('"Call, on arrival"', '"Second, floor"', "Bring change\\nthanks", '"Leave, at the back gate"')
NOTE_WITH_COMMA = "DELIVER BY 6,30 PLEASE"  # deliveries do not quote it, which makes the row too long
PAYMENT_TYPES = (
    "CASH|" * 60 + "Pay Later|" * 12 + "cash|CASHaa|Cash |cash/mpesa|Half cash|CASH 4000 Bal 1489|bal 200|paid less 80|"
    "PAY LATER|To pay after 3days|cheque|CHEQUE|till|Till no|Mpesa till|M-pesa|Equity|Bank|paybill|PAYBILL|Pre-paid"
).split("|")
OLDER_STATUSES = ("COMPLETED",) * 9 + ("CANCELLED",)
EMPLOYEES = (1, 2, 2, 2, 2, 3, 3, 3, 4, 5, 6, 8, 10, 13)
TASK_STATUSES = {
    "ORDERED": ("Unassigned",) * 6 + ("Assigned", "Assigned", "Accepted", "Declined"),
    "DISPATCHED": ("In Transit",),
    "COMPLETED": ("Completed",),
    "CANCELLED": ("Failed",) * 9 + ("Cancelled",),
}


class Product(NamedTuple):
    """One article of a market's catalog."""

    category: str
    sku: str
    price: int  # whole units of currency
    cost: int | None  # cents; None is written "-"


def catalog(prefix: str, size: int, categories: str, prices: Sequence[int]) -> tuple[Product, ...]:
    """Products by popularity. Some have the same price, so that some delivery items are exact repeats."""
    names = categories.split(", ")
    products = []
    for i in range(size):
        category = names[i % len(names)]
        price = prices[i % len(prices)] + 5 * (i // len(prices) // 2)
        cost = price * (88 + i % 10) if i % 8 == 0 else price * (88 + i % 10) // 100 * 100
        products.append(Product(category, f"{prefix}{category[:2].upper()}{i:04}", price, cost))
    return tuple(products)


@dataclass(frozen=True)
class Market:
    """What differs between the markets: header versions, currency, catalog and habits."""

    number: int
    share: float  # of all order lines
    orders_header: str
    deliveries_header: str
    employees_key: str
    has_agent_names: bool
    currency: str
    point_value: int  # currency that a redeemed loyalty point pays
    spend_per_point: int
    utc_offset: int  # hours
    merchant: int
    products: tuple[Product, ...]
    odd_products: tuple[Product, ...]
    order_sizes: tuple[int, ...]
    quantities: tuple[int, ...]
    order_hours: tuple[int, ...]
    slots: tuple[int, ...]  # local hours promised for delivery
    is_same_day: bool
    redeeming: float
    paying_later: float
    completed_without_points: float
    without_task: float
    descriptions: tuple[str, ...]
    payment_types: Sequence[str]
    commas: float  # share of tasks whose note has an unquoted comma
    is_picked_up: bool  # some orders have two tasks, Pick-up and Delivery


MARKETS = (
    Market(
        number=1,
        share=0.85,
        orders_header=ORDERS_1,
        deliveries_header=DELIVERIES_1,
        employees_key="Number of employees",
        has_agent_names=True,
        currency="KSh",
        point_value=1,
        spend_per_point=100,
        utc_offset=3,
        merchant=893555,
        products=catalog(
            "KK",
            160,
            "Flour & Sugar, Cooking Fat & Oil, Salt & Seasoning, Cleaning & Hygiene, Packaging, Meat & Fish, Beverages",
            (65, 1670, 263, 1740, 4275, 25, 1990, 61, 1410, 2158, 249, 180, 4400, 325, 38, 530, 85, 2323, 650, 120),
        ),
        odd_products=(
            Product("Fruits & Vegetables", "KKFR5111", 95, None),
            Product("Packaging", "", 200, 12000),
            Product("Fruits & Vegetables", "KKFV5801", 110, None),
        ),
        order_sizes=(1,) * 9 + (2,) * 25 + (3,) * 18 + (4,) * 32 + (5,) * 7 + (6,) * 4 + (7, 7, 8, 10, 24),
        quantities=(1,) * 62 + (2,) * 15 + (3,) * 6 + (5,) * 5 + (4,) * 4 + (10,) * 3 + (6, 6, 7, 8, 12),
        order_hours=(7, 8, 9, 11, 13, 14, 15, 23, 0) + (10, 16, 17) * 2 + (18, 22) * 3 + (19, 20, 21) * 5,
        slots=(8,) * 16 + (9, 9, 10, 14),
        is_same_day=False,
        redeeming=0.6,
        paying_later=0.035,
        completed_without_points=0,
        without_task=1 / 800,
        descriptions=("null",) * 48 + ("",) * 12 + NOTES * 7 + QUOTED_NOTES,
        payment_types=PAYMENT_TYPES,
        commas=1 / 500,
        is_picked_up=False,
    ),
    Market(
        number=2,
        share=0.15,
        orders_header=ORDERS_2,
        deliveries_header=DELIVERIES_2,
        employees_key="Number of Employees",
        has_agent_names=False,
        currency="₦",
        point_value=5,
        spend_per_point=500,
        utc_offset=1,
        merchant=1048159,
        products=catalog(
            "KN",
            90,
            "Flour & Sugar, Rice & Cereals, Cooking Fat & Oil, Salt & Seasoning, Noodles & Spaghetti, Beverages",
            (20850, 21000, 23000, 26050, 1100, 28350, 4000, 325, 22100, 6600, 2200, 6700, 950, 17000),
        ),
        odd_products=(Product("Vegetables", "", 2600, 250000),),
        order_sizes=(1,) * 71 + (2,) * 20 + (3,) * 4 + (4, 4, 5, 7, 10),
        quantities=(1,) * 44 + (2,) * 19 + (3,) * 10 + (10,) * 6 + (5,) * 5 + (4,) * 5 + (6, 6, 6, 20, 20, 15),
        order_hours=(6, 12, 14, 16, 17, 18, 22, 0) + (7, 10, 11, 19, 20, 21) * 2 + (8, 9) * 4,
        slots=(11, 11, 11, 7, 7, 15, 9, 13, 19, 17),
        is_same_day=True,
        redeeming=0.3,
        paying_later=0.01,
        completed_without_points=0.01,
        without_task=0,
        descriptions=("",) * 9 + ("null",),
        payment_types=["CASH"],
        commas=0,
        is_picked_up=True,
    ),
)


class Line(NamedTuple):
    """One line of an order: its own nine cells, ready to write, and what is computed from them."""

    sku: str
    cells: str
    quantity: int
    amount: int  # whole units of currency


@dataclass(slots=True)
class Order:
    """An order and its tasks as of now; texts are ready to write."""

    order_id: int
    status: str
    lines: list[Line]
    redeemed: int  # points
    payment_method: str
    about: str  # the cells from Customer ID to Reviews
    note: str  # the other texts are of its tasks
    trip: str  # agent, distance, duration
    place: str
    payment_type: str
    task_ids: tuple[int, ...] = ()  # newest first: Delivery, Pick-up
    is_duplicated: bool = False  # its last row is exported twice
    has_points: bool = True

    @property
    def sub_total(self) -> int:
        """Sum of the distinct lines."""
        return sum(line.amount for line in self.lines)


@dataclass(slots=True)
class Customer:
    """A customer as of now."""

    customer_id: int
    created_at: str
    employees: str
    points: int
    distance: str  # km, as their orders show it
    is_blocked: int = 0
    platform: str = "WEB"


@dataclass
class Truth:
    """One market once all is read: the newest document wins, true duplicates of order rows are removed."""

    # what there is
    orders: int = 0
    order_lines: int = 0
    completed_orders: int = 0
    cancelled_orders: int = 0
    completed_order_total: Decimal = Decimal(0)
    order_total: Decimal = Decimal(0)
    customers: int = 0
    tasks: int = 0
    tasks_without_order: int = 0
    delivery_items: int = 0
    # rows in all the files, header not counted
    order_rows: int = 0
    duplicate_rows: int = 0
    delivery_rows: int = 0
    repeated_item_rows: int = 0  # exact repeats that are sales
    comma_shifted_rows: int = 0
    customer_rows: int = 0
    # documents
    changed_orders: int = 0  # deliveries of an order after its first
    orders_without_points: int = 0  # completed ones
    rejected_documents: int = 0


@dataclass(frozen=True)
class Exports:
    """The files just written, and by market the truth once all days up to the last written one are delivered."""

    files: list[Path]
    markets: dict[int, Truth]


@dataclass(frozen=True)
class History:
    """Everything that decides what the files contain."""

    lines: int
    days: int
    start: date
    seed: int
    tasks_without_order: float


def generate(
    landing: Path,
    *,
    lines: int = 3000,
    days: int = 10,
    start: date = date(2022, 1, 3),
    seed: int = 7,
    deliver: Iterable[int] | None = None,
    tasks_without_order: float = 0.3,
) -> Exports:
    """Write the deliveries of some days (0 is the first; None: all) of a history of about `lines` order lines.

    A day's content depends on the other settings only. `tasks_without_order` is their number per order: 0.3 keeps the
    files small, 4 is the real export's share.
    """
    chosen = frozenset(range(days) if deliver is None else deliver)
    if not chosen or not chosen <= set(range(days)):
        msg = f"deliver={sorted(chosen)} must name days from 0 to days - 1 = {days - 1}. Change deliver or days."
        raise ValueError(msg)
    history = History(lines, days, start, seed, tasks_without_order)
    of_market = partial(generate_market, landing, history, chosen)
    if lines < LINES_WORTH_TWO_PROCESSES:
        return together(map(of_market, MARKETS))
    spawn = get_context("spawn")  # a fork would copy Spark's gateway
    with ProcessPoolExecutor(len(MARKETS), mp_context=spawn) as pool:
        return together(pool.map(of_market, MARKETS))


def late_file(
    landing: Path,
    *,
    lines: int = 3000,
    days: int = 10,
    start: date = date(2022, 1, 3),
    seed: int = 7,
    tasks_without_order: float = 0.3,
) -> Exports:
    """Write `Market 1 Orders late.csv` into a middle day's folder; call it after `generate`, with the same settings.

    It holds an order as it was before a newer delivery changed it, and an order never seen before. The truth is that of
    all the days and this file.
    """
    history = History(lines, days, start, seed, tasks_without_order)
    kenya, nigeria = (Simulation(market, history) for market in MARKETS)
    late_day = (days - 1) // 2
    late_rows: list[str] = []
    for day in range(days):
        kenya.deliver(day)
        nigeria.deliver(day)
        if day == late_day < days - 1:
            late_rows = kenya.late_rows(day)
    if not late_rows:
        msg = f"Nothing of market 1 can come late in {days} days with {lines} lines. Raise days (2 or more) or lines."
        raise ValueError(msg)
    path = path_of(landing, kenya.market, start + timedelta(days=late_day), "Orders late.csv")
    write(path, NEWLINE.join([kenya.market.orders_header, *late_rows]))
    return Exports([path], {1: kenya.truth, 2: nigeria.truth})


def together(parts: Iterable[Exports]) -> Exports:
    """Join the exports of both markets."""
    exports = Exports([], {})
    for part in parts:
        exports.files.extend(part.files)
        exports.markets.update(part.markets)
    return exports


def generate_market(landing: Path, history: History, chosen: frozenset[int], market: Market) -> Exports:
    """Simulate up to the last chosen day, write the chosen ones; holds one day's rows at a time."""
    simulation = Simulation(market, history)
    exports = Exports([], {market.number: simulation.truth})
    for day in range(max(chosen) + 1):
        delivery = simulation.deliver(day)
        for name, text in delivery.items() if day in chosen else ():
            path = path_of(landing, market, history.start + timedelta(days=day), name)
            write(path, text)
            exports.files.append(path)
    return exports


def path_of(landing: Path, market: Market, delivered: date, name: str) -> Path:
    """Spaces in the name, as in the real exports."""
    return landing / f"market_{market.number}" / delivered.isoformat() / f"Market {market.number} {name}"


def write(path: Path, text: str) -> None:
    """As bytes: the same line ends on every system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


class Simulation:
    """One market, day after day. The truth is counted from the orders, never read back from the texts."""

    def __init__(self, market: Market, history: History) -> None:
        """Before the first day there are customers, but no orders."""
        self.market, self.history, self.truth = market, history, Truth()
        self.random = Random(f"{history.seed}/{market.number}").random
        self.lines = round(history.lines * market.share)
        self.midnight = datetime.combine(history.start, time())  # local; moments are seconds since then
        self.due: dict[int, list[Order]] = {}  # orders by the day on which they change
        self.first_order: Order | None = None  # of the day
        self.order_id = self.older_order_id = FIRST_ORDER_ID
        self.task_id = self.older_task_id = FIRST_TASK_ID
        self.customer_id = FIRST_CUSTOMER_ID
        self.buyers: list[Customer] = []
        expected = self.lines * CUSTOMERS_PER_LINE
        self.customers_a_day = max(1, round(expected * (1 - EARLIER_CUSTOMERS) / history.days))
        self.waiting = self.new_customers(-300, max(10, round(expected * EARLIER_CUSTOMERS)), days=300)

    def deliver(self, day: int) -> dict[str, str]:
        """Make the day's three files, by name. Who becomes a customer today orders from tomorrow on."""
        placed = self.placed_orders(day)
        orders = placed[::-1] + self.changed_orders(day)
        older = self.older_orders(day, round(len(orders) * self.history.tasks_without_order))
        customers = self.waiting or self.changed_customers()
        customers += self.new_customers(day, self.customers_a_day, days=1)
        self.waiting = []
        return {
            "Orders.csv": NEWLINE.join([self.market.orders_header, *self.order_rows(orders)]),
            "Deliveries.csv": NEWLINE.join([self.market.deliveries_header, *self.delivery_rows(orders + older)]),
            "Customers.json": self.customers_text(customers),
        }

    def late_rows(self, day: int) -> list[str]:
        """Give the day's first order as it still is (tomorrow it changes), and one that no file has shown."""
        if self.first_order is None:
            return []
        usual, self.random = self.random, Random(f"{self.history.seed}/late").random  # later days must not notice
        unseen = self.new_order(self.first_order.order_id - 1, 3, day * DAY, "COMPLETED")
        self.random = usual
        self.count(unseen, 1)
        return self.order_rows([self.first_order, unseen])

    # Chance

    def chance(self, share: float) -> bool:
        """Say yes in this share of all cases."""
        return self.random() < share

    def pick(self, items: Sequence[T]) -> T:
        """Choose each with the same chance."""
        return items[int(self.random() * len(items))]

    def pick_popular(self, items: Sequence[T]) -> T:
        """Choose the first ones more often."""
        number = self.random()
        return items[int(number * number * len(items))]

    def below(self, limit: int) -> int:
        """Choose a whole number from 0 to limit - 1."""
        return int(self.random() * limit)

    # Orders

    def placed_orders(self, day: int) -> list[Order]:
        """Place the day's new orders, oldest first."""
        budget = self.lines * (day + 1) // self.history.days - self.lines * day // self.history.days
        sizes: list[int] = []
        while budget > 0:
            sizes.append(min(self.pick(self.market.order_sizes), budget))
            budget -= sizes[-1]
        hours = self.market.order_hours
        moments = sorted(day * DAY + self.pick(hours) * HOUR + self.below(HOUR) for _ in sizes)
        orders = [self.placed_order(day, *order) for order in zip(range(len(sizes)), sizes, moments, strict=True)]
        self.first_order = orders[0] if orders else None
        return orders

    def placed_order(self, day: int, number: int, size: int, moment: int) -> Order:
        """Place an order with its tasks. The day's first ones show rare cases, so that small histories have them."""
        is_first = number == 0
        is_open = is_first or self.chance(OPEN)
        status = "ORDERED" if is_open else "CANCELLED" if self.chance(CANCELLED) else "COMPLETED"
        self.order_id += 2 + self.below(8)  # two at least: room for an order that comes late
        self.task_id += 2 + self.below(8)
        order = self.new_order(self.order_id, size, moment, status)
        order.is_duplicated = (is_first and day == 0) or self.chance(DUPLICATED * size)
        if is_first and self.market.is_picked_up:
            order.task_ids = (self.task_id, self.task_id - 1)
        elif is_first or not self.chance(self.market.without_task):
            order.task_ids = (self.task_id,)
        if self.market.commas and (number in {0, 1} or self.chance(self.market.commas)):
            order.note = NOTE_WITH_COMMA
        if is_open or self.chance(CORRECTED):
            self.due.setdefault(day + 1 + (0 if is_first else self.below(3)), []).append(order)
        self.truth.tasks += len(order.task_ids)
        self.count(order, 1)
        return order

    def new_order(self, order_id: int, size: int, moment: int, status: str) -> Order:
        """Make an order without tasks."""
        market = self.market
        buyer = self.pick_popular(self.buyers)
        lines: list[Line] = []
        while len(lines) < size:
            self.try_to_add_line(lines)
        order = Order(
            order_id=order_id,
            status=status,
            lines=lines,
            redeemed=10 * (1 + self.below(25)) if self.chance(market.redeeming) else 0,
            payment_method="Pay Later" if self.chance(market.paying_later) else "CASH",
            about=f"{buyer.customer_id},{market.merchant},{self.pick(market.descriptions)},{buyer.distance},"
            f"{self.times(moment)},{self.rating_and_review()}",
            note=self.pick(NOTES) if market.has_agent_names and self.chance(0.3) else "",
            trip=self.trip(),
            place=self.place(),
            payment_type=self.pick(market.payment_types),
            has_points=not self.chance(market.completed_without_points),
        )
        self.cap_redeemed(order)
        return order

    def try_to_add_line(self, lines: list[Line]) -> None:
        """Add a product, unless the order has it already: (order, SKU) is unique."""
        products = self.market.odd_products if self.chance(ODD) else self.market.products
        category, sku, price, cost = self.pick_popular(products)
        if any(line.sku == sku for line in lines):
            return
        quantity = self.pick(self.market.quantities)
        costs = "-,-" if cost is None else f"{money(cost)},{money(cost * quantity)}"
        cells = f"{category},{sku},,,{quantity},{price},{costs},{price * quantity}"
        lines.append(Line(sku, cells, quantity, price * quantity))

    def cap_redeemed(self, order: Order) -> None:
        """Keep points from paying more than a part of the order."""
        order.redeemed = min(order.redeemed, order.sub_total // (REDEEMING_CAP * self.market.point_value))

    def times(self, moment: int) -> str:
        """Placed, picked up, promised: local wall clock stamped Z. Pickup may seem to come first (clocks differ)."""
        tomorrow = (moment // DAY + 1) * DAY
        if self.chance(0.27):
            pickup = moment - 30 - self.below(120)
        else:
            pickup = moment + 30 + self.below(45) if self.chance(0.8) else tomorrow + 13 * HOUR
        slot = self.pick(self.market.slots) * HOUR
        is_today = self.market.is_same_day and moment % DAY + HOUR < slot
        return f"{self.stamp(moment)},{self.stamp(pickup)},{self.stamp(tomorrow + slot - is_today * DAY)}"

    def stamp(self, moment: int) -> str:
        """Write a moment as the exports do."""
        return f"{(self.midnight + timedelta(seconds=moment)).isoformat()}.000Z"

    def rating_and_review(self) -> str:
        """Nearly always nothing."""
        return f"5,{self.pick(('', *QUOTED_NOTES))}" if self.chance(1 / 400) else ","

    def changed_orders(self, day: int) -> list[Order]:
        """Orders of the days before that are not what they were, newest first."""
        changed = sorted(self.due.pop(day, []), key=lambda order: order.order_id, reverse=True)
        for order in changed:
            self.count(order, -1)
            self.change(order, day)
            self.count(order, 1)
        self.truth.changed_orders += len(changed)
        return changed

    def change(self, order: Order, day: int) -> None:
        """Move an open order on; some of these, and all closed ones that come here, gain or lose a line."""
        is_open = order.status in {"ORDERED", "DISPATCHED"}
        if order.status == "ORDERED" and self.chance(0.3):
            order.status = "DISPATCHED"
            self.due.setdefault(day + 1, []).append(order)
        elif is_open:
            order.status = "CANCELLED" if self.chance(0.1) else "COMPLETED"
        if is_open and self.chance(0.8):
            return
        if len(order.lines) > 1 and self.chance(0.5):
            order.lines.pop()
        else:
            size = len(order.lines)
            while len(order.lines) == size:
                self.try_to_add_line(order.lines)
        self.cap_redeemed(order)

    def count(self, order: Order, sign: int) -> None:
        """Add an order to the truth, or take it out before it changes."""
        truth, is_completed = self.truth, order.status == "COMPLETED"
        total = Decimal(sign * self.order_total(order)).scaleb(-2)
        truth.orders += sign
        truth.order_lines += sign * len(order.lines)
        truth.delivery_items += sign * len(order.lines) * len(order.task_ids)
        truth.order_total += total
        truth.cancelled_orders += sign * (order.status == "CANCELLED")
        if is_completed:
            truth.completed_orders += sign
            truth.completed_order_total += total
            truth.orders_without_points += sign * (not order.has_points)

    def order_total(self, order: Order) -> int:
        """In cents; paying later costs two percent."""
        paid_in_money = order.sub_total - self.market.point_value * order.redeemed
        return paid_in_money * (102 if order.payment_method == "Pay Later" else 100)

    def order_rows(self, orders: Iterable[Order]) -> list[str]:
        """One row per line, each with the order's header values."""
        rows: list[str] = []
        debt = "-," if self.market.orders_header == ORDERS_1 else ""
        for order in orders:
            sub_total = order.sub_total
            is_earning = order.status == "COMPLETED" and order.has_points
            points = sub_total // self.market.spend_per_point if is_earning else "-"
            before = f"{order.order_id},{order.status},"
            after = (
                f",{money(self.order_total(order))},{sub_total},-,-,-,-,0,{order.payment_method},-,-,0,"
                f"{self.market.currency},,,{order.about},,,,0,{debt}{order.redeemed or '-'},{points},,0,-,-"
            )
            rows += [before + line.cells + after for line in order.lines]
            if order.is_duplicated:
                rows.append(rows[-1])
                self.truth.duplicate_rows += 1
        self.truth.order_rows += len(rows)
        return rows

    # Deliveries

    def older_orders(self, day: int, wanted: int) -> list[Order]:
        """Orders from before the first export, of which only the tasks are exported; newest first."""
        orders = []
        for _ in range(wanted):
            order = self.new_order(self.older_order_id, 1 + self.below(3), day * DAY, self.pick(OLDER_STATUSES))
            self.older_order_id -= 2 + self.below(8)
            self.older_task_id -= 2 + self.below(8)
            order.redeemed = self.pick((0, 0, 50, 120))  # may exceed the amount: such a Subtotal is negative
            order.task_ids = (self.older_task_id,)
            self.truth.delivery_items += len(order.lines)
            orders.append(order)
        self.truth.tasks += wanted
        self.truth.tasks_without_order += wanted
        return orders

    def trip(self) -> str:
        """Agent, metres and minutes of a task; the market with agent names has whole minutes."""
        agent = 1 + self.below(31)
        distance = str(self.below(40_000)) if self.chance(0.5) else self.pick("-0")
        if self.market.has_agent_names:
            duration = str(10 + self.below(230)) if self.chance(0.5) else self.pick("-0")
            return f"{1_200_000 + 613 * agent},Agent {agent:02},{distance},{duration}"
        return f"{1_100_000 + 977 * agent},{distance},{money(self.below(20_000)) if self.chance(0.7) else '0'}"

    def place(self) -> str:
        """Latitude and longitude."""
        if self.market.number == 1:
            return f"-1.{2_000_000 + self.below(2_000_000)},36.{7_000_000 + self.below(2_500_000)}"
        return f"6.{4_500_000 + self.below(1_500_000)},3.{3_000_000 + self.below(1_200_000)}"

    def delivery_rows(self, orders: Iterable[Order]) -> list[str]:
        """One row per item of each task of these orders."""
        rows: list[str] = []
        for order in orders:
            for kind, task_id in zip(("Delivery", "Pick-up"), order.task_ids, strict=False):
                task_rows = self.task_rows(order, kind, task_id)
                rows += task_rows
                self.truth.repeated_item_rows += len(task_rows) - len(set(task_rows))
                self.truth.comma_shifted_rows += len(task_rows) if order.note == NOTE_WITH_COMMA else 0
        self.truth.delivery_rows += len(rows)
        return rows

    def task_rows(self, order: Order, kind: str, task_id: int) -> list[str]:
        """Write a task's items. The task's own amounts stand on its last row only."""
        names, status = self.market.has_agent_names, self.pick(TASK_STATUSES[order.status])
        trip = order.trip if status != "Unassigned" else "-,-,-,0" if names else "-,-,0"
        relationship = "3.68E+29" if names else f"{task_id // 1_000_000 / 100:.2f}E+29"
        currency = self.market.currency + ("" if self.chance(1 / 2000) else " ")  # spacing varies
        rating = f"5,{'-' if names else self.pick(QUOTED_NOTES)}" if self.chance(1 / 200) else "0,-"
        before = f'{task_id},"YR-{order.order_id},0",{relationship},Default Team,{kind},{order.note},{trip},{status},-,'
        rows = []
        last = len(order.lines) - 1
        for i, line in enumerate(order.lines):
            place = order.place if names else self.place()
            amounts = "-,-,-,-,-,-" if i < last else self.task_amounts(order, kind, currency)
            rows.append(
                f"{before}{rating},{place},,-,Order_Details,{line.quantity},{currency}{line.amount}.00,{amounts},"
                f"-,{'0' if names and self.chance(0.5) else '-'},-{',,' if names else ''}"
            )
        return rows

    def task_amounts(self, order: Order, kind: str, currency: str) -> str:
        """Special_Instructions, Tip, Delivery_Charges, Discount, Subtotal, Payment_Type."""
        discount = self.market.point_value * order.redeemed
        tip_and_charges = "-,-" if kind == "Pick-up" else f"{currency}0.00,{currency}0.00"
        payment = "Pay Later" if order.payment_method == "Pay Later" else order.payment_type
        return f"{order.note or '-'},{tip_and_charges},{currency}{discount}.00,{order.sub_total - discount},{payment}"

    # Customers

    def new_customers(self, day: int, wanted: int, days: int) -> list[Customer]:
        """Sign up customers in the days from this one on, oldest first; Created At is UTC."""
        market, customers = self.market, []
        for moment in sorted(day * DAY + self.below(days * DAY) for _ in range(wanted)):
            self.customer_id += 1 + self.below(8)
            distance = 50 + self.below(3000) if market.number == 1 else 1_199_300 + self.below(1400)
            customer = Customer(
                customer_id=self.customer_id,
                created_at=self.stamp(moment - market.utc_offset * HOUR),
                employees=self.employees(),
                points=self.below(600) if self.chance(0.6) else 0,
                distance="0" if self.chance(0.02) else money(distance),  # all of market 2 is thousands of km wrong
                is_blocked=int(self.chance(0.02)),
            )
            customers.append(customer)
            if self.chance(BUYERS) or not self.buyers:
                self.buyers.append(customer)
        self.truth.customers += wanted
        return customers

    def employees(self) -> str:
        """Write what people type into a field for a number."""
        if self.chance(0.3):
            return "null"
        if self.chance(0.02):
            return str(7_000_000_000 + self.below(1_000_000))
        return "-2" if self.chance(1 / 300) else str(self.pick(EMPLOYEES))

    def changed_customers(self) -> list[Customer]:
        """One buyer in fifty has other points, another platform, or is blocked or no longer so."""
        chosen = {self.pick(self.buyers).customer_id for _ in range(1 + len(self.buyers) // 50)}
        changed = [customer for customer in self.buyers if customer.customer_id in chosen]
        for customer in changed:
            if self.chance(0.1):
                customer.is_blocked = 1 - customer.is_blocked
            elif self.chance(0.1):
                customer.platform = "ANDROID" if customer.platform == "WEB" else "WEB"
            else:
                customer.points += 1 + self.below(200)
        return changed

    def customers_text(self, customers: Sequence[Customer]) -> str:
        """Write the array as the real export's printer does: one and three spaces."""
        self.truth.customer_rows += len(customers)
        records = [
            f' {{\r\n   "Customer ID": {c.customer_id},\r\n   "Last Used Platform": "{c.platform}",\r\n'
            f'   "Is Blocked": {c.is_blocked},\r\n   "Created At": "{c.created_at}",\r\n   "Language": "en",\r\n'
            f'   "Outstanding Amount": 0,\r\n   "Loyalty Points": {c.points},\r\n'
            f'   "{self.market.employees_key}": {c.employees}\r\n }}'
            for c in customers
        ]
        return "[\r\n" + ",\r\n".join(records) + "\r\n]"


def money(cents: int) -> str:
    """Without trailing zeros, as the exports write numbers.

    >>> money(3831630), money(440000), money(5)
    ('38316.3', '4400', '0.05')
    """
    whole, rest = divmod(cents, 100)
    return f"{whole}.{rest:02}".rstrip("0") if rest else str(whole)


def main(landing: Path, lines: int = 3000, days: int = 10, seed: int = 7, stores: int = 0) -> None:
    """Write daily sample exports of two markets, and of so many STORES, into LANDING."""
    exports = generate(landing, lines=lines, days=days, seed=seed)
    typer.echo(f"{len(exports.files)} files in {landing}")
    for market, truth in sorted(exports.markets.items()):
        typer.echo(
            f"Market {market}: {truth.orders} orders with {truth.order_lines} lines ({truth.order_rows} rows), "
            f"{truth.completed_orders} completed = {truth.completed_order_total}, {truth.tasks} tasks with "
            f"{truth.delivery_items} items ({truth.delivery_rows} rows), {truth.customers} customers"
        )
    if stores:
        known = generate_stores(landing, stores=stores, days=days, seed=seed)
        typer.echo(
            f"{known.stores} stores in {len(known.files)} files: {known.installs} installs, "
            f"{known.subscriptions} subscriptions = {known.cash}"
        )


if __name__ == "__main__":
    typer.run(main)

"""Sample exports of branches: shops of both markets with their customers, prices, receipts, stock and conversations.

They lie beside the exports of `jobs.samples.daily`, whose customers and products they name, and are written only when
asked for. An export holds what is new or changed since the one before, as whole documents. The dirt is on purpose: a
branch is listed under five names, receipts are numbered anew in each branch, and a few are of a branch that no list
has. Branches describe a customer of two of them differently, and one branch's till does not follow its price list.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from itertools import cycle
from json import dumps
from pathlib import Path
from random import Random

import typer

from jobs.samples.daily import DAY, HOUR, MARKETS, NEWLINE, History, Market, Simulation, path_of, write

BRANCHES = "Branch ID,Branch Name,City,Opened On,Closed On,Updated At"
TRANSACTIONS = "Branch ID,Transaction ID,Sold At,Customer ID,SKU,Quantity,Unit Price,Line Total,Transaction Total"
STOCK = "Branch ID,SKU,Counted On,On Hand,Unit Price"
CUSTOMERS = "Branch ID,Customer ID,Segment,Registered On,Updated At"
PRICES = "Branch ID,SKU,Valid From,List Price"
PLACES = {  # by market
    1: (
        "Westlands", "Kilimani", "Karen", "Kasarani", "Nyali", "Likoni", "Kisumu", "Nakuru", "Eldoret", "Thika",
        "Machakos", "Meru",
    ),
    2: (
        "Ikeja", "Lekki", "Yaba", "Surulere", "Wuse", "Garki", "Ibadan", "Enugu", "Benin", "Abeokuta", "Kano", "Jos",
    ),
}  # fmt: skip
FIVE_NAMES = ("{} Mall", "Shop {}", "{} New", "{} (old)", "{}")  # of the first branch; the newest is the last
CITIES = ("Old Town", "New Town")
TOPICS = ("delivery", "price", "payment", "return", "stock")
CHANNELS = ("phone", "chat", "counter")
SEGMENTS = ("household", "shop", "restaurant")
UNLISTED = 99  # a branch that writes a receipt in each export
LATER, CLOSED = 3, 5  # open in the middle of the days; close when two thirds of them are over
CROWDED, QUIET, STUFFED = 1, 2, 4  # sells to ever new people; sells little; has more on its shelves than it sells
CHEAP = 6  # its till goes on as before when its list raises a price
LISTED, OTHERWISE = 30, 5  # days for which prices are old at the start; of so many customers one is described otherwise
START = date(2022, 1, 3)  # as the other samples
PRODUCTS = 10  # of the market's catalog
FIRST_TRANSACTION_ID, FIRST_CONVERSATION_ID = 1_000, 70_000
WALK_IN, DUPLICATED, CORRECTED, NEVER_RESOLVED = 0.4, 1 / 300, 1 / 60, 0.05
RARE = 1 / 60  # receipts with the last of the products
CONVERSATIONS = 0.3  # per receipt
WEEK = 7  # days between counts of the stock


@dataclass
class Branch:
    """A shop as of now: `receipts` of a day, to `buyers`, at `prices` in whole units of currency."""

    branch_id: int
    name: str
    opened: int  # day
    closed: int  # day, perhaps behind all of them
    receipts: float
    buyers: Sequence[int]
    prices: dict[str, int]
    shelf: dict[str, int]  # what it is filled up to
    on_hand: dict[str, int]
    transaction_id: int = FIRST_TRANSACTION_ID


@dataclass
class Receipt:
    """A transaction as of now."""

    branch_id: int
    transaction_id: int
    sold_at: str
    customer: str
    lines: list[tuple[str, int, int]]  # SKU, quantity, unit price

    @property
    def total(self) -> int:
        return sum(quantity * price for _, quantity, price in self.lines)


@dataclass
class Conversation:
    """What a customer asked a branch; moments are seconds since the first midnight, None is never."""

    conversation_id: int
    branch_id: int
    customer: int
    topic: str
    channel: str
    opened: int
    resolved: int | None


@dataclass
class BranchTruth:
    """One market once all is read."""

    transactions: int = 0
    lines: int = 0
    duplicate_rows: int = 0
    revenue: Decimal = Decimal(0)
    conversations: int = 0
    resolved: int = 0
    counts: int = 0  # of a product on a branch's shelf
    customers: int = 0  # of a branch's list
    prices: int = 0  # of a product in a branch from a day on


@dataclass(frozen=True)
class BranchExports:
    """The files just written, and by market the truth once all exports up to the last written one are delivered."""

    files: list[Path] = field(default_factory=list)
    markets: dict[int, BranchTruth] = field(default_factory=dict)


def generate(
    landing: Path,
    *,
    days: int = 98,
    every: int = 14,
    receipts: float = 2.0,
    lines: int = 3000,
    seed: int = 7,
    deliver: Iterable[int] | None = None,
) -> BranchExports:
    """Write some exports (0 is the first; None: all) of so many days, one at the end of `every` days.

    `receipts`: of a usual branch in a day. With the `lines` and `seed` of `jobs.samples.daily.generate` the customers
    are those of its exports.
    """
    exports, periods = BranchExports(), range(-(-days // every))
    chosen = frozenset(periods if deliver is None else deliver)
    for market in MARKETS:
        shops = Shops(market, History(lines, days, START, seed, 0), receipts)
        exports.markets[market.number] = shops.truth
        for number in range(max(chosen) + 1):
            period = range(number * every, min((number + 1) * every, days))
            texts = shops.export(period)
            for name, text in texts.items() if number in chosen else ():
                exports.files.append(path_of(landing, market, START + timedelta(days=period[-1]), name))
                write(exports.files[-1], text)
    return exports


class Shops:
    """The branches of one market, export after export. The truth is counted from receipts, never read from texts."""

    def __init__(self, market: Market, history: History, receipts: float) -> None:
        self.market, self.history, self.truth = market, history, BranchTruth()
        self.draw = Simulation(market, history)
        self.customers = [one.customer_id for one in self.draw.waiting]
        self.draw.random = Random(f"{history.seed}/branches/{market.number}").random
        self.products = market.products[:PRODUCTS]
        self.branches = [self.branch(number, receipts) for number in range(len(PLACES[market.number]))]
        self.strangers = cycle(self.customers)
        self.corrected: list[Receipt] = []  # to be delivered again
        self.unresolved: list[Conversation] = []
        self.conversation_id = FIRST_CONVERSATION_ID

    def branch(self, number: int, receipts: float) -> Branch:
        """Each has its own regulars and prices."""
        sold = {QUIET: 0.2, CROWDED: 0.7}.get(number, 0.8 + 0.1 * number) * receipts
        weeks = 9 if number == STUFFED else 1.5
        shelf = {one.sku: 1 + round(weeks * sold * 30 / (3 + 2 * place)) for place, one in enumerate(self.products)}
        return Branch(
            branch_id=number + 1,
            name=PLACES[self.market.number][number],
            opened=self.history.days // 2 if number == LATER else -400,
            closed=self.history.days * 2 // 3 if number == CLOSED else self.history.days,
            receipts=sold,
            buyers=[self.draw.pick(self.customers) for _ in range(20)],
            prices={one.sku: max(1, one.price * (95 + self.draw.below(11)) // 100) for one in self.products},
            shelf=shelf,
            on_hand=dict(shelf),
        )

    def export(self, period: range) -> dict[str, str]:
        """The six files of some days, by name."""
        receipts, opened, counts = (
            [self.with_one_more(one) for one in self.corrected],
            list[Conversation](),
            list[str](),
        )
        self.corrected = []
        for day in period:
            for branch in (one for one in self.branches if one.opened <= day < one.closed):
                sold = self.receipts(branch, day)
                receipts += sold
                opened += [self.conversation(branch, day) for _ in sold if self.draw.chance(CONVERSATIONS)]
                counts += self.counted(branch, day) if day % WEEK == WEEK - 1 else []
        receipts.append(self.receipt(UNLISTED, period[-1], self.branches[0]))
        end = (period[-1] + 1) * DAY
        resolved = [one for one in self.unresolved if one.resolved is not None and one.resolved < end]
        self.unresolved = [one for one in self.unresolved + opened if one.resolved is None or one.resolved >= end]
        self.truth.resolved = self.truth.conversations - len(self.unresolved)
        there = [one for one in self.branches if one.opened <= period[-1]]
        new = [one for one in there if one.opened >= period[0] or not period[0]]
        customers = [row for one in there for row in self.known_to(one)]
        self.truth.customers = len({tuple(row.split(",")[:2]) for row in customers})
        return {
            "Branches.csv": NEWLINE.join([BRANCHES, *self.listed(period[-1])]),
            "Branch Customers.csv": NEWLINE.join([CUSTOMERS, *customers]),
            "Branch Prices.csv": NEWLINE.join([PRICES, *self.priced(new, period)]),
            "Branch Transactions.csv": NEWLINE.join([TRANSACTIONS, *self.rows(receipts)]),
            "Conversations.json": dumps([self.told(one, end) for one in opened + resolved], indent=1),
            "Stock.csv": NEWLINE.join([STOCK, *counts]),
        }

    def listed(self, today: int) -> list[str]:
        """Each branch that was opened, the first one as five departments call it."""
        rows = []
        for branch in (one for one in self.branches if one.opened <= today):
            names = [branch.name]
            if branch.branch_id == 1:
                names = [form.format(branch.name) for form in FIVE_NAMES]
            elif branch.branch_id == CROWDED + 1:
                names = [branch.name.upper(), branch.name]
            opened, closed = (self.history.start + timedelta(days=day) for day in (branch.opened, branch.closed))
            rows += [
                f"{branch.branch_id},{name},{CITIES[branch.branch_id % 2]},{opened},"
                f"{closed if branch.closed <= today else '-'},{self.at((place - 30) * DAY)}"
                for place, name in enumerate(names)
            ]
        return rows

    def known_to(self, branch: Branch) -> list[str]:
        """Its regulars; the first of the first branch is twice in the list, and the row further down is right."""
        customers, rows = list(dict.fromkeys(branch.buyers)), list[str]()
        for customer in customers:
            is_other = (customer + branch.branch_id) % OTHERWISE == 0
            since = self.history.start - timedelta(days=LISTED + customer % LISTED)
            at = self.at(-(2 * LISTED if is_other else LISTED) * DAY)
            segment = SEGMENTS[(customer + is_other) % len(SEGMENTS)]
            if branch.branch_id == 1 and not rows:
                rows.append(f"{branch.branch_id},{customer},{segment.upper()} (OLD),{since},{at}")
            rows.append(f"{branch.branch_id},{customer},{segment},{since},{at}")
        return rows

    def priced(self, new: Iterable[Branch], period: range) -> list[str]:
        """All prices of new branches, of which the first one is told twice; then those that are raised."""
        rows = list[str]()
        for branch in new:
            since = self.history.start + timedelta(days=max(branch.opened, -LISTED))
            prices = [f"{branch.branch_id},{sku},{since},{price}" for sku, price in branch.prices.items()]
            self.truth.prices += len(prices)
            rows += [f"{prices[0]}0", *prices] if branch.branch_id == 1 else prices
        if period[0]:
            branch, since = self.branches[CHEAP], self.history.start + timedelta(days=period[0])
            sku = self.products[period[0] % len(self.products)].sku
            rows.append(f"{branch.branch_id},{sku},{since},{branch.prices[sku] * 11 // 10 + 1}")
            self.truth.prices += 1
        return rows

    def receipts(self, branch: Branch, day: int) -> list[Receipt]:
        """The day's, of which a few are told otherwise in the next export."""
        wanted = int(branch.receipts) + self.draw.chance(branch.receipts % 1)
        made = [self.receipt(branch.branch_id, day, branch) for _ in range(wanted)]
        self.corrected += [one for one in made if self.draw.chance(CORRECTED)]
        return made

    def receipt(self, branch_id: int, day: int, branch: Branch) -> Receipt:
        """Sell one to three products at the branch's prices."""
        branch.transaction_id += 1
        *usual, rare = self.products
        skus = {self.draw.pick_popular(usual).sku for _ in range(1 + self.draw.below(3))}
        skus |= {rare.sku} if self.draw.chance(RARE) else set()
        lines = [(sku, 1 + self.draw.below(4), branch.prices[sku]) for sku in sorted(skus)]
        for sku, quantity, _ in lines:
            branch.on_hand[sku] = max(0, branch.on_hand[sku] - quantity)
        is_crowded = branch.branch_id == CROWDED + 1
        buyer = next(self.strangers) if is_crowded else self.draw.pick(branch.buyers)
        customer = "-" if not is_crowded and self.draw.chance(WALK_IN) else str(buyer)
        sold_at = self.at(day * DAY + 8 * HOUR + self.draw.below(12 * HOUR))
        self.truth.transactions += 1
        self.truth.lines += len(lines)
        receipt = Receipt(branch_id, branch.transaction_id, sold_at, customer, lines)
        self.truth.revenue += receipt.total
        return receipt

    def with_one_more(self, receipt: Receipt) -> Receipt:
        """As somebody corrects it: one more of its first product."""
        (sku, quantity, price), *others = receipt.lines
        receipt.lines = [(sku, quantity + 1, price), *others]
        self.truth.revenue += price
        return receipt

    def rows(self, receipts: Iterable[Receipt]) -> list[str]:
        """One row per line, each with the receipt's total."""
        rows: list[str] = []
        for one in receipts:
            before = f"{one.branch_id},{one.transaction_id},{one.sold_at},{one.customer}"
            rows += [f"{before},{sku},{n},{price},{n * price},{one.total}" for sku, n, price in one.lines]
            if self.draw.chance(DUPLICATED):
                rows.append(rows[-1])
                self.truth.duplicate_rows += 1
        return rows

    def counted(self, branch: Branch, day: int) -> list[str]:
        """What is on its shelves in the evening; most of it is filled up in the night."""
        on = self.history.start + timedelta(days=day)
        rows = [f"{branch.branch_id},{sku},{on},{n},{branch.prices[sku]}" for sku, n in branch.on_hand.items()]
        self.truth.counts += len(rows)
        branch.on_hand |= {sku: full for sku, full in branch.shelf.items() if self.draw.chance(0.6)}
        return rows

    def conversation(self, branch: Branch, day: int) -> Conversation:
        """About one thing; nine of ten are resolved within two days."""
        self.conversation_id += 1
        self.truth.conversations += 1
        opened = day * DAY + 8 * HOUR + self.draw.below(12 * HOUR)
        hours = 48 if self.draw.chance(0.9) else 400
        return Conversation(
            self.conversation_id,
            branch.branch_id,
            self.draw.pick(branch.buyers),
            self.draw.pick_popular(TOPICS),
            self.draw.pick(CHANNELS),
            opened,
            None if self.draw.chance(NEVER_RESOLVED) else opened + 60 + self.draw.below(hours * HOUR),
        )

    def told(self, one: Conversation, end: int) -> dict[str, object]:
        """As it stands in the evening of the export's last day."""
        is_resolved = one.resolved is not None and one.resolved < end
        return {
            "Conversation ID": one.conversation_id,
            "Branch ID": one.branch_id,
            "Customer ID": one.customer,
            "Topic": one.topic.upper() if one.channel == "counter" else one.topic,  # typed in by hand there
            "Channel": one.channel,
            "Opened At": self.at(one.opened),
            "Resolved At": self.at(one.resolved) if one.resolved is not None and is_resolved else None,
        }

    def at(self, moment: int) -> str:
        """Local wall clock with its distance from UTC."""
        return f"{(self.draw.midnight + timedelta(seconds=moment)).isoformat()}+{self.market.utc_offset:02}:00"


def main(landing: Path, days: int = 98, every: int = 14, receipts: float = 2.0, seed: int = 7) -> None:
    """Write sample exports of the branches of two markets into LANDING."""
    exports = generate(landing, days=days, every=every, receipts=receipts, seed=seed)
    typer.echo(f"{len(exports.files)} files in {landing}")
    for market, truth in sorted(exports.markets.items()):
        typer.echo(
            f"Market {market}: {truth.transactions} transactions with {truth.lines} lines = {truth.revenue}, "
            f"{truth.conversations} conversations, {truth.resolved} of them resolved, {truth.counts} counts of stock, "
            f"{truth.customers} customers of a branch, {truth.prices} prices"
        )


if __name__ == "__main__":
    typer.run(main)

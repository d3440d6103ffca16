"""The sample exports of branches hold the dirt of real ones, say the truth about it, and name nobody."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from jobs.samples import branches, daily

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobs.samples.branches import BranchExports

    Row = dict[str, str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("landing")


@pytest.fixture(scope="module")
def exports(folder: Path) -> BranchExports:
    return branches.generate(folder)


def files(exports: BranchExports, name: str, market: int) -> list[Path]:
    return [path for path in exports.files if path.name == f"Market {market} {name}"]


def rows(exports: BranchExports, name: str, market: int) -> Iterator[Row]:
    for path in files(exports, name, market):
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)


@pytest.mark.parametrize("market", [1, 2])
def test_the_truth_equals_a_recount(exports: BranchExports, market: int) -> None:
    receipts: dict[tuple[str, str], dict[Path, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for path in files(exports, "Branch Transactions.csv", market):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                receipts[row["Branch ID"], row["Transaction ID"]][path].append(row)
    newest = [[dict(one) for one in {tuple(row.items()) for row in list(of.values())[-1]}] for of in receipts.values()]
    told = [one for path in files(exports, "Conversations.json", market) for one in json.loads(path.read_bytes())]
    truth = exports.markets[market]
    assert (truth.transactions, truth.lines) == (len(newest), sum(map(len, newest)))
    assert truth.revenue == sum(Decimal(row["Line Total"]) for lines in newest for row in lines)
    assert all(sum(int(row["Line Total"]) for row in lines) == int(lines[0]["Transaction Total"]) for lines in newest)
    assert (
        truth.duplicate_rows
        == sum(len(n) - len({tuple(r.items()) for r in n}) for o in receipts.values() for n in o.values())
        > 0
    )
    assert sum(len(of) > 1 for of in receipts.values()) > 0
    assert truth.conversations == len({one["Conversation ID"] for one in told}) < len(told)
    assert truth.resolved == sum(one["Resolved At"] is not None for one in told)
    assert truth.counts == len(list(rows(exports, "Stock.csv", market)))
    customers = [(row["Branch ID"], row["Customer ID"]) for row in rows(exports, "Branch Customers.csv", market)]
    assert truth.customers == len(set(customers)) < len(customers)
    prices = [(row["Branch ID"], row["SKU"], row["Valid From"]) for row in rows(exports, "Branch Prices.csv", market)]
    assert truth.prices == len(set(prices)) == len(prices) - 1


def test_the_same_seed_gives_the_same_bytes_and_a_day_depends_on_no_choice(
    exports: BranchExports, tmp_path: Path
) -> None:
    again = branches.generate(tmp_path, deliver=[3])
    same = [path for path in exports.files if path.parent.name == again.files[0].parent.name]
    assert [path.read_bytes() for path in again.files] == [path.read_bytes() for path in same]


def test_one_branch_has_five_names_and_one_that_writes_receipts_is_in_no_list(exports: BranchExports) -> None:
    names = defaultdict(set)
    for row in rows(exports, "Branches.csv", 1):
        names[row["Branch ID"]].add(row["Branch Name"].lower())
    assert [len(names[branch]) for branch in ("1", "2", "3")] == [5, 1, 1]
    assert {row["Branch ID"] for row in rows(exports, "Branch Transactions.csv", 1)} - names.keys() == {"99"}


def test_branches_describe_a_customer_differently_and_one_till_does_not_follow_its_list(exports: BranchExports) -> None:
    segments = defaultdict(set)
    for row in rows(exports, "Branch Customers.csv", 1):
        segments[row["Customer ID"]].add(row["Segment"])
    assert len([one for one in segments.values() if len(one) > 1]) > 1
    listed = {(row["Branch ID"], row["SKU"], row["List Price"]) for row in rows(exports, "Branch Prices.csv", 1)}
    charged = {(row["Branch ID"], row["SKU"], row["Unit Price"]) for row in rows(exports, "Branch Transactions.csv", 1)}
    assert {branch for branch, _, _ in charged - listed} == {"99"}
    more = [row["Branch ID"] for row in rows(exports, "Branch Prices.csv", 1) if row["Valid From"] > "2022-01-03"]
    assert set(more) == {str(branches.CHEAP + 1), str(branches.LATER + 1)}


def test_one_branch_opens_and_one_closes_on_the_way(exports: BranchExports) -> None:
    lists = [path.read_text("utf-8").splitlines()[1:] for path in files(exports, "Branches.csv", 2)]
    branches = [{row.split(",")[0] for row in rows} for rows in lists]
    closed = [{row.split(",")[0] for row in rows if row.split(",")[4] != "-"} for rows in lists]
    assert (branches[-1] - branches[0], closed[0], closed[-1]) == ({"4"}, set(), {"6"})


def test_customers_and_products_are_those_of_the_other_samples(exports: BranchExports, tmp_path: Path) -> None:
    made = daily.generate(tmp_path, deliver=[0])
    known = {
        str(one["Customer ID"]) for one in json.loads(next(p for p in made.files if "1 Cust" in p.name).read_bytes())
    }
    assert {row["Customer ID"] for row in rows(exports, "Branch Transactions.csv", 1)} - {"-"} <= known
    assert {row["SKU"] for row in rows(exports, "Stock.csv", 1)} <= {one.sku for one in daily.MARKETS[0].products}


def test_nobody_is_named(exports: BranchExports) -> None:
    told = json.loads(files(exports, "Conversations.json", 1)[0].read_bytes())
    assert set(told[0]) == {
        "Conversation ID",
        "Branch ID",
        "Customer ID",
        "Topic",
        "Channel",
        "Opened At",
        "Resolved At",
    }

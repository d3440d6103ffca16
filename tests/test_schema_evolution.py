"""Exports change their columns: each change, as CSV and as JSON, with the file before it in one batch and one run.

Every change has a market of its own. Its old file holds order 7, its new one order 8; what becomes of order 8 is
written beside the change. Values are compared as texts, read by delta-rs and not by the engine that wrote them.
"""

from __future__ import annotations

import csv
import io
import json
import os
import textwrap
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from lakehouse.contract import Contract
from lakehouse.delta.commits import ops
from lakehouse.delta.tables import progress
from lakehouse.graph import Table
from lakehouse.intake.deliveries.landing import find
from lakehouse.intake.records import ledger, schema_changes
from lakehouse.intake.records.ledger import Ledger
from tests.toy import Toy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from lakehouse.engines.protocol import Engine
    from lakehouse.intake.records.ledger import Entry

    Row = tuple[str | None, ...]
    Cells = dict[str, str | None]
    Event = tuple[str, str, str, str, str]

FORMATS = ("csv", "json")
NAMES = ("old", "new", "newer")  # of a market's files, in the order of their delivery
OLD = """{"order_id": 7, "product": "A", "quantity": 1, "price": 10.00, "ordered_at": "2024-01-01T08:00:00.000Z"}"""
SILVER_7 = ("7", "A", "1", "10.00", "2024-01-01 08:00:00")
SILVER_8 = ("8", "B", "2", "5.00", "2024-01-02 09:00:00")
MODIFIED_AT = datetime(2024, 1, 9, tzinfo=UTC).timestamp()


@dataclass(frozen=True)
class Change:
    """`new`: a JSON object per file after the old one; as CSV its keys are the header and its values the cells.

    `silver`: the rows beside order 7. `rejected`: order -> rules. `bronze`: cells of the new file that must be so.
    `events`: file, column, change, before, after. `refusal`: why the new file is unreadable.
    """

    name: str
    new: tuple[str, ...]
    silver: tuple[Row, ...] = ()
    rejected: tuple[tuple[str, str], ...] = ()
    bronze: tuple[tuple[str, str | None], ...] = ()
    events: tuple[Event, ...] = ()
    refusal: str = ""
    formats: tuple[str, ...] = FORMATS


CHANGES = (
    Change(
        "added_at_the_end",
        ("""{"order_id": 8, "product": "B", "quantity": 2, "price": 5.00, "ordered_at": "2024-01-02T09:00:00.000Z",
             "colour": "red"}""",),
        silver=(SILVER_8,),
        bronze=(("colour", "red"),),
        events=(("new", "colour", "new", "", ""),),
    ),
    Change(
        "added_in_the_middle",
        ("""{"order_id": 8, "product": "B", "colour": "red", "quantity": 2, "price": 5.00,
             "ordered_at": "2024-01-02T09:00:00.000Z"}""",),
        silver=(SILVER_8,),
        bronze=(("colour", "red"),),
        events=(("new", "colour", "new", "", ""),),
    ),
    Change(
        "added_at_the_front",
        ("""{"colour": "red", "order_id": 8, "product": "B", "quantity": 2, "price": 5.00,
             "ordered_at": "2024-01-02T09:00:00.000Z"}""",),
        silver=(SILVER_8,),
        bronze=(("colour", "red"),),
        events=(("new", "colour", "new", "", ""),),
    ),
    Change(
        "removed",
        ("""{"order_id": 8, "quantity": 2, "price": 5.00, "ordered_at": "2024-01-02T09:00:00.000Z"}""",),
        silver=(("8", None, "2", "5.00", "2024-01-02 09:00:00"),),
        bronze=(("product", None),),
        events=(("new", "product", "vanished", "", ""),),
    ),
    Change(
        "removed_although_required",
        ("""{"order_id": 8, "product": "B", "price": 5.00, "ordered_at": "2024-01-02T09:00:00.000Z"}""",),
        refusal="has no column quantity, which the contract requires",
    ),
    Change(
        "reordered",
        ("""{"ordered_at": "2024-01-02T09:00:00.000Z", "price": 5.00, "quantity": 2, "product": "B",
             "order_id": 8}""",),
        silver=(SILVER_8,),
    ),
    Change(
        "renamed_by_case",
        ("""{"ORDER_ID": 8, "Product": "B", "Quantity": 2, "pRICE": 5.00,
             "Ordered_At": "2024-01-02T09:00:00.000Z"}""",),
        silver=(SILVER_8,),
    ),
    Change(
        "renamed_by_blanks_and_punctuation",
        ("""{"Order ID": 8, " product ": "B", "(quantity)": 2, "price:": 5.00,
             "Ordered-at": "2024-01-02T09:00:00.000Z"}""",),
        silver=(SILVER_8,),
    ),
    Change(
        "renamed_to_something_else",
        ("""{"order_id": 8, "item": "B", "quantity": 2, "price": 5.00, "ordered_at": "2024-01-02T09:00:00.000Z"}""",),
        silver=(("8", None, "2", "5.00", "2024-01-02 09:00:00"),),
        bronze=(("item", "B"), ("product", None)),
        events=(("new", "item", "new", "", ""), ("new", "product", "vanished", "", "")),
    ),
    Change(
        "repeated",
        ("""{"order_id": 8, "product": "B", "quantity": 2, "price": 5.00, "ordered_at": "2024-01-02T09:00:00.000Z",
             "product": "C"}""",),
        refusal="has two columns that both fold to product",
        formats=("csv",),
    ),
    Change(
        "repeated",
        ("""{"order_id": 8, "product": "B", "quantity": 2, "price": 5.00, "ordered_at": "2024-01-02T09:00:00.000Z",
             "product": "C"}""",),
        rejected=(("8", "object_repeats_a_key"),),
        formats=("json",),
    ),
    Change(
        "repeated_in_other_case",
        ("""{"order_id": 8, "product": "B", "quantity": 2, "price": 5.00, "ordered_at": "2024-01-02T09:00:00.000Z",
             "Product": "C"}""",),
        refusal="has two columns that both fold to product",
        formats=("csv",),
    ),
    Change(
        "repeated_in_other_case",
        ("""{"order_id": 8, "product": "B", "quantity": 2, "price": 5.00, "ordered_at": "2024-01-02T09:00:00.000Z",
             "Product": "C"}""",),
        rejected=(("8", "object_repeats_a_key"),),
        formats=("json",),
    ),
    Change(
        "without_a_name",
        ("""{"order_id": 8, "": "red", "product": "B", " ": "blue", "quantity": 2, "price": 5.00,
             "ordered_at": "2024-01-02T09:00:00.000Z"}""",),
        silver=(SILVER_8,),
        bronze=(("unnamed_2", "red"), ("unnamed_4", "blue")),
        events=(("new", "unnamed_2", "new", "", ""), ("new", "unnamed_4", "new", "", "")),
    ),
    Change(
        "twice_without_a_name",
        ("""{"order_id": 8, "": "red", "product": "B", "": "blue", "quantity": 2, "price": 5.00,
             "ordered_at": "2024-01-02T09:00:00.000Z"}""",),
        silver=(SILVER_8,),
        bronze=(("unnamed_2", "red"), ("unnamed_4", "blue")),
        events=(("new", "unnamed_2", "new", "", ""), ("new", "unnamed_4", "new", "", "")),
        formats=("csv",),
    ),
    Change(
        "twice_without_a_name",
        ("""{"order_id": 8, "": "red", "product": "B", "": "blue", "quantity": 2, "price": 5.00,
             "ordered_at": "2024-01-02T09:00:00.000Z"}""",),
        rejected=(("8", "object_repeats_a_key"),),
        events=(("new", "unnamed_2", "new", "", ""),),
        formats=("json",),
    ),
    Change(
        "vanished_and_came_back",
        (
            """{"order_id": 8, "quantity": 2, "price": 5.00, "ordered_at": "2024-01-02T09:00:00.000Z"}""",
            """{"order_id": 9, "product": "C", "quantity": 3, "price": 1.00,
                "ordered_at": "2024-01-03T10:00:00.000Z"}""",
        ),
        silver=(
            ("8", None, "2", "5.00", "2024-01-02 09:00:00"),
            ("9", "C", "3", "1.00", "2024-01-03 10:00:00"),
        ),
        events=(("new", "product", "vanished", "", ""), ("newer", "product", "came_back", "", "")),
    ),
    Change(
        "gets_its_first_value",
        (
            """{"order_id": 8, "product": "B", "quantity": 2, "price": 5.00, "ordered_at": "2024-01-02T09:00:00.000Z",
                "colour": "-"}""",
            """{"order_id": 9, "product": "C", "quantity": 3, "price": 1.00, "ordered_at": "2024-01-03T10:00:00.000Z",
                "colour": "red"}""",
        ),
        silver=(SILVER_8, ("9", "C", "3", "1.00", "2024-01-03 10:00:00")),
        events=(("new", "colour", "new", "", ""), ("newer", "colour", "filled", "", "text")),
    ),
    Change(
        "number_becomes_text",
        ("""{"order_id": 8, "product": "B", "quantity": "two", "price": 5.00,
             "ordered_at": "2024-01-02T09:00:00.000Z"}""",),
        rejected=(("8", "quantity_is_readable"),),
        bronze=(("quantity", "two"),),
        events=(("new", "quantity", "type", "number", "text"),),
    ),
    Change(
        "whole_number_becomes_decimal",
        ("""{"order_id": 8, "product": "B", "quantity": 2.5, "price": 5.00,
             "ordered_at": "2024-01-02T09:00:00.000Z"}""",),
        rejected=(("8", "quantity_is_readable"),),
        bronze=(("quantity", "2.5"),),
    ),
    Change(
        "decimal_gets_more_places",
        ("""{"order_id": 8, "product": "B", "quantity": 2, "price": 5.005,
             "ordered_at": "2024-01-02T09:00:00.000Z"}""",),
        rejected=(("8", "price_is_readable"),),
        bronze=(("price", "5.005"),),
    ),
    Change(
        "time_becomes_epoch_millis",
        ("""{"order_id": 8, "product": "B", "quantity": 2, "price": 5.00, "ordered_at": 1704186000000}""",),
        rejected=(("8", "ordered_at_is_readable"),),
        bronze=(("ordered_at", "1704186000000"),),
        events=(("new", "ordered_at", "type", "time", "number"),),
    ),
    Change(
        "number_becomes_an_object",
        ("""{"order_id": 8, "product": "B", "quantity": {"value": 2, "unit": "kg"}, "price": 5.00,
             "ordered_at": "2024-01-02T09:00:00.000Z"}""",),
        rejected=(("8", "quantity_is_readable"),),
        bronze=(("quantity", """{"value": 2, "unit": "kg"}"""),),
        events=(("new", "quantity", "type", "number", "text"),),
    ),
    Change(
        "text_becomes_an_object",
        ("""{"order_id": 8, "product": {"name": "B"}, "quantity": 2, "price": 5.00,
             "ordered_at": "2024-01-02T09:00:00.000Z"}""",),
        silver=(("8", """{"name": "B"}""", "2", "5.00", "2024-01-02 09:00:00"),),
        bronze=(("product", """{"name": "B"}"""),),
    ),
    Change(
        "number_as_text",
        ("""{"order_id": "8", "product": "B", "quantity": "2", "price": "5.00",
             "ordered_at": "2024-01-02T09:00:00.000Z"}""",),
        silver=(SILVER_8,),
        bronze=(("price", "5.00"),),
    ),
    Change(
        "text_as_number",
        ("""{"order_id": 8, "product": 1.10, "quantity": 2, "price": 5.00,
             "ordered_at": "2024-01-02T09:00:00.000Z"}""",),
        silver=(("8", "1.10", "2", "5.00", "2024-01-02 09:00:00"),),
        bronze=(("product", "1.10"),),
    ),
)  # fmt: skip
CASES = [(kind, market) for market, change in enumerate(CHANGES, start=1) for kind in change.formats]
each_case = pytest.mark.parametrize(
    ("kind", "market"), CASES, ids=[f"{CHANGES[market - 1].name}-{kind}" for kind, market in CASES]
)
each_format = pytest.mark.parametrize("kind", FORMATS)


# The small lake: per format a source that adds unknown columns and one that rescues them


def a_source(kind: str, folder: str, mode: str) -> str:
    """The contract of a bronze table."""
    return f"""
        owner: tests
        description: orders as delivered
        write: append
        grain: [_file, _row]
        source:
          files: ["{folder}_{{market:int}}/{{date}}/*.{kind}"]
          format: {kind}
          schema: {mode}
          required: [order_id, quantity]
        columns:
          market: {{type: int, meaning: of the folder}}
          order_id: {{type: string, meaning: the order}}
          product: {{type: string, meaning: what}}
          quantity: {{type: string, meaning: how many}}
          price: {{type: string, meaning: of one}}
          ordered_at: {{type: string, meaning: when}}
        """


SILVER = """
    owner: tests
    description: orders
    write: latest
    grain: [market, order_id]
    unit: [market, order_id]
    columns:
      market: {type: int, meaning: of the folder}
      order_id: {type: bigint, from: order_id, meaning: the order}
      product: {type: string, meaning: what}
      quantity: {type: int, from: quantity, required: true, meaning: how many}
      price: {type: "decimal(18,2)", from: price, meaning: of one}
      ordered_at: {type: timestamp, from: ordered_at, meaning: when}
    """
BUILD = """
    from lakehouse.transforms import exact_decimal, export_time, whole_number

    def build(bronze_KIND_orders):
        return bronze_KIND_orders.select(
            "market",
            whole_number("order_id").alias("order_id"),
            "product",
            whole_number("quantity", "int").alias("quantity"),
            exact_decimal("price", 18, 2).alias("price"),
            export_time("ordered_at").alias("ordered_at"),
            "_source",
        )
    """
AS_DELIVERED = "def build(landing):\n    return landing\n"
SOURCES = {
    **{f"bronze.{kind}_orders": (a_source(kind, "market", "add"), AS_DELIVERED) for kind in FORMATS},
    **{f"bronze.{kind}_rescued": (a_source(kind, "rescue", "rescue"), AS_DELIVERED) for kind in FORMATS},
    **{f"silver.{kind}_orders": (SILVER, BUILD.replace("KIND", kind)) for kind in FORMATS},
}


def members(text: str) -> list[tuple[str, Any]]:
    """An object's keys, repeated ones too, and values; numbers keep their digits, nested objects are their text."""
    pairs = json.loads(text, object_pairs_hook=tuple, parse_float=Decimal)
    return [(key, json.dumps(dict(value)) if isinstance(value, tuple) else value) for key, value in pairs]


def as_csv(text: str) -> str:
    """The object as a header and a row; what is a text in it stands in quotes."""
    lines = io.StringIO()
    csv.writer(lines, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").writerows(zip(*members(text), strict=True))
    return lines.getvalue()


def deliver(landing: Path, folder: str, kind: str, objects: Iterable[str]) -> None:
    """One file per object, each in the folder of its day."""
    for day, (name, text) in enumerate(zip(NAMES, objects, strict=False), start=1):
        path = landing / folder / f"2024-01-0{day}" / f"{name}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(as_csv(text) if kind == "csv" else f"[{text}]", encoding="utf-8")
        os.utime(path, (MODIFIED_AT, MODIFIED_AT))


def files_of(kind: str, market: int) -> dict[str, str]:
    """The objects of a case by the paths of their files."""
    objects = zip(NAMES, (OLD, *CHANGES[market - 1].new), strict=False)
    return {f"market_{market}/2024-01-0{day}/{n}.{kind}": text for day, (n, text) in enumerate(objects, start=1)}


def as_text(value: object) -> str | None:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return None if value is None else str(value)


@dataclass(frozen=True)
class Evolved:
    """What one run made of all the files: rows by format and market, files by path."""

    files: Mapping[str, Entry]
    bronze: Mapping[tuple[str, int], list[dict[str, Any]]]
    silver: Mapping[tuple[str, int], list[dict[str, Any]]]
    rejected: Mapping[tuple[str, int], list[dict[str, Any]]]
    events: Mapping[tuple[str, int], list[Event]]
    rescued: Mapping[str, list[dict[str, Any]]]


WITH_UNKNOWN = """{"order_id": 8, "Colour": "red", "quantity": 2, "Size (cm)": 1.10, "price": 5.00,
                   "tags": {"a": 1}}"""
WITHOUT_NAMES = """{"order_id": 9, "": "red", "quantity": 2, "": "blue"}"""


@pytest.fixture(scope="module")
def evolved(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Evolved:
    toy = Toy(tmp_path_factory.mktemp("evolved"), engine, dict(SOURCES))
    for kind, market in CASES:
        deliver(toy.landing, f"market_{market}", kind, (OLD, *CHANGES[market - 1].new))
    for kind in FORMATS:
        deliver(toy.landing, "rescue_1", kind, (OLD, WITH_UNKNOWN))
    deliver(toy.landing, "rescue_2", "csv", (WITHOUT_NAMES,))
    toy.run()
    root = toy.lake.root
    rows = partial(rows_of, root)
    return Evolved(
        files={one.delivery.path: one for one in ledger.read(root).entries},
        bronze=by_market({kind: rows(f"bronze.{kind}_orders") for kind in FORMATS}),
        silver=by_market({kind: rows(f"silver.{kind}_orders") for kind in FORMATS}),
        rejected=by_market({kind: rows(f"silver.{kind}_orders__rejected") for kind in FORMATS}),
        events=events_in(root),
        rescued={kind: rows(f"bronze.{kind}_rescued") for kind in FORMATS},
    )


def rows_of(root: str, table: str) -> list[dict[str, Any]]:
    return ops.query(progress.address(root, table), "select * from t order by _file, _row")


def by_market(of_kind: Mapping[str, list[dict[str, Any]]]) -> dict[tuple[str, int], list[dict[str, Any]]]:
    found = defaultdict(list)
    for kind, rows in of_kind.items():
        for row in rows:
            found[kind, row["market"]].append(row)
    return found


def events_in(root: str) -> dict[tuple[str, int], list[Event]]:
    found = defaultdict(list)
    for one in schema_changes.read(root):
        if one.table_name.endswith("_orders"):
            kind, market = one.table_name[len("bronze.") : -len("_orders")], int(one.partition.removeprefix("market "))
            name = one.file.rsplit("/", 1)[1].split(".")[0]
            found[kind, market].append((name, one.column_name, one.change, one.before, one.after))
    return found


@pytest.mark.slow
@each_case
def test_each_table_has_what_the_change_says(kind: str, market: int, evolved: Evolved) -> None:
    change, (old, *new) = CHANGES[market - 1], files_of(kind, market)
    assert evolved.files[old].status == "loaded"
    for path in new:
        assert evolved.files[path].status == ("unreadable" if change.refusal else "loaded")
        assert change.refusal in evolved.files[path].reason
    columns = ("order_id", "product", "quantity", "price", "ordered_at")
    kept = [tuple(as_text(row[name]) for name in columns) for row in evolved.silver[kind, market]]
    assert kept == [SILVER_7, *change.silver]
    rejected = [(str(row["order_id"]), ", ".join(row["rules"])) for row in evolved.rejected[kind, market]]
    assert rejected == list(change.rejected)
    assert sorted(evolved.events[kind, market]) == sorted(change.events)
    delivered = [row for row in evolved.bronze[kind, market] if "/new." in row["_file"]]
    assert [{name: row[name] for name, _ in change.bronze} for row in delivered] == [dict(change.bronze)] * len(
        delivered
    )


@pytest.mark.slow
@each_case
def test_no_delivered_value_is_lost(kind: str, market: int, evolved: Evolved) -> None:
    """Nor does silver have a null that was a value in bronze."""
    stored = {row["_file"]: row for row in evolved.bronze[kind, market]}
    for path, text in files_of(kind, market).items():
        if evolved.files[path].status == "loaded":
            raw, cells = stored[path]["_raw"] or "", set(stored[path].values())
            assert [v for _, v in members(text) if str(v) not in cells and json.dumps(v, default=str) not in raw] == []
    delivered = {(row["_file"], row["_row"]): row for row in evolved.bronze[kind, market]}
    for row in evolved.silver[kind, market]:
        nulls = [name for name, value in row.items() if value is None]
        assert [delivered[row["_file"], row["_row"]][name] for name in nulls] == [None] * len(nulls)


@pytest.mark.slow
@each_format
def test_unknown_columns_are_rescued_by_their_delivered_names(kind: str, evolved: Evolved) -> None:
    old, new = (row for row in evolved.rescued[kind] if row["market"] == 1)
    assert old["_rescued"] is None
    assert json.loads(new["_rescued"]) == {"Colour": "red", "Size (cm)": "1.10", "tags": '{"a": 1}'}
    assert (new["order_id"], new["price"], new["product"]) == ("8", "5.00", None)
    assert not {"colour", "size_cm", "tags"} & new.keys()


@pytest.mark.slow
def test_columns_without_a_name_are_rescued_each_with_its_value(evolved: Evolved) -> None:
    (row,) = (row for row in evolved.rescued["csv"] if row["market"] == 2)
    assert sorted(json.loads(row["_rescued"]).values()) == ["blue", "red"]


# What landing alone decides: no Spark


def look(landing: Path, kind: str, **source: object) -> list[tuple[str, str]]:
    """The status and reason of each file, by the name of its day, for a source with these settings."""
    promise = yaml.safe_load(textwrap.dedent(a_source(kind, "market", "add")))
    promise["source"] |= source
    table = Table("bronze.orders", Contract.model_validate(promise), ModuleType("orders"), ("landing",), "")
    entries = sorted(find(str(landing), [table], Ledger()).entries, key=lambda one: one.delivery.path)
    return [(one.status, one.reason) for one in entries]


@each_format
def test_an_unknown_column_fails_the_file_and_a_contract_that_names_it_heals_it(kind: str, tmp_path: Path) -> None:
    deliver(tmp_path, "market_1", kind, (OLD, WITH_UNKNOWN))
    (old, _), (new, reason) = look(tmp_path, kind, schema="fail")
    assert (old, new) == ("claimed", "unreadable")
    assert "schema: fail" in reason
    assert all(repr(name) in reason for name in ("Colour", "Size (cm)", "tags"))
    assert look(tmp_path, kind, schema="add") == look(tmp_path, kind, schema="rescue") == [("claimed", "")] * 2


@each_format
def test_a_file_without_a_required_column_is_unreadable_until_the_contract_does_not_require_it(
    kind: str, tmp_path: Path
) -> None:
    deliver(tmp_path, "market_1", kind, ('{"order_id": 7, "Product": "A"}',))
    ((refused, reason),) = look(tmp_path, kind, required=["order_id", "quantity", "price"])
    assert (refused, "has no column quantity, price" in reason) == ("unreadable", True)
    assert look(tmp_path, kind, required=["order_id", "product"]) == [("claimed", "")]


# Wider types


@pytest.mark.slow
def test_a_wider_type_keeps_every_value_and_the_old_versions_readable(tmp_path: Path, engine: Engine) -> None:
    lines = "silver.order_lines"
    toy = Toy(tmp_path, engine)
    contract, code = toy.sources[lines]
    toy.deliver("monday.csv", "7,A,2,10.00", "8,B,2147483647,1.00")
    values, versions = {}, {}
    for kind, parsed in (
        ("int", 'whole_number("quantity", "int")'),
        ("bigint", 'whole_number("quantity")'),
        ("decimal(18,2)", 'exact_decimal("quantity", 18, 2)'),
    ):
        narrow = "quantity: {type: int,"
        assert narrow in contract
        toy.sources[lines] = (
            contract.replace(narrow, f'quantity: {{type: "{kind}",'),
            code.replace('whole_number("quantity", "int")', parsed),
        )
        toy.run(lines)
        versions[kind] = toy.versions()[lines]
        values[kind] = [Decimal(str(row[0])) for row in toy.rows(lines, "quantity")]
    assert list(values.values()) == [[Decimal(2), Decimal(2147483647)]] * 3
    for kind, version in versions.items():
        old = toy.lake.read(engine, lines, version).select("quantity")
        assert old.dtypes == [("quantity", kind)]
        assert [Decimal(str(row[0])) for row in old.orderBy("quantity").collect()] == values[kind]


@pytest.mark.slow
def test_a_value_that_the_narrow_type_rejected_comes_in_by_itself_when_it_fits(tmp_path: Path, engine: Engine) -> None:
    lines = "silver.order_lines"
    toy = Toy(tmp_path, engine)
    contract, code = toy.sources[lines]
    toy.deliver("monday.csv", "7,A,2,10.00", "8,B,2147483648,1.00")
    toy.run(lines)
    assert toy.rejected() == [(8, ["quantity_is_readable"], "market_1/monday.csv", 2)]
    toy.sources[lines] = (
        contract.replace("quantity: {type: int,", "quantity: {type: bigint,"),
        code.replace(', "int"', ""),
    )
    toy.run(lines)
    assert (toy.rejected(), toy.rows(lines, "order_id", "quantity")) == ([], [(7, 2), (8, 2147483648)])

"""Quarantine: what is wrong now, whole documents as files that a person corrects, and what heals by itself.

One lake with a wrong row of every kind is built once; two copies of it get its export back, corrected and as it is.
"""

from __future__ import annotations

import csv
import json
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from typing import TYPE_CHECKING

import pytest

from lakehouse.intake.deliveries import landing
from lakehouse.intake.records import ledger
from lakehouse.intake.records.ledger import Delivery, Ledger
from lakehouse.readers import csv_records
from lakehouse.readers.records import Layout
from lakehouse.serving import quarantine
from tests.promises import a_table
from tests.toy import HEADER, SOURCES, Toy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lakehouse.audit.turns import Done
    from lakehouse.engines.native.engine import Native

pytestmark = pytest.mark.slow
LINES, PEOPLE = "silver.order_lines", "silver.people"
BRONZE = """
        owner: tests
        description: rows as delivered
        write: append
        grain: [_file, _row]
        source: {%s}
        columns:
          market: {type: int, meaning: of the folder}
          %s: {type: string, meaning: the key}
          number: {type: string, meaning: a number}
          since: {type: string, meaning: a text}
        """
SILVER = """
        owner: tests
        description: one row per %s
        write: latest
        grain: [market, %s]
        unit: [market, %s]
        columns:
          market: {type: int, meaning: of the folder}
          %s: {type: %s, from: %s, meaning: the key}
          number: {type: int, from: number, required: true, meaning: a number}
          since: {type: string, meaning: a text}
        """
BUILD = """
        from lakehouse.transforms import whole_number

        def build(bronze_%s):
            number = whole_number("number", "int").alias("number")
            return bronze_%s.select("market", bronze_%s.%s.cast("%s"), number, "since", "_source")
        """
# Rows that are not what their header announces, by the orders that they belong to; and what they are corrected to.
ODD = {
    9: ("9,F,1", "9,F,1,5.00"),
    10: ('10,G,1,1.00,more,"and, more"', "10,G,1,1.00"),
    11: ('11,"H,1,1.00', "11,H,1,1.00"),
    12: ('12,"I"I,1,1.00', "12,II,1,1.00"),
    13: ("13,Caf\udce9,1,1.00", "13,Café,1,1.00"),
    14: ("14,J\0,1,1.00", "14,J,1,1.00"),
    15: ("15,K\rK,1,1.00", "15,KK,1,1.00"),
}
ORDERS = (
    "7,A,two,10.00",
    "7,B,1,1.00",
    ",C,1,1.00",
    '8,"D, ""d""\r\nd; d",one,1',
    "X8,E,1,1.00",
    *(wrong for wrong, _ in ODD.values()),
    HEADER,
    "99,Z,1,1.00",
)
OTHER = "price;order_id;colour;product;;quantity\n1,5;20;red;L;x;none\n"
PERSON = '{"Person ID": %s, "Number": %s, "Since": "a\\nb", "More": {"a": [1, 1.10]}}'
PEOPLE_FILE = (
    f'[{PERSON % (1, "1.5")}, {PERSON % (2, 2)}, {PERSON % ("null", 3)}, {{"Person ID": 4, "Number": 1, "Number": 2}}]'
)


@dataclass(frozen=True)
class Lake:
    toy: Toy
    done: Mapping[str, Done]
    exported: Mapping[str, str]

    def rows_of(self, name: str) -> list[dict[str, object]]:
        """The exported rows of one file, each with the cells behind its last column under None."""
        text = self.exported[name].removeprefix("\ufeff")
        return [dict(row) for row in csv.DictReader(StringIO(text, newline=""))]

    def content_of(self, path: str) -> str:
        """Of the newest version of a file."""
        taken = ledger.read(self.toy.lake.root).taken()
        return max(taken, key=lambda one: (one.delivery.path == path, one.batch)).delivery.short_content

    def lines(self, order: int) -> list[tuple[object, ...]]:
        return [
            row[1:]
            for row in self.toy.rows(LINES, "order_id", "market", "product", "quantity", "price")
            if row[0] == order
        ]

    def wrong(self, name: str, *columns: str) -> list[tuple[object, ...]]:
        return self.toy.rows(f"{name}__rejected", *columns)


def put(toy: Toy, path: str, content: str | bytes) -> None:
    """A delivered file, one second newer than the last."""
    file = toy.landing / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape"))
    toy.clock += 1
    os.utime(file, (toy.clock, toy.clock))


def export(toy: Toy, folder: Path) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    tables, written = toy.tables(), dict[str, str]()
    for name, file in ((LINES, "orders.csv"), (PEOPLE, "people.json")):
        for path in quarantine.export(toy.lake.root, tables[name], folder / file):
            written[path.name] = path.read_bytes().decode()
    return written


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, engine: Native) -> Lake:
    toy = Toy(tmp_path_factory.mktemp("quarantine") / "toy", engine)
    toy.folder.mkdir()
    key = "person_id"
    source = 'files: ["people_{market:int}/*.json"], format: json'
    toy.sources["bronze.people"] = (BRONZE % (source, key), SOURCES["bronze.orders"][1])
    toy.sources[PEOPLE] = (SILVER % (*(key,) * 4, "bigint", key), BUILD % (*("people",) * 3, key, "bigint"))
    put(toy, "market_1/orders.csv", "\n".join([HEADER, *ORDERS, ""]))
    put(toy, "market_1/other.csv", OTHER)
    put(toy, "market_2/orders.csv", f"{HEADER}\n7,A,two,1\n")
    put(toy, "people_1/people.json", PEOPLE_FILE)
    done = toy.run(LINES, PEOPLE)
    return Lake(toy, done, export(toy, toy.folder / "exported"))


@pytest.fixture(scope="module")
def corrected(lake: Lake) -> Lake:
    """The export, corrected by editing its text, and delivered."""
    toy = lake.toy.copied(lake.toy.folder.with_name("corrected"))
    edits = [
        (",two,", ",2,"),
        (",one,", ",1,"),
        (",none,", ",3,"),
        ('"1,5"', "1.50"),
        (",X8,", ",88,"),
        (",,C,", ",77,C,"),
    ]
    text = lake.exported["orders market_1.csv"]
    for before, after in edits:
        text = text.replace(before, after)
    # A row that is not what its header announces is typed anew behind its first cells.
    records = [row for row in csv.reader(StringIO(text, newline="")) if "row_repeats_the_header" not in row[2]]
    for row in records:
        if row[2].startswith("row_"):
            right = ODD[int(row[3])][1].split(",")
            row[3:] = right + [""] * (len(records[0]) - 3 - len(right))
    buffer = StringIO(newline="")
    csv.writer(buffer).writerows(records)
    put(toy, "market_1/fixed.csv", buffer.getvalue())
    put(toy, "market_2/fixed.csv", lake.exported["orders market_2.csv"].replace(",two,", ",2,"))
    people = json.loads(lake.exported["people.json"])
    for person, fix in zip(people, ({"Number": 15}, {"Person ID": "3"}, {"Person ID": 4, "Number": 2}), strict=True):
        person.update(fix)
    put(toy, "people_1/fixed.json", json.dumps(people))
    return Lake(toy, toy.run(LINES, PEOPLE), export(toy, toy.folder / "exported again"))


@pytest.fixture(scope="module")
def uncorrected(lake: Lake) -> Lake:
    """The export, delivered as it is."""
    toy = lake.toy.copied(lake.toy.folder.with_name("uncorrected"))
    for name, path in (
        ("orders market_1.csv", "market_1"),
        ("orders market_2.csv", "market_2"),
        ("people.json", "people_1"),
    ):
        put(toy, f"{path}/again{name[-5:]}", lake.exported[name])
    return Lake(toy, toy.run(LINES, PEOPLE), {})


# What stands there ---------------------------------------------------------------------------------------------------


def test_rows_are_counted_by_each_rule_that_they_broke_the_most_frequent_first(lake: Lake) -> None:
    counts = quarantine.by_rule(lake.toy.lake.root, lake.toy.tables()[LINES])
    assert next(iter(counts)) == "quantity_is_readable"
    assert counts == {
        "quantity_is_readable": 4,
        "price_is_readable": 1,
        "another_row_of_its_document": 1,
        "order_id_is_present": 1,
        "order_id_is_readable": 1,
        "row_is_too_short": 1,
        "row_is_too_long": 1,
        "row_has_an_open_quote": 1,
        "row_has_text_after_a_quote": 1,
        "row_has_invalid_bytes": 1,
        "row_has_a_nul": 1,
        "row_has_a_lone_cr": 1,
        "row_repeats_the_header": 1,
    }


def test_examples_say_where_rows_stand_since_when_and_what_was_delivered(lake: Lake) -> None:
    first, second, *_ = quarantine.examples(lake.toy.lake.root, lake.toy.tables()[LINES], 2)
    assert {name: first[name] for name in ("market", "order_id", "rules", "_file", "_row")} == {
        "market": 1,
        "order_id": 7,
        "rules": ["quantity_is_readable"],
        "_file": "market_1/orders.csv",
        "_row": 1,
    }
    assert first["since"].astimezone(UTC) == datetime(2023, 11, 15, tzinfo=UTC)
    assert first["text"] == {"order_id": "7", "product": "A", "quantity": "two", "price": "10.00"}
    assert second["rules"] == ["another_row_of_its_document"]


def test_an_example_shows_the_key_that_could_not_be_read(lake: Lake) -> None:
    found = quarantine.examples(lake.toy.lake.root, lake.toy.tables()[LINES], 100)
    (one,) = [row for row in found if row["rules"] == ["order_id_is_readable"]]
    assert (one["order_id"], one["text"]["order_id"]) == (None, "X8")


def test_an_example_of_a_row_that_is_not_what_its_header_announces_is_its_text(lake: Lake) -> None:
    found = quarantine.examples(lake.toy.lake.root, lake.toy.tables()[LINES], 100)
    texts = {row["rules"][0]: row["text"] for row in found if row["rules"][0].startswith("row_")}
    assert texts["row_is_too_long"] == ODD[10][0]
    assert texts["row_has_invalid_bytes"] == r"13,Caf\xE9,1,1.00"


def test_no_more_examples_than_wanted_are_shown(lake: Lake) -> None:
    assert len(quarantine.examples(lake.toy.lake.root, lake.toy.tables()[LINES], 3)) == 3
    assert quarantine.examples(lake.toy.lake.root, lake.toy.tables()[LINES], 0) == []


# The export ----------------------------------------------------------------------------------------------------------


def test_a_document_is_exported_whole_with_what_each_row_replaces_and_why(lake: Lake) -> None:
    first, second, *_ = lake.rows_of("orders market_1.csv")
    expected = {
        "_replaces_file": "market_1/orders.csv",
        "_replaces_row": f"1@{lake.content_of('market_1/orders.csv')}",
        "_rejected_because": "quantity_is_readable",
    }
    expected |= {"order_id": "7", "product": "A", "quantity": "two", "price": "10.00", "colour": "", "unnamed_5": ""}
    assert first == expected
    assert str(second["_replaces_row"]).startswith("2@")
    assert second["_rejected_because"] == "another_row_of_its_document"
    assert (second["order_id"], second["product"]) == ("7", "B")


def test_only_rejected_documents_are_exported_by_file_and_row(lake: Lake) -> None:
    rows = lake.rows_of("orders market_1.csv")
    places = [(row["_replaces_file"], int(str(row["_replaces_row"]).partition("@")[0])) for row in rows]
    assert places == [*(("market_1/orders.csv", row) for row in range(1, 14)), ("market_1/other.csv", 1)]


def test_texts_keep_delimiters_quotes_and_line_breaks(lake: Lake) -> None:
    assert lake.rows_of("orders market_1.csv")[3]["product"] == 'D, "d"\r\nd; d'


def test_cells_that_are_too_many_stand_behind_the_last_column(lake: Lake) -> None:
    (row,) = [row for row in lake.rows_of("orders market_1.csv") if row["order_id"] == "10"]
    assert row[None] == ["more", "and, more"]  # type: ignore[index]


def test_files_with_other_headers_are_one_export_by_the_names_of_their_columns(lake: Lake) -> None:
    *_, last = lake.rows_of("orders market_1.csv")
    cells = {name: value for name, value in last.items() if not str(name).startswith("_")}
    assert cells == {
        "order_id": "20",
        "product": "L",
        "quantity": "none",
        "price": "1,5",
        "colour": "red",
        "unnamed_5": "x",
    }


def test_each_market_has_a_file_of_its_own(lake: Lake) -> None:
    assert {name for name in lake.exported if name.startswith("orders")} == {
        "orders market_1.csv",
        "orders market_2.csv",
    }
    (row,) = lake.rows_of("orders market_2.csv")
    assert (row["_replaces_file"], row["order_id"]) == ("market_2/orders.csv", "7")


def test_a_json_source_is_exported_as_json_with_its_own_keys(lake: Lake) -> None:
    first, second, _ = json.loads(lake.exported["people.json"])
    assert first == {
        "_replaces_file": "people_1/people.json",
        "_replaces_row": f"1@{lake.content_of('people_1/people.json')}",
        "_rejected_because": "number_is_readable",
        "Person ID": "1",
        "Number": "1.5",
        "Since": "a\nb",  # not that of quarantine
        "More": '{"a": [1, 1.10]}',
    }
    assert "Person ID" not in second


def a_delivery(*header: str, layout: Layout) -> Delivery:
    at = datetime(2024, 1, 1, tzinfo=UTC)
    return Delivery("bronze.points", "points.csv", 1, at, "0123456789abcdef", at, {}, header, {}, layout)


def a_row(**cells: object) -> dict[str, object]:
    return {"_file": "points.csv", "_row": 1, "_problem": None, "_raw": None, "_rules": ["a_rule"], **cells}


def test_a_cell_larger_than_pythons_limit_does_not_stop_the_export(tmp_path: Path) -> None:
    wrong = a_row(customer="1", _problem="row_is_too_long", _raw=f"1,{'x' * 200_000}")
    quarantine._write_csv(tmp_path / "x.csv", [(wrong, a_delivery("customer", layout=Layout("csv")))])  # noqa: SLF001
    assert (tmp_path / "x.csv").read_text().endswith(f",1,{'x' * 200_000}\n")


def test_an_export_can_be_read_although_its_source_declares_another_dialect_and_encoding(tmp_path: Path) -> None:
    delivery = a_delivery("customer", "", layout=Layout("csv", "", "latin-1", ";", "'"))
    quarantine._write_csv(tmp_path / "points.csv", [(a_row(customer="ü;'b", unnamed_2="x"), delivery)])  # noqa: SLF001
    source = {"files": ["*.csv"], "format": "csv", "encoding": "latin-1", "delimiter": ";", "quote": "'"}
    table = a_table("bronze.points", "append", "landing", source=source, columns={"customer": "string"})
    (found,) = landing.find(str(tmp_path), [table], Ledger()).new
    assert list(found.columns.values())[3:] == ["customer", "unnamed_2"]
    assert found.layout is not None
    with (tmp_path / "points.csv").open("rb") as stream:
        (record,) = csv_records.read_csv(stream, found.layout, found.header)
    assert record == (("points.csv", "1@0123456789ab", "a_rule", "ü;'b", "x"), None, None)


# Corrected -----------------------------------------------------------------------------------------------------------


def test_a_corrected_export_empties_the_quarantine(corrected: Lake) -> None:
    """But for a row that belongs nowhere: it has no key by which anything could replace it."""
    assert {name: corrected.wrong(name, "rules", "_file", "_row") for name in (LINES, PEOPLE)} == {
        LINES: [(["row_repeats_the_header"], "market_1/orders.csv", 13)],
        PEOPLE: [],
    }


def test_a_corrected_document_enters_whole(corrected: Lake) -> None:
    assert corrected.lines(7) == [
        (1, "A", 2, Decimal("10.00")),
        (1, "B", 1, Decimal("1.00")),
        (2, "A", 2, Decimal("1.00")),
    ]


def test_a_corrected_row_without_a_key_heals_by_its_place(corrected: Lake) -> None:
    assert (corrected.lines(77), corrected.lines(88)) == (
        [(1, "C", 1, Decimal("1.00"))],
        [(1, "E", 1, Decimal("1.00"))],
    )


def test_what_is_not_corrected_stands_in_the_table_as_it_was_delivered(corrected: Lake) -> None:
    assert corrected.lines(8) == [(1, 'D, "d"\r\nd; d', 1, Decimal("1.00"))]
    assert corrected.lines(20) == [(1, "L", 3, Decimal("1.50"))]


@pytest.mark.parametrize("order", ODD)
def test_a_row_that_was_typed_anew_heals(corrected: Lake, order: int) -> None:
    _, product, quantity, price = ODD[order][1].split(",")
    assert corrected.lines(order) == [(1, product, int(quantity), Decimal(price))]


def test_corrected_objects_heal(corrected: Lake) -> None:
    people = corrected.toy.rows(PEOPLE, "person_id", "number", "since")
    assert people == [(1, 15, "a\nb"), (2, 2, "a\nb"), (3, 3, "a\nb"), (4, 2, None)]


def test_a_nameless_column_is_the_same_column_in_a_correction(corrected: Lake) -> None:
    columns = [one.name for one in corrected.toy.opened("bronze.orders").schema().fields]
    assert [
        name for name in columns if name not in {"order_id", "product", "quantity", "price"} and name[0] != "_"
    ] == [
        "market",
        "colour",
        "unnamed_5",
    ]


def test_every_corrected_row_is_accounted_for_once(corrected: Lake) -> None:
    rows = corrected.done[LINES].counts["rows"]
    assert {status: count for status, count in rows.items() if count} == {"kept": 14}


FORMULAS = [
    "=1+cmd|' /C calc'!A0",
    "+SUM(A1)",
    "-2+3",
    "@x",
    "\t=1+1",
    "\r=1",
    "'=1",
    "''-x",
    "\uff1d1",
    "'-5",
    "-5",
    "a=b",
]


def test_a_formula_is_none_in_an_export_and_means_the_same_when_it_is_delivered_again(
    tmp_path: Path, engine: Native
) -> None:
    toy = Toy(tmp_path / "toy", engine)
    toy.folder.mkdir()
    rows = [f'{order},"{text}",two,1.00' for order, text in enumerate(FORMULAS)]
    put(toy, "market_1/=orders.csv", "\n".join([HEADER, *rows, ""]))
    toy.run(LINES)
    text = export_of(toy, tmp_path / "orders.csv")
    cells = [(row["product"], row["_replaces_file"]) for row in csv.DictReader(StringIO(text, newline=""))]
    assert all(
        re.fullmatch("[-+]?[0-9.]*|[^=+\\-@\t\r\uff1d].*", cell, re.DOTALL) for pair in cells for cell in pair
    ), cells
    put(toy, "market_1/corrected.csv", text.replace("two", "2"))
    toy.run(LINES)
    assert sorted(toy.rows(LINES, "order_id", "product")) == [*enumerate(one.strip() for one in FORMULAS)]
    assert not toy.rows(f"{LINES}__rejected", "rules")


def export_of(toy: Toy, file: Path) -> str:
    (written,) = quarantine.export(toy.lake.root, toy.tables()[LINES], file)
    return written.read_bytes().decode("utf-8-sig")


# Not corrected -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [7, 8, 20, *ODD])
def test_a_document_that_was_not_corrected_stays_rejected_once(lake: Lake, uncorrected: Lake, order: int) -> None:
    def count(of: Lake) -> int:
        return sum(row == (1, order) for row in of.wrong(LINES, "market", "order_id"))

    assert uncorrected.lines(order) == []
    assert count(uncorrected) == count(lake)


def test_rows_without_a_key_that_were_not_corrected_stay_rejected_once(lake: Lake, uncorrected: Lake) -> None:
    def keyless(of: Lake) -> list[tuple[object, ...]]:
        return [row for row in of.wrong(LINES, "order_id", "market") if row[0] is None]

    assert keyless(uncorrected) == keyless(lake)


def test_objects_that_were_not_corrected_stay_rejected_once(lake: Lake, uncorrected: Lake) -> None:
    assert uncorrected.toy.rows(PEOPLE, "person_id") == [(2,)]
    assert len(uncorrected.wrong(PEOPLE)) == len(lake.wrong(PEOPLE))


def test_a_changed_parser_and_a_changed_rule_heal_by_themselves(uncorrected: Lake) -> None:
    toy = uncorrected.toy
    contract, code = toy.sources[LINES]
    words = 'whole_number("quantity", "int")'
    assert words in code
    mended = f'F.when(F.col("quantity") == "two", F.lit(2)).otherwise({words})'
    code = code.replace(words, mended).replace(
        "from lakehouse", "from pyspark.sql import functions as F\n        from lakehouse", 1
    )
    toy.sources[LINES] = (
        contract.replace("quantity: {type: int, from: quantity, required: true", "quantity: {type: int"),
        code,
    )
    toy.run(LINES)
    assert uncorrected.lines(7) == [
        (1, "A", 2, Decimal("10.00")),
        (1, "B", 1, Decimal("1.00")),
        (2, "A", 2, Decimal("1.00")),
    ]
    assert 7 not in [order for (order,) in uncorrected.wrong(LINES, "order_id")]
    assert [row[1] for row in uncorrected.lines(8)] == ['D, "d"\r\nd; d']  # its quantity need not be readable any more
    assert [rules for order, rules in uncorrected.wrong(LINES, "order_id", "rules") if order == 20] == [
        ["price_is_readable"]
    ]

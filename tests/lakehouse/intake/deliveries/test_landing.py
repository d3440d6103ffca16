"""Which files are taken, once each, in which order; and what is said of those that wait or cannot be read."""

from __future__ import annotations

import bz2
import codecs
import dataclasses
import gzip
import io
import lzma
import os
import pickle
import tarfile
import tracemalloc
import zipfile
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.delta.commits.conflicts import ConflictError
from lakehouse.intake.deliveries import landing
from lakehouse.intake.records import ledger
from lakehouse.intake.records.ledger import Delivery, Entry, Ledger
from lakehouse.readers import records
from lakehouse.readers.columns import column_name, column_names
from lakehouse.readers.records import Layout
from tests import promises

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lakehouse.graph import Table
    from lakehouse.intake.deliveries.landing import Found

CSV = ("market_{market:int}/{date}/**/*Orders*.csv", "market_{market:int}/**/*Orders*.csv")
JSON = ("market_{market:int}/*.json",)
ORDERS = "market_1/Orders.csv"
NEW_YEAR, DAY = 1_704_067_200, 86_400  # 2024-01-01T00:00:00Z


def a_table(name: str = "bronze.orders", *files: str, kind: str = "csv", **source: object) -> Table:
    where = {"files": files or CSV, "format": kind} | source
    return promises.a_table(name, "append", "landing", source=where, columns={"order_id": "string"})


@dataclass
class Place:
    """A landing and its ledger. Each delivered file is a second newer than the last one, unless `at` says when."""

    folder: Path
    tables: list[Table] = field(default_factory=lambda: [a_table(), a_table("bronze.customers", *JSON, kind="json")])
    clock: int = NEW_YEAR

    @property
    def root(self) -> str:
        return str(self.folder / "lake")

    def deliver(self, path: str, content: str | bytes = "order_id\n7\n", at: int | None = None) -> Path:
        file = self.folder / "landing" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        self.clock += 1
        os.utime(file, (at or self.clock, at or self.clock))
        return file

    def find(self, zones: dict[int, str] | None = None, now: int = NEW_YEAR + 3650 * DAY) -> Found:
        at = datetime.fromtimestamp(now, UTC)
        return landing.find(str(self.folder / "landing"), self.tables, ledger.read(self.root), zones, at)

    def take(self) -> Found:
        found = self.find()
        known = ledger.settle(self.root, ledger.read(self.root), found.gone)
        ledger.claim(self.root, known, found.news(known))
        return found

    def reason(self, now: int = NEW_YEAR + 3650 * DAY) -> str:
        """Why the only file that landing has is not taken: its status and the words."""
        (one,) = self.find(now=now).entries
        return f"{one.status}: {one.reason}"

    def entries(self) -> dict[str, str]:
        return {one.delivery.path: one.status for one in ledger.read(self.root).entries}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "landing").mkdir()
    return Place(tmp_path)


def new(found: Found) -> list[str]:
    return [delivery.path for delivery in found.new]


# which files a contract wants


@pytest.mark.parametrize(
    ("path", "market"),
    [
        ("market_1/Orders.csv", 1),
        ("market_2/2024-01-05/Orders.csv", 2),
        ("market_1/2024-01-05/a/b/My Orders (2).csv", 1),
        ("MARKET_1/orders.CSV", 1),
        ("market_12/archive/old orders.csv", 12),
    ],
)
def test_a_wanted_file_has_its_market(place: Place, path: str, market: int) -> None:
    place.deliver(path)
    (delivery,) = place.find().new
    assert (delivery.path, delivery.parts, delivery.table) == (path, {"market": market}, "bronze.orders")


@pytest.mark.parametrize(
    "path",
    ["Orders.csv", "market_one/Orders.csv", "market_1/Orders.csv.bz2", "x/market_1/Orders.csv", "market_1/A.csv"],
)
def test_a_file_that_no_pattern_fits_is_listed_as_ignored(place: Place, path: str) -> None:
    place.deliver(path)
    found = place.find()
    assert (new(found), found.ignored) == ([], (path,))


def test_the_day_is_that_of_the_folder_else_of_the_modification_time_where_the_market_is(place: Place) -> None:
    place.deliver("market_1/2024-03-05/Orders.csv", at=NEW_YEAR)
    place.deliver("market_1/Orders.csv", at=NEW_YEAR + 22 * 3600)
    place.deliver("market_2/Orders.csv", at=NEW_YEAR + 22 * 3600)
    found = {one.path: one for one in place.find({1: "Africa/Nairobi"}).new}
    days = {path: (one.delivered_at.isoformat()[:16], one.as_of.isoformat()[:16]) for path, one in found.items()}
    assert days == {
        "market_1/2024-03-05/Orders.csv": ("2024-03-05T00:00", "2024-03-05T00:00"),
        "market_1/Orders.csv": ("2024-01-02T00:00", "2024-01-01T22:00"),
        "market_2/Orders.csv": ("2024-01-01T00:00", "2024-01-01T22:00"),
    }


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("market_1/2024-02-30/Orders.csv", "lies in 2024-02-30, which is no date"),
        ("market_1/2024-13-01/Orders.csv", "lies in 2024-13-01, which is no date"),
        ("market_1/2024-1-1/Orders.csv", "lies in 2024-1-1, which is nearly a date"),
        ("market_1/01-05-2024/Orders.csv", "lies in 01-05-2024, which is nearly a date"),
        ("market_1/2024/1/5/Orders.csv", "lies in 2024/1/5, which is nearly a date"),
        ("market_1/dt=2024_01_05/Orders.csv", "lies in dt=2024_01_05, which is nearly a date"),
        ("market_1/2024-01-04/Orders.csv", "says that its day is 2024-01-04, and today is 2024-01-02"),
        ("market_1/2202-01-06/Orders.csv", "says that its day is 2202-01-06, and today is 2024-01-02"),
    ],
)
def test_a_date_that_is_none_or_is_yet_to_come_is_not_guessed(place: Place, path: str, words: str) -> None:
    place.deliver(path)
    place.deliver("market_1/2024-01-03/Orders.csv", "order_id\nof tomorrow\n")
    found = place.find(now=NEW_YEAR + DAY)
    (odd,) = found.by_status("unreadable")
    assert (odd.delivery.path, new(found)) == (path, ["market_1/2024-01-03/Orders.csv"])
    assert words in odd.reason


def test_today_is_that_of_the_market(place: Place) -> None:
    place.deliver("market_1/2024-01-03/Orders.csv")
    late_in_the_evening = NEW_YEAR + 22 * 3600
    assert not place.find(now=late_in_the_evening).new
    assert place.find({1: "Africa/Nairobi"}, now=late_in_the_evening).new


def test_a_time_that_is_yet_to_come_is_refused_until_it_is_corrected(place: Place) -> None:
    place.deliver("market_1/2024-01-01/Orders.csv", at=NEW_YEAR + 5 * DAY)
    assert "was last written at 2024-01-06 00:00 UTC, which is yet to come" in place.reason(now=NEW_YEAR + DAY)
    place.deliver("market_1/2024-01-01/Orders.csv", at=NEW_YEAR + DAY)
    assert new(place.find(now=NEW_YEAR + DAY)) == ["market_1/2024-01-01/Orders.csv"]


@pytest.mark.parametrize(
    ("path", "day"),
    [
        ("market_1/20240105/Orders.csv", "2024-01-05"),
        ("market_1/dt=2024-01-05/Orders.csv", "2024-01-05"),
        ("market_1/2024/01/05/Orders.csv", "2024-01-05"),
        ("market_1/year=2024/month=01/day=05/Orders.csv", "2024-01-05"),
        ("market_1/archive/2024-01-05/Orders.csv", "2024-01-05"),
        ("market_1/2024-01-05/2024-01-07/Orders.csv", "2024-01-05"),
        ("market_1/Orders 2024-01-05.csv", "2024-01-05"),
        ("market_1/Orders_20240105_2.csv.gz", "2024-01-05"),
        ("market_1/20249905/Orders.csv", "2024-01-01"),
        ("market_1/120240105/Orders.csv", "2024-01-01"),
        ("market_1/Orders 5.1.2024.csv", "2024-01-01"),
    ],
)
def test_a_date_is_spelled_in_several_ways(place: Place, path: str, day: str) -> None:
    folder, name = "market_{market:int}/**/{date}/**/*Orders*.csv", "market_{market:int}/**/*Orders*{date}*.csv"
    place.tables = [a_table("bronze.orders", folder, name, "market_{market:int}/**/*Orders*.csv")]
    content = b"order_id\n7\n"
    place.deliver(path, gzip.compress(content) if path.endswith("gz") else content)
    (found,) = place.find().new
    assert found.delivered_at.date().isoformat() == day


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("market_1/Orders 2024-01-05.csv", "holds the date 2024-01-05, which no pattern of its contract reads"),
        ("market_1/archive/2024-01-05/Orders.csv", "holds the date 2024-01-05, which no pattern of its contract reads"),
        ("market_1/2024-01-05/Orders 2024-01-07.csv", "holds the date 2024-01-07 too; 2024-01-05 counts"),
        ("market_1/2024-01-05/Orders 20240105.csv", ""),
        ("market_1/Orders 7654321.csv", ""),
    ],
)
def test_a_date_that_is_not_obeyed_is_said(place: Place, path: str, reason: str) -> None:
    place.deliver(path)
    (found,) = place.find().entries
    assert found.status == "claimed"
    assert found.reason.startswith(reason)
    assert bool(found.reason) == bool(reason)


def test_the_first_pattern_that_fits_counts(place: Place) -> None:
    place.tables = [a_table("bronze.orders", "{market:int}/*.csv", "{shop:int}/*.csv", "**/*.csv")]
    place.deliver("1/a.csv")
    place.deliver("b.csv")
    assert [delivery.parts for delivery in place.find().new] == [{"market": 1}, {}]


def test_a_star_stays_in_its_folder_and_a_question_mark_is_one_letter(place: Place) -> None:
    place.tables = [a_table("bronze.orders", "a/*.csv", "b/?.csv", "c+/x.csv")]
    for path in ("a/1.csv", "a/b/2.csv", "b/3.csv", "b/33.csv", "c+/x.csv", "cc/x.csv"):
        place.deliver(path)
    assert new(place.find()) == ["a/1.csv", "b/3.csv", "c+/x.csv"]


def test_a_file_that_two_tables_want_goes_to_both(place: Place) -> None:
    place.tables = [a_table("bronze.orders", "*.csv"), a_table("bronze.audit", "**/*.csv")]
    place.deliver("a.csv")
    assert {(one.table, one.path) for one in place.find().new} == {
        ("bronze.audit", "a.csv"),
        ("bronze.orders", "a.csv"),
    }


@pytest.mark.parametrize(
    "path",
    ["market_1/.Orders.csv", "market_1/_Orders.csv", "market_1/Orders.csv.tmp", "market_1/Orders.csv.part",
     "market_1/_temporary/0/Orders.csv", ".staging/Orders.csv"],
)  # fmt: skip
def test_a_file_that_is_being_written_waits_until_it_has_its_name(place: Place, path: str) -> None:
    file = place.deliver(path)
    assert place.reason() == "waiting: its name says that it is being written"
    file.rename(place.deliver(ORDERS))
    found = place.find()
    assert (new(found), found.by_status("waiting"), found.ignored) == ([ORDERS], (), ())


def test_a_tables_own_deliveries_can_be_chosen(place: Place) -> None:
    place.deliver(ORDERS)
    place.deliver("market_1/c.json", "[]")
    found = place.find()
    assert new(found.of({"bronze.customers"})) == ["market_1/c.json"]
    assert new(found.of(())) == []


# headers


def test_header_names_fold_to_snake_case_and_nameless_ones_get_their_place() -> None:
    header = ["Order ID", "Distance (in km)", "", " 2nd-Name ", "  ", "名前", "_replaces_row"]
    assert list(column_names(header).values()) == [
        "order_id", "distance_in_km", "unnamed_3", "2nd_name", "unnamed_5", "名前", "_replaces_row",
    ]  # fmt: skip


def test_a_file_with_two_headers_that_fold_to_one_name_is_not_taken_and_both_are_named(place: Place) -> None:
    place.deliver(ORDERS, "order_id,Order ID\n7,7\n")
    assert (
        place.reason()
        == "unreadable: has two columns that both fold to order_id: 'order_id' and 'Order ID'. Rename one of them."
    )


def test_nor_is_one_whose_header_repeats_a_name_to_the_letter(place: Place) -> None:
    place.deliver(ORDERS, "order_id,price,price\n7,1,2\n")
    assert "has two columns that both fold to price: 'price' and 'price#3'" in place.reason()


def test_a_name_written_in_two_unicode_forms_is_one_column() -> None:
    assert column_name("Caf\u00e9 1") == column_name("Cafe\u0301 1")


@pytest.mark.parametrize(("mode", "status"), [("add", "claimed"), ("rescue", "claimed"), ("fail", "unreadable")])
def test_columns_that_no_contract_names_are_refused_only_where_it_says_so(place: Place, mode: str, status: str) -> None:
    place.tables = [a_table(schema=mode)]
    place.deliver(ORDERS, "order_id,Colour\n7,red\n")
    (one,) = place.find().entries
    assert one.status == status
    assert one.reason == (
        "has columns that the contract does not name, and `schema: fail` forbids: 'Colour'. Name them there."
        * (mode == "fail")
    )


def test_a_correction_may_name_what_it_replaces_even_where_new_columns_are_refused(place: Place) -> None:
    place.tables = [a_table(schema="fail")]
    place.deliver(ORDERS, "_replaces_file,_replaces_row,_rejected_because,order_id\na,1,x,7\n")
    assert new(place.find()) == [ORDERS]


def test_a_file_without_a_required_column_is_not_taken(place: Place) -> None:
    place.tables = [a_table(required=["order_id", "price"])]
    place.deliver(ORDERS, "order_id,Price (KES)\n7,1\n")
    assert place.reason() == "unreadable: has no column price, which the contract requires. Deliver it with that."


def test_a_file_that_could_not_be_read_is_looked_at_again_when_its_contract_changed(place: Place) -> None:
    place.tables = [a_table(required=["price"])]
    place.deliver(ORDERS)
    place.take()
    assert place.entries() == {ORDERS: "unreadable"}
    assert place.find().news(ledger.read(place.root)) == ()  # said once
    place.tables = [a_table()]
    place.take()
    assert place.entries() == {ORDERS: "claimed"}


def test_a_byte_order_mark_is_no_part_of_the_first_header(place: Place) -> None:
    place.deliver(ORDERS, codecs.BOM_UTF8 + b"order_id,price\n7,1\n")
    assert place.find().new[0].header == ("order_id", "price")


def test_a_header_may_hold_a_line_break_and_a_comma_in_quotes(place: Place) -> None:
    place.deliver(ORDERS, b'order_id,"price,\nin ""KES""",note\r\n7,1,x\r\n')
    header = place.find().new[0].header
    assert header == ("order_id", 'price,\nin "KES"', "note")
    assert list(column_names(header).values()) == ["order_id", "price_in_kes", "note"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"order_id,gr\xf6\xdfe\n", "is not utf-8"), ("a,b".encode("utf-16-le"), "NUL")],
)
def test_a_file_whose_header_is_not_text_is_not_taken(place: Place, content: bytes, words: str) -> None:
    place.deliver(ORDERS, content)
    assert place.reason().startswith("unreadable: ")
    assert words in place.reason()


def test_a_letter_that_the_end_of_the_first_bytes_cuts_is_no_error(place: Place) -> None:
    place.deliver(ORDERS, ("order_id\n" + "ä" * records.HEAD).encode())
    assert place.find().new[0].header == ("order_id",)


@pytest.mark.parametrize("content", ["", "order_id,pri", "order_id,price\n", "\n\n"])
def test_a_csv_without_rows_is_a_delivery_without_columns(place: Place, content: str) -> None:
    place.deliver(ORDERS, content)
    (delivery,) = place.find().new
    assert (delivery.header, delivery.size) == ((), len(content))


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '[{"a": 1}]\n',
        '\ufeff  [{"a": "]"},\n {"b": 2} ] \n',
        "[" + " " * 200 + "]",
        '{"a": 1}',
        '{"a": 1}\n{"a": 2}\n',
        "",
    ],
)
def test_a_whole_json_array_or_json_lines_are_taken(place: Place, content: str) -> None:
    place.deliver("market_1/c.json", content)
    assert new(place.find()) == ["market_1/c.json"]


@pytest.mark.parametrize("content", ['[{"a": 1}, {"b"', '[{"a": 1}', '{"a": 1}\n{"a": 2', "["])
def test_half_a_json_file_waits(place: Place, content: str) -> None:
    place.deliver("market_1/c.json", content)
    assert place.reason().startswith("waiting: ")


@pytest.mark.parametrize("content", ["order_id,b\n7,1\n", "7", '"text"'])
def test_what_is_no_json_is_not_taken_as_such(place: Place, content: str) -> None:
    place.deliver("market_1/c.json", content)
    assert place.reason().startswith("unreadable: ")


@pytest.mark.parametrize("content", ["order_id,b\n7,1\n8", 'order_id,b\n7,"1', "order_id,b\n7,1\n8,"])
def test_a_csv_that_ends_within_a_row_waits_and_a_whole_one_is_taken(place: Place, content: str) -> None:
    place.deliver(ORDERS, content)
    is_cut = not content.endswith(",")
    assert bool(new(place.find(now=place.clock))) != is_cut
    assert place.find(now=place.clock).entries[0].status == ("waiting" if is_cut else "claimed")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("end", ["8", '8,"1', "Total: 2 rows", "8,1\r", "Ab\u00e4"])
def test_a_csv_whose_last_row_looks_cut_is_taken_an_hour_after_it_was_written(
    place: Place, end: str, pack: Callable[[bytes], bytes]
) -> None:
    whole = f"order_id,b\n7,1\n{end}".encode()
    place.deliver(ORDERS, pack(whole[:-1] if end.endswith("\u00e4") else whole))
    assert place.reason(place.clock + 3599).startswith("waiting: ends ")
    assert "It is taken as it is an hour after it was last written" in place.reason(place.clock + 3599)
    assert place.reason(place.clock + 3600).startswith("claimed: ends ")
    assert "its last row is judged as it is" in place.reason(place.clock + 3600)


def test_a_cut_compressed_file_waits_however_old_it_is(place: Place) -> None:
    place.deliver(ORDERS, gzip.compress(b"order_id,b\n7,1\n")[:-9])
    assert place.reason().startswith("waiting: ends in the middle of its gzip stream")


# what is no export at all


@pytest.mark.parametrize(
    "path",
    [".DS_Store", "market_1/.DS_Store", "market_1/._Orders.csv", "__MACOSX/market_1/._Orders.csv", "Thumbs.db",
     "market_1/thumbs.db", "market_1/desktop.ini", "market_1/Desktop.ini", "market_1/~$Orders.csv",
     "market_1/.~lock.Orders.csv#", "market_1/_SUCCESS", "market_1/.Orders.csv.crc", "market_1/@eaDir/Orders.csv",
     "$RECYCLE.BIN/Orders.csv", "System Volume Information/IndexerVolumeGuid", ".Trashes/501/Orders.csv",
     "market_1/.gitkeep", "lost+found/1", "market_1/.nfs0000000a"],
)  # fmt: skip
def test_what_systems_leave_beside_files_is_nothing_that_waits_or_is_told(place: Place, path: str) -> None:
    place.deliver(path)
    place.deliver(ORDERS)
    found = place.find()
    assert ([one.delivery.path for one in found.entries], found.ignored) == ([ORDERS], ())


@pytest.mark.parametrize(
    "path", ["market_1/Orders_SUCCESS.csv", "market_1/desktop.ini Orders.csv", "market_1/~Orders.csv"]
)
def test_a_name_that_only_looks_like_a_systems_is_a_delivery(place: Place, path: str) -> None:
    place.deliver(path)
    assert new(place.find()) == [path]


def a_zip(*names: str, content: str = "x" * 2000) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in names:
            packed.writestr(name, content, zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def a_tar(name: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as packed:
        packed.addfile(tarfile.TarInfo(name))
    return stream.getvalue()


def a_parquet() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"order_id": ["7"]}), stream)
    return stream.getvalue()


FOREIGN = {
    "a workbook (xlsx): save its sheet as CSV": a_zip("[Content_Types].xml", "_rels/.rels", "xl/workbook.xml"),
    "a workbook (xlsx): ": a_zip("xl/worksheets/sheet1.xml", "[Content_Types].xml"),
    "a workbook (xlsb)": a_zip("[Content_Types].xml", "xl/workbook.bin"),
    "a workbook (ods)": a_zip("mimetype", "content.xml", content="application/vnd.oasis.opendocument.spreadsheet"),
    "a workbook (xls, or one with a password)": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504),
    "a workbook (saved as a page or as XML)": (
        b'<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet">'
    ),
    "a workbook (saved as a page": b'<html xmlns:x="urn:schemas-microsoft-com:office:excel"><table><tr><td>7',
    "a text document (docx)": a_zip("[Content_Types].xml", "word/document.xml"),
    "a web page (HTML): a login or an error": b"<!DOCTYPE html>\n<html><title>502</title>",
    "a web page (HTML)": b"\xef\xbb\xbf  \r\n<HTML lang='en'><BODY>",
    "a web page (HTML): ": b"<!-- saved --><table><tr><td>order_id",
    "a web page (HTML): a": b"<br />\n<b>Warning</b>: mysql_connect() in export.php\norder_id,b\n7,1\n",
    "a web page (HTML): a login": "<html>".encode("utf-16"),
    "XML: ": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "XML: a": b"<Error><Code>NoSuchKey</Code></Error>",
    "a PDF": b"%PDF-1.7\n",
    "an archive (zip): unpack it": a_zip("Orders.csv"),
    "an archive (zip)": a_zip(),
    "an archive (zip): ": a_zip("mimetype", content="xl/"),
    "an archive (tar)": a_tar("Orders.csv"),
    "an archive (tar): ": gzip.compress(a_tar("Orders.csv")),
    "an archive (7z)": b"7z\xbc\xaf\x27\x1c\0\4",
    "an archive (rar)": b"Rar!\x1a\x07\x01\0",
    "an archive (bzip2)": bz2.compress(b"order_id\n7\n"),
    "an archive (xz)": lzma.compress(b"order_id\n7\n"),
    "a Parquet file": a_parquet(),
    "a database (SQLite)": b"SQLite format 3\0",
    "a picture (png)": b"\x89PNG\r\n\x1a\n",
}


@pytest.mark.parametrize("what", FOREIGN)
@pytest.mark.parametrize("path", [ORDERS, "market_1/Customers.json"])
def test_a_file_of_another_kind_is_named_for_what_it_is(place: Place, what: str, path: str) -> None:
    place.deliver(path, FOREIGN[what])
    assert place.reason().startswith(f"unreadable: is {what}".replace("CSV", "JSON" if "json" in path else "CSV"))


@pytest.mark.parametrize("content", ['{"error": "try later"}', '[{"order_id": 7}]', ' {\n "order_id" : 7}'])
def test_json_under_the_name_of_a_csv_is_named(place: Place, content: str) -> None:
    place.deliver(ORDERS, content)
    assert place.reason() == "unreadable: is JSON: export its rows as CSV, and deliver those."


@pytest.mark.parametrize("header", ["order_id,<b>", "PK,order_id", "{id},order_id", "[order_id],b", "ORD,order_id"])
def test_a_header_that_only_looks_like_another_kind_is_read(place: Place, header: str) -> None:
    place.deliver(ORDERS, f"{header}\n7,1\n")
    assert new(place.find()) == [ORDERS]


# what stands before the header and behind the rows

SIGNS = [",", ";", "\t", "|", "^", "~"]


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("line", ["sep={}\r\n", "SEP={}\n", '"sep={}"\r\n', "sep={} \n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_excel_says_of_its_separator_is_obeyed(place: Place, sign: str, line: str, encoding: str) -> None:
    place.tables = [a_table(required=["order_id"], delimiter="|")]
    place.deliver(ORDERS, (line.format(sign) + f"order_id{sign}b\r\n7{sign}1\r\n").encode(encoding))
    (one,) = place.find().new
    assert (one.header, one.layout and one.layout.delimiter, one.layout and one.layout.preamble) == (
        ("order_id", "b"), sign, 1
    )  # fmt: skip


@pytest.mark.parametrize("first", ["sep=", "sep=;;", "sep=ab", "sep,order_id", "xsep=;"])
def test_a_first_line_that_only_begins_as_excels_is_the_header(place: Place, first: str) -> None:
    place.deliver(ORDERS, f"{first}\n7,1\n")
    (one,) = place.find().entries
    assert one.delivery.layout is None or one.delivery.layout.preamble == 0


PREAMBLES = {
    "All orders\nFrom 5 to 6, in KSh\n\n": 3,
    '"All orders, of the shop"\r\n': 1,
    "\n\nAll orders\n": 3,
    "All orders;;;\n;;;\n": 2,
}


@pytest.mark.parametrize("text", PREAMBLES)
def test_lines_before_the_header_are_refused_with_the_words_that_take_them(place: Place, text: str) -> None:
    place.tables = [a_table(required=["order_id", "b"])]
    place.deliver(ORDERS, f"{text}Order ID,B\n7,1\n")
    lines = PREAMBLES[text]
    assert place.reason().startswith(f"unreadable: has its header in its line {lines + 1}. Say `preamble: {lines}`")
    place.tables = [a_table(required=["order_id", "b"], preamble=lines)]
    (one,) = place.find().new
    assert one.header == ("Order ID", "B")


@pytest.mark.parametrize("text", [*PREAMBLES, "", "sep=,\n", "sep=,\nAll orders\n"])
def test_a_pattern_takes_files_with_and_without_a_preamble(place: Place, text: str) -> None:
    place.tables = [a_table(required=["order_id", "b"], preamble='"?(All|From) .*|;*')]
    place.deliver(ORDERS, f"{text}Order ID,B\n7,1\n")
    (one,) = place.find().new
    assert one.header == ("Order ID", "B")


def test_a_number_of_lines_that_a_file_does_not_have_is_said(place: Place) -> None:
    place.tables = [a_table(required=["order_id"], preamble=2)]
    place.deliver(ORDERS, "order_id,b\n7,1\n8,1\n")
    assert place.reason().startswith("unreadable: has its header in its line 1. Say `preamble: 0`")


@pytest.mark.parametrize("end", ["Total", "Total\r\n", "Total,,5", "Total: 2\n\nPage 1 of 1"])
def test_a_file_that_ends_with_its_footer_is_whole_at_once(place: Place, end: str) -> None:
    place.tables = [a_table(footer="Total.*|Page .*")]
    place.deliver(ORDERS, f"order_id,b\n7,1\n8,1\n{end}")
    assert place.reason(place.clock) == "claimed: "


def test_files_that_cannot_be_read_keep_no_other_file_out(place: Place) -> None:
    place.deliver("market_1/c.json", "[")
    place.deliver("market_1/Orders.csv")
    place.deliver("market_2/Orders.csv", b"\xff")
    assert {one.delivery.path: one.status for one in place.find().entries} == {
        "market_1/c.json": "waiting",
        "market_1/Orders.csv": "claimed",
        "market_2/Orders.csv": "unreadable",
    }


@pytest.mark.parametrize("name", ["Orders.csv.gz", "Orders.csv"])
def test_a_compressed_file_is_taken_whatever_its_name_and_waits_where_it_is_cut(place: Place, name: str) -> None:
    whole = gzip.compress(b"order_id\n7\n" * 100)
    place.deliver(f"market_1/{name}", whole)
    place.deliver(f"market_2/{name}", whole[:-9])
    found = place.find()
    assert new(found) == [f"market_1/{name}"]
    assert [one.delivery.path for one in found.by_status("waiting")] == [f"market_2/{name}"]


# the ledger


def test_what_was_taken_is_not_found_again(place: Place) -> None:
    place.deliver(ORDERS)
    place.deliver("market_2/2024-01-05/Orders.csv")
    taken = place.take()
    known = [one.delivery for one in ledger.read(place.root).entries]
    assert sorted(known, key=lambda one: one.sequence) == list(taken.new)
    assert place.find().entries == ()


def test_a_lake_without_a_ledger_has_taken_nothing(place: Place) -> None:
    assert ledger.read(place.root) == ledger.Ledger(-1, ())


def test_a_batch_is_the_version_of_the_ledgers_commit(place: Place) -> None:
    place.deliver(ORDERS)
    place.take()
    place.deliver("market_2/Orders.csv")
    place.take()
    assert {one.delivery.path: one.batch for one in ledger.read(place.root).entries} == {
        ORDERS: 0,
        "market_2/Orders.csv": 1,
    }


def test_a_claimed_ledger_is_what_is_read_afterwards(place: Place) -> None:
    place.deliver(ORDERS, "")
    place.deliver("market_2/Orders.csv", b"\xff")
    before = ledger.read(place.root)
    claimed = ledger.claim(place.root, before, place.find().news(before))
    read = ledger.read(place.root)
    assert read.version == claimed.version
    assert sorted(read.entries, key=lambda one: one.delivery.path) == list(claimed.entries)


def test_what_became_of_a_file_is_noted_in_its_row(place: Place) -> None:
    place.deliver(ORDERS)
    place.take()
    now = ledger.read(place.root)
    outcome = dataclasses.replace(now.entries[0], status="loaded", counts={"rows": 3, "kept": 2, "rejected": 1})
    ledger.settle(place.root, now, [outcome])
    assert ledger.read(place.root) == ledger.Ledger(1, (outcome,))
    place.deliver("market_2/Orders.csv")
    place.take()
    assert sorted(one.batch for one in ledger.read(place.root).entries) == [0, 2]


def test_a_touched_file_is_a_duplicate_and_then_not_looked_at_again(place: Place) -> None:
    place.deliver(ORDERS, "order_id\n7\n")
    place.take()
    place.deliver(ORDERS, "order_id\n7\n")
    found = place.take()
    (one,) = found.entries
    assert (one.status, one.reason) == ("duplicate", "holds what it held when it was loaded last")
    place.deliver(ORDERS, "order_id\n8\n", at=place.clock)  # would be seen if it were opened
    assert place.find().entries == ()
    assert sorted(one.status for one in ledger.read(place.root).entries) == ["claimed", "duplicate"]


def test_new_content_under_the_same_path_is_new(place: Place) -> None:
    place.deliver(ORDERS, "order_id\n7\n")
    place.take()
    place.deliver(ORDERS, "order_id\n8\n")
    assert new(place.take()) == [ORDERS]
    (newest,) = (one.delivery for one in ledger.read(place.root).held().values())
    assert newest.modified_at == datetime.fromtimestamp(place.clock, UTC)


def test_a_then_b_then_a_again_is_new_each_time(place: Place) -> None:
    for content in ("order_id\n1\n", "order_id\n2\n", "order_id\n1\n", "order_id\n2\n"):
        place.deliver(ORDERS, content)
        assert new(place.take()) == [ORDERS]


def test_the_same_content_under_another_name_is_new_and_says_so(place: Place) -> None:
    place.deliver(ORDERS)
    place.take()
    place.deliver("market_1/Orders (copy).csv")
    assert new(place.find()) == ["market_1/Orders (copy).csv"]
    assert place.reason() == f"claimed: holds the same as {ORDERS}"


THEIRS = "market_2/2024-01-05/Orders.csv"


@pytest.mark.parametrize("before", ["there", "in the same look", "gone", "long gone", "overwritten"])
def test_what_a_file_of_another_market_holds_is_taken_and_said_by_name(place: Place, before: str) -> None:
    """Also where it was moved there: it says something else of that market."""
    file = place.deliver(ORDERS)
    if before != "in the same look":
        place.take()
    if "gone" in before:
        file.unlink()
    if before == "long gone":
        place.deliver("market_1/Orders 8.csv", "order_id\n8\n")
        place.take()
    if before == "overwritten":
        place.deliver(ORDERS, "order_id\n9\n")
    place.deliver(THEIRS)
    found = place.take()
    assert [one.path for one in found.strangers] == [THEIRS]
    assert {one.delivery.path: (one.status, one.reason) for one in found.entries}[THEIRS] == (
        "claimed",
        f"holds the same as {ORDERS}, of another market",
    )
    assert place.find().strangers == ()


def test_files_without_rows_and_other_content_are_no_strangers(place: Place) -> None:
    for market in (1, 2):
        place.deliver(f"market_{market}/Orders.csv", "order_id\n")
        place.deliver(f"market_{market}/Orders 7.csv", f"order_id\n{market}\n")
        place.deliver(f"market_{market}/Customers.json", "[]")
    assert place.take().strangers == ()


def test_a_landing_without_any_file_that_was_taken_from_it_is_said(place: Place) -> None:
    for name in ("Orders 1", "Orders 2", "Orders 3"):
        place.deliver(f"market_1/{name}.csv", f"order_id\n{name}\n")
    assert place.take().absent == 0
    landed = place.folder / "landing"
    landed.rename(place.folder / "elsewhere")
    landed.mkdir()
    assert place.find().absent == 3  # not mounted
    place.deliver("market_1/2024-01-05/Orders.csv", "order_id\n50\n")
    assert place.find().absent == 3  # another folder
    place.deliver("market_1/Orders 2.csv", "order_id\n60\n")
    assert place.find().absent == 0  # a file of that name is there


def test_a_landing_whose_files_are_taken_away_after_they_were_loaded_is_soon_what_is_usual(place: Place) -> None:
    said = []
    for day in range(1, 5):
        file = place.deliver(f"market_1/2024-01-{day:02}/Orders.csv", f"order_id\n{day}\n")
        said.append(place.take().absent)
        file.unlink()
    assert said == [0, 1, 0, 0]


@pytest.mark.parametrize("until", ["gone", "other content"])
def test_a_move_is_no_news_whatever_its_time_says(place: Place, until: str) -> None:
    """On S3 every move has a new time."""
    file = place.deliver("market_1/2024-01-05/Orders.csv")
    place.deliver("market_1/2024-01-06/Orders.csv", "order_id\n8\n")
    place.take()
    file.unlink() if until == "gone" else place.deliver("market_1/2024-01-05/Orders.csv", "order_id\n9\n")
    place.deliver("market_1/archive/Orders 5.csv")
    found = place.take()
    assert {one.delivery.path: one.reason for one in found.by_status("duplicate")} == {
        "market_1/archive/Orders 5.csv": "is market_1/2024-01-05/Orders.csv under another name"
    }
    assert len(found.new) == (until != "gone")
    place.deliver("market_1/archive/older/Orders 5.csv")
    (place.folder / "landing" / "market_1/archive/Orders 5.csv").unlink()
    assert new(place.take()) == []


def test_content_of_a_file_that_was_gone_before_is_a_delivery(place: Place) -> None:
    """A, which is archived elsewhere, then B, then A again ends as A."""
    archived = place.deliver("market_1/2024-01-05/Orders.csv")
    place.take()
    archived.unlink()
    place.deliver("market_1/2024-01-06/Orders.csv", "order_id\n8\n")
    assert new(place.take()) == ["market_1/2024-01-06/Orders.csv"]
    place.deliver("market_1/2024-01-07/Orders.csv")
    assert new(place.take()) == ["market_1/2024-01-07/Orders.csv"]


def test_of_one_path_what_was_seen_last_counts_also_with_an_older_time(place: Place) -> None:
    for at, content in ((NEW_YEAR + DAY, "1"), (NEW_YEAR, "2"), (NEW_YEAR + DAY, "1")):
        place.deliver(ORDERS, f"order_id\n{content}\n", at=at)
        assert new(place.take()) == [ORDERS]
    in_order = sorted(ledger.read(place.root).taken(), key=lambda one: one.delivery.sequence)
    assert [one.batch for one in in_order] == [0, 1, 2]
    assert [str(one.delivery.delivered_at.date()) for one in in_order] == ["2024-01-02"] * 3


def a_file_of_1980(place: Place, **counts: int) -> None:
    place.deliver(ORDERS, at=315532800)
    place.take()
    known = ledger.read(place.root)
    (entry,) = known.taken()
    ledger.settle(place.root, known, [dataclasses.replace(entry, counts=counts)])


def test_a_corrected_day_is_no_news_to_rows_that_are_wrong_by_themselves(place: Place) -> None:
    a_file_of_1980(place, rows=1, rejected=1, misdated=0)
    place.deliver(ORDERS)
    assert new(place.take()) == []


def test_rows_that_a_days_mistake_made_wrong_are_judged_by_the_right_day(place: Place) -> None:
    a_file_of_1980(place, rows=2, kept=1, rejected=1, misdated=1)
    place.deliver(ORDERS)
    (found,) = place.take().new
    assert (found.path, found.delivered_at) == (ORDERS, datetime(2024, 1, 1, tzinfo=UTC))
    place.deliver(ORDERS, at=NEW_YEAR + 5 * DAY)
    assert new(place.take()) == []


def test_a_file_that_is_gone_changes_nothing(place: Place) -> None:
    file = place.deliver(ORDERS)
    place.take()
    file.unlink()
    found = place.find()
    assert (found.entries, found.ignored) == ((), ())


def test_a_ledger_row_is_the_delivery_as_it_was_found(place: Place) -> None:
    place.deliver("market_3/2024-01-05/Orders.csv", 'order_id,"Größe"\n7,1\n', at=NEW_YEAR)
    place.take()
    (one,) = ledger.read(place.root).entries
    assert one.delivery.header == ("order_id", "Größe")
    assert one.delivery.parts == {"market": 3}
    assert one.delivery.size == len('order_id,"Größe"\n7,1\n'.encode())
    start = "2024-01-05T00:00:00.000000Z 2024-01-01T00:00:00.000000Z market_3/2024-01-05/Orders.csv "
    assert one.delivery.sequence == start + one.delivery.content[:12]


def test_deliveries_are_ordered_by_date_then_by_modification_time_then_by_path(place: Place) -> None:
    place.deliver("market_1/2024-01-06/a Orders.csv", at=NEW_YEAR)
    place.deliver("market_1/2024-01-05/z Orders.csv", at=NEW_YEAR + 2)
    place.deliver("market_1/2024-01-05/b Orders.csv", at=NEW_YEAR + 3)
    place.deliver("market_1/2024-01-05/y Orders.csv", at=NEW_YEAR + 2)
    names = [path.split("/")[2][0] for path in new(place.find())]
    assert names == ["y", "z", "b", "a"]


@pytest.mark.parametrize("taken_before", [[], ["market_2/Orders.csv"]])
def test_of_two_planners_that_found_the_same_files_one_is_refused(place: Place, taken_before: list[str]) -> None:
    for path in taken_before:
        place.deliver(path)
        place.take()
    place.deliver(ORDERS)
    now, found = ledger.read(place.root), place.find()
    ledger.claim(place.root, now, found.entries)
    with pytest.raises(ConflictError, match=r"Another writer made version|holds a table already"):
        ledger.claim(place.root, now, found.entries)


@pytest.mark.slow
@pytest.mark.parametrize("files", [1_000, pytest.param(10_000, marks=pytest.mark.long)])
def test_thousands_of_files_are_found_taken_and_known(place: Place, files: int) -> None:
    for number in range(files):
        place.deliver(f"market_{number % 2}/{number} Orders.csv", f"order_id\n{number}\n")
    assert len(place.take().new) == files
    found = place.find()
    assert (found.entries, found.ignored) == ((), ())


# strange landings


def test_empty_lines_before_the_header_are_no_header(place: Place) -> None:
    place.deliver(ORDERS, "\n\r\norder_id,price\n7,1\n")
    assert place.find().new[0].header == ("order_id", "price")


def test_a_quote_in_the_header_that_is_never_closed_is_refused(place: Place) -> None:
    place.deliver(ORDERS, 'order_id,"price\n' + "7,1\n" * 50_000)
    assert place.reason().startswith("unreadable: ")


def _a_link_to_nothing(folder: Path) -> None:
    (folder / "market_1" / "gone Orders.csv").symlink_to("/nowhere")


def _a_link_to_its_parent(folder: Path) -> None:
    (folder / "market_1" / "again").symlink_to(folder)


def test_a_folder_whose_number_is_too_large_for_a_market_is_refused_before_it_is_claimed(place: Place) -> None:
    place.deliver("market_20220107123456/Orders.csv")
    assert place.reason() == "unreadable: lies in a folder of market 20220107123456, which is no number of a market."
    place.take()
    assert set(place.entries().values()) == {"unreadable"}


def test_a_pipe_and_a_name_that_is_no_text_keep_no_other_file_out(place: Place) -> None:
    place.deliver(ORDERS)
    os.mkfifo(place.folder / "landing" / "market_1" / "piped Orders.csv")
    (place.folder / "landing" / "market_1" / os.fsdecode(b"Orders caf\xe9.csv")).write_text("order_id\n7\n")
    place.take()
    assert place.entries() == {
        ORDERS: "claimed",
        "market_1/piped Orders.csv": "unreadable",
        "market_1/Orders caf\\xe9.csv": "unreadable",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_says_so(place: Place) -> None:
    place.deliver(ORDERS).chmod(0)
    assert place.reason() == "unreadable: cannot be opened: Permission denied."


@pytest.mark.parametrize("link", [_a_link_to_nothing, _a_link_to_its_parent])
def test_a_broken_or_circular_link_does_not_stop_the_other_files(place: Place, link: Callable[[Path], None]) -> None:
    place.deliver(ORDERS)
    link(place.folder / "landing")
    assert new(place.find()) == [ORDERS]


# the ledger's size


@pytest.mark.slow
def test_a_file_that_grows_has_one_row_until_it_is_taken_and_then_one_for_each_version(place: Place) -> None:
    for number in range(1, 6):
        rows = "\n".join(["order_id,product", *["7,A"] * number, "7"])
        place.deliver(ORDERS, rows, at=int(datetime.now(UTC).timestamp()))
        place.deliver("market_1/Orders twice.csv", "order_id,order_id\n" + "7,7\n" * number)
        known = ledger.read(place.root)
        found = landing.find(str(place.folder / "landing"), place.tables, known)
        ledger.claim(place.root, known, found.news(known))
        assert place.entries() == {ORDERS: "waiting", "market_1/Orders twice.csv": "unreadable"}
        assert len(ledger.read(place.root).entries) == 2
    place.deliver(ORDERS, "order_id,product\n7,A\n")
    place.deliver("market_1/Orders twice.csv", "order_id\n7\n")
    place.take()
    assert [one.status for one in ledger.read(place.root).entries] == ["claimed", "claimed"]
    place.deliver(ORDERS, "order_id,product\n8,A\n")
    place.take()
    assert [one.delivery.path for one in ledger.read(place.root).taken()].count(ORDERS) == 2


@pytest.mark.slow
def test_a_version_of_a_file_costs_less_than_a_kilobyte_of_memory(place: Place) -> None:
    """However many columns it has: most versions have those of others."""
    at, header = datetime(2024, 1, 1, tzinfo=UTC), tuple(f"Column {number}" for number in range(40))
    versions = [
        Delivery(
            table="bronze.orders",
            path=f"market_1/{number}/Orders.csv",
            size=10_000 + number,
            modified_at=at + timedelta(seconds=number),
            content=f"{number:064}",
            delivered_at=at,
            parts={"market": 1},
            header=header,
            kinds=dict.fromkeys(header, "text"),
            layout=Layout("csv"),
            written_at=at + timedelta(seconds=number),
        )
        for number in range(3000)
    ]
    places = dict.fromkeys(ledger.COUNTS, 1000)
    known = ledger.claim(place.root, Ledger(), [Entry(one, -1, "claimed") for one in versions])
    known = ledger.settle(place.root, known, [replace(one, status="loaded", counts=places) for one in known.entries])
    tracemalloc.start()
    try:
        read = ledger.read(place.root)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size / len(read.entries) < 1024
    assert sorted(read.entries, key=str) == sorted(known.entries, key=str)
    assert pickle.loads(pickle.dumps(read.entries[0])) == read.entries[0]  # noqa: S301  it goes to workers

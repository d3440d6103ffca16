"""A file that is not taken says why, and is taken when what the words ask for is done."""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import pytest

from lakehouse.audit import accounts
from lakehouse.delta.tables.types import arrow_schema
from lakehouse.errors import LakehouseError
from lakehouse.intake.deliveries import landing
from lakehouse.intake.records import ledger
from lakehouse.intake.rows import files
from lakehouse.intake.rows.files import CORE_COLUMNS, Work
from tests import promises
from tests.corpus import made

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2024, 1, 10, 12, tzinfo=UTC)
BEFORE, MOMENTS_AGO, TOMORROW = (NOW.timestamp() + seconds for seconds in (-86_400, -60, 3 * 86_400))
RIGHT = b"order_id,product\n7,A\n"
OBJECT = b'{"order_id": "7"}\n'
OF_CSV: dict[str, Any] = {"files": ["market_{market:int}/{date}/*", "market_{market:int}/*"], "format": "csv"}
OF_JSON = OF_CSV | {"format": "json"}
OF_BOOKS, OF_PARQUET = OF_CSV | {"format": "spreadsheet"}, OF_CSV | {"format": "parquet"}
COLUMNS = {"order_id": "string", "product": "string"}
TEXT = RIGHT.decode()
CORRECTED = b"order_id,product,_replaces_file,_replaces_row\n7,A,market_1/orders.xlsx,1@1f2e3d4c5b6a\n"


@dataclass(frozen=True)
class File:
    content: bytes | Callable[[], bytes] = RIGHT
    path: str = "market_1/orders.csv"
    at: float = BEFORE


Source = dict[str, Any]
UNREADABLE: tuple[tuple[str, File, Source, File, Source], ...] = (
    # what is said; the file and its source as they are, and as they are right
    ("has two columns that both fold to order_id: ", File(b"order_id,Order ID\n7,7\n"), OF_CSV, File(), OF_CSV),
    ("has no header: its first row has no end within 256 KB", File(b"a" * 300_000), OF_CSV, File(), OF_CSV),
    (
        "has a header that is not utf-8: 'order_id;gr\\xF6\\xDFe'. Say `encoding:` in the source's contract.",
        File("order_id;größe\n7;A\n".encode("latin-1")),
        OF_CSV | {"delimiter": ","},
        File("order_id;größe\n7;A\n".encode("latin-1")),
        OF_CSV | {"encoding": "latin-1"},
    ),
    (
        "has a header with a NUL character: it is UTF-16 without BOM (say `encoding: utf-16-le`), or no CSV.",
        File("order_id\n7\n".encode("utf-16-le")),
        OF_CSV,
        File("order_id\n7\n".encode("utf-16-le")),
        OF_CSV | {"encoding": "utf-16-le"},
    ),
    (
        "has a header with a CR that ends no line; lines must end in LF",
        File(b"order_id\r7\r8\n"),
        OF_CSV,
        File(),
        OF_CSV,
    ),
    ("has a header with a quote that is never closed", File(b'order_id,"product\n7,A\n'), OF_CSV, File(), OF_CSV),
    ("columns; at most 1,000 are read", File(b",".join([b"a"] * 1_001) + b"\n1\n"), OF_CSV, File(), OF_CSV),
    ("is a corrupt gzip stream (", File(gzip.compress(RIGHT)[:-9] + b"x" * 9), OF_CSV, File(), OF_CSV),
    ("has no object with a key in it.", File(b"[{}]\n"), OF_JSON, File(OBJECT), OF_JSON),
    ("is not JSON in utf-8: it begins with '", File(b"order_id\n7\n"), OF_JSON, File(OBJECT), OF_JSON),
    (
        "has objects with more than 1,000 different keys.",
        File(b"{" + b",".join(b'"a%d": 1' % one for one in range(1_001)) + b"}\n"),
        OF_JSON,
        File(OBJECT),
        OF_JSON,
    ),
    (
        "has no column product, which the contract requires",
        File(b"order_id\n7\n"),
        OF_CSV | {"required": ["product"]},
        File(),
        OF_CSV | {"required": ["product"]},
    ),
    (
        "has its header in its line 3. Say `preamble: 2` in the source of conf/bronze/orders.yml",
        File(b"Orders\nof monday\n" + RIGHT),
        OF_CSV | {"required": ["product"]},
        File(b"Orders\nof monday\n" + RIGHT),
        OF_CSV | {"required": ["product"], "preamble": 2},
    ),
    (
        "has columns that the contract does not name, and `schema: fail` forbids: 'shop'",
        File(b"order_id,shop\n7,1\n"),
        OF_CSV | {"schema": "fail"},
        File(),
        OF_CSV | {"schema": "fail"},
    ),
    ("is a PDF: it holds no rows that can be read, so deliver it as CSV.", File(b"%PDF-1.7\n"), OF_CSV, File(), OF_CSV),
    (
        "is a workbook (xls, or one with a password): save its sheet as CSV, and deliver that.",
        File(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
        OF_CSV,
        File(),
        OF_CSV,
    ),
    ("is an archive (zip): unpack it, and deliver the files in it.", File(b"PK\x03\x04"), OF_CSV, File(), OF_CSV),
    ("is JSON: export its rows as CSV, and deliver those.", File(OBJECT), OF_CSV, File(), OF_CSV),
    (
        "is a web page (HTML): a login or an error was downloaded in its place, so fetch it again.",
        File(b"<html><body>Log in"),
        OF_CSV,
        File(),
        OF_CSV,
    ),
    (
        "says that its day is 2024-02-10, and today is 2024-01-10. Correct the date in its path.",
        File(path="market_1/2024-02-10/orders.csv"),
        OF_CSV,
        File(path="market_1/2024-01-10/orders.csv"),
        OF_CSV,
    ),
    (
        "was last written at 2024-01-13 12:00 UTC, which is yet to come. Set the writer's clock, and touch the file.",
        File(at=TOMORROW),
        OF_CSV,
        File(),
        OF_CSV,
    ),
    (
        "lies in 2024-02-30, which is no date. Move it to a folder named as its day, like 2022-01-05.",
        File(path="market_1/2024-02-30/orders.csv"),
        OF_CSV,
        File(path="market_1/2024-01-05/orders.csv"),
        OF_CSV,
    ),
    (
        "lies in 2024-1-5, which is nearly a date. Move it to a folder named as its day, like 2022-01-05.",
        File(path="market_1/2024-1-5/orders.csv"),
        OF_CSV | {"files": ["market_{market:int}/{date}/*", "market_{market:int}/**/*"]},
        File(path="market_1/2024-01-05/orders.csv"),
        OF_CSV | {"files": ["market_{market:int}/{date}/*", "market_{market:int}/**/*"]},
    ),
    (
        "lies in a folder of market 99999999999, which is no number of a market.",
        File(path="market_99999999999/orders.csv"),
        OF_CSV,
        File(),
        OF_CSV,
    ),
)


def book(text: str = TEXT, make: Callable[[str], bytes] = made.xlsx) -> Callable[[], bytes]:
    return partial(make, text)


def zipped(how: str | None = None, name: str = "orders.csv", content: bytes = RIGHT) -> Callable[[], bytes]:
    def pack() -> bytes:
        with TemporaryDirectory() as folder:
            made.pack(Path(folder, "archive"), name, content, how)
            return Path(folder, "archive").read_bytes()

    return pack


def ods_with_an_error(text: str) -> bytes:
    return made.rewritten(made.ods(text), "content.xml", b"office:value-type", b'calcext:value-type="error" \\g<0>')


def many_files() -> bytes:
    content = BytesIO()
    with ZipFile(content, "w") as packed:
        for number in range(1_001):
            packed.writestr(f"{number}.csv", b"")
    return content.getvalue()


SHEET_1, TITLED = OF_BOOKS | {"sheet": 1}, OF_BOOKS | {"required": ["product"]}
OF_BOOK: tuple[tuple[str, File, Source, File, Source], ...] = (
    ("has no sheet 'Sales'; it has 'Orders'.", File(book()), OF_BOOKS | {"sheet": "Sales"}, File(book()), SHEET_1),
    ("has no sheet 2; it has 'Orders'.", File(book()), OF_BOOKS | {"sheet": 2}, File(book()), SHEET_1),
    ("has several sheets: 'Orders', 'Returns'.", File(book(make=made.two_sheets)), OF_BOOKS, File(book()), SHEET_1),
    ("has a password. Deliver it without", File(book(make=made.password)), OF_BOOKS, File(book()), OF_BOOKS),
    ("is too large: it needs more than 2 GB", File(book(make=made.far_cell)), OF_BOOKS, File(RIGHT), OF_CSV),
    (
        "has formulas without values, as in B2: the program that wrote it does not compute.",
        File(book("order_id,product\n7,=1+1\n")),
        OF_BOOKS,
        File(book("order_id,product\n7,=1+1\n", made.computed)),
        OF_BOOKS,
    ),
    ("has cells that are errors, as #N/A.", File(book(make=ods_with_an_error)), OF_BOOKS, File(book()), OF_BOOKS),
    ("is no workbook that can be read (", File(zipped()), OF_BOOKS, File(book()), OF_BOOKS),
    ("is no xlsx file. Deliver it as one, or correct", File(), OF_BOOKS, File(CORRECTED), OF_BOOKS),
    ("is XML: a login or an error was downloaded", File(b"<a><b>"), OF_BOOKS, File(book()), OF_BOOKS),
    (
        "has its header in its row 3. Say `preamble: 2` in the source of conf/bronze/orders.yml",
        File(book(f"Orders\nof monday\n{TEXT}")),
        TITLED,
        File(book(f"Orders\nof monday\n{TEXT}")),
        TITLED | {"preamble": 2},
    ),
    (
        "is a workbook without its end: its writer is not done",
        File(book(make=made.cut)),
        OF_BOOKS,
        File(book()),
        OF_BOOKS,
    ),
)
OF_TABLES: tuple[tuple[str, File, Source, File, Source], ...] = (
    (
        "is an encrypted Parquet file.",
        File(book(make=made.encrypted_parquet)),
        OF_PARQUET,
        File(book(make=made.parquet)),
        OF_PARQUET,
    ),
    (
        "cannot be read as Parquet (",
        File(book(make=made.damaged_parquet)),
        OF_PARQUET,
        File(book(make=made.parquet)),
        OF_PARQUET,
    ),
    (
        "is a Parquet file without its end: its writer is not done",
        File(book(make=made.cut_parquet)),
        OF_PARQUET,
        File(book(make=made.parquet)),
        OF_PARQUET,
    ),
)


def archive(content: Callable[[], bytes] | bytes) -> File:
    return File(content, "market_1/orders.zip")


SPOILT: dict[str, Callable[[], bytes] | bytes] = {
    "is encrypted. Pack it again, without a password": zipped("encrypted"),
    "has a name that leads out of its archive. Pack it": zipped(name="../orders.csv"),
    "is an archive in an archive, which is not looked": zipped(name="inner.zip"),
    "is a link in its archive. Pack the file": zipped("link"),
    "is packed by method 9, which is not read. Pack it": zipped("odd_method"),
    "such archives are made to fill disks. If it is meant": zipped("bomb"),
    "stands twice in its archive. Pack it again.": zipped("twice"),
    "is damaged in its archive (": zipped("damaged"),
    "is no ZIP, whatever its name says. Rename it": RIGHT,
    "holds 1,001 files; at most 1,000 are looked at. Pack fewer": many_files,
    "is an archive (zip) without its directory, which ends it: its writer is not done": partial(made.cut_zip, TEXT),
}
OF_ARCHIVES = tuple((words, archive(one), OF_CSV, archive(zipped()), OF_CSV) for words, one in SPOILT.items())
OF_OTHER_FORMATS = (*OF_BOOK, *OF_TABLES, *OF_ARCHIVES)
WAITING: tuple[tuple[str, File, Source, File, Source], ...] = (
    (
        "ends after 1 of 2 cells and without line break: its writer is not done, or was stopped.",
        File(RIGHT + b"8", at=MOMENTS_AGO),
        OF_CSV,
        File(RIGHT + b"8,B\n", at=MOMENTS_AGO),
        OF_CSV,
    ),
    (
        "ends inside a line break or a character: its writer is not done, or was stopped.",
        File(RIGHT + b"8,B\r", at=MOMENTS_AGO),
        OF_CSV,
        File(RIGHT + b"8,B\r\n", at=MOMENTS_AGO),
        OF_CSV,
    ),
    (
        "It is taken as it is an hour after it was last written.",
        File(RIGHT + b"8", at=MOMENTS_AGO),
        OF_CSV,
        File(RIGHT + b"8", at=BEFORE),
        OF_CSV,
    ),
    (
        "ends in the middle of its gzip stream: its writer is not done, or was stopped.",
        File(gzip.compress(RIGHT)[:-4]),
        OF_CSV,
        File(gzip.compress(RIGHT)),
        OF_CSV,
    ),
    (
        "is a JSON array without its end: its writer is not done, or was stopped.",
        File(b"[" + OBJECT),
        OF_JSON,
        File(b"[" + OBJECT + b"]"),
        OF_JSON,
    ),
    (
        "ends inside a JSON object: its writer is not done, or was stopped.",
        File(OBJECT + b'{"order'),
        OF_JSON,
        File(OBJECT + OBJECT),
        OF_JSON,
    ),
    (
        "its name says that it is being written",
        File(path="market_1/orders.csv.part"),
        OF_CSV,
        File(path="market_1/orders.csv"),
        OF_CSV,
    ),
)


def deliver(folder: Path, file: File) -> Path:
    path = folder / "landing" / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.content if isinstance(file.content, bytes) else file.content())
    os.utime(path, (file.at, file.at))
    return path


def found(folder: Path, source: Source) -> list[tuple[str, str]]:
    table = promises.a_table("bronze.orders", "append", "landing", source=source, columns=COLUMNS)
    entries = landing.find(str(folder / "landing"), [table], ledger.Ledger(), {}, NOW).entries
    return [(one.status, one.reason) for one in entries]


@pytest.mark.parametrize(
    ("status", "words", "file", "source", "mended", "of_mended"),
    [
        *(("unreadable", *one) for one in UNREADABLE),
        *(("waiting", *one) for one in WAITING),
        *(("waiting" if "writer is not done" in one[0] else "unreadable", *one) for one in OF_OTHER_FORMATS),
    ],
)
def test_a_file_is_taken_when_it_is_as_the_words_say(
    tmp_path: Path, status: str, words: str, file: File, source: Source, mended: File, of_mended: Source
) -> None:
    for lacking in ("python_calamine", "openpyxl", "xlwt", "odf") if source["format"] == "spreadsheet" else ():
        pytest.importorskip(lacking, reason="workbooks need the extra [sources], and to be made the group readers")
    path = deliver(tmp_path, file)
    ((seen, reason),) = found(tmp_path, source)
    assert (seen, words in reason) == (status, True), reason
    path.unlink()
    deliver(tmp_path, mended)
    assert [taken for taken, _ in found(tmp_path, of_mended)] == ["claimed"]


# While it is loaded


def another_header(path: Path) -> None:
    path.write_bytes(b"order_id,product,price\n7,A,1\n")


def other_rows(path: Path) -> None:
    path.write_bytes(b"order_id,product\n8,B\n9,C\n")


def other_keys(path: Path) -> None:
    path.write_bytes(b'{"order_id": "7", "shop": 1}\n')


def no_file(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("source", "right", "change", "what"),
    [
        (OF_CSV, RIGHT, another_header, "was replaced"),
        (OF_CSV, RIGHT, other_rows, "was replaced"),
        (OF_CSV, RIGHT, no_file, "was replaced or taken away"),
        (OF_JSON, OBJECT, other_keys, "was replaced"),
        (OF_JSON, OBJECT, no_file, "was replaced or taken away"),
    ],
)
def test_a_file_that_is_another_than_was_claimed_is_left_to_the_next_run(
    tmp_path: Path, source: Source, right: bytes, change: Callable[[Path], None], what: str
) -> None:
    path = deliver(tmp_path, File(right))
    table = promises.a_table("bronze.orders", "append", "landing", source=source, columns=COLUMNS)
    place, root = str(tmp_path / "landing"), str(tmp_path / "lake")
    known = ledger.read(root)
    known = ledger.claim(root, known, landing.find(place, [table], known, {}, NOW).news(known))
    change(path)
    if path.exists():
        os.utime(path, (BEFORE + 1, BEFORE + 1))
    work = Work(place, {}, arrow_schema({**CORE_COLUMNS, **COLUMNS, "market": "int"}), frozenset(), [known.entries])
    with pytest.raises(LakehouseError, match=f"{what} while it was loaded. Start the run again"):
        list(files._read(work, [0]))  # noqa: SLF001  what runs in a worker
    (lost,) = accounts.lost(root, place, known.entries)  # as the next run begins
    known = ledger.settle(root, known, [lost])
    found = landing.find(place, [table], known, {}, NOW)
    assert [one.path for one in found.new] == ([] if change is no_file else [File().path])


def test_what_is_no_file_is_taken_when_it_is_one(tmp_path: Path) -> None:
    folder = tmp_path / "landing" / "market_1"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "orders.csv")
    assert found(tmp_path, OF_CSV) == [("unreadable", "is no file but a pipe, socket or device.")]
    (folder / "orders.csv").unlink()
    odd = folder / os.fsdecode(b"orders \xff.csv")
    odd.write_bytes(RIGHT)
    os.utime(odd, (BEFORE, BEFORE))
    assert found(tmp_path, OF_CSV) == [("unreadable", "has a name that is not UTF-8; rename it.")]
    odd.rename(folder / "orders.csv")
    assert [status for status, _ in found(tmp_path, OF_CSV)] == ["claimed"]

"""A window that was fetched is one delivery: taken whole once it is whole, its rows numbered over all its pages."""

from __future__ import annotations

import gzip
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from lakehouse.intake.deliveries import fetched, landing
from lakehouse.intake.records import ledger
from lakehouse.sources import fetch
from lakehouse.store import storage
from tests.lakehouse.sources.pages import Listed
from tests.toy import Toy

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.native.engine import Native
    from lakehouse.intake.records.ledger import Entry

BRONZE, SILVER = "bronze.sales", "silver.sale_lines"
SOURCES = {
    BRONZE: (
        """
        owner: tests
        description: lines of sales as fetched
        write: append
        grain: [_file, _row]
        source: {files: ["dropped/*.json"], format: json, may_be_empty: true}
        columns:
          sale_id: {type: string, meaning: the sale}
          line: {type: string, meaning: its line}
          quantity: {type: string, meaning: how many}
        """,
        "def build(landing):\n    return landing\n",
    ),
    SILVER: (
        """
        owner: tests
        description: lines of sales
        write: latest
        grain: [sale_id, line]
        unit: [sale_id]
        repeats: last
        columns:
          sale_id: {type: bigint, from: sale_id, meaning: the sale}
          line: {type: int, from: line, meaning: its line}
          quantity: {type: int, from: quantity, required: true, meaning: how many}
        document: {_units: sum(quantity)}
        rules:
          is_sold: {check: _units > 0, severity: reject, why: a sale of nothing is none}
        """,
        """
        from lakehouse.transforms import whole_number

        def build(bronze_sales):
            return bronze_sales.select(
                whole_number("sale_id").alias("sale_id"),
                whole_number("line", "int").alias("line"),
                whole_number("quantity", "int").alias("quantity"),
                "_source",
            )
        """,
    ),
}


def a_page(*rows: tuple[object, ...]) -> bytes:
    """Rows of sale, line and quantity."""
    return ("[" + ", ".join(f'{{"sale_id": {s}, "line": {n}, "quantity": "{q}"}}' for s, n, q in rows) + "]").encode()


def a_toy(folder: Path, engine: Native, *pages: bytes) -> Toy:
    toy = Toy(folder, engine, dict(SOURCES))
    toy.landing.mkdir(parents=True)
    a_window(toy, *pages)
    return toy


def a_window(toy: Toy, *pages: bytes) -> str:
    fetch.fetch(str(toy.landing), BRONZE, Listed(pages), "one")
    return max(fetched.windows(str(toy.landing), BRONZE))


def found(toy: Toy) -> list[Entry]:
    tables = toy.tables().values()
    return [*landing.find(str(toy.landing), tables, ledger.read(str(toy.folder / "lake"))).entries]


@pytest.mark.slow
def test_a_window_is_taken_once_it_is_whole_and_never_looked_at_again(
    tmp_path: Path, engine: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = a_toy(tmp_path, engine, a_page((1, 1, 2)), b"[]", a_page((2, 1, 3)))
    (path,) = fetched.windows(str(toy.landing))
    (toy.landing / path / "_complete.json").rename(tmp_path / "later")
    assert [(one.status, one.reason.split(":")[0]) for one in found(toy)] == [
        ("waiting", "is being fetched, or its fetch broke off")
    ]
    (tmp_path / "later").rename(toy.landing / path / "_complete.json")
    (one,) = found(toy)
    assert (one.status, one.delivery.path, one.delivery.records, one.delivery.size) == ("claimed", path, 2, 90)
    begun = fetched.started_at(path)
    assert one.delivery.sequence.split(" ")[:3] == [
        f"{begun:%Y-%m-%d}T00:00:00.000000Z",
        f"{begun:%Y-%m-%dT%H:%M:%S.%fZ}",
        path,
    ]
    toy.run()
    known, tables = ledger.read(str(toy.folder / "lake")), toy.tables().values()
    for name in ("read_bytes", "open_file", "list_files"):
        monkeypatch.setattr(storage, name, lambda *_, **__: [])
    assert landing.find(str(toy.landing), tables, known).entries == ()


@pytest.mark.slow
def test_a_document_on_two_pages_is_one_and_of_two_that_say_a_line_the_last_counts(
    tmp_path: Path, engine: Native
) -> None:
    toy = a_toy(tmp_path, engine, a_page((1, 1, 2), (1, 2, "two")), a_page((1, 2, 5), (1, 3, 0), (2, 1, 0)))
    done = toy.run()[SILVER]
    assert toy.rows(SILVER) == [(1, 1, 2), (1, 2, 5), (1, 3, 0)]
    assert done.counts["rows"] == {"kept": 3, "unchanged": 0, "rejected": 1, "duplicate": 1, "superseded": 0}
    assert toy.rows(BRONZE, "_row", "_is_last") == [(1, False), (2, False), (3, False), (4, False), (5, True)]
    assert toy.rows(f"{SILVER}__rejected", "sale_id", "rules", "_row") == [(2, ["is_sold"], 5)]


@pytest.mark.slow
def test_a_window_that_says_the_same_again_is_quiet_and_one_without_rows_is_empty(
    tmp_path: Path, engine: Native
) -> None:
    toy = a_toy(tmp_path, engine, a_page((1, 1, 2)))
    toy.run()
    before = toy.opened(SILVER).file_uris()
    a_window(toy, a_page((1, 1, 2)))
    assert toy.run()[SILVER].counts["rows"]["unchanged"] == 1
    a_window(toy, b"[]")
    toy.run()
    statuses = [one.status for one in ledger.read(str(toy.folder / "lake")).taken()]
    assert sorted(statuses) == ["empty", "loaded", "loaded"]
    assert toy.opened(SILVER).file_uris() == before


@pytest.mark.slow
def test_what_a_fetch_of_all_rows_lacks_is_gone_and_no_other_fetch_removes_anything(
    tmp_path: Path, engine: Native
) -> None:
    toy = Toy(tmp_path, engine, dict(SOURCES))
    contract, code = toy.sources[SILVER]
    toy.sources[SILVER] = (contract.replace("repeats:", "full_dump: {of: [], least: 0.5}\n        repeats:"), code)
    toy.landing.mkdir(parents=True)
    a_window(toy, a_page((1, 1, 2), (2, 1, 2)), a_page((3, 1, 2)))
    some = a_page((1, 1, 2), (2, 1, 2), (4, 1, 2))
    fetch.fetch(str(toy.landing), BRONZE, Listed([some]), "one", since=datetime(2024, 1, 1, tzinfo=UTC))
    fetch.fetch(str(toy.landing), BRONZE, Listed([a_page((9, 1, 2))], {"pages": []}), "one")
    toy.run()
    assert toy.rows(SILVER, "sale_id") == [(1,), (2,), (3,), (4,)]
    a_window(toy, a_page((1, 1, 2)), a_page((3, 1, 2)), b"[]")
    toy.run()
    assert toy.rows(SILVER, "sale_id") == [(1,), (3,)]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (
            "000001.json",
            "",
            "lacks its page 000001.json. Delete its folder, and fetch that again: `lakehouse fetch sales`.",
        ),
        ("000001.json", "[]", "has a page 000001.json that is not what was fetched."),
        ("_complete.json", "{}", "has a _complete.json that no fetch wrote."),
    ],
)
def test_a_window_that_is_not_as_it_was_fetched_is_its_own_trouble(
    tmp_path: Path, engine: Native, name: str, text: str, words: str
) -> None:
    toy = a_toy(tmp_path, engine, a_page((1, 1, 2)), a_page((2, 1, 2)))
    (path,) = fetched.windows(str(toy.landing))
    a_window(toy, a_page((3, 1, 1)))
    (toy.landing / path / name).write_text(text) if text else (toy.landing / path / name).unlink()
    wrong, right = found(toy)
    assert (wrong.status, right.status) == ("unreadable", "claimed")
    assert words in wrong.reason
    shutil.rmtree(toy.landing / path)
    a_window(toy, a_page((1, 1, 2)), a_page((2, 1, 2)))
    assert [one.status for one in found(toy)] == ["claimed"] * 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "words"),
    [
        (b"<html>", "has a page 000001.json that is a web page (HTML)"),
        (b'[{"sale_id": 1', "has a page 000001.json that is a JSON array without its end"),
    ],
)
def test_a_poisoned_page_keeps_its_window_out_and_no_other(
    tmp_path: Path, engine: Native, page: bytes, words: str
) -> None:
    toy = a_toy(tmp_path, engine, a_page((1, 1, 2)), page)
    a_window(toy, a_page((3, 1, 1)))
    toy.run()
    assert toy.rows(SILVER) == [(3, 1, 1)]
    (poisoned,) = found(toy)
    assert words in poisoned.reason
    shutil.rmtree(toy.landing / poisoned.delivery.path)
    a_window(toy, a_page((1, 1, 2)))
    toy.run()
    assert toy.rows(SILVER) == [(1, 1, 2), (3, 1, 1)]


def test_pages_of_one_window_are_of_one_kind(tmp_path: Path, engine: Native) -> None:
    toy = Toy(
        tmp_path, engine, {BRONZE: (SOURCES[BRONZE][0].replace("format: json", "format: csv"), SOURCES[BRONZE][1])}
    )
    toy.landing.mkdir(parents=True)
    a_window(toy, b"sale_id,line\n1,1\n", b"sale_id;line\n1;1\n")
    (one,) = found(toy)
    assert one.reason.startswith("has pages of several kinds: of another encoding, delimiter or preamble than others.")
    shutil.rmtree(toy.landing / one.delivery.path)
    a_window(toy, b"sale_id,line\n1,1\n", b"sale_id,line\n1,2\n")
    assert [one.status for one in found(toy)] == ["claimed"]


def test_pages_of_csv_have_headers_of_their_own_and_may_be_compressed(tmp_path: Path, engine: Native) -> None:
    toy = Toy(
        tmp_path, engine, {BRONZE: (SOURCES[BRONZE][0].replace("format: json", "format: csv"), SOURCES[BRONZE][1])}
    )
    toy.landing.mkdir(parents=True)
    a_window(toy, b"sale_id,line\n1,1\n", gzip.compress(b"line,sale_id,note\n2,1,x\n"), b"sale_id,line\n")
    toy.run()
    assert toy.rows(BRONZE, "_row", "sale_id", "line", "note", "_is_last") == [
        (1, "1", "1", None, False),
        (2, "1", "2", "x", True),
    ]


@pytest.mark.slow
def test_a_window_whose_folder_is_gone_is_remembered(tmp_path: Path, engine: Native) -> None:
    toy = a_toy(tmp_path, engine, a_page((1, 1, 2)))
    toy.run()
    shutil.rmtree(toy.landing / "fetched")
    a_window(toy, a_page((2, 1, 2)))
    toy.run()
    assert sorted(one.is_gone for one in ledger.read(str(toy.folder / "lake")).taken()) == [False, True]
    assert toy.rows(SILVER) == [(1, 1, 2), (2, 1, 2)]

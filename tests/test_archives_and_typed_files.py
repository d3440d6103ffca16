"""What lies in an archive, or has cells with types, goes the way of every other file: corrected, let go, told apart."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from lakehouse.intake.deliveries import fetched
from lakehouse.intake.records import ledger
from lakehouse.proof import verify
from lakehouse.recovery import retention
from lakehouse.serving import quarantine
from lakehouse.store import storage
from tests.corpus import made
from tests.toy import HEADER, SOURCES, Toy

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.native.engine import Native

pytestmark = pytest.mark.slow
BRONZE, LINES = "bronze.orders", "silver.order_lines"


def toy_of(folder: Path, engine: Native, **instead: str) -> Toy:
    contract, code = SOURCES[BRONZE]
    for word, other in {"{date}/*.csv": "{date}/**", **instead}.items():
        assert word in contract
        contract = contract.replace(word, other)
    return Toy(folder, engine, SOURCES | {BRONZE: (contract, code)})


def pack(toy: Toy, archive: str, how: str | None = None, **members: str) -> Path:
    path = toy.landing / "market_1" / "2024-01-01" / archive
    path.parent.mkdir(parents=True, exist_ok=True)
    for name, row in members.items():
        made.pack(path, f"{name}.csv", f"{HEADER}\n{row}\n".encode(), how)
    toy.clock += 1
    os.utime(path, (toy.clock, toy.clock))
    return path


def is_equal(toy: Toy) -> bool:
    tables = toy.tables()
    wanted = verify.chosen(toy.lake, tables, [BRONZE, LINES])
    found = verify.verify(toy.engine.name, toy.lake, str(toy.landing), tables, wanted, verify.Scope())
    return [(one.reason, one.differing) for one in found] == [("", 0)] * 2


def test_an_archive_that_comes_again_brings_what_is_new_in_it_alone(tmp_path: Path, engine: Native) -> None:
    toy = toy_of(tmp_path, engine)
    pack(toy, "a.zip", first="7,A,1,1.00", second="8,A,1,1.00")
    assert toy.run()[BRONZE].rows_in == 2
    pack(toy, "a.zip", third="9,A,1,1.00")
    assert toy.run()[BRONZE].rows_in == 1
    files = {one.delivery.path: one.counts["rows"] for one in ledger.read(toy.lake.root).taken()}
    assert files == {f"market_1/2024-01-01/a.zip/{name}.csv": 1 for name in ("first", "second", "third")}
    assert is_equal(toy)


def test_an_archive_is_let_go_with_all_that_is_in_it_or_not_at_all(tmp_path: Path, engine: Native) -> None:
    toy = toy_of(tmp_path, engine, **{"columns:": "retention: {landing: 30d}\n        columns:"})
    whole, in_part = pack(toy, "a.zip", first="7,A,1,1.00", second="8,A,1,1.00"), pack(toy, "b.zip", third="9,A,1,1.00")
    pack(toy, "b.zip", "encrypted", fourth="9,A,1,1.00")
    toy.run()
    done = retention.remove(toy.lake.root, str(toy.landing), toy.tables(), {}, lambda: engine)
    assert [(one.files, one.problem) for one in done] == [(1, "")]
    assert (whole.exists(), in_part.exists()) == (False, True)
    assert {done.decision.path for done in toy.run().values()} == {"nothing"}


def test_a_row_of_a_workbook_is_corrected_by_the_csv_that_is_exported(tmp_path: Path, engine: Native) -> None:
    for lacking in ("python_calamine", "openpyxl"):
        pytest.importorskip(lacking, reason="workbooks need the extra [sources], and to be made the group readers")
    toy = toy_of(tmp_path, engine, **{"format: csv": "format: spreadsheet"})
    path = toy.deliver("orders.xlsx", day=1)
    path.write_bytes(made.xlsx(f"{HEADER}\n7,A,2,10.5\n8,B,two,1.25\n"))
    toy.run()
    assert [row[-2:] for row in toy.rows(BRONZE, "quantity", "price")] == [("2", "10.5"), ("two", "1.25")]
    exported = tmp_path / "fixed.csv"
    assert quarantine.export(toy.lake.root, toy.tables()[LINES], exported) == {exported: 1}
    header, *rows = exported.read_text(encoding="utf-8-sig").splitlines()
    toy.deliver("fixed.csv", *(row.replace("two", "3") for row in rows), day=2, header=header)
    toy.run()
    assert (len(toy.rows(LINES)), toy.rejected()) == (2, [])
    assert is_equal(toy)


def test_pages_of_parquet_are_one_delivery_with_the_columns_of_all(tmp_path: Path, engine: Native) -> None:
    toy = toy_of(tmp_path, engine, **{"format: csv": "format: parquet"})
    started_at, parts = datetime(2024, 1, 5, tzinfo=UTC), []
    folder = fetched.folder(BRONZE, started_at)
    for name, text in {"1.parquet": f"{HEADER}\n7,A,1,1.00\n", "2.parquet": f"shop,{HEADER}\nx,8,A,1,1.00\n"}.items():
        page = made.parquet(text)
        storage.put(str(toy.landing), f"{folder}/{name}", page)
        parts.append(fetched.Part(name, len(page), hashlib.sha256(page).hexdigest(), rows=1))
    window = fetched.Complete(None, None, started_at, {}, tuple(parts))
    storage.put(str(toy.landing), f"{folder}/{fetched.COMPLETE}", window.to_json())
    assert toy.run(BRONZE)[BRONZE].rows_in == 2
    rows = toy.rows(BRONZE, "order_id", "shop", "_file", "_row")
    assert [row[-4:] for row in rows] == [("7", None, folder, 1), ("8", "x", folder, 2)]

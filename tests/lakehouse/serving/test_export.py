"""A file holds what the table holds, in its types, and nothing that a spreadsheet computes."""

from __future__ import annotations

import csv
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from typer.testing import CliRunner

from jobs import cli
from lakehouse import engines
from lakehouse.delta.tables import progress
from lakehouse.errors import LackingExtraError, LakehouseError
from lakehouse.serving import export as files
from lakehouse.serving.export import export
from lakehouse.serving.questions import sql

if TYPE_CHECKING:
    from pathlib import Path

THING = "gold.things"
COLUMNS = {
    "thing_id": pa.array([1, 2**60, None], pa.int64()),
    "amount": pa.array([Decimal("1.50"), Decimal("1234567890123456.78"), None], pa.decimal128(18, 2)),
    "share": pa.array([0.1, float("nan"), None], pa.float64()),
    "is_new": pa.array([True, False, None], pa.bool_()),
    "order_date": pa.array([date(2022, 1, 31), date(1899, 1, 1), None], pa.date32()),
    "ordered_at": pa.array([datetime(2022, 1, 31, 12, 30, tzinfo=UTC)] * 3, pa.timestamp("us", "UTC")),
    "note": pa.array(["=1+1", '\n<b>, "quoted"', "-1"], pa.string()),
    "rules": pa.array([["a", "b"], [], None], pa.list_(pa.string())),
}


def a_lake(tmp_path: Path, **columns: pa.Array) -> str:
    root = str(tmp_path / "lake")
    write_deltalake(progress.address(root, THING), pa.table(columns or COLUMNS))
    return root


def exported(tmp_path: Path, kind: str, **columns: pa.Array) -> Path:
    to = tmp_path / f"things.{kind}"
    rows = export(engines.reader(), a_lake(tmp_path, **columns), THING, kind, to)
    assert rows == len(next(iter((columns or COLUMNS).values())))
    assert {one.name for one in tmp_path.iterdir()} == {"lake", to.name}
    return to


def cells(path: Path) -> list[Any]:
    openpyxl = pytest.importorskip("openpyxl", reason="needs the group `readers`: uv sync --group readers")
    pytest.importorskip("xlsxwriter", reason="needs the extra `xlsx`: uv sync --inexact --extra xlsx")
    return [*openpyxl.load_workbook(path).active.iter_rows()]


def test_a_parquet_file_keeps_every_type_and_value(tmp_path: Path) -> None:
    read = pq.read_table(exported(tmp_path, "parquet"))
    stored = pa.table(COLUMNS)
    assert read.schema.remove_metadata() == stored.schema
    by_id = [("thing_id", "ascending")]
    assert str(read.sort_by(by_id).to_pylist()) == str(stored.sort_by(by_id).to_pylist())  # NaN equals no NaN


def test_a_csv_file_has_the_texts_of_lakehouse_sql_and_no_formula(tmp_path: Path) -> None:
    with exported(tmp_path, "csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    answer = sql.query(engines.reader(), str(tmp_path / "lake"), f"select * from {THING}")
    assert header == [*COLUMNS]
    assert sorted(rows) == sorted([one or "" for one in row] for row in answer.cells())
    assert {row[-2] for row in rows} == {"'=1+1", '\'\n<b>, "quoted"', "-1"}


@pytest.mark.slow
def test_a_sheet_knows_numbers_days_and_times_and_computes_nothing(tmp_path: Path) -> None:
    pytest.importorskip("xlsxwriter", reason="needs the extra `xlsx`: uv sync --inexact --extra xlsx")
    header, *rows = cells(exported(tmp_path, "xlsx"))
    assert [one.value for one in header] == [*COLUMNS]
    row = next(row for row in rows if row[0].value == 1)
    first = {name.value: cell for name, cell in zip(header, row, strict=True)}
    assert [first[name].value for name in ("thing_id", "amount", "share", "is_new")] == [1, 1.5, 0.1, True]
    assert (first["order_date"].value, first["amount"].number_format) == (datetime(2022, 1, 31), "0.00")  # noqa: DTZ001
    assert first["ordered_at"].value == datetime(2022, 1, 31, 12, 30)  # noqa: DTZ001  a sheet knows no zones
    assert (first["note"].value, first["note"].data_type, first["note"].quotePrefix) == ("=1+1", "s", True)
    assert first["rules"].value == '["a", "b"]'


def test_what_a_sheet_would_round_is_a_text_there(tmp_path: Path) -> None:
    pytest.importorskip("xlsxwriter", reason="needs the extra `xlsx`: uv sync --inexact --extra xlsx")
    _, *rows = cells(exported(tmp_path, "xlsx"))
    texts = [str(2**60), "1234567890123456.78", "nan", "1899-01-01"]
    assert [[row[place].value for place in (0, 1, 2, 4)] for row in rows if row[0].value == texts[0]] == [texts]


def test_a_sheet_that_would_be_cut_is_refused_and_other_files_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xlsxwriter", reason="needs the extra `xlsx`: uv sync --inexact --extra xlsx")
    with pytest.raises(LakehouseError, match=r"note has a text of 40,000 letters .* Take --format csv or parquet"):
        exported(tmp_path / "a", "xlsx", note=pa.array(["x" * 40_000]))
    assert [one.name for one in (tmp_path / "a").iterdir()] == ["lake"]
    monkeypatch.setattr(files, "MOST_ROWS", 3)
    with pytest.raises(
        LakehouseError, match=r"gold\.things has 3 rows, and a sheet of Excel ends at 3 with its header"
    ):
        exported(tmp_path / "b", "xlsx")
    exported(tmp_path / "c", "csv", note=pa.array(["x" * 40_000]))


def test_what_is_no_table_and_no_place_is_said(tmp_path: Path) -> None:
    root = a_lake(tmp_path)
    with pytest.raises(LakehouseError, match=r"'gold' is no name of a table. Write it with its layer"):
        export(engines.reader(), root, "gold", "csv", tmp_path / "x.csv")
    with pytest.raises(LakehouseError, match=r"cannot be written: .* Name a file by --to, in a folder that is there"):
        export(engines.reader(), root, THING, "csv", tmp_path / "nowhere" / "x.csv")
    assert export(engines.reader(), root, THING, "csv", tmp_path / "x.csv") == 3


def test_a_lacking_xlsxwriter_is_named_with_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    with pytest.raises(LackingExtraError, match="Sheets of Excel are written by XlsxWriter, which is not installed"):
        exported(tmp_path, "xlsx")


def test_a_file_is_of_the_release_that_is_asked_for(released: str, tmp_path: Path) -> None:
    days = {}
    for number in ("1", "2"):
        to = tmp_path / f"{number}.parquet"
        asked = ["export", "gold.daily_sales", "--format", "parquet", "--lake", released, "--release", number]
        done = CliRunner().invoke(cli.app, [*asked, "--to", str(to)])
        assert done.exit_code == 0, done.output
        days[number] = pq.read_table(to).num_rows
    assert days["1"] < days["2"]


def test_of_a_table_with_personal_columns_it_says_which(tmp_path: Path) -> None:
    write_deltalake(progress.address(f"{tmp_path}/lake", "gold.agents"), pa.table({"agent_name": ["Ada"]}))
    asked = ["export", "gold.agents", "--format", "csv", "--lake", f"{tmp_path}/lake", "--to", str(tmp_path / "a.csv")]
    assert "It has columns that may be about people: agent_name." in CliRunner().invoke(cli.app, asked).output

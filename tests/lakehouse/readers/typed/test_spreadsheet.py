"""Where a sheet's rows begin and end, by the contract; it is read by a process that bounds its memory."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import pytest

from lakehouse.readers.records import HalfWrittenError, Layout, UnreadableError
from lakehouse.readers.typed import spreadsheet
from tests.corpus import made

if TYPE_CHECKING:
    from collections.abc import Callable

pytest.importorskip("python_calamine", reason="workbooks are read by the extra [sources]")
pytest.importorskip("openpyxl", reason="and made by the group readers")
SHEET = Layout("spreadsheet", sheet="Orders")


def read(
    text: str, layout: Layout = SHEET, sheet: str | int | None = None, preamble: int | str = 0
) -> tuple[tuple[str, ...], int, list[Any]]:
    content = made.xlsx(text)
    found, header, _, rows = spreadsheet.inspect(io.BytesIO(content), layout, sheet, preamble)
    cells = cells_of(content, found, header)
    assert len(cells) == rows
    return header, found.preamble, cells


def cells_of(content: bytes, layout: Layout = SHEET, header: tuple[str, ...] = ("id", "x", "y")) -> list[Any]:
    batches = spreadsheet.batches(io.BytesIO(content), layout, header)
    return [row for batch in batches for row in zip(*(one.to_pylist() for one in batch.columns), strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("preamble", [2, "Report of.*"])
def test_a_header_stands_behind_so_many_rows_or_those_that_a_pattern_fits(preamble: int | str) -> None:
    assert read("Report of 2022,a\n\nid,x\n1,2\n", preamble=preamble) == (("id", "x"), 2, [("1", "2")])


@pytest.mark.slow
def test_rows_are_skipped_behind_the_header_and_by_the_footer_at_the_end() -> None:
    layout = Layout("spreadsheet", skip_rows=1, footer="Total,.*")
    rows = read("id,x\nno.,pieces\n1,2\nTotal,2\n3,4\nTotal,6\n,\nTotal,12\n", layout)[2]
    assert rows == [("1", "2"), ("Total", "2"), ("3", "4")]


@pytest.mark.slow
def test_a_column_without_a_name_is_there_where_a_row_has_a_value_in_it() -> None:
    assert read("id,,x,\n1,,2,\n3,,4,5\n")[0] == ("id", "", "x", "")


NOT_COMPUTED = b"\x03" + bytes(5) + b"\xff\xff"  # the value of a formula, as xlwt writes it


@pytest.mark.slow
def test_errors_of_an_xls_are_told_and_formulas_count_by_their_value() -> None:
    pytest.importorskip("xlwt", reason="an xls is made by the group readers")
    content = made.xls("id,x,y\n1,#N/A,=A2+1\n2,=A3/0,#DIV/0!\n3,=A4,x\n")
    assert content.count(NOT_COMPUTED) == 3
    with pytest.raises(UnreadableError, match="has formulas, and none with a value: the program that wrote it does"):
        spreadsheet.inspect(io.BytesIO(content), SHEET, None, 0)
    computed = content.replace(NOT_COMPUTED, struct.pack("<d", 2), 1)
    computed = computed.replace(NOT_COMPUTED, b"\x02\x00\x07" + bytes(3) + b"\xff\xff", 1)
    assert cells_of(computed) == [("1", "#N/A", "2"), ("2", "#DIV/0!", "#DIV/0!"), ("3", "", "x")]


@pytest.mark.slow
def test_a_sheet_with_another_header_than_it_was_claimed_with_is_not_loaded() -> None:
    with pytest.raises(HalfWrittenError, match="has another header than a moment ago"):
        list(spreadsheet.batches(io.BytesIO(made.xlsx("id\n1\n")), SHEET, ("order",)))


def test_without_its_reader_a_workbook_is_unreadable_and_the_words_have_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nothing: Callable[[str], None] = lambda _: None  # noqa: E731
    monkeypatch.setattr(spreadsheet, "find_spec", nothing)
    words = (
        "is a workbook, and these are read by python-calamine, which is not installed. Install it: `uv sync .*sources`"
    )
    with pytest.raises(UnreadableError, match=words):
        read("id\n1\n")

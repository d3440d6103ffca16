"""The readers of CSV and JSON: every problem, both routes, every block border, every cut."""

from __future__ import annotations

import gzip
import io
import itertools
import random
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zstandard

from lakehouse.contract import PROBLEMS
from lakehouse.readers import csv_records, json_records, records
from lakehouse.readers.records import HalfWrittenError, Layout, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable

CSV, JSON = Layout("csv"), Layout("json")
BLOCKS = [1, 7, 64, 1 << 20]
HEADER = ("a", "b", "c")
Row = tuple[Any, str | None, str | None]


def of_csv(data: bytes, layout: Layout = CSV, header: tuple[str, ...] = HEADER, block: int = 7) -> list[Row]:
    """The rows by the exact route, after the fast route has given the same."""
    rows = [tuple(row) for row in csv_records.read_csv(io.BytesIO(data), layout, header, block)]
    batches = list(csv_records.csv_batches(io.BytesIO(data), layout, header, 3, block))
    fast = [row for batch in batches for row in in_rows(batch)]
    assert fast == rows
    assert [batch.is_last for batch in batches] == [False] * (len(batches) - 1) + [True] * bool(batches)
    return rows  # type: ignore[return-value]


def in_rows(batch: records.Batch) -> list[Row]:
    cells = zip(*(column.to_pylist() for column in batch.columns), strict=True)
    return list(zip(cells, batch.problem.to_pylist(), batch.raw.to_pylist(), strict=True))


def body(text: str | bytes, block: int = 7) -> list[Row]:
    return of_csv(b"a,b,c\n" + (text.encode() if isinstance(text, str) else text), block=block)


def of_json(data: str | bytes, block: int = 7) -> list[Row]:
    stream = io.BytesIO(data.encode() if isinstance(data, str) else data)
    return [tuple(row) for row in json_records.read_json(stream, JSON, block=block)]  # type: ignore[misc]


def problems(rows: list[Row]) -> list[str | None]:
    return [problem for _, problem, _ in rows]


# --- CSV: what is right


@pytest.mark.parametrize("block", BLOCKS)
def test_clean_rows_keep_every_character(block: int) -> None:
    rows = body('1, x ,\r\n\r\n"a,""b""\r\n",5" pipe,₦\n\n"",2,3', block)
    assert [cells for cells, *_ in rows] == [("1", " x ", ""), ('a,"b"\r\n', '5" pipe', "₦"), ("", "2", "3")]
    assert problems(rows) == [None] * 3


def test_a_file_of_one_column_has_no_surprising_blank_rows() -> None:
    rows = of_csv(b'a\n1\n\n""\r\n\r\n2', header=("a",))
    assert [cells for cells, *_ in rows] == [("1",), ("",), ("2",)]


@pytest.mark.parametrize(
    ("encoding", "codec", "text"),
    [
        ("utf-8", "utf-8-sig", "é₦😀"),
        ("utf-16-le", "utf-16", "é₦😀"),
        ("utf-16-be", "utf-16-be", "é₦😀"),
        ("cp1252", "cp1252", "é€"),
        ("shift_jis", "shift_jis", "日本"),
    ],
)
@pytest.mark.parametrize("block", BLOCKS)
def test_encodings_are_read_at_every_block_size(encoding: str, codec: str, text: str, block: int) -> None:
    mark = b"\xfe\xff" if codec == "utf-16-be" else b""
    data = mark + f"a,b,c\r\n1,{text},\r\n".encode(codec)
    layout = records.detect(data, "csv", encoding=encoding)
    assert layout.encoding == encoding
    assert of_csv(data, layout, block=block) == [(("1", text, ""), None, None)]


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_compressed_files_are_known_by_their_content(compress: Callable[[bytes], bytes]) -> None:
    data = compress(b"a,b,c\n") + compress(b"1,2,3\n")
    layout = records.detect(data, "csv")
    assert layout.compression in {"gzip", "zstd"}
    assert csv_records.csv_header(data, layout) == HEADER
    assert of_csv(data, layout) == [(("1", "2", "3"), None, None)]


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_gives_the_contract_s_columns(sign: str) -> None:
    data = f"order id{sign}total, KES\n".encode()
    found = records.detect(data, "csv", is_known="order id".__eq__)
    assert found.delimiter == sign
    assert Layout.from_json(found.to_json()) == found


# --- CSV: what stands around the rows

FOOTED = Layout("csv", footer="Total,.*|Page [0-9]+")
ENDS = ["Total,,3", "Total,,3\r\n", "Total,,3\n\nPage 1\n", "\n\nPage 1\n\n"]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_a_footer_is_no_row_and_what_is_like_it_before_is_one(end: str, block: int, encoding: str) -> None:
    layout = Layout("csv", encoding=encoding, footer=FOOTED.footer)
    data = f"a,b,c\n1,₦,3\nTotal,2,3\nx,y,z\n{end}".encode(encoding)
    rows = of_csv(data, layout, block=block)
    assert [cells for cells, *_ in rows] == [("1", "₦", "3"), ("Total", "2", "3"), ("x", "y", "z")]
    assert problems(rows) == [None] * 3
    csv_records.check_end(data, layout, HEADER)


@pytest.mark.slow
def test_a_footer_behind_many_blocks_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "HEAD", 64)
    for rows in range(100, 125):
        assert len(of_csv(b"a,b,c\n" + b"1,2,3\n" * rows + b"Total,,6\nPage 1", FOOTED)) == rows


@pytest.mark.parametrize("end", ENDS)
def test_a_file_of_a_header_and_a_footer_has_no_rows(end: str) -> None:
    assert of_csv(f"a,b,c\n{end}".encode(), FOOTED) == []


def test_a_footer_says_nothing_of_kinds() -> None:
    assert csv_records.sample(b"a,b,c\n1,2,3\nTotal,two,three", FOOTED, HEADER) == dict.fromkeys(HEADER, "integer")


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("lines", ["sep=,\n", 'All "orders\n', "\r\n", "a,b,c,d\n", "x\n\ny\n"])
def test_lines_before_the_header_are_passed_over(lines: str, block: int) -> None:
    layout = Layout("csv", preamble=lines.count("\n"))
    data = f"{lines}a,b,c\n1,2,3\n".encode()
    assert csv_records.csv_header(data, layout) == HEADER
    assert of_csv(data, layout, block=block) == [(("1", "2", "3"), None, None)]
    assert csv_records.sample(data, layout, HEADER) == dict.fromkeys(HEADER, "integer")


def test_a_preamble_that_is_all_there_is_leaves_no_header() -> None:
    assert csv_records.csv_header(b"sep=,\n", Layout("csv", preamble=1)) == ()
    assert csv_records.csv_header(b"sep=,", Layout("csv", preamble=3)) == ()


def test_a_layout_that_was_noted_before_there_were_preambles_is_read() -> None:
    old = {"format": "csv", "compression": "", "encoding": "utf-8", "delimiter": ";", "quote": '"'}
    assert Layout.from_json(old) == Layout("csv", delimiter=";")


@pytest.mark.parametrize("wrong", [0, 1, 2, 3])
def test_the_last_right_record_of_a_cut_file_is_in_the_last_batches(wrong: int) -> None:
    data = b"a,b,c\n1,2,3\n4,5,6\n" + b"x\n" * wrong
    batches = list(csv_records.csv_batches(io.BytesIO(data), Layout("csv", ends_open=True), HEADER, 1))
    assert [batch.is_last for batch in batches] == [False] + [True] * (1 + wrong)


# --- CSV: every problem


@pytest.mark.parametrize(
    ("text", "cells", "problem"),
    [
        ("1,2", ("1", "2", None), "row_is_too_short"),
        ("1,2,3,4", ("1", "2", "3"), "row_is_too_long"),
        ('1,"2,3', ("1", '"2', "3"), "row_has_an_open_quote"),
        ('1,"2"x,3', ("1", "2x", "3"), "row_has_text_after_a_quote"),
        ("a,b,c", ("a", "b", "c"), "row_repeats_the_header"),
        ('"a",b,"c"', ("a", "b", "c"), "row_repeats_the_header"),
        ("1,2\0,3", ("1", "2\0", "3"), "row_has_a_nul"),
        ("1,2\r3,4", ("1", "2\r3", "4"), "row_has_a_lone_cr"),
    ],
)
@pytest.mark.parametrize("block", BLOCKS)
def test_a_wrong_row_keeps_its_cells_its_problem_and_its_text(
    text: str, cells: tuple[str, ...], problem: str, block: int
) -> None:
    right = (("7", "8", "9"), None, None)
    assert body(f"7,8,9\n{text}\r\n7,8,9\n", block) == [right, (cells, problem, text), right]


@pytest.mark.parametrize("block", BLOCKS)
def test_bytes_that_are_no_text_are_shown(block: int) -> None:
    shown = (("1", "\\xE9", "₦"), "row_has_invalid_bytes", "1,\\xE9,₦")
    assert body(b"1,\xe9,\xe2\x82\xa6\n", block) == [shown]


def test_half_a_character_of_utf_16_is_shown() -> None:
    rows = of_csv("a,b,c\n1,2,x".encode("utf-16-le") + b"\x3d\xd8", Layout("csv", encoding="utf-16-le"))
    assert rows == [(("1", "2", "x\\x3D\\xD8"), "row_has_invalid_bytes", "1,2,x\\x3D\\xD8")]


@pytest.mark.parametrize("block", BLOCKS)
def test_an_open_quote_never_swallows_other_rows(block: int) -> None:
    assert problems(body('1,"2,3\n4,5,6\n7,"8,9\n1,2,3', block)) == [
        "row_has_an_open_quote", None, "row_has_an_open_quote", None,
    ]  # fmt: skip
    assert problems(body('1,"2,3\n4,"5",6\n1,2,3', block)) == ["row_has_an_open_quote", None, None]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_record_over_lines_must_have_the_header_s_width(block: int) -> None:
    assert body('1,"2\n3",4\n', block) == [(("1", "2\n3", "4"), None, None)]
    assert problems(body('1,"2\n3,4"\n', block)) == ["row_has_an_open_quote", "row_is_too_short"]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_too_large_row_is_cut_and_the_next_one_is_read(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LARGEST", 2000)
    rows = body("1,2," + "x" * 1996 + "\n1,2," + "₦" * 1990 + "\n1,2,3\n", block)
    assert problems(rows) == [None, "row_is_too_large", None]
    assert rows[1] == ((None, None, None), "row_is_too_large", "1,2," + "₦" * 996)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_quote_that_closes_too_late_is_open(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LARGEST", 60)
    lines = "1,2,3\n" * 10
    assert problems(body(f'1,"2,3\n{lines}",3\n', block)) == [
        "row_has_an_open_quote",
        *[None] * 10,
        "row_has_an_open_quote",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("largest", [12, records.LARGEST])
@pytest.mark.parametrize("files", [300, pytest.param(3000, marks=pytest.mark.long)])
def test_both_routes_agree_on_random_files(largest: int, files: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LARGEST", largest)
    monkeypatch.setattr(records, "SHOWN", 2)
    chance = random.Random(4)  # noqa: S311
    wild = [
        '"',
        '"',
        ",",
        ",",
        "\n",
        "\n",
        "\r\n",
        "x",
        "é",
        '""',
        ',"',
        '"\n',
        "\r",
        "\0",
        "\ufeff",
        "a,b,c\n",
        "\udce9",
    ]
    tame = ['"', ",", ",", "\n", "x", ',"', '",', '"\n', "1,2,3\n", '1,"2\n3",4\r\n', '"a",b,c\n']
    for number in range(files):
        size = chance.randint(0, 40)
        text = "".join(chance.choices(tame if number % 2 else wild, k=size)).encode("utf-8", "surrogateescape")
        whole = body(text, 1 << 20)
        for block in (1, chance.randint(2, 30)):
            assert body(text, block) == whole, text


def test_clean_pieces_do_take_the_fast_route(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_records._Reader, "_read", None)  # noqa: SLF001
    data = b'a,b,c\r\n"1, ""x""",2,"3\n4"\r\n' + b"1,2,\r\n" * 1000
    assert sum(batch.rows for batch in csv_records.csv_batches(io.BytesIO(data), CSV, HEADER, block=100)) == 1001


def test_a_million_lines_behind_an_open_quote_stay_fast() -> None:
    data = b'a,b,c\n1,"2,3\n' + b"1,2,3\n" * 1_000_000
    begin = time.perf_counter()
    rows = sum(batch.rows for batch in csv_records.csv_batches(io.BytesIO(data), CSV, HEADER))
    assert rows == 1_000_001
    assert time.perf_counter() - begin < 5


# --- CSV: headers


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"a,b\rc\n", "CR"),
        ("a,b\n".encode("utf-16-le"), "NUL"),
        (b"a,\xe9\n", r"\\xE9"),
        (b'a,"b\n', "quote"),
        (b'a,"b"x\n', "quote"),
        (b",".join([b"x"] * 1001), "1,001 columns"),
        (b"x" * 300_000 + b"\n", "256 KB"),
        (b"Total,b,total\n", "'Total' and 'total'"),
    ],
)
def test_a_header_that_cannot_be_read_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        csv_records.csv_header(data[: records.HEAD], CSV, str.lower)


def test_nameless_columns_do_not_clash_and_an_empty_file_has_no_header() -> None:
    assert csv_records.csv_header(b"\r\na,,\n", CSV, str.lower) == ("a", "", "")
    assert csv_records.csv_header(b'\xef\xbb\xbf"a\nb",c', CSV) == ("a\nb", "c")
    assert csv_records.csv_header(b"\xef\xbb\xbf\n", CSV) == ()
    assert of_csv(b"", header=()) == []


def test_kinds_come_from_the_whole_records_of_the_head() -> None:
    head = b"a,b,c,d,e\n1,1.5,2022-01-03T10:15:00.000Z,-,x\n2,3,03/01/2022,,4\nx"
    kinds = csv_records.sample(head, CSV, ("a", "b", "c", "d", "e"))
    assert kinds == {"a": "integer", "b": "decimal", "c": "time", "d": "nothing", "e": "text"}


def test_a_header_that_changed_since_the_file_was_looked_at_is_not_read() -> None:
    with pytest.raises(HalfWrittenError, match="another header"):
        of_csv(b"x,y\n1,2\n")


# --- cut files


def test_a_csv_cut_anywhere_waits_or_has_only_whole_rows() -> None:
    data = 'a,b,c\r\n1,"x\n,y",3\r\n₦2,b,"c"\r\n'.encode()
    whole = body(data[7:])
    for cut in range(7, len(data)):
        try:
            csv_records.check_end(data[:cut], CSV, HEADER)
        except HalfWrittenError:
            continue
        right = [cells for cells, problem, _ in of_csv(data[:cut]) if problem is None]
        assert all(cells[:2] == row[0][:2] for cells, row in zip(right, whole, strict=False))


@pytest.mark.parametrize(
    ("text", "is_half"),
    [
        ("1,2,3\n1,2", True),
        ('1,2,3\n1,"2', True),
        ("1,2,3\r", True),
        ("1,2,3\n1,2,3", False),
        ("1,2,3\n1,2\n", False),
        ('1,"x\ny",3', False),
        ('1,"x\ny",3\n1,"x\ny', True),
        ("1,2,3,4", False),
    ],
)
def test_the_last_row_says_whether_a_file_is_half_written(text: str, is_half: bool) -> None:  # noqa: FBT001
    for start in (0, 3):  # the tail may begin inside of a row
        tail = b"a,b,c\n" + text.encode()
        try:
            csv_records.check_end(tail[start:], CSV, HEADER, start)
        except HalfWrittenError:
            assert is_half
        else:
            assert not is_half


def test_a_tail_of_utf_16_may_begin_inside_a_character() -> None:
    layout, data = Layout("csv", encoding="utf-16-le"), "a,b,c\n1,2,3\n1,2,3".encode("utf-16-le")
    for start in range(8):
        csv_records.check_end(data[start:], layout, HEADER, start)
        with pytest.raises(HalfWrittenError):
            csv_records.check_end(data[start:-1], layout, HEADER, start)


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_a_compressed_file_cut_anywhere_is_half_written(compress: Callable[[bytes], bytes]) -> None:
    data = compress(b"a,b,c\n" + b"1,2,3\n" * 50)
    layout = records.detect(data, "csv")
    csv_records.check_compressed(io.BytesIO(data), layout, HEADER)
    for cut in range(5, len(data)):
        with pytest.raises(HalfWrittenError):
            csv_records.check_compressed(io.BytesIO(data[:cut]), layout, HEADER)


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.ZstdCompressor(write_checksum=True).compress])
def test_a_corrupt_compressed_file_is_unreadable(compress: Callable[[bytes], bytes]) -> None:
    data = bytearray(compress(random.Random(1).randbytes(4000)))  # noqa: S311
    data[-6] ^= 0xFF
    layout = records.detect(bytes(data[:100]), "csv")
    with pytest.raises(UnreadableError, match="corrupt"):
        csv_records.check_compressed(io.BytesIO(data + compress(b"x")), layout)


@pytest.mark.parametrize("compression", ["", "gzip", "zstd"])
def test_a_lost_connection_is_no_corrupt_file(compression: str) -> None:
    class Lost(io.BytesIO):
        def read(self, _: int | None = -1) -> bytes:
            raise ConnectionResetError("lost")

    with pytest.raises(ConnectionResetError, match="lost"):
        list(records.unpacked_blocks(Lost(), compression))


@pytest.mark.slow
def test_a_bomb_is_read_in_bounded_pieces() -> None:
    bomb = zlib.compressobj(9, wbits=31)
    data = bomb.compress(b"a,b,c\n" + b"0" * 50_000_000) + bomb.flush()
    layout = records.detect(data[: records.HEAD], "csv")
    assert max(len(part) for part in records.unpacked_blocks(io.BytesIO(data), "gzip")) <= records.BLOCK
    batches = list(csv_records.csv_batches(io.BytesIO(data), layout, HEADER))
    assert in_rows(batches[0]) == [((None, None, None), "row_is_too_large", "0" * 1000)]


# --- JSON


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("form", ["[{0},\n {1}\n]", "{0}\n\n{1}\n", "{0}{1}", "[{0},{1}]"])
def test_json_values_become_text_as_written(form: str, block: int) -> None:
    one = '{"n":1.10,"e":1e3,"big":12345678901234567890,"t":"\\u00e9\\n","b":true,"z":null,"o":{"x": [1, 2.0]},"l":[]}'
    rows = of_json(form.replace("{0}", one).replace("{1}", '{\n "n": -0\n}'), block)
    assert rows[0] == (
        {
            "n": "1.10", "e": "1e3", "big": "12345678901234567890", "t": "é\n", "b": "true", "z": None,
            "o": '{"x": [1, 2.0]}', "l": "[]",
        },
        None,
        None,
    )  # fmt: skip
    assert rows[1:] == [({"n": "-0"}, None, None)]


@pytest.mark.parametrize(
    ("element", "problem"),
    [
        ('{"a":NaN}', "object_is_not_json"),
        ('{"a":1,}', "object_is_not_json"),
        ('{"a":1} x', "object_is_not_json"),
        ('{"a":"x}', "object_is_not_json"),
        ('{"a":1,"a":2}', "object_repeats_a_key"),
        ('{"a":' + "[" * 100 + "]" * 100 + "}", "object_is_too_deep"),
        ('{"a":' + "[" * 5000 + "]" * 5000 + "}", "object_is_too_deep"),
        ("1", "element_is_no_object"),
        ("null", "element_is_no_object"),
        ('"x"', "element_is_no_object"),
        ("[1]", "element_is_no_object"),
        ('{"a":"\\ud83d"}', "row_has_invalid_bytes"),
        ('{"a":["\\ud83d"]}', "row_has_invalid_bytes"),
        ('{"a":"\\u0000"}', "row_has_a_nul"),
    ],
)
@pytest.mark.parametrize("form", ['[\n {"a":1},\n {0},\n {"a":2}\n]', '{"a":1}\n{0}\n{"a":2}\n'])
def test_a_wrong_element_leaves_its_neighbours_alone(form: str, element: str, problem: str) -> None:
    for block in BLOCKS:
        rows = of_json(form.replace("{0}", element), block)
        assert problems(rows) == [None, problem, None]
        assert rows[1][2] == element
        assert (rows[0][0], rows[2][0]) == ({"a": "1"}, {"a": "2"})


def test_a_hundred_levels_are_right() -> None:
    assert problems(of_json('[{"a":' + "[" * 99 + "]" * 99 + "}]")) == [None]


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_rows_stand_where_the_layout_says(block: int) -> None:
    page = b'{"next": {"data": [8]}, "n": 12, "a": {"b": 1 , "data": [ {"x": 1.10}, {"x": [2]} ], "z": 3}, "q": 4}'
    rows = json_records.read_json(io.BytesIO(page), Layout("json", rows="a.data"), block=block)
    assert [row.cells for row in rows] == [{"x": "1.10"}, {"x": "[2]"}]
    assert list(json_records.read_json(io.BytesIO(b'{"data": []}'), Layout("json", rows="data"), block=block)) == []


def of_rows(page: str, rows: str) -> list[object]:
    return [row.cells for row in json_records.read_json(io.BytesIO(page.encode()), Layout("json", rows=rows))]


@pytest.mark.parametrize("page", ["", "[]", "{}", '{"data": 1}', '{"a" {}}', '"data"', '{"sales": [{"a": 1}]}'])
def test_rows_are_found_where_the_contract_says_them_once_the_words_are_followed(page: str) -> None:
    with pytest.raises(UnreadableError, match=r"has no array at `data`. Correct `rows:` in the source's contract"):
        of_rows(page, "data")
    assert of_rows('{"sales": [{"a": 1}]}', "sales") == [{"a": "1"}]


@pytest.mark.parametrize("page", ['{"a": 2', '{"a": nul}', '{"da', '{"a": "' + "x" * 70_000])
def test_json_that_ends_before_its_rows_waits_until_it_is_whole(page: str) -> None:
    with pytest.raises(HalfWrittenError, match="is cut, or no JSON, before its array at `data`"):
        of_rows(page, "data")
    assert of_rows('{"a": 2, "data": []}', "data") == []


def test_invalid_bytes_in_json_are_shown() -> None:
    assert of_json(b'{"a":"\xe9"}') == [({"a": "\\xE9"}, "row_has_invalid_bytes", '{"a":"\\xE9"}')]


def test_a_line_without_its_end_does_not_swallow_the_next() -> None:
    assert problems(of_json('{"a":1\n{"a":2}\n{"a":\n{"a":3}\n')) == [
        "object_is_not_json",
        None,
        "object_is_not_json",
        None,
    ]


def test_two_keys_of_one_column_repeat_it() -> None:
    names = {"A": "a", "a": "a", "b": "b"}
    batches = list(json_records.json_batches(io.BytesIO(b'[{"A":1},{"a":2,"b":3},{"a":4,"A":5}]'), JSON, names, 2))
    rows = [row for batch in batches for row in in_rows(batch)]
    assert [cells for cells, *_ in rows[:2]] == [("1", None), ("2", "3")]
    assert problems(rows) == [None, None, "object_repeats_a_key"]
    assert [batch.is_last for batch in batches] == [False, True]


def test_a_trailing_comma_and_what_follows_an_array_are_reported() -> None:
    assert problems(of_json('[{"a":1},]')) == [None, "object_is_not_json"]
    assert problems(of_json('[{"a":1}] x')) == [None, "object_is_not_json"]


@pytest.mark.parametrize("data", [b"a,b\n1,2\n", b"5", b"null", b'"x"', '{"a":1}'.encode("utf-16-le")])
def test_a_file_that_is_no_json_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableError, match="is not JSON in utf-8"):
        json_records.inspect_json(io.BytesIO(data), JSON)


def test_json_is_inspected_whole() -> None:
    data = b'[{"b":1,"a":"x"},{"b":2.5,"c":null},7]'
    assert json_records.inspect_json(io.BytesIO(data), JSON) == (
        ("b", "a", "c"), {"b": "decimal", "a": "text", "c": "nothing"}, 3,
    )  # fmt: skip
    for empty in (b"", b"[]", b" \n"):
        assert json_records.inspect_json(io.BytesIO(empty), JSON) == ((), {}, 0)


def test_more_than_a_thousand_keys_are_unreadable() -> None:
    data = b"\n".join(b'{"%d":1}' % number for number in range(1001))
    with pytest.raises(UnreadableError, match="1,000 different keys"):
        json_records.inspect_json(io.BytesIO(data), JSON)


@pytest.mark.parametrize(
    "data", [b'[{"a":1,"b":[true]},\n {"a":"x\xc3\xa9"}\n]', b'{"a":1,"b":[true]}\n{"a":"x\xc3\xa9"}']
)
def test_json_cut_anywhere_waits_or_has_only_whole_objects(data: bytes) -> None:
    whole = of_json(data)
    for cut, block in itertools.product(range(1, len(data)), (1, 1000)):
        try:
            rows = of_json(data[:cut], block)
        except HalfWrittenError:
            continue
        assert data[:1] == b"{"
        assert rows == whole[: len(rows)]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_too_large_object_is_skipped(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LARGEST", 2000)
    for form in ('[\n{"a":1},\n{0},\n{"a":2}\n]', '{"a":1}\n{0}\n{"a":2}'):
        rows = of_json(form.replace("{0}", '{"a":"' + "x" * 2500 + '"}'), block)
        assert problems(rows) == [None, "row_is_too_large", None]
        assert rows[1][2] == '{"a":"' + "x" * 994


@pytest.mark.slow
@pytest.mark.parametrize("largest", [12, records.LARGEST])
def test_json_reads_the_same_at_every_block_size(largest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LARGEST", largest)
    monkeypatch.setattr(records, "SHOWN", 2)
    chance = random.Random(5)  # noqa: S311
    parts = [
        '{"a":1}',
        "{",
        "}",
        "[",
        "]",
        '"',
        ",",
        "\n",
        '\n{"a":2}',
        '\n {"b":[1,"x"]},',
        ":",
        '"k":',
        "nul",
        "1.5",
        " ",
        "\\",
    ]
    for _ in range(3000):
        text = chance.choice(["[", "[\n ", '{"z":0}\n', "{"]) + "".join(chance.choices(parts, k=chance.randint(0, 15)))
        assert outcome(text, 1) == outcome(text, chance.randint(2, 20)) == outcome(text, 1 << 20), text


def outcome(text: str, block: int) -> list[Row] | str:
    try:
        return of_json(text, block)
    except HalfWrittenError as error:
        return str(error)


def test_every_problem_is_explained_and_every_one_is_tested_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert all(why.endswith(".") and f'"{name}"' in source for name, why in PROBLEMS.items())

"""Small bad inputs, one file each (tests/corpus): one run loads them all, and each must end as its YAML says.

The lake is read by delta-rs: what is compared has not passed through the engine that wrote it.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from lakehouse.delta.commits import ops
from lakehouse.delta.tables import progress
from lakehouse.runs.run import Run
from lakehouse.store import archives
from tests.corpus import cases, made

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table

    Tables = dict[str, Table]
    OfFile = dict[int, dict[str, Any]]
    Rows = dict[str, OfFile]

CASES = cases.load()
AT_LEAST = 116
# As issues 4 and 17 name them.
KINDS = """
    empty | header only | no header | other header | header twice | missing column | extra column |
    reordered column | duplicated column | blank column | short row | long row | unclosed quote | quote inside |
    lone CR | mixed line ends | line break in quotes | ; or tab | BOM | UTF-16 | Latin-1 | invalid UTF-8 | NUL |
    10 MB field | 10,000 columns | cut in a row | cut gzip | gzip named .csv | CSV named .json | JSON array |
    JSON lines | blank lines | half last line | trailing comma | NaN | duplicate keys | 1,000 levels |
    number as text | text as number | null | object for a scalar | 64-bit overflow | top-level scalar |
    "two" as quantity | 0 | negative | 1e308 | 1,234.56 | 12.3456 | currency sign in a number | empty key |
    key of spaces | malformed order id | unknown market | unknown status | 31/31/2026 | 29 Feb 2025 |
    years 0001 and 9999 | local time in a daylight-saving gap | epoch millis | a future time | +00:00 and Z |
    delivery before order | total against its lines | currency against market | order without customer |
    delivery without order | two deliveries | emoji | right-to-left | zero-width | one key in two Unicode forms |
    =HYPERLINK(...) | '; DROP TABLE | ../../etc/passwd as a name |
    a 255-character file name with spaces and percent signs |
    typed cells | merged header | two sheets | password | macro | empty sheet | formulas | formulas without values |
    error cells | dates since 1900 | dates since 1904 | hidden sheets | blank rows | duplicate headers | xls | ods |
    far cell | rows of totals | cut xlsx | CSV named .xlsx |
    typed columns | nested values | int96 | nulls of Parquet | zero rows | cut footer | encrypted Parquet |
    text of Parquet that is none | damaged page |
    two members | __MACOSX | path traversal | nested zip | encrypted zip | cut zip | zip bomb | member twice |
    damaged member | unknown method | two formats in a zip | workbook in a zip | no zip named .zip | gzip in a zip
"""
OF_FORMAT = {"bronze.orders": "spreadsheet", "bronze.deliveries": "parquet"}
FATES = ("kept", "unchanged", "rejected", "duplicate", "superseded")
OF_THE_READER = ("row_", "object_", "element_")  # how the names of its problems begin
MODIFIED_AT = datetime(2022, 2, 1, 12, tzinfo=UTC).timestamp()

LACKING = [one for one in ("python_calamine", "openpyxl", "xlwt", "odf") if find_spec(one) is None]
without_workbooks = pytest.mark.skipif(
    bool(LACKING), reason=f"{', '.join(LACKING)} is not installed: uv sync --inexact"
)


def those(names: Iterable[str]) -> pytest.MarkDecorator:
    """Workbooks are made and read by what not everybody has installed."""
    marks = {name: [without_workbooks] if CASES[name].format == "spreadsheet" else [] for name in names}
    return pytest.mark.parametrize("name", [pytest.param(name, marks=marks[name], id=name) for name in marks])


each_case = those(CASES)
DELIVERED = {name: case for name, case in CASES.items() if not (LACKING and case.format == "spreadsheet")}


# The cases themselves: these tests need no engine


def test_every_kind_that_the_issue_names_has_a_case() -> None:
    named = {" ".join(kind.split()) for kind in KINDS.split(" |")}
    assert named <= {kind for case in CASES.values() for kind in case.kinds}
    assert len(CASES) >= AT_LEAST


def test_every_case_is_delivered_under_a_name_of_its_own() -> None:
    assert [name for name, times in Counter(case.delivered for case in CASES.values()).items() if times > 1] == []


def test_every_file_of_the_corpus_belongs_to_a_case() -> None:
    files = [path for path in cases.FOLDER.iterdir() if path.is_file() and path.name != ".gitattributes"]
    assert sorted(path.stem for path in files if path.suffix not in cases.OF_THE_CORPUS) == sorted(CASES)


def test_every_mark_stands_in_the_file() -> None:
    texts = {name: cases.file_of(name).read_bytes().decode("utf-8") for name in CASES}
    assert [(name, mark) for name in CASES for mark in CASES[name].made.marks if mark not in texts[name]] == []


@pytest.mark.slow
def test_no_two_cases_share_an_id_so_that_none_supersedes_another() -> None:
    owners: dict[str, str] = {}
    for name, case in CASES.items():
        owner = case.same_ids_as or name
        taken = {identity: owners.setdefault(identity, owner) for identity in cases.ids(name)}
        assert {identity: other for identity, other in taken.items() if other != owner} == {}, name


def test_every_rule_that_a_case_expects_can_say_why(tables: Tables) -> None:
    contracts = {source: judge_of(tables, source).contract for source in {case.source for case in CASES.values()}}
    expected = {(case.source, rule) for case in CASES.values() if case.status == "loaded" for rule in case.rules}
    assert [(source, rule) for source, rule in expected if not contracts[source].why(rule)] == []


# The verdicts: one lake, one run


@dataclass(frozen=True)
class Found:
    """What became of one file: its row of the ledger, each row's fate by number, and the rows that are stored."""

    status: str
    reason: str
    counts: dict[str, int]
    rows: dict[int, str]
    silver: OfFile
    bronze: OfFile


@pytest.fixture(scope="module")
def found(engine: Engine, tables: Tables, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Found]:
    """Every case's file after one run of the real tables, by its path. Only the limits for rejected rows are lifted."""
    lifted = {name: without_limit(table) for name, table in tables.items()}
    typed = {name: table for name, table in lifted.items() if name in OF_FORMAT}
    typed |= {judge.name: judge for judge in (judge_of(lifted, name) for name in typed)}
    typed |= {name: with_format(typed[name], kind) for name, kind in OF_FORMAT.items()}
    loaded: dict[str, Found] = {}
    for place, some in (("text", lifted), ("typed", typed)):
        folder = tmp_path_factory.mktemp(place)
        for name, case in DELIVERED.items():
            if (case.format is None) == (place == "text"):
                deliver(folder / "landing", name)
        report = Run(str(folder / "lake"), str(folder / "landing"), some, engine=engine).execute(some)
        assert not [one for one in report.measures if one.measure == "reconciliation" and one.is_broken]
        loaded |= found_in(str(folder / "lake"), some)
    return loaded


def deliver(landing: Path, name: str) -> None:
    archive, member = archives.split(CASES[name].delivered)
    path = landing / archive
    path.parent.mkdir(parents=True, exist_ok=True)
    if member:
        made.pack(path, member, cases.content(name), CASES[name].made.packed)
    else:
        path.write_bytes(cases.content(name))
    os.utime(path, (MODIFIED_AT, MODIFIED_AT))


def with_format(table: Table, kind: str) -> Table:
    """A table whose source takes files of that format, with lines round the rows as people leave them."""
    assert table.contract.source
    files = tuple(pattern.replace(".csv", ".*") for pattern in table.contract.source.files)
    lines = {"preamble": "Report.*", "footer": "Total,.*"} if kind == "spreadsheet" else {}
    source = table.contract.source.model_copy(update={"format": kind, "files": files, **lines})
    return replace(table, contract=table.contract.model_copy(update={"source": source}))


def without_limit(table: Table) -> Table:
    return replace(table, contract=table.contract.model_copy(update={"reject_limit": 1.0}))


def judge_of(tables: Tables, source: str) -> Table:
    """The table that judges a source's rows."""
    return next(one for one in tables.values() if one.contract.write == "latest" and source in one.parents)


def found_in(root: str, tables: Tables) -> Iterator[tuple[str, Found]]:
    """By the path of each file in the ledger; every table is read once."""
    stored: dict[str, Rows] = {}
    for source in (name for name, table in tables.items() if table.contract.takes_files):
        judge = judge_of(tables, source).name
        stored |= {name: rows_of(root, name) for name in (source, judge, f"{judge}__rejected")}
    meant = {(case.source, case.delivered) for case in CASES.values()}  # one is wanted by another source, too
    for row in ops.query(f"{root}/ops/files", "select * from t"):
        source, path = row["table_name"], row["path"]
        if (source, path) not in meant:
            continue
        judge = judge_of(tables, source).name
        yield path, found_of(row, *(stored[name][path] for name in (source, judge, f"{judge}__rejected")))


def rows_of(root: str, table: str) -> Rows:
    """A table's rows by the file that they came from and their number in it."""
    rows: Rows = defaultdict(dict)
    for row in ops.query(progress.address(root, table), "select * from t order by _file, _row"):
        assert row["_row"] not in rows[row["_file"]], f"{table} has row {row['_row']} of {row['_file']} twice"
        rows[row["_file"]][row["_row"]] = row
    return rows


def found_of(row: dict[str, Any], bronze: OfFile, silver: OfFile, wrong: OfFile) -> Found:
    counts = {name: row[name] or 0 for name in ("rows", *FATES)}
    elsewhere = "duplicate" if counts["duplicate"] else "superseded"
    fates = {number: "kept" if number in silver else elsewhere for number in bronze}
    fates |= {number: cases.rejected_by(one["rules"]) for number, one in wrong.items()}
    return Found(row["status"], row["reason"], counts, fates, silver, bronze)


def as_text(value: object) -> str | None:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)


@pytest.mark.slow
def test_every_file_is_in_the_ledger(found: dict[str, Found]) -> None:
    assert sorted(found) == sorted(case.delivered for case in DELIVERED.values())


@pytest.mark.slow
@each_case
def test_a_file_its_rows_and_their_values_end_as_the_case_says(name: str, found: dict[str, Found]) -> None:
    case, seen = CASES[name], found[CASES[name].delivered]
    assert (seen.status, seen.rows) == (case.status, case.rows), seen.reason
    assert case.reason in seen.reason
    for wanted, stored in ((case.silver, seen.silver), (case.bronze, seen.bronze)):
        assert {row: {column: as_text(stored[row][column]) for column in wanted[row]} for row in wanted} == wanted
    assert_the_sums_close(seen)
    assert_what_is_not_as_its_header_announces_keeps_its_text(seen)


def assert_the_sums_close(seen: Found) -> None:
    assert seen.counts["rows"] == len(seen.bronze) == sum(seen.counts[fate] for fate in FATES)
    fates = Counter(fate.split()[0] for fate in seen.rows.values())
    assert {fate: seen.counts[fate] for fate in FATES} == {fate: fates[fate] for fate in FATES}


def assert_what_is_not_as_its_header_announces_keeps_its_text(seen: Found) -> None:
    wrong = {row: fate.removeprefix("rejected by ") for row, fate in seen.rows.items() if fate.startswith("rejected")}
    problems = {row: rule for row, rule in wrong.items() if rule.startswith(OF_THE_READER)}
    assert {row: seen.bronze[row]["_problem"] for row in problems} == problems
    assert all(seen.bronze[row]["_raw"] for row in problems)

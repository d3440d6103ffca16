"""Files cut at random bytes and at the ends of random lines: one landing, one run of the real tables.

Nobody has written to them for long, so that a CSV is taken as it is. The whole files are delivered, too. Each cut one
has ids of its own: those of the whole file with a number before them, so that what silver has of it can be compared,
document by document, with what silver has of the whole file.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from jobs.samples import daily
from lakehouse import graph
from lakehouse.delta.commits import ops
from lakehouse.delta.tables import progress
from lakehouse.formula import PLACES
from lakehouse.intake.records import ledger
from lakehouse.runs.run import Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from lakehouse.engines.protocol import Engine
    from lakehouse.graph import Table
    from lakehouse.intake.records.ledger import Entry

    Tables = dict[str, Table]
    Row = tuple[object, ...]
    Documents = dict[tuple[int, int], list[Row]]

pytestmark = pytest.mark.slow
DAY = "2022-01-03"
MODIFIED_AT = datetime(2022, 1, 4, tzinfo=UTC).timestamp()
AT_RANDOM, AT_LINE_ENDS = 100, 60
FIRST_NUMBER = 100  # what stands before the ids of the first cut file; all have three digits
IDS = {
    "Orders.csv": re.compile(r"^()(\d+)(?=,)", re.MULTILINE),
    "Deliveries.csv": re.compile(r'(^|"YR-)(\d+)(?=,)', re.MULTILINE),
    "Customers.json": re.compile(r'("Customer ID": )(\d+)'),
}
KEYS = {"silver.order_lines": "order_id", "silver.delivery_items": "task_id", "silver.customers": "customer_id"}
OF_A_CUT = {"sub_total_is_the_sum_of_lines", "last_task_has_its_totals", "another_row_of_its_document"}
OF_THE_LAST_ROW = {"row_is_too_short", "row_has_an_open_quote", "row_has_a_lone_cr", "row_has_invalid_bytes"}


@dataclass(frozen=True)
class Cut:
    """The `number` before its ids, the whole file's path, and what is left of it."""

    number: int
    whole: str
    content: bytes

    @property
    def path(self) -> str:
        folder, name = self.whole.rsplit("/", 1)
        return f"{folder}/Cut {self.number} {name}"


def cut_files(folder: Path) -> list[Cut]:
    """First those cut anywhere, then those cut at a line's end, before or behind its line break."""
    random = Random(4)  # noqa: S311  not a secret
    paths = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.*"))]
    rows = [path for path in paths if path.endswith(".csv")]
    cuts = []
    for number in range(FIRST_NUMBER, FIRST_NUMBER + AT_RANDOM + AT_LINE_ENDS):
        is_anywhere = number < FIRST_NUMBER + AT_RANDOM
        whole = random.choice(paths if is_anywhere else rows)
        text = (folder / whole).read_bytes().decode()
        content = IDS[whole.rsplit(" ", 1)[1]].sub(rf"\g<1>{number}\2", text).encode()
        ends = [place for place, byte in enumerate(content) if byte in b"\r\n"]
        size = random.randrange(1, len(content)) if is_anywhere else random.choice(ends) + random.choice([0, 1])
        cuts.append(Cut(number, whole, content[:size]))
    return cuts


@dataclass(frozen=True)
class Found:
    """After the run: the ledger's rows by path, and every document of silver and of the quarantines by (number, id)."""

    cuts: list[Cut]
    files: Mapping[str, Entry]
    silver: Mapping[str, Documents]
    rejected: Mapping[str, Mapping[tuple[int, int], set[str]]]


@pytest.fixture(scope="module")
def found(engine: Engine, tables: Tables, tmp_path_factory: pytest.TempPathFactory) -> Found:
    folder = tmp_path_factory.mktemp("cut")
    landing, root = folder / "landing", str(folder / "lake")
    daily.generate(landing, lines=60, days=1)
    cuts = cut_files(landing)
    for cut in cuts:
        (landing / cut.path).write_bytes(cut.content)
    for path in landing.rglob("*.*"):
        os.utime(path, (MODIFIED_AT, MODIFIED_AT))
    chosen = {name: without_limit(table) for name, table in graph.selected(tables, KEYS).items()}
    Run(root, str(landing), chosen, engine=engine).execute(chosen)
    return Found(
        cuts,
        {one.delivery.path: one for one in ledger.read(root).entries},
        {name: documents(rows_of(root, name), key, tables[name]) for name, key in KEYS.items()},
        {name: rules(rows_of(root, f"{name}__rejected"), key) for name, key in KEYS.items()},
    )


def without_limit(table: Table) -> Table:
    return replace(table, contract=table.contract.model_copy(update={"reject_limit": 1.0}))


def rows_of(root: str, name: str) -> list[dict[str, Any]]:
    return ops.query(progress.address(root, name), "select * from t order by _file, _row")


def documents(rows: Iterable[dict[str, Any]], key: str, table: Table) -> Documents:
    """Rows without their ids, by number and id; the market stays, since ids of two markets may be the same."""
    found = defaultdict(list)
    ids = {"order_id", "task_id", "customer_id"} if key != "order_id" else {"order_id"}
    columns = [name for name in table.contract.columns if name not in ids]
    for row in rows:
        found[number_and_id(row, key)].append(tuple(row[name] for name in columns))
    return found


def rules(rows: Iterable[dict[str, Any]], key: str) -> dict[tuple[int, int], set[str]]:
    found = defaultdict(set)
    for row in rows:
        found[number_and_id(row, key)].update(row["rules"])
    return found


def number_and_id(row: dict[str, Any], key: str) -> tuple[int, int]:
    """The number 0 stands for the whole files. The id has the market before it."""
    text, is_cut = str(row[key]), "/Cut " in row["_file"]
    return (int(text[:3]) if is_cut else 0), int(f"{row['market']}{text[3 if is_cut else 0 :]}")


@pytest.mark.parametrize("name", KEYS)
def test_every_document_of_a_cut_file_in_silver_is_whole(name: str, found: Found) -> None:
    of_cuts = {place: rows for place, rows in found.silver[name].items() if place[0]}
    half = {place: rows for place, rows in of_cuts.items() if rows != found.silver[name][0, place[1]]}
    assert half == {}


@pytest.mark.parametrize("name", KEYS)
def test_of_a_cut_file_only_its_last_document_and_the_cut_row_are_rejected(name: str, found: Found) -> None:
    assert [place for place in found.rejected[name] if place[0] == 0] == []
    cut = {place: rules for place, rules in found.rejected[name].items() if rules & OF_THE_LAST_ROW}
    last = {place: rules for place, rules in found.rejected[name].items() if place not in cut}
    for some in (cut, last):  # the row that is cut may name a document that it is not of
        assert [number for number, times in Counter(place[0] for place in some).items() if times > 1] == []
    assert {rule for broken in cut.values() for rule in broken} <= OF_THE_LAST_ROW | OF_A_CUT
    assert {rule for broken in last.values() for rule in broken} <= OF_A_CUT


def test_a_cut_json_waits_and_a_cut_csv_is_reported_or_loaded(found: Found) -> None:
    seen = Counter((cut.whole.rsplit(" ", 1)[1], found.files[cut.path].status) for cut in found.cuts)
    assert seen == {
        ("Customers.json", "waiting"): 34,
        ("Deliveries.csv", "empty"): 1,
        ("Deliveries.csv", "loaded"): 67,
        ("Deliveries.csv", "unreadable"): 1,
        ("Orders.csv", "loaded"): 54,
        ("Orders.csv", "unreadable"): 3,
    }


def test_what_stands_before_the_cut_is_not_lost(found: Found) -> None:
    for cut in found.cuts:
        entry = found.files[cut.path]
        if entry.status == "loaded":
            assert entry.counts["rows"] == sum(entry.counts[name] for name in PLACES)
            assert entry.counts["rows"] == len(cut.content.decode(errors="ignore").splitlines()) - 1


def test_a_cut_file_that_is_not_loaded_says_why(found: Found) -> None:
    entries = [found.files[cut.path] for cut in found.cuts]
    reasons = {entry.reason for entry in entries if entry.status in {"waiting", "unreadable"}}
    assert reasons
    assert "" not in reasons

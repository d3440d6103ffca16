"""Which files are new, whole and readable; and `ops.files`, the ledger of every file version that was taken.

The ledger is written ahead of the load, by one commit that no second planner can make too: the batch number of its
rows is the version of that commit. A bronze table's progress is the last batch that it includes.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from lakehouse import progress, storage
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from lakehouse.contract import Source
    from lakehouse.graph import Table
    from lakehouse.storage import StoredFile

LEDGER = "ops/files"
HEADER_BYTES = 1 << 18
PLACEHOLDER = re.compile(r"\{date\}|\{(\w+):int\}|\*\*/|\*|\?")
PATTERNS = {"{date}": r"(?P<date>\d{4}-\d{2}-\d{2})", "**/": r"(?:.*/)?", "*": r"[^/]*", "?": r"[^/]"}
# Writers in progress: they wait until they have their real name.
TEMPORARY = re.compile(r"(^|/)[._][^/]*($|/)|\.(tmp|part|crswap)$")


@dataclass(frozen=True)
class Delivery:
    """One version of one file. `sequence` orders deliveries: delivered at, modified at, path, content."""

    table: str
    path: str
    size: int
    modified_at: datetime
    content: str
    delivered_at: datetime
    parts: dict[str, int]
    header: tuple[str, ...]

    @property
    def sequence(self) -> str:
        return f"{_instant(self.delivered_at)} {_instant(self.modified_at)} {self.path} {self.content[:12]}"


@dataclass(frozen=True)
class Taken:
    """A row of the ledger. `is_repeat` marks a file that was touched but holds what it held when it was loaded last."""

    delivery: Delivery
    batch: int
    is_repeat: bool


@dataclass(frozen=True)
class Found:
    """What landing holds beyond the ledger: new deliveries, touched files, and files that no contract wants.

    `batch` is the next version of the ledger that landing was compared with: the only one in which these are new.
    """

    new: tuple[Delivery, ...]
    repeats: tuple[Delivery, ...]
    ignored: tuple[str, ...]
    waiting: tuple[str, ...]
    batch: int

    def of(self, tables: Container[str]) -> Found:
        """Only what these tables want."""
        new = tuple(one for one in self.new if one.table in tables)
        return replace(self, new=new, repeats=tuple(one for one in self.repeats if one.table in tables))


def find(landing: str, tables: Iterable[Table], taken: list[Taken]) -> Found:
    """List landing and compare it with the ledger. Only files that are new or touched are opened.

    Raises LakehouseError that names every file that cannot be read as its contract says.
    """
    sources = {table.name: table.contract.source for table in tables if table.contract.source}
    known = {_identity(t.delivery.table, t.delivery, t.delivery.content) for t in taken}
    ignored, waiting, unseen = [], [], []
    for file in storage.list_files(landing):
        if TEMPORARY.search(file.path):
            waiting.append(file.path)
            continue
        wanted = [(name, parts) for name, source in sources.items() if (parts := _match(file.path, source)) is not None]
        if not wanted:
            ignored.append(file.path)
        unseen += [
            (name, file, parts)
            for name, parts in wanted
            if _identity(name, file, storage.etag_content(file)) not in known
        ]
    with ThreadPoolExecutor(16) as pool:
        opened = list(pool.map(lambda one: _open(landing, one[0], sources[one[0]], one[1], one[2]), unseen))
    if errors := [answer for answer in opened if isinstance(answer, str)]:
        raise LakehouseError("\n".join(sorted(errors)))
    deliveries = sorted((one for one in opened if isinstance(one, Delivery)), key=lambda one: one.sequence)
    last_content = {(one.table, one.path, one.content) for one in newest_versions(taken).values()}
    is_repeat = [(one.table, one.path, one.content) in last_content for one in deliveries]
    return Found(
        new=tuple(one for one, repeat in zip(deliveries, is_repeat, strict=True) if not repeat),
        repeats=tuple(one for one, repeat in zip(deliveries, is_repeat, strict=True) if repeat),
        ignored=tuple(sorted(ignored)),
        waiting=tuple(sorted(waiting)),
        batch=max((one.batch for one in taken), default=-1) + 1,
    )


def _identity(table: str, file: StoredFile | Delivery, content: str) -> tuple[object, ...]:
    """What tells a file from its earlier versions without opening it; a store's ETag tells even within one second."""
    tag = content if content.startswith(storage.ETAG) else ""
    return table, file.path, file.size, file.modified_at, tag


def newest_versions(taken: Iterable[Taken]) -> dict[tuple[str, str], Delivery]:
    """The version of each file that was loaded last, by table and path."""
    in_order = sorted((t for t in taken if not t.is_repeat), key=lambda t: (t.batch, t.delivery.sequence))
    return {(t.delivery.table, t.delivery.path): t.delivery for t in in_order}


def _match(path: str, source: Source) -> dict[str, str] | None:
    """What the first fitting pattern reads from the path; None where no pattern fits."""
    for pattern in source.files:
        found = re.fullmatch(_regex(pattern), path, re.IGNORECASE)
        if found and _is_date(found.groupdict().get("date", "2000-01-01")):
            return found.groupdict()
    return None


def _regex(pattern: str) -> str:
    pieces, end = [], 0
    for found in PLACEHOLDER.finditer(pattern):
        named = f"(?P<{found[1]}>\\d+)" if found[1] else PATTERNS[found[0]]
        pieces += [re.escape(pattern[end : found.start()]), named]
        end = found.end()
    return "".join([*pieces, re.escape(pattern[end:])])


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _open(landing: str, table: str, source: Source, file: StoredFile, parts: dict[str, str]) -> Delivery | str:
    """The delivery, or the sentence that says why it cannot be read."""
    header, problem = (_csv_header if source.format == "csv" else _json_ends)(landing, file)
    if problem:
        return f"{landing}/{file.path} {problem} Nothing was loaded. Deliver the file again, whole, or take it away."
    on = parts.get("date")
    return Delivery(
        table=table,
        path=file.path,
        size=file.size,
        modified_at=file.modified_at,
        content=storage.content_hash(landing, file),
        delivered_at=datetime.fromisoformat(on).replace(tzinfo=UTC) if on else file.modified_at,
        parts={name: int(value) for name, value in parts.items() if name != "date"},
        header=header,
    )


def _csv_header(landing: str, file: StoredFile) -> tuple[tuple[str, ...], str]:
    head = storage.read_bytes(landing, file.path, first=HEADER_BYTES)
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
        header = tuple(next(csv.reader(io.StringIO(text, newline="")), []))
    except UnicodeDecodeError as error:
        return (), f"is not UTF-8 at byte {error.start}."
    except csv.Error as error:
        return (), f"has a header that cannot be read: {error}."
    if text.strip() and not header:
        return (), "begins with an empty line; its header must be the first one."
    return header, _clash(header)


def _clash(header: Iterable[str]) -> str:
    """Two headers that fold to one name would overwrite each other."""
    names = column_names(header)
    for name, count in Counter(names.values()).items():
        if count > 1:
            both = " and ".join(repr(text) for text, folded in names.items() if folded == name)
            return f"has two columns that both fold to {name}: {both}."
    return ""


def _json_ends(landing: str, file: StoredFile) -> tuple[tuple[str, ...], str]:
    """Half an array is seen by its end; its keys are found by Spark when it is loaded."""
    first = storage.read_bytes(landing, file.path, first=64).removeprefix(codecs.BOM_UTF8).strip()
    last = storage.read_bytes(landing, file.path, last=64).strip()
    is_whole = first.startswith(b"[") and last.endswith(b"]")
    return (), "" if is_whole else "is not a whole JSON array: it must begin with [ and end with ]."


def column_names(header: Iterable[str]) -> dict[str, str]:
    """Header text -> column name: `Distance (in km)` -> distance_in_km; a nameless column gets its place, unnamed_31.

    A header repeated to the letter keeps its place in the key, so that nothing is lost before it is reported.
    """
    names: dict[str, str] = {}
    for place, text in enumerate(header, start=1):
        key = text if text.strip() and text not in names else f"{text}#{place}"
        names[key] = _column_name(text) or f"unnamed_{place}"
    return names


def _column_name(text: str) -> str:
    folded = re.sub(r"[^a-z0-9]+", "_", text.strip().lower()).strip("_")
    return f"_{folded}" if folded in {"replaces_file", "replaces_row"} else folded


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# The ledger ---------------------------------------------------------------------------------------------------------


def read_ledger(root: str) -> list[Taken]:
    """Every file version that was taken, in no order."""
    from deltalake import QueryBuilder  # noqa: PLC0415

    log = progress.open_table(f"{root}/{LEDGER}")
    if log is None:
        return []
    rows = QueryBuilder().register("files", log).execute("select * from files").read_all()
    columns = {name: rows.column(name).to_pylist() for name in rows.column_names}
    return [_taken(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def _taken(row: dict[str, Any]) -> Taken:
    delivery = Delivery(
        table=row["table_name"],
        path=row["path"],
        size=row["size"],
        modified_at=row["modified_at"],
        content=row["content"],
        delivered_at=row["delivered_at"],
        parts=json.loads(row["parts"]),
        header=tuple(json.loads(row["header"])),
    )
    return Taken(delivery, row["batch"], row["status"] == "repeat")


def claim(root: str, found: Found) -> int:
    """Write the found files into the ledger, in one commit; its version is their batch.

    Raises LakehouseError when another run claimed files in between.
    """
    from arro3.core import Array, DataType, Table  # noqa: PLC0415
    from deltalake import CommitProperties, write_deltalake  # noqa: PLC0415
    from deltalake.exceptions import DeltaError  # noqa: PLC0415

    address = f"{root}/{LEDGER}"
    log = progress.open_table(address, found.batch - 1) if found.batch else None
    moment = DataType.timestamp("us", tz="UTC")
    rows = [(one, "new") for one in found.new] + [(one, "repeat") for one in found.repeats]
    text: dict[str, list[str]] = {
        "table_name": [one.table for one, _ in rows],
        "path": [one.path for one, _ in rows],
        "content": [one.content for one, _ in rows],
        "status": [status for _, status in rows],
        "parts": [json.dumps(one.parts) for one, _ in rows],
        "header": [json.dumps(one.header) for one, _ in rows],
    }
    numbers = {"size": [one.size for one, _ in rows], "batch": [found.batch] * len(rows)}
    times = {
        "modified_at": [_microseconds(one.modified_at) for one, _ in rows],
        "delivered_at": [_microseconds(one.delivered_at) for one, _ in rows],
    }
    columns: dict[str, Any] = {name: Array(values, DataType.string()) for name, values in text.items()}
    columns |= {name: Array(values, DataType.int64()) for name, values in numbers.items()}
    columns |= {name: Array(values, DataType.int64()).cast(moment) for name, values in times.items()}
    try:
        write_deltalake(
            log or address,
            Table.from_pydict(columns),
            mode="append" if log else "error",
            storage_options=storage.for_deltalake(address),
            commit_properties=CommitProperties(max_commit_retries=0),
        )
    except DeltaError as error:
        raise LakehouseError(
            "Another run took files from landing at the same moment, so this one took none. Start it again when the "
            "other is done."
        ) from error
    return found.batch


def _microseconds(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)

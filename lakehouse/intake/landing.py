"""Which files in landing are new, whole and readable. Nothing is written here; the ledger claims what is found."""

from __future__ import annotations

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cache
from typing import TYPE_CHECKING

from lakehouse.intake.ledger import Delivery, Entry
from lakehouse.readers import csv_records, json_records, records
from lakehouse.readers.columns import OF_CORRECTIONS, column_name
from lakehouse.readers.records import HalfWrittenError, UnreadableError
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from lakehouse.contract import Contract
    from lakehouse.graph import Table
    from lakehouse.intake.ledger import Ledger
    from lakehouse.store.storage import StoredFile

PLACEHOLDER = re.compile(r"\{date\}|\{(\w+):int\}|\*\*/|\*|\?")
PATTERNS = {"{date}": r"(?P<date>\d{4}-\d{2}-\d{2})", "**/": r"(?:.*/)?", "*": r"[^/]*", "?": r"[^/]"}
COMPRESSED = r"(?:\.gz|\.zst)?"
LARGEST_INT = 2**31 - 1
# Writers in progress: they wait until they have their real name.
TEMPORARY = re.compile(r"(^|/)[._][^/]*($|/)|\.(tmp|part|crswap)$")


@dataclass(frozen=True)
class Found:
    """What landing holds beyond the ledger: file versions with their status, and files that no contract wants."""

    entries: tuple[Entry, ...]
    ignored: tuple[str, ...]

    def of(self, tables: Container[str]) -> Found:
        """Only what these tables want."""
        return replace(self, entries=tuple(one for one in self.entries if one.delivery.table in tables))

    def by_status(self, status: str) -> tuple[Entry, ...]:
        return tuple(one for one in self.entries if one.status == status)

    @property
    def new(self) -> tuple[Delivery, ...]:
        return tuple(one.delivery for one in self.by_status("claimed"))

    def news(self, ledger: Ledger) -> tuple[Entry, ...]:
        """What the ledger does not say yet: a file that still waits, or still cannot be read, is said once."""
        said = {(one.delivery.version, one.status, one.reason) for one in ledger.entries}
        return tuple(
            one
            for one in self.entries
            if one.delivery.table and (one.delivery.version, one.status, one.reason) not in said
        )


def find(landing: str, tables: Iterable[Table], ledger: Ledger) -> Found:
    """List landing and compare it with the ledger. Only files that are new, touched or were not taken are opened."""
    contracts = {table.name: table.contract for table in tables if table.contract.source}
    taken = [one for one in ledger.entries if one.is_taken or one.status == "duplicate"]
    known = {_identity(one.delivery.table, one.delivery, one.delivery.content) for one in taken}
    ignored, waiting, unseen = [], [], []
    for file in storage.list_files(landing):
        if TEMPORARY.search(file.path):
            waiting.append(_temporary(file, contracts))
            continue
        wanted = _wanted(file.path, contracts)
        if not wanted:
            ignored.append(file.path)
        unseen += [
            (name, file, parts)
            for name, parts in wanted.items()
            if _identity(name, file, storage.etag_content(file)) not in known
        ]
    with ThreadPoolExecutor(16) as pool:
        looked = list(pool.map(lambda one: _look(landing, one[0], contracts[one[0]], one[1], one[2]), unseen))
    looked.sort(key=lambda one: one.delivery.sequence)
    return Found((*_told_apart(looked, ledger), *waiting), tuple(sorted(ignored)))


def _identity(table: str, file: StoredFile | Delivery, content: str) -> tuple[object, ...]:
    """What tells a file from its earlier versions without opening it; a store's ETag tells even within one second."""
    tag = content if content.startswith(storage.ETAG) else ""
    return table, file.path, file.size, file.modified_at, tag


def _wanted(path: str, contracts: Mapping[str, Contract]) -> dict[str, dict[str, str]]:
    """The tables that want the file, each with what its pattern reads from the path."""
    fitting = {name: _match(path, one.source.files) for name, one in contracts.items() if one.source}
    return {name: parts for name, parts in fitting.items() if parts is not None}


def _temporary(file: StoredFile, contracts: Mapping[str, Contract]) -> Entry:
    """It belongs to the table that would want it by its final name, where that can be told."""
    plain = re.sub(r"(^|/)[._]+", r"\1", re.sub(r"\.(tmp|part|crswap)$", "", file.path))
    table, parts = next(iter(_wanted(plain, contracts).items()), ("", {}))
    delivery = _delivery(table, file, "", parts)
    return Entry(delivery, -1, "waiting", "its name says that it is being written")


def _match(path: str, patterns: tuple[str, ...]) -> dict[str, str] | None:
    """What the first fitting pattern reads from the path; None where no pattern fits."""
    for pattern in patterns:
        found = _regex(pattern).fullmatch(path)
        if found and _is_date(found.groupdict().get("date", "2000-01-01")):
            return found.groupdict()
    return None


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    pieces, end = [], 0
    for found in PLACEHOLDER.finditer(pattern):
        named = f"(?P<{found[1]}>\\d+)" if found[1] else PATTERNS[found[0]]
        pieces += [re.escape(pattern[end : found.start()]), named]
        end = found.end()
    return re.compile("".join([*pieces, re.escape(pattern[end:]), COMPRESSED]), re.IGNORECASE)


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _delivery(table: str, file: StoredFile, content: str, parts: Mapping[str, str]) -> Delivery:
    on = parts.get("date")
    return Delivery(
        table=table,
        path=file.path,
        size=file.size,
        modified_at=file.modified_at,
        content=content,
        delivered_at=datetime.fromisoformat(on).replace(tzinfo=UTC) if on else file.modified_at,
        parts={name: int(value) for name, value in parts.items() if name != "date"},
    )


def _look(landing: str, table: str, contract: Contract, file: StoredFile, parts: Mapping[str, str]) -> Entry:
    """Open the file: what its columns are, or why it waits or cannot be read."""
    content = ""
    try:
        _refuse(file.problem or _too_large(parts))
        content = storage.content_hash(landing, file)
        delivery = _columns(landing, contract, _delivery(table, file, content, parts))
        _refuse(_refusal(contract, delivery))
        if not _has_rows(landing, delivery):
            delivery = replace(delivery, header=(), kinds={})
        if storage.is_still(landing, file):
            return Entry(delivery, -1, "claimed")
        status, reason = "waiting", "changed while it was read: its writer is not done."
    except HalfWrittenError as error:
        status, reason = "waiting", str(error)
    except UnreadableError as error:
        status, reason = "unreadable", str(error)
    except (OSError, storage.MissingFileError) as error:
        status, reason = "unreadable", f"cannot be opened: {getattr(error, 'strerror', None) or 'it is gone'}."
    small = {name: value for name, value in parts.items() if not _too_large({name: value})}
    return Entry(_delivery(table, file, content, small), -1, status, reason)


def _refuse(reason: str) -> None:
    if reason:
        raise UnreadableError(reason)


def _too_large(parts: Mapping[str, str]) -> str:
    wrong = [f"{name} {value}" for name, value in parts.items() if name != "date" and int(value) > LARGEST_INT]
    return f"lies in a folder of {wrong[0]}, which is no number of a {wrong[0].split()[0]}." if wrong else ""


def _has_rows(landing: str, delivery: Delivery) -> bool:
    """A header alone says nothing of the source's columns: it may be all that has arrived of a file."""
    if delivery.layout is None or delivery.layout.format != records.CSV or delivery.size > records.HEAD:
        return True
    with storage.open_file(landing, delivery.path) as stream:
        return bool(delivery.header) and any(csv_records.read_csv(stream, delivery.layout, delivery.header))


def _columns(landing: str, contract: Contract, delivery: Delivery) -> Delivery:
    """The delivery with its layout and columns; a compressed or JSON file is read whole, a CSV at both ends."""
    source, path = contract.source, delivery.path
    if source is None:
        return delivery
    head = storage.read_bytes(landing, path, first=records.HEAD)
    layout = records.detect(
        head,
        source.format,
        encoding=source.encoding,
        delimiter=source.delimiter,
        quote=source.quote,
        known_columns=contract.columns,
        fold=column_name,
    )
    if source.format == records.JSON:
        with storage.open_file(landing, path, delivery.content) as stream:
            keys, kinds, rows = json_records.inspect_json(stream, layout)
        if rows and not keys:
            raise UnreadableError("has no object with a key in it.")
        return replace(delivery, header=keys, kinds=_by_name(kinds), layout=layout, records=rows)
    header = csv_records.csv_header(head, layout)
    if layout.compression:
        with storage.open_file(landing, path, delivery.content) as stream:
            csv_records.check_compressed(stream, layout, header)
    else:
        tail = head if delivery.size <= len(head) else storage.read_bytes(landing, path, last=records.HEAD)
        csv_records.check_end(tail, layout, header, delivery.size - len(tail))
    return replace(delivery, header=header, kinds=_by_name(csv_records.sample(head, layout, header)), layout=layout)


def _by_name(kinds: Mapping[str, str]) -> dict[str, str]:
    return {column_name(text): kind for text, kind in kinds.items()}


def _refusal(contract: Contract, delivery: Delivery) -> str:
    """Why the source does not take a file of these columns; empty where it does."""
    source = contract.source
    if source is None or not delivery.header:
        return ""
    names = delivery.columns
    return _missing(set(names.values()), source.required) or _clash(names, source.format) or _unknown(names, contract)


def _clash(names: Mapping[str, str], kind: str) -> str:
    """Two headers that fold to one name would overwrite each other; JSON's are judged object by object."""
    for name, count in Counter(names.values()).items():
        if count > 1 and kind == "csv":
            both = " and ".join(repr(text) for text, folded in names.items() if folded == name)
            return f"has two columns that both fold to {name}: {both}."
    return ""


def _missing(names: set[str], required: Iterable[str]) -> str:
    missing = [name for name in required if name not in names]
    return f"has no column {', '.join(missing)}, which the contract requires." if missing else ""


def _unknown(names: Mapping[str, str], contract: Contract) -> str:
    known = {*contract.columns, *OF_CORRECTIONS}
    unknown = [text for text, name in names.items() if name not in known]
    if not unknown or contract.source is None or contract.source.unknown_columns != "fail":
        return ""
    return f"has columns that the contract does not name, and `schema: fail` forbids: {', '.join(map(repr, unknown))}."


def _told_apart(looked: list[Entry], ledger: Ledger) -> list[Entry]:
    """New content, or a touched file that holds what it held; and which file of another name holds the same."""
    newest = {(one.table, one.path, one.content) for one in ledger.newest_versions().values()}
    holders = {(one.delivery.table, one.delivery.content): one.delivery.path for one in ledger.taken()}

    def tell(entry: Entry) -> Entry:
        one = entry.delivery
        if entry.status != "claimed":
            return entry
        if (one.table, one.path, one.content) in newest:
            return replace(entry, status="duplicate", reason="holds what it held when it was loaded last")
        same = holders.setdefault((one.table, one.content), one.path)
        return entry if same == one.path else replace(entry, reason=f"holds the same as {same}")

    return [tell(entry) for entry in looked]

"""Windows in landing: all that one fetch of a source brought is one delivery, and its folder is the delivery's path.

`fetched/<table>/<started>/` has the pages as they were received, and `_complete.json`, put last, which lists those
that count. Before it is there nothing of the window is taken; then nothing of it changes, and nobody looks at it again.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lakehouse.errors import LakehouseError
from lakehouse.intake.deliveries import paths
from lakehouse.intake.deliveries.paths import Said
from lakehouse.readers import records
from lakehouse.readers.records import UnreadableError
from lakehouse.store import archives, storage
from lakehouse.store.storage import MissingFileError, StoredFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lakehouse.contract import Contract
    from lakehouse.intake.records.ledger import Delivery

FOLDER = "fetched"
COMPLETE = "_complete.json"
STARTED = "%Y%m%dT%H%M%S.%fZ"
WINDOW = re.compile(rf"{FOLDER}/(\w+)/(\d{{8}}T\d{{6}}\.\d{{6}}Z)")


@dataclass(frozen=True)
class Part:
    """A page that counts: its size in bytes and SHA-256, and its rows where the source knew them."""

    name: str
    size: int
    hash: str
    rows: int | None = None


@dataclass(frozen=True)
class OnPage:
    """Rows of a page, from 1: how who opens it finds them."""

    name: str
    first: int
    last: int

    def __str__(self) -> str:
        """As `rows 95-100 of 000001.json`."""
        rows = f"row {self.first}" if self.first == self.last else f"rows {self.first:,}-{self.last:,}"
        return f"{rows} of {self.name}"


@dataclass(frozen=True)
class Complete:
    """What `_complete.json` says: what was asked for, what the source must know again, and the pages in their order."""

    since: datetime | None
    until: datetime | None
    started_at: datetime
    facts: Mapping[str, Any]
    parts: tuple[Part, ...]

    def to_json(self) -> bytes:
        times = {name: text_of(getattr(self, name)) for name in ("since", "until", "started_at")}
        said = {**times, "facts": self.facts, "pages": [asdict(one) for one in self.parts]}
        return json.dumps(said, ensure_ascii=False, indent=1).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Complete:
        said = json.loads(text)
        times = {name: moment(said[name]) for name in ("since", "until")}
        parts = tuple(Part(**one) for one in said["pages"])
        return cls(**times, started_at=datetime.fromisoformat(said["started_at"]), facts=said["facts"], parts=parts)


def text_of(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at else None


def moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def folder_of(table: str) -> str:
    """Where all windows of a table lie."""
    return f"{FOLDER}/{_short(table)}"


def folder(table: str, started_at: datetime) -> str:
    """Where the window of a table lies that was begun then."""
    return f"{folder_of(table)}/{started_at.astimezone(UTC).strftime(STARTED)}"


def _short(table: str) -> str:
    return table.partition(".")[2]


def is_window(path: str) -> bool:
    return WINDOW.fullmatch(path) is not None


def started_at(path: str) -> datetime:
    """When the window was begun that lies there."""
    return datetime.strptime(path.rpartition("/")[2], STARTED).replace(tzinfo=UTC)


def windows(landing: str, table: str = "") -> Iterator[str]:
    """The folders of all windows in landing, or of those of a table, oldest first; whole or not: none is opened."""
    for below in [folder_of(table)] if table else (f"{FOLDER}/{name}" for name in _folders(landing, FOLDER)):
        yield from (path for name in _folders(landing, below) if is_window(path := f"{below}/{name}"))


def _folders(landing: str, path: str) -> list[str]:
    return sorted(storage.list_folders(f"{landing}/{path}"))


def wants(table: str, contract: Contract, path: str) -> Said | None:
    """What the path says where the table takes what lies there, a file or a window; else None."""
    if found := WINDOW.fullmatch(path):
        return Said() if found[1] == _short(table) else None
    return paths.read(path, contract.source.files) if contract.source else None


def contract_of_pages(contract: Contract) -> Contract:
    """A database's pages are Parquet, whatever is said of files that somebody drops."""
    if contract.source is None or contract.source.database is None:
        return contract
    source = contract.source.model_copy(update={"format": records.PARQUET})
    return contract.model_copy(update={"source": source})


def complete(landing: str, path: str) -> tuple[Complete, str]:
    """What a whole window says, and its content: a hash of that. Raises MissingFileError where it is not whole."""
    text = storage.read_bytes(landing, f"{path}/{COMPLETE}")
    try:
        return Complete.from_json(text), hashlib.sha256(text).hexdigest()
    except (ValueError, TypeError, KeyError) as error:
        raise UnreadableError(
            f"has a {COMPLETE} that no fetch wrote. Delete its folder, and fetch it again."
        ) from error


def newest(landing: str, table: str) -> str:
    """The folder of the last window of a table that is whole; empty where there is none."""
    for path in reversed([*windows(landing, table)]):
        try:
            complete(landing, path)
        except MissingFileError:
            continue
        return path
    return ""


def as_listed(path: str) -> StoredFile:
    """A window as landing lists it, without opening it."""
    return StoredFile(path, 0, started_at(path))


def is_still(landing: str, delivery: Delivery) -> bool:
    """Whether what was delivered lies in landing as it was."""
    if not is_window(delivery.path):
        return archives.is_still(landing, delivery.stored)
    try:
        return complete(landing, delivery.path)[1] == delivery.content
    except (MissingFileError, UnreadableError):
        return False


def on_pages(landing: str, path: str, first: int, last: int) -> list[OnPage]:
    """Where rows of a window stand, which are numbered over all its pages; nothing where landing does not tell."""
    try:
        parts = complete(landing, path)[0].parts if is_window(path) else ()
    except (LakehouseError, UnreadableError):
        return []
    found, before = list[OnPage](), 0
    for part in parts:
        begin, end = max(first - before, 1), min(last - before, part.rows or 0)
        found += [OnPage(part.name, begin, end)] if begin <= end else []
        before += part.rows or 0
    return found if last <= before else []


def checked(landing: str, path: str, part: Part) -> str:
    """The path of a page. Raises UnreadableError where it is not there, or not what was fetched."""
    try:
        found = storage.read_bytes(landing, f"{path}/{part.name}")
    except MissingFileError as error:
        raise UnreadableError(f"lacks its page {part.name}.") from error
    if hashlib.sha256(found).hexdigest() != part.hash:
        raise UnreadableError(f"has a page {part.name} that is not what was fetched.")
    return f"{path}/{part.name}"


def remedy(path: str, window: Complete) -> str:
    """How to have another window instead of one that cannot be taken."""
    times = {"--since": window.since, "--until": window.until}
    asked = "".join(f" {option} '{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}'" for option, at in times.items() if at)
    return f"Delete its folder, and fetch that again: `lakehouse fetch {path.split('/')[1]}{asked}`."

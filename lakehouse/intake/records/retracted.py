"""conf/retracted.yml: deliveries that are taken back. Bronze keeps their rows, and nothing judges them any more."""

from __future__ import annotations

import json
import re
from dataclasses import MISSING as NOTHING
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from lakehouse import conf
from lakehouse.conf import MISSING, UNKNOWN
from lakehouse.errors import LakehouseError
from lakehouse.intake.records.ledger import CONTENT, LOST, REMOVED
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from lakehouse.graph import Table
    from lakehouse.intake.records.ledger import Delivery, Entry

FILE = conf.HOME / "conf" / "retracted.yml"
ROWS = re.compile(r"[0-9]{1,18}(-[0-9]{1,18})?")


@dataclass(frozen=True)
class Retraction:
    """A row of the list: a version of a file, told by the beginning of its `content`; all of its versions without.

    Of a topic `file` is a partition (`kafka/events/0`), and `rows` the offsets of its messages (`17` or `17-25`).
    """

    source: str
    file: str
    why: str
    content: str = ""
    rows: str = ""

    @property
    def span(self) -> str:
        """The messages, as a note says them: `kafka/events/0:17-17`."""
        first, _, last = self.rows.partition("-")
        return f"{self.file}:{int(first)}-{int(last or first)}"

    def names(self, one: Delivery) -> bool:
        return (
            not self.rows and (self.source, self.file) == (one.table, one.path) and one.content.startswith(self.content)
        )


def read() -> tuple[Retraction, ...]:
    """Raises LakehouseError with all that is wrong in the list; what its rows name is not looked up."""
    try:
        rows = conf.read(FILE) if FILE.exists() else None
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise LakehouseError(f"{FILE} cannot be read: {' '.join(str(error).split())}") from error
    if rows is not None and not isinstance(rows, list):
        raise LakehouseError(
            f"{FILE} must be a list of rows like - {{source: ..., file: ..., content: ..., why: ...}}."
        )
    wrong = [f"row {place}: {words}" for place, row in enumerate(rows or (), start=1) for words in _wrong(row)]
    if wrong:
        raise LakehouseError(f"{FILE} is not right:\n" + "\n".join(f"  {words}" for words in wrong))
    return tuple(Retraction(**row) for row in rows or ())


def _wrong(row: object) -> Iterator[str]:
    if not isinstance(row, dict):
        yield "must have source, file and why, each with its value."
        return
    keys = {one.name: one.default is NOTHING for one in fields(Retraction)}
    yield from (f"{key} {MISSING}" for key, is_needed in keys.items() if is_needed and key not in row)
    yield from (f"{key} {UNKNOWN}" for key in row if key not in keys)
    texts = [key for key in keys if not isinstance(row.get(key, ""), str)]
    yield from (f"{key} must be a text: put it in quotes" for key in texts)
    if "content" in row and "content" not in texts and len(row["content"]) < CONTENT:
        yield f"content must be at least {CONTENT} letters of what ops.files says; all versions are meant without it"
    if "rows" in row and "rows" not in texts and not ROWS.fullmatch(row["rows"]):
        yield f"rows must be the offset of a message, or the first and the last of several, as 17-25, not {row['rows']}"


def messages(source: str, rows: Iterable[Retraction] | None = None) -> tuple[str, ...]:
    """Of a topic's table the messages that are taken back, as a note says them, by the list or these rows of it."""
    return tuple(sorted({one.span for one in (read() if rows is None else rows) if one.source == source and one.rows}))


def marked(entries: Iterable[Entry], rows: Collection[Retraction]) -> list[Entry]:
    """The same entries; of those that are taken back `retracted` says why."""
    files = {(row.source, row.file) for row in rows}
    return [_marked(one, rows) if (one.delivery.table, one.delivery.path) in files else one for one in entries]


def _marked(entry: Entry, rows: Iterable[Retraction]) -> Entry:
    return replace(entry, retracted=next((row.why for row in rows if row.names(entry.delivery)), ""))


def check(rows: Collection[Retraction], entries: Collection[Entry]) -> None:
    """Raises LakehouseError for rows that name no delivery: their mistake would leave wrong numbers in place.

    `entries`: all that the ledger has, and what a run would claim now.
    """
    wrong = [
        f"row {place} {words} Correct it, or take the row out."
        for place, row in enumerate(rows, start=1)
        if (words := _unknown(row, entries))
    ]
    if wrong:
        raise LakehouseError(f"{FILE} names what was not delivered:\n" + "\n".join(f"  {words}" for words in wrong))


def _unknown(row: Retraction, entries: Collection[Entry]) -> str:
    """Why the row names no delivery, with what is near to it; empty where it names one."""
    if row.rows:  # of a topic, whose table says what it has
        return ""
    delivered = [one.delivery for one in entries if one.is_taken]
    if any(row.names(one.delivery) for one in entries if one.is_taken or one.status == LOST):
        return ""
    if row.source not in (sources := sorted({one.table for one in delivered})):
        return f"names {row.source}, which has no deliveries. Sources with deliveries: {', '.join(sources)}."
    versions = sorted({one.short_content for one in delivered if (one.table, one.path) == (row.source, row.file)})
    if versions:
        return f"names a content {row.content} that {row.file} never had. It had: {', '.join(versions)}."
    if others := [one for one in entries if (one.delivery.table, one.delivery.path) == (row.source, row.file)]:
        return f"names {row.file}, of which nothing is loaded: it {others[-1].reason.rstrip('.')}."
    near = get_close_matches(row.file, {one.path for one in delivered if one.table == row.source}, cutoff=0.0)
    return f"names {row.file}, which {row.source} does not have. Near to it: {', '.join(near)}."


def path_in(landing: str, file: str) -> str:
    """A delivered file as the ledger names it; its whole path will do."""
    place = file if storage.is_s3(file) else str(Path(file).absolute())
    return place.removeprefix(f"{landing}/") if place.startswith(f"{landing}/") else file


def of_file(entries: Collection[Entry], file: str, content: str = "") -> list[Entry]:
    """The delivery of a file, one for each source that took it; `content`: how that of the meant version begins.

    Raises LakehouseError where none was taken, where there are several versions, or where it is taken back already.
    """
    mine = [one for one in entries if one.is_taken and one.delivery.path == file]
    if not mine:
        raise LakehouseError(_not_taken(entries, file))
    versions = {(one.delivery.table, one.delivery.content): one for one in mine}
    meant = [one for one in versions.values() if one.delivery.content.startswith(content)]
    if not meant or len(meant) > len({one.delivery.table for one in meant}):
        when = {one.delivery.short_content: one.delivery.as_of for one in mine}
        had = ", ".join(f"{letters} ({at:%Y-%m-%d %H:%M})" for letters, at in when.items())
        raise LakehouseError(
            f"{file} was delivered with the contents {had}. Say which is meant: --content and its letters."
        )
    if any(one.status == REMOVED for one in meant):
        raise LakehouseError(
            f"The rows of {file} left bronze, as its contract's retention says, since newer deliveries had replaced "
            "all of its documents. No table holds any of them, so there is nothing to take back."
        )
    if not (new := [one for one in meant if not one.retracted]):
        raise LakehouseError(
            f"{file} is taken back already ({meant[0].retracted}). To have it again take its row out of {FILE}."
        )
    return new


def of_files(entries: Collection[Entry], files: Iterable[str], content: str = "") -> list[Entry]:
    """As `of_file`, of several; each may also be a folder, or a pattern such as market_1/*/Orders*.csv.

    Of a folder's files those are meant that count: what is taken back already, or left bronze, needs nothing.
    """
    found: dict[tuple[str, str, int], Entry] = {}
    for file in files:
        inside = _inside(entries, file)
        mine = [one for path in inside for one in of_file(entries, path)] if inside else of_file(entries, file, content)
        found |= {one.place: one for one in mine}
    return list(found.values())


def _inside(entries: Iterable[Entry], file: str) -> list[str]:
    """The files that count of a folder, or that fit a pattern; none where it names one file, or nothing."""
    counting = {one.delivery.path: one for one in entries if one.is_taken and one.status != REMOVED}
    if file in counting:
        return []
    folder = f"{file.rstrip('/')}/"
    fits = [one for one in counting if one.startswith(folder) or fnmatchcase(one, file)]
    return sorted(path for path in fits if not counting[path].retracted)


def _not_taken(entries: Collection[Entry], file: str) -> str:
    if others := [one.reason for one in entries if one.delivery.path == file]:
        return f"Of {file} nothing is loaded: it {others[-1].rstrip('.')}. Take it out of landing instead."
    near = get_close_matches(file, {one.delivery.path for one in entries if one.is_taken}, cutoff=0.0)
    return f"{file} was never delivered. Near to it: {', '.join(near) or 'nothing'}. Name it by its path in landing."


def add(entries: Iterable[Entry], why: str) -> list[str]:
    """Write the rows that take these back into the list, behind all that it holds, comments too; the rows.

    Raises LakehouseError where that makes no list of its text, or it cannot be written.
    """
    rows = [line(one.delivery, why) for one in entries]
    _append(rows)
    return rows


def add_messages(tables: Mapping[str, Table], files: Iterable[str], rows: str, why: str) -> dict[str, str]:
    """As `add`, of messages: the rows (`17-25`) of these partitions; by source the row that was written.

    Raises LakehouseError where a file is no partition of a topic that a table takes.
    """
    if not ROWS.fullmatch(rows):
        raise LakehouseError(f"--rows {rows} are no offsets. Give one, or the first and the last, as 17-25.")
    topics = {
        f"kafka/{one.contract.source.kafka.topic}/": name
        for name, one in tables.items()
        if one.contract.source and one.contract.source.kafka
    }
    written = {}
    for file in files:
        source = topics.get(f"{file.rpartition('/')[0].partition('@')[0]}/")  # made anew it is kafka/events@<id>/0
        if source is None:
            known = ", ".join(f"{topic}0" for topic in topics) or "none is described"
            raise LakehouseError(f"{file} is no partition of a topic. --rows goes with one, such as {known}.")
        said = {"file": file, "rows": rows, "why": why}
        words = ", ".join(f"{k}: {json.dumps(v, ensure_ascii=False)}" for k, v in said.items())
        written[source] = f"- {{source: {source}, {words}}}"
    _append([*written.values()])
    return written


def _append(rows: Sequence[str]) -> None:
    read()  # raises where it is not right as it is
    file = FILE.resolve()
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    kept = [one for one in text.splitlines() if one.strip() != "[]"]
    new, fresh = "\n".join([*kept, *rows, ""]), file.with_name(f"{file.name}.new")
    try:
        is_list = conf.parse(new) == [*(conf.parse(text) or ()), *conf.parse("\n".join(rows))]  # type: ignore[misc]
    except yaml.YAMLError:
        is_list = False
    if not is_list:
        raise LakehouseError(f"{FILE} does not have its rows a line each. Write this into it:\n" + "\n".join(rows))
    try:
        fresh.write_text(new, encoding="utf-8")
        fresh.replace(file)
    except OSError as error:
        what = f"{FILE} cannot be written ({error.strerror}). Add to it yourself:\n" + "\n".join(rows)
        raise LakehouseError(what) from error


def line(one: Delivery, why: str = "") -> str:
    """The row that takes a delivery back, to be copied into the list: `why` is for a person to say."""
    said = {"file": one.path, "content": one.short_content, "why": why}
    return (
        f"- {{source: {one.table}, {', '.join(f'{k}: {json.dumps(v, ensure_ascii=False)}' for k, v in said.items())}}}"
    )

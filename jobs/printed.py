"""How answers look: progress lines, the summary whose sums close, grids, csv and json.

What looks at the lake before it prints imports that itself: an answer in a grid must not wait for it.
"""

from __future__ import annotations

import csv
import json
import os
import re
import sys
import traceback
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import chain, islice
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table as Grid

from lakehouse import logs
from lakehouse.errors import LakehouseError, is_failure, masked, refusal
from lakehouse.readers.columns import defused
from lakehouse.store import storage
from lakehouse.store.cache import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.console import ConsoleOptions, JustifyMethod, RenderableType

    from lakehouse.contract import Source
    from lakehouse.graph import Table
    from lakehouse.intake.landing import Found
    from lakehouse.intake.ledger import Entry
    from lakehouse.runs.history import Ran
    from lakehouse.runs.plan import Size
    from lakehouse.runs.run import Run
    from lakehouse.runs.turns import Decision, Done, Report
    from lakehouse.serving.docs import Docs
    from lakehouse.sources.kafka.topics import Offers

SHOWN = 200
NAMED = 5
SHOWN_OF_A_TEXT = 2000
GRID = {"box": None, "pad_edge": False, "header_style": "bold"}


class Terminal(Console):
    """Where people read. What a delivered text, a path or an error holds never reaches it as a command."""

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, highlight=False, emoji=False, soft_wrap=True)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for one in super().render(renderable, options):
            yield one if one.control else Segment("\n".join(map(_printable, one.text.split("\n"))), one.style)


def begin(messages: Console, form: str | None = None) -> None:
    """Programs are told what is done as `form` says, or LAKEHOUSE_LOG_FORMAT; as JSON instead of people, not beside."""
    form = form or os.environ.get("LAKEHOUSE_LOG_FORMAT", "")
    logs.start(form)
    messages.quiet = form == logs.JSON


def answers() -> Console:
    """Standard output: as wide as the terminal, and without an edge in a pipe or a file."""
    return Terminal(width=None if sys.stdout.isatty() else 10_000)


@contextmanager
def run(messages: Console, one: Run, wanted: Mapping[str, Table]) -> Iterator[Callable[[Done], None]]:
    """One line per table when it is done; tables that did not move are one line together."""
    width = max(map(len, wanted)) + 2
    idle: list[Done] = []

    def say(done: Done) -> None:
        if not done.decision.does_something:
            idle.append(done)
            return
        turn(messages, done, width)

    messages.print(f"[dim]lake {escape(one.root)}, landing {escape(one.landing)}[/]")
    try:
        yield say
    finally:
        untold(messages, one)
    if len(idle) == len(wanted):
        messages.print("Nothing new: every table is up to date, and no commit was made.")
    elif unmoved := sum(one.decision.state is not None for one in idle):
        words = "table did not move and was" if unmoved == 1 else "tables did not move and were"
        messages.print(f"[dim]{unmoved} {words} not touched.[/]")


def untold(messages: Console, one: Run) -> None:
    """What a run that ended, well or not, could not tell those who collect lineage."""
    for words in (one.lineage.unsent, *one.lineage.unknown):
        if words:
            messages.print(f"  [yellow]warning[/] {escape(visible(words))}")


def turn(messages: Console, done: Done, width: int) -> None:
    """One table's line; `width` is that of the names."""
    messages.print(
        f"{done.decision.table:<{width}}{_went(done):<62}{done.seconds:5.1f} s  "
        f"[dim]{escape(_short(done.decision.reason))}[/]"
    )


def _short(reason: str) -> str:
    first, *others = reason.split(", ")
    return f"{first}, and {len(others)} more input{'' if len(others) == 1 else 's'}" if others else first


def _went(done: Done) -> str:
    rows = done.counts.get("rows", {})
    if done.rows_in is None:
        return f"{rows.get('kept', 0):>10,} rows"
    if [*rows] == ["kept"]:
        return f"{done.rows_in:>10,} rows loaded"
    parts = [f"{count:,} {status}" for status, count in rows.items() if count]
    return f"{done.rows_in:>10,} in = {' + '.join(parts) or 'nothing'}"


def summary(messages: Console, report: Report) -> None:
    """Where the rows that came in went; what was rejected, mended and warned of; what landing holds beside."""
    if report.rewound:
        messages.print(f"A rewind {report.rewound} had broken off, and was finished first.")
    judged = [done for done in report.done if done.accounts]
    if judged:
        statuses = dict.fromkeys(status for done in judged for status in done.counts["rows"])
        total = {status: sum(done.counts["rows"].get(status, 0) for done in judged) for status in statuses}
        parts = " + ".join(f"{count:,} {status}" for status, count in total.items())
        messages.print(f"[bold]Rows in {sum(done.rows_in or 0 for done in judged):,}[/] = {parts}")
    for done in report.done:
        for kind, word in (("rejected", "[red]rejected[/]"), ("repaired", "mended"), ("warned", "[yellow]warning[/]")):
            for name, count in done.counts.get(kind, {}).items():
                messages.print(f"  {word} {done.decision.table}: {name} {count:,}{_named(done, name)}")
        if done.counts.get("rejected"):
            messages.print(f"  [dim]see them with: lakehouse rejected {done.decision.table}[/]")
        _left_for_the_next(messages, done)
        _kept_out(messages, done)
        _losing(messages, done)
        _changed(messages, done)
    for one in report.measures:
        if one.is_broken and one.measure in {"volume", "freshness", "reconciliation"}:
            market = "" if one.market is None else f" market {one.market}"
            messages.print(
                f"  [yellow]warning[/] {one.table_name}{market}: {one.name} [dim]{escape(visible(one.note))}[/]"
            )
    revalued(messages, (done.decision for done in report.done))
    _vanished(messages, report)
    _suspects(messages, report.suspects)
    waiting(messages, report)


def waiting(messages: Console, report: Report) -> None:
    """What landing and topics hold that no run can take yet."""
    for words in report.hanging:
        messages.print(f"  [yellow]warning[/] {escape(visible(words))}")
    landing(messages, report.found)


def drafts(messages: Console, tables: Mapping[str, Table]) -> None:
    """Contracts that nobody has finished: what they promise is a guess."""
    for name, table in tables.items():
        if to_write := table.contract.to_write:
            path, texts = f"conf/{name.replace('.', '/')}.yml", "text" if len(to_write) == 1 else "texts"
            messages.print(f"[yellow]draft[/] {name}: {len(to_write)} {texts} to be written (TODO) in {path}")


def _named(done: Done, rule: str) -> str:
    """The rows that break a rule of a computed table, as its contract says them."""
    notes = [one.note for one in done.measures if one.name == rule and one.measure == "rule" and one.note]
    return "".join(f" [dim]{escape(visible(note))}[/]" for note in notes)


def revalued(console: Console, decisions: Iterable[Decision]) -> None:
    """Facts that were edited in place: what past days are worth changes with them, without a delivery."""
    facts = dict.fromkeys(words for one in decisions for words in one.revalues)
    for words in [*facts][:NAMED]:
        console.print(f"  [yellow]changed[/] {escape(visible(words))}, for past days too")
    if len(facts) > NAMED:
        console.print(f"  and {len(facts) - NAMED:,} more facts in conf")
    if any(words.startswith("conf/markets.yml") for words in facts):
        console.print("  [dim]of markets, a row of its own with valid_from keeps what was: see conf/markets.yml[/]")


def _left_for_the_next(messages: Console, done: Done) -> None:
    if not done.waiting:
        return
    rounds = "1 round waits" if done.waiting == 1 else f"{done.waiting:,} rounds wait"
    why = "their rows go into more days than its contract puts into one commit (most_days)"
    if done.decision.path != "new":
        why = "messages of before were judged again first"
    messages.print(f"  [dim]{done.decision.table}: {rounds} for the next turn, at once, since {why}[/]")


def _kept_out(messages: Console, done: Done) -> None:
    """New files of which too much is wrong: none of their rows entered."""
    for (path, _), why in [*done.refused.items()][:NAMED]:
        messages.print(
            f"  [red]kept out[/] {done.decision.table}: {escape(visible(path))}, whole: {escape(visible(why))}"
        )
    if len(done.refused) > NAMED:
        messages.print(f"  and {len(done.refused) - NAMED:,} more files that were kept out whole")
    if done.refused:
        messages.print("  [dim]deliver them again, corrected, or raise reject_limit in the table's contract[/]")


def _suspects(messages: Console, suspects: Sequence[Entry]) -> None:
    """The rows that take them back, as if they had never come."""
    from lakehouse.intake import retracted  # noqa: PLC0415

    if suspects:
        messages.print(
            "  [dim]to take one back, as if it had never come, put its row into conf/retracted.yml and say why:[/]"
        )
    for one in suspects[:NAMED]:
        messages.print(f"  {escape(retracted.line(one.delivery))}")


def _vanished(messages: Console, report: Report) -> None:
    """New files that lack columns which the file before them had: their documents lose what these said."""
    columns: dict[str, list[str]] = {}
    for one in report.changes:
        if one.change == "vanished":
            columns.setdefault(one.file, []).append(one.column_name)
    for file, names in [*columns.items()][:NAMED]:
        messages.print(
            f"  [yellow]columns[/] {escape(visible(file))} has no {escape(visible(', '.join(names)))} any more: the "
            "documents that it brings again are without, but for columns whose contract says `lacking: keep`"
        )
    if len(columns) > NAMED:
        messages.print(f"  and {len(columns) - NAMED:,} more files that lack columns")


def _losing(messages: Console, done: Done) -> None:
    """New files that are older than what their market had, and whose rows newer ones replace."""
    losing = [
        (path, counts)
        for (path, _), counts in sorted(done.by_file.items())
        if path in done.late and counts.get("superseded")
    ]
    for path, counts in losing[:NAMED]:
        every = sum(counts.values()) - counts.get("warned", 0)
        what = f"{counts['superseded']:,} of {every:,} rows lose against newer deliveries"
        messages.print(f"  [yellow]older[/] {done.decision.table}: {escape(visible(path))} {what}")
    if len(losing) > NAMED:
        messages.print(f"  and {len(losing) - NAMED:,} more files, whose rows are older")


def _changed(messages: Console, done: Done) -> None:
    """New files with documents under keys that other documents had."""
    for path, count in sorted(done.changed.items())[:NAMED]:
        messages.print(
            f"  [yellow]others[/] {done.decision.table}: {count:,} rows of {escape(visible(path))} are of other "
            "documents than their keys stood for before (identity_is_kept)"
        )
    if len(done.changed) > NAMED:
        messages.print(f"  and {len(done.changed) - NAMED:,} more files with such documents")


def landing(console: Console, found: Found) -> None:
    """What landing holds that is not loaded, and why; and what is odd about what was."""
    if found.absent:
        files = "the file that was" if found.absent == 1 else f"any of the {found.absent:,} files that were"
        console.print(
            f"  [yellow]warning[/]: landing does not hold {files} taken from it. Is it the right folder or bucket, and "
            "mounted? (Where files are taken away once they are loaded, this is not said for long.)"
        )
    for one in found.by_status("claimed"):
        if one.retracted:
            console.print(f"  [yellow]retracted[/]: {_taken_back(one)}")
    odd = [one for one in found.by_status("claimed") if one.reason]
    for one in odd[:NAMED]:
        console.print(f"  [yellow]note[/]: {escape(visible(one.delivery.path))} {escape(visible(one.reason))}")
    if len(odd) > NAMED:
        console.print(f"  and {len(odd) - NAMED:,} more new files like these")
    for status, word in (("unreadable", "[red]cannot be read[/]"), ("waiting", "[yellow]waits[/]")):
        entries = found.by_status(status)
        for one in entries[:NAMED]:
            console.print(f"  {word}: {escape(visible(one.delivery.path))} {escape(visible(one.reason))}")
        if len(entries) > NAMED:
            console.print(f"  and {len(entries) - NAMED:,} more files that are {status}")
    if found.ignored:
        more = f" and {len(found.ignored) - NAMED} more" if len(found.ignored) > NAMED else ""
        files = "1 file" if len(found.ignored) == 1 else f"{len(found.ignored):,} files"
        named = escape(visible(", ".join(found.ignored[:NAMED])))
        console.print(f"[dim]{files} ignored, no contract wants them: {named}{more}[/]")


def _taken_back(one: Entry) -> str:
    """A delivery that is taken back."""
    return (
        f"{escape(visible(one.delivery.path))} [dim]{one.delivery.short_content}: {escape(visible(one.retracted))}[/]"
    )


def plan(console: Console, one: Run, wanted: Mapping[str, Table], engine: str) -> None:
    """What each table's turn would be; a table behind one that will be written may turn out to have nothing to do."""
    from lakehouse.runs import plan as planning  # noqa: PLC0415
    from lakehouse.runs import topics  # noqa: PLC0415
    from lakehouse.runs.history import History  # noqa: PLC0415

    found, offers = one.look().of(wanted), topics.offers(one.root, wanted.values())
    decisions = planning.decide_all(
        one.root, wanted.values(), one.taken, History(one.root, engine), coming=found.new, offers=offers
    )
    sizes = planning.sizes(one.root, wanted, decisions, one.started)
    grid = Grid("table", "would", "because", "units", "rows", **GRID)  # type: ignore[arg-type]
    moving: set[str] = set()
    for name, table in wanted.items():
        new = sum(delivery.table == name for delivery in found.new)
        behind = [parent for parent in table.parents if parent in moving]
        would, because = decisions[name].path, decisions[name].reason
        if would == "stop":
            because = "see below"
        units, rows = _size(would, sizes[name], and_more=bool(behind))
        if new and would != "stop":
            would, because = "load", f"{new} new {'file' if new == 1 else 'files'}"
        elif behind and would in {"nothing", "wait"}:
            would, because = "follow", f"{', '.join(behind)} will be written first"
        if would != "nothing":
            moving.add(name)
        grid.add_row(name, would, because, units, rows)
    for column in grid.columns[3:]:
        column.justify = "right"
    console.print(grid)
    for name, decision in decisions.items():
        if decision.path == "stop":
            console.print(f"\n[red]{name} stops:[/] {escape(visible(decision.reason))}")
    if not moving:
        console.print("Nothing new: a run would make no commit.")
    revalued(console, decisions.values())
    landing(console, found)
    _unfinished(console, one)


def _unfinished(console: Console, one: Run) -> None:
    if one.ledger.rewind is not None:
        console.print(
            "[yellow]A rewind broke off[/], some tables are back and some are not: the next run finishes it first."
        )


def _size(would: str, size: Size, *, and_more: bool) -> tuple[str, str]:
    """Units, at most, and rows; those of inputs that will be written first come on top."""
    if would in {"nothing", "load", "wait", "describe", "stop"}:
        return "", ""
    end = "+" if and_more else ""
    rows = "?" if size.rows is None else f"{size.rows:,}{end}"
    if would in {"first", "whole"}:
        return "all", rows
    return "?" if size.units is None else f"{size.units:,}{end}", rows


def status(console: Console, one: Run, engine: str) -> None:
    """Tables, then sources: how fresh and how good their deliveries are, what changed in them, what is not loaded."""
    from lakehouse.runs import status as states  # noqa: PLC0415
    from lakehouse.runs import topics  # noqa: PLC0415
    from lakehouse.runs.history import History  # noqa: PLC0415

    found = None
    storage.check(one.root, role="lake", must_exist=False)
    with _in_words(console, "The ledger, and what is new,"):
        one.open()
        with _in_words(console, "New files"):  # a reader of the lake need not see its landing
            found = one.look()
    waiting = [delivery.table for delivery in found.new] if found else []
    grid = Grid("table", "version", "rows", "rejected", "changed (UTC)", "behind", "last run", **GRID)  # type: ignore[arg-type]
    now = datetime.now(UTC)
    history = History(one.root, engine)
    offers = topics.offers(one.root, one.tables.values())
    lines = states.lines(one.root, one.tables, one.taken, history, offers)
    for line in lines:
        new = waiting.count(line.table)
        behind = f"{new} new {'file' if new == 1 else 'files'}" if new and not line.problem else line.behind
        changed = f"{line.changed_at:%Y-%m-%d %H:%M} ({_ago(now - line.changed_at)})" if line.changed_at else "-"
        numbers = ["-" if n is None else f"{n:,}" for n in (line.version, line.rows, line.rejected)]
        grid.add_row(line.table, *numbers, changed, behind or "up to date", _last(line.last))
    for column in grid.columns[1:4]:
        column.justify = "right"
    console.print(grid)
    for line in lines:
        if line.problem:
            console.print(f"\n[red]{line.table} stops:[/] {escape(visible(line.problem))}")
        elif line.last and line.last.error:
            console.print(f"\n[red]{line.table} failed[/] in its last run: {escape(visible(line.last.error))}")
    if history.problem:
        console.print(f"\n[red]Past runs are not shown:[/] {escape(visible(history.problem))}")
    with _in_words(console, "Messages that wait"):
        _lags(console, one, offers, now)
    with _in_words(console, "Scores"):
        _sources(console, one, now)
    with _in_words(console, "Changed columns"):
        _schema_changes(console, one)
    if taken_back := [each for each in one.taken if each.retracted]:
        console.print("\nRetracted deliveries, which conf/retracted.yml takes back:")
    for each in taken_back[:SHOWN]:
        console.print(f"  {each.delivery.table}: {_taken_back(each)}")
    if found:
        landing(console, found)
    _unfinished(console, one)


@contextmanager
def _in_words(console: Console, what: str) -> Iterator[None]:
    """What cannot be read takes nothing else with it."""
    try:
        yield
    except LakehouseError as error:
        console.print(f"[yellow]{what} are not counted:[/] {escape(visible(str(error)))}")


def _last(turn: Ran | None) -> str:
    if turn is None:
        return ""
    by = f" by {turn.engine}" if turn.engine else ""
    return "[red]failed[/]" if turn.error else f"{turn.path} {turn.seconds:,.1f} s{by}"


def _sources(console: Console, one: Run, now: datetime) -> None:
    from lakehouse.runs import quality  # noqa: PLC0415

    newest: dict[tuple[str, int | None], datetime] = {}
    for entry in (each for each in one.taken if not each.retracted):
        key = (entry.delivery.table, entry.delivery.market)
        newest[key] = max(newest.get(key, entry.delivery.as_of), entry.delivery.as_of)
    parents = {name: table.parents[0] for name, table in one.tables.items() if table.contract.write == "latest"}
    scores = {
        (parents[noted.measure.table_name], noted.measure.market): noted.measure.value
        for noted in quality.newest(one.root, "score")
        if noted.measure.table_name in parents
    }
    grid = Grid("source", "market", "newest delivery", "score", **GRID)  # type: ignore[arg-type]
    for (source, market), at in sorted(newest.items(), key=str):
        score = scores.get((source, market))
        age = f"{at:%Y-%m-%d %H:%M} ({_ago(now - at)})"
        grid.add_row(source, "" if market is None else str(market), age, "-" if score is None else f"{score:.1f}")
    if newest:
        console.print()
        console.print(grid)


def _lags(console: Console, one: Run, offers: Offers, now: datetime) -> None:
    """How far behind their topics tables are; `behind` counts offsets, also those that no message has."""
    from lakehouse.runs import topics  # noqa: PLC0415

    known = [(one.tables[name], offer) for name, offer in offers.items() if not isinstance(offer, LakehouseError)]
    lags = [(table, topics.lag(table, offer)) for table, offer in known]
    grid = Grid("topic of", "partition", "next offset", "behind", "oldest of these", **GRID)  # type: ignore[arg-type]
    for table, parts in lags:
        for part in parts:
            open_ones = f", {part.open:,} in open transactions" if part.open else ""
            behind = f"{part.behind:,}{open_ones}"
            oldest = _ago(now - part.since) if part.since else "-"
            grid.add_row(table.name, str(part.partition), f"{part.next:,}", behind, oldest)
    if lags:
        console.print()
        console.print(grid)
    for table, parts in lags:
        for words in topics.hanging(table, parts, now):
            console.print(f"[yellow]warning[/] {escape(words)}")


def _schema_changes(console: Console, one: Run) -> None:
    """The newest ones; all are in ops.schema_changes."""
    from lakehouse.intake import schema_changes  # noqa: PLC0415

    changes = sorted(schema_changes.read(one.root), key=lambda change: (change.batch, change.file), reverse=True)
    if changes:
        console.print("\nChanged columns, the newest first:")
    for change in changes[:NAMED]:
        words = f"{change.before} became {change.after}" if change.change == "type" else change.change.replace("_", " ")
        console.print(
            f"  {change.table_name} {change.partition}: {change.column_name} {words} "
            f"[dim]in {escape(visible(change.file))}[/]"
        )
    if len(changes) > NAMED:
        console.print(f"  [dim]and {len(changes) - NAMED:,} more in ops.schema_changes[/]")


def _ago(gap: object) -> str:
    seconds = int(gap.total_seconds())  # type: ignore[attr-defined]
    for size, word in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {word} ago"
    return "just now"


def rejected(console: Console, root: str, table: Table, examples: int, landing: str) -> None:
    """Of a window the page is named where `landing` still has it."""
    from lakehouse.intake import fetched  # noqa: PLC0415
    from lakehouse.serving import quarantine  # noqa: PLC0415

    by_rule = quarantine.by_rule(root, table)
    if not by_rule:
        console.print(f"Nothing is rejected in {table.name}.")
        return
    grid = Grid(f"{table.name}: rule", "rows", "why", **GRID)  # type: ignore[arg-type]
    for rule, count in by_rule.items():
        grid.add_row(rule, f"{count:,}", table.contract.why(rule))
    console.print(grid)
    for row in quarantine.examples(root, table, examples):
        key = ", ".join(f"{name} {row[name]}" for name in table.contract.unit if row[name] is not None)
        rules = escape(", ".join(row["rules"]))
        page = "".join(f", that is {one}" for one in fetched.on_pages(landing, row["_file"], row["_row"], row["_row"]))
        place = f"{visible(row['_file'])} row {row['_row']}{page}" + f" ({visible(key)})" * bool(key)
        console.print(f"\n{escape(place)}, since {row['since']:%Y-%m-%d}: [red]{rules}[/]")
        text = row["text"]
        shown = text if isinstance(text, str) else ", ".join(f"{name}={value}" for name, value in text.items())
        console.print(f"  {escape(visible(shown))}")


def visible(text: str) -> str:
    """Delivered text may hold what would move the cursor, or fill the screen."""
    return _printable(text[:SHOWN_OF_A_TEXT]) + " ..." * (len(text) > SHOWN_OF_A_TEXT)


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(letter: str) -> str:
    return letter if letter.isprintable() else repr(letter)[1:-1]


def exported(messages: Console, table: Table, source: Source | None, written: Mapping[Path, int]) -> None:
    if not written:
        messages.print(f"Nothing is rejected in {table.name}, so no file was written.")
    for path, rows in written.items():
        messages.print(f"Wrote {rows:,} {'row' if rows == 1 else 'rows'} to {escape(str(path))}.")
    if written and source and not source.files:
        messages.print(
            "Correct them, and leave the first columns as they are. Its source takes no files: say in its contract "
            f"where corrections lie, as `files: {escape(f'[corrections/**/{{date}}/*.{source.format}]')}`, and put the "
            "file there."
        )
    elif written and source:
        name = source.files[0].replace("{date}", f"{datetime.now(UTC):%Y-%m-%d}").replace("**/", "")
        name = name.replace("/*.", "/corrected.").replace("*", "")
        name = re.sub(r"{(\w+):int}", r"<\1>", name)
        messages.print(
            "Correct them, leave the first columns as they are, and put the file into landing, into a folder of today "
            f"and under a name like {escape(name)}; the next run takes it up."
        )


def documented(messages: Console, docs: Docs, file: Path) -> None:
    there = sum(entry.stored is not None for entry in docs.entries)
    lake = escape(visible(docs.root))
    messages.print(f"Wrote {escape(str(file))}: {len(docs.entries)} tables, {there} of them in the lake {lake}.")


def grid(columns: Sequence[str], rows: Iterable[Sequence[str | None]], messages: Console) -> None:
    """For people: the first rows."""
    waiting = iter(rows)
    answers().print(table(columns, list(islice(waiting, SHOWN))))
    if next(waiting, None) is not None:
        messages.print(f"Only the first {SHOWN} rows are shown; --format csv writes all.")


def table(columns: Sequence[str], rows: Sequence[Sequence[str | None]]) -> Grid:
    """Numbers stand to the right."""
    made = Grid(**GRID)  # type: ignore[arg-type]
    for place, name in enumerate(columns):
        is_number = all(_is_number(row[place]) for row in rows)
        side: JustifyMethod = "right" if is_number and rows else "left"
        made.add_column(escape(_printable(name)), justify=side, no_wrap=not sys.stdout.isatty())
    for row in rows:
        made.add_row(*("" if value is None else escape(_printable(value)) for value in row))
    return made


def _is_number(text: str | None) -> bool:
    return text is None or text.lstrip("-").replace(".", "", 1).isdigit()


def csv_rows(columns: list[str], rows: Iterable[Sequence[str | None]]) -> None:
    writer, is_seen = csv.writer(sys.stdout, lineterminator="\n"), sys.stdout.isatty()
    for row in chain([[defused(name) for name in columns]], rows):
        writer.writerow([cell and _printable(cell) for cell in row] if is_seen else row)


def json_text(text: str) -> str:
    """JSON that a terminal may show: what it would obey is escaped, and means the same."""
    return "".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in text)


def json_array(objects: Iterable[str]) -> None:
    sys.stdout.write("[")
    for place, text in enumerate(objects):
        sys.stdout.write(f"{',' if place else ''}\n{json_text(text)}")
    sys.stdout.write("\n]\n")


@contextmanager
def errors(messages: Console) -> Iterator[None]:
    """An error on purpose is printed without a traceback and ends with 1; brackets in it are text, not markup."""
    try:
        yield
    except LakehouseError as failed:
        logs.failed("failed", failed)
        error(messages, str(failed))
        sys.exit(1)
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except BaseException as failed:
        if not is_failure(failed):
            raise
        logs.failed("failed", failed)
        error(messages, in_words(failed))
        sys.exit(1)


def in_words(failed: BaseException) -> str:
    """What is no error on purpose."""
    return _refused(failed) or _unknown(failed)


def _refused(failed: BaseException) -> str:
    """With the file, where Python knows it."""
    words, file = refusal(failed), getattr(failed, "filename", None)
    return f"{file}: {words}" if words and file else words[:1].upper() + words[1:]


def _unknown(failed: BaseException) -> str:
    """In a sentence, with the page where it is no use to a person."""
    page = cache_folder() / "error.log"
    from lakehouse.engines import protocol  # noqa: PLC0415

    said = f"{type(failed).__name__}: {protocol.words(failed)}"
    with suppress(OSError):
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(masked("".join(traceback.format_exception(failed))), encoding="utf-8")
    return f"What happened has no words here yet: {said}\nStart again; if it happens again, report it with {page}."


def error(messages: Console, words: str) -> None:
    """It may name files, whose names may hold anything."""
    said = "\n".join(map(_printable, words.split("\n")))
    messages.print(f"[bold red]Error:[/] {escape(said)}")

"""How a run looks: a line per table, the summary whose sums close, and what landing holds beside."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.markup import escape

from jobs.printed import NAMED, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from rich.console import Console

    from lakehouse.audit.turns import Decision, Done, Report
    from lakehouse.graph import Table
    from lakehouse.intake.deliveries.landing import Found
    from lakehouse.intake.records.ledger import Entry
    from lakehouse.runs.run import Run


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
    for words in report.stuck:
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
    from lakehouse.intake.records import retracted  # noqa: PLC0415

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
            console.print(f"  [yellow]retracted[/]: {retraction(one)}")
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


def retraction(one: Entry) -> str:
    """A delivery that is taken back, and why."""
    return (
        f"{escape(visible(one.delivery.path))} [dim]{one.delivery.short_content}: {escape(visible(one.retracted))}[/]"
    )

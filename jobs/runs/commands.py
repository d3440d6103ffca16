"""Commands that bring tables up to date, or say what that would do."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

import typer
from rich.markup import escape

from jobs import printed
from jobs.options import EngineOption, LakeOption, LandingOption, messages
from jobs.places import engine_name, places
from lakehouse.errors import LakehouseError

app = typer.Typer()


TablesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        help="Tables such as gold.daily_sales; what they are made from comes along. All when none is named."
    ),
]


SinceTime = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="TIME", help="Fetch what is of this time on: 2026-11-01, '2026-11-01 12:00' (UTC)."
    ),
]


UntilTime = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Fetch what is of before this time; now without it.")
]


@app.command()
def run(
    tables: TablesArgument = None,
    every: Annotated[
        str | None,
        typer.Option(metavar="60s", help="Keep the session and look again: 30s, 5m, 1h. SIGTERM or Ctrl-C ends it."),
    ] = None,
    lake: LakeOption = None,
    landing: LandingOption = None,
    engine: EngineOption = None,
    since: SinceTime = None,
    until: UntilTime = None,
    from_day: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="DAY",
            help="Judge a table of events again from the day on since which bronze has all; older rows stay.",
        ),
    ] = None,
    only: Annotated[
        bool,
        typer.Option(
            "--only", help="Just the named tables, from their inputs as they stand; fetch nothing. A scheduler's step."
        ),
    ] = False,
) -> None:
    """Fetch what is due, load what is new in landing and in topics, bring tables up to date, and release them.

    What did not move is not touched. Where a source cannot be fetched all else is done, and it ends with 1.
    """
    from jobs.monitoring import alerted
    from jobs.recovery import published
    from jobs.runs import fetched, plain, ran
    from lakehouse import graph
    from lakehouse.runs.run import Run

    _check_once(every, since, until, from_day, only=only)
    where, computes = places(lake, landing), engine_name(engine)
    day, times = _day(from_day), _times(since, until)
    if every:
        from jobs.runs.every import Rounds, release_every, seconds

        known = graph.load()
        wanted = graph.selected(known, tables or [])
        ran.drafts(messages, wanted)
        rounds = Rounds(messages, *where, known, wanted, seconds(every), engine_name=computes)
        rounds.release_every = release_every()
        rounds.go_on()
        return
    with alerted.after(messages, *where, computes) as watch:
        known = graph.load()
        wanted = graph.selected(known, tables or [])
        wanted = {name: one for name, one in wanted.items() if not (only and tables) or name in tables}
        ran.drafts(messages, wanted)
        watch.run = one = Run(*where, known, engine=computes, since=day)
        if not only:
            watch.not_fetched, watch.wanted = fetched.first(messages, one.landing, wanted, *times), wanted
        while True:
            with ran.run(messages, one, wanted) as say:
                try:
                    report = one.execute(wanted, say)
                except LakehouseError:
                    if words := published.words_of_a_stop(one):
                        messages.print(escape(words))
                    raise
            ran.summary(messages, report)
            if not report.is_behind:
                break
            watch.run = one = one.again()
        watch.found = report.found
        published.after(messages, one, report)
        plain.after(messages, one.root, wanted)
    if watch.not_fetched:
        raise typer.Exit(1)


@app.command()
def fetch(
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="Tables whose contract says where they are fetched from; what is due when none is named."),
    ] = None,
    since: SinceTime = None,
    until: UntilTime = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is due, and why.")] = False,
    landing: LandingOption = None,
) -> None:
    """Land what APIs and databases have, page by page; `lakehouse run` does it first, by itself.

    Named sources are fetched at once, due or not. A fetch that was killed goes on at the page that it was killed at.
    """
    from jobs.runs import fetched
    from lakehouse import graph
    from lakehouse.sources import due

    known, where, times = graph.load(), places(None, landing)[1], _times(since, until)
    asked = due.chosen(known, sources) if sources else due.fetched_ones(known)
    if dry_run:
        fetched.show(printed.answers(), where, asked)
        return
    if not (wanted := asked if sources else fetched.wanted(where, known, *times)):
        messages.print("Nothing is due. Whose name is given is fetched all the same.")
        fetched.show(messages, where, asked)
    if fetched.fetch(messages, where, wanted, *times):
        raise typer.Exit(1)


def _check_once(every: str | None, since: str | None, until: str | None, from_day: str | None, *, only: bool) -> None:
    if every and (since or until):
        raise LakehouseError("--since and --until fetch a time once. Leave them out, or --every.")
    if every and from_day:
        raise LakehouseError("--from judges a table again once. Leave it out, or --every.")
    if only and (every or since or until):
        raise LakehouseError(
            "--only is one step, and fetches nothing. Leave it out, or --every, --since and --until: `lakehouse fetch` "
            "takes a time."
        )


def _times(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    from lakehouse.delta.commits.ops import moment

    begin, end = (moment(text) if text else None for text in (since, until))
    if begin and end and begin >= end:
        raise LakehouseError(f"Nothing lies between --since {since} and --until {until}: the first must be earlier.")
    return begin, end


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise LakehouseError(f"--from {text} is no day. Give one such as 2026-01-31.") from error


@app.command()
def plan(tables: TablesArgument = None, lake: LakeOption = None, landing: LandingOption = None) -> None:
    """Say what a run would do, and why; starts no engine, asks no source, and changes nothing."""
    from jobs.runs import fetched, planned, ran
    from lakehouse import graph
    from lakehouse.runs.run import Run
    from lakehouse.sources import due

    known = graph.load()
    wanted = graph.selected(known, tables or [])
    one = Run(*places(lake, landing), known)
    fetched.show(printed.answers(), one.landing, due.fetched_ones(wanted), with_resting=False)
    planned.plan(printed.answers(), one, wanted, engine_name(None))
    ran.drafts(messages, wanted)


@app.command()
def status(lake: LakeOption = None, landing: LandingOption = None) -> None:
    """Show each table: version, rows, rejected rows, when it last changed, what a run would do; and topics' lag."""
    from jobs.monitoring import alerted
    from jobs.runs import planned, ran
    from lakehouse import graph
    from lakehouse.runs.run import Run

    one = Run(*places(lake, landing), graph.load())
    planned.status(printed.answers(), one, engine_name(None))
    alerted.failing(printed.answers(), one.root)
    ran.drafts(messages, one.tables)


@app.command(name="graph")
def graph_() -> None:
    """Print each table with the tables that it reads, parents first, as JSON; docker/airflow makes its tasks from it.

    Read from definitions, without a lake.
    """
    import json

    from lakehouse import graph

    print(json.dumps({name: one.parents for name, one in graph.load().items()}, indent=1))  # noqa: T201

"""The `lakehouse` command: parses arguments, chooses tables, prints. What is done stands in lakehouse/.

Each command imports what it needs when it is called: to learn that nothing is new must not load an engine, nor a
question the contracts.
"""

from __future__ import annotations

import shlex
import sys
from contextlib import contextmanager, suppress
from datetime import date
from enum import StrEnum
from itertools import islice
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from typer.core import TyperCommand

from jobs import printed
from jobs.places import engine_name, places, retention
from lakehouse import logs
from lakehouse.errors import LackingExtraError, LakehouseError
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

app = typer.Typer(
    help="An e-commerce lakehouse whose every number is exact, can be recomputed, explained and rewound.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
minio_app = typer.Typer(help="MinIO in the house: the S3 of this machine, on 127.0.0.1.", no_args_is_help=True)
app.add_typer(minio_app, name="minio")
kafka_app = typer.Typer(help="Kafka in the house: a broker of this machine, on 127.0.0.1.", no_args_is_help=True)
app.add_typer(kafka_app, name="kafka")
serve_app = typer.Typer(help="Gold in the tools that people ask it with.", no_args_is_help=True)
app.add_typer(serve_app, name="serve")
new_app = typer.Typer(help="Drafts of new tables, to be read and corrected.", no_args_is_help=True)
app.add_typer(new_app, name="new")

messages = printed.Terminal(stderr=True)

LakeOption = Annotated[
    str | None,
    typer.Option(
        help="The lake's root: a folder or s3://bucket/prefix.", envvar="LAKEHOUSE_ROOT", show_default="conf/lake.yml"
    ),
]
LandingOption = Annotated[
    str | None,
    typer.Option(
        help="Where exports arrive: a folder or s3://bucket/prefix.",
        envvar="LAKEHOUSE_LANDING",
        show_default="conf/lake.yml",
    ),
]
EngineOption = Annotated[
    str | None,
    typer.Option(
        help="What computes: native, in this process, or spark.",
        envvar="LAKEHOUSE_ENGINE",
        show_default="conf/lake.yml",
    ),
]
ReleaseOption = Annotated[
    int | None,
    typer.Option("--release", metavar="N", min=1, help="Every table as of this release: see `lakehouse releases`."),
]
AsOfOption = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="As of the release that was the newest then: '2022-01-05 12:00:00' (UTC where no zone)."
    ),
]
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


class LogFormat(StrEnum):
    text = logs.TEXT
    json = logs.JSON


@app.callback()
def common(
    log_format: Annotated[
        LogFormat | None,
        typer.Option(
            envvar="LAKEHOUSE_LOG_FORMAT",
            help="Say what is done to programs, on standard error: json, a line each, instead of the words for people; "
            "text beside them. LAKEHOUSE_LOG=debug says more.",
        ),
    ] = None,
) -> None:
    printed.begin(messages, log_format)


class Format(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"


SPELLED = {Format.table: "texts", Format.csv: "cells", Format.json: "objects"}


class File(StrEnum):
    csv = "csv"
    parquet = "parquet"
    xlsx = "xlsx"


class Shape(StrEnum):
    tree = "tree"
    json = "json"


class Program(StrEnum):
    duckdb = "duckdb"
    polars = "polars"
    pandas = "pandas"
    pyarrow = "pyarrow"
    deltalake = "deltalake"
    spark = "spark"
    trino = "trino"
    postgres = "postgres"
    powerbi = "powerbi"
    tableau = "tableau"
    looker = "looker"


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
    from jobs.runs import fetched, plain
    from lakehouse import graph
    from lakehouse.runs.run import Run

    _check_once(every, since, until, from_day, only=only)
    where, computes = places(lake, landing), engine_name(engine)
    day, times = _day(from_day), _times(since, until)
    if every:
        from jobs.runs.every import Rounds, release_every, seconds

        known = graph.load()
        wanted = graph.selected(known, tables or [])
        printed.drafts(messages, wanted)
        rounds = Rounds(messages, *where, known, wanted, seconds(every), engine_name=computes)
        rounds.release_every = release_every()
        rounds.go_on()
        return
    with alerted.after(messages, *where, computes) as watch:
        known = graph.load()
        wanted = graph.selected(known, tables or [])
        wanted = {name: one for name, one in wanted.items() if not (only and tables) or name in tables}
        printed.drafts(messages, wanted)
        watch.run = one = Run(*where, known, engine=computes, since=day)
        if not only:
            watch.not_fetched, watch.wanted = fetched.first(messages, one.landing, wanted, *times), wanted
        while True:
            with printed.run(messages, one, wanted) as say:
                try:
                    report = one.execute(wanted, say)
                except LakehouseError:
                    if words := published.words_of_a_stop(one):
                        messages.print(escape(words))
                    raise
            printed.summary(messages, report)
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
    from lakehouse.delta.ops import moment

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
    from jobs.runs import fetched
    from lakehouse import graph
    from lakehouse.runs.run import Run
    from lakehouse.sources import due

    known = graph.load()
    wanted = graph.selected(known, tables or [])
    one = Run(*places(lake, landing), known)
    fetched.show(printed.answers(), one.landing, due.fetched_ones(wanted), with_resting=False)
    printed.plan(printed.answers(), one, wanted, engine_name(None))
    printed.drafts(messages, wanted)


@app.command()
def status(lake: LakeOption = None, landing: LandingOption = None) -> None:
    """Show each table: version, rows, rejected rows, when it last changed, what a run would do; and topics' lag."""
    from jobs.monitoring import alerted
    from lakehouse import graph
    from lakehouse.runs.run import Run

    one = Run(*places(lake, landing), graph.load())
    printed.status(printed.answers(), one, engine_name(None))
    alerted.failing(printed.answers(), one.root)
    printed.drafts(messages, one.tables)


@app.command()
def alerts(
    test: Annotated[
        str | None, typer.Option(metavar="ROUTE", help="Only send a notice by this route that says it is a test.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is wrong, and tell nobody.")] = False,
    lake: LakeOption = None,
    landing: LandingOption = None,
    engine: EngineOption = None,
) -> None:
    """Say what is wrong, and tell it by the routes of conf/alerts.yml: each problem once, and once when it is over.

    Runs do it by themselves; from cron this also tells that none was started. Ends with 1 where a route takes nothing.
    """
    from jobs.monitoring import alerted
    from lakehouse import conf, graph
    from lakehouse.alerts import notices, rules
    from lakehouse.runs.run import Run

    wanted = rules.load(conf.HOME / "conf")
    if test is not None:
        if test not in wanted.routes:
            there_are = ", ".join(wanted.routes) or "none"
            raise LakehouseError(f"conf/alerts.yml has no route {test}. There are: {there_are}.")
        if why := notices.test(wanted.routes[test], storage.normalise(places(lake, None)[0])):
            raise LakehouseError(f"The route {test} took no notice: {why}")
        messages.print(f"The route {test} took the notice.")
        return
    one = Run(*places(lake, landing), graph.load(), engine=engine_name(engine))
    found, looked = alerted.look(one, wanted, dry_run=dry_run)
    alerted.shown(printed.answers(), found, looked)
    alerted.said(messages, looked)
    if looked.failed:
        raise typer.Exit(1)


@app.command()
def metrics(
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Answer Prometheus here until Ctrl-C, such as at 127.0.0.1:9108."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(metavar="FILE.prom", help="Write them once, whole, to a file that node_exporter reads; for cron."),
    ] = None,
    lake: LakeOption = None,
    landing: LandingOption = None,
) -> None:
    """Tell the lake's numbers as Prometheus takes them; print them without --listen and --file.

    Starts no engine and only reads: logs, and what runs recorded. What takes long is kept for longer, five seconds at
    least. Where the lake is gone lakehouse_up is 0. With LAKEHOUSE_POSTGRES that server's query times too.
    """
    if listen is not None and file is not None:
        raise LakehouseError("--listen and --file go apart: a file is for those whom nobody can scrape.")
    from jobs.monitoring import scraped
    from lakehouse import conf, graph
    from lakehouse.alerts import rules
    from lakehouse.runs.run import Run

    try:
        from lakehouse.metrics import told
    except ImportError:
        raise LackingExtraError("Metrics are told by prometheus-client", "ops") from None
    run_of = Run(*places(lake, landing), graph.load(), engine=engine_name(None))
    one = scraped.Scraped(messages, run_of, rules.load(conf.HOME / "conf"))
    if file is not None:
        told.write(file, one.look)
    elif listen is None:
        sys.stdout.write(told.text(one.look))
    else:
        messages.print(f"Prometheus is answered at {told.serve(listen, one.look)}. Ctrl-C ends it.")
        with suppress(KeyboardInterrupt):
            Event().wait()


@app.command()
def publish(
    despite: Annotated[
        list[str] | None,
        typer.Option(metavar="RULE", help="A rule that stopped a table: what landed is released all the same."),
    ] = None,
    why: Annotated[str | None, typer.Option(metavar="TEXT", help="Why that does no harm; it is kept.")] = None,
    lake: LakeOption = None,
) -> None:
    """Release all tables as they stand, if they go with each other: the last step of spark-submit and of a scheduler.

    `lakehouse run` does it by itself. Ends with 1, and says which table lacks what, where they do not.
    """
    from jobs.recovery import published
    from lakehouse import graph
    from lakehouse.recovery import releases

    if bool(despite) != bool(why):
        raise LakehouseError('--despite RULE and --why "..." go together: a release says why it was made all the same.')
    root = _lake(lake)
    made = releases.publish(root, graph.load(), dict.fromkeys(despite or [], why or ""))
    if made:
        published.published(messages, made)
    else:
        messages.print("Nothing moved since the last release, which stays the newest.")


@app.command(name="releases")
def releases_(lake: LakeOption = None) -> None:
    """List the releases, the newest first: when, how many tables moved, the lowest score."""
    from jobs.recovery import published
    from lakehouse.recovery import releases

    root = _lake(lake)
    known = releases.releases(root)
    published.listed(printed.answers(), known, releases.expired(root, known, retention().releases))


@app.command()
def diff(
    old: Annotated[int, typer.Argument(help="The number of a release.")],
    new: Annotated[int, typer.Argument(help="That of a later one.")],
    lake: LakeOption = None,
) -> None:
    """Say what differs between two releases: rows per table, and which numbers moved most and why."""
    from jobs.recovery import published
    from lakehouse import graph
    from lakehouse.proof import diff as proof
    from lakehouse.recovery import releases

    root = _lake(lake)
    before, after = (releases.release(root, number) for number in sorted((old, new)))
    found = proof.diff(root, graph.load(), before, after)
    published.differences(printed.answers(), found, proof.numbers(found))


@app.command()
def preview(lake: LakeOption = None, engine: EngineOption = None) -> None:
    """Compute changed definitions and conf beside the lake, and say what they would change in the last release."""
    from jobs.recovery import published
    from lakehouse import graph
    from lakehouse.proof import diff as proof
    from lakehouse.proof import preview as beside

    known = graph.load()
    root = _lake(lake)
    width = max(map(len, known)) + 2

    def say(done: Any) -> None:  # noqa: ANN401  a Done, whose module a question does not load
        if done.decision.does_something:
            printed.turn(messages, done, width)

    found = beside.preview(root, known, engine_name(engine), say)
    published.differences(printed.answers(), found, proof.numbers(found))


def _lake(named: str | None) -> str:
    """The root of the lake, which is there."""
    root = storage.normalise(places(named, None)[0])
    storage.check(root, role="lake", must_exist=True)
    return root


@contextmanager
def _of(root: str, number: int | None, moment: str | None) -> Iterator[Any]:
    """The release that --release and --as-of name; None for the newest versions."""
    if number is None and moment is None:
        yield None
        return
    from lakehouse.recovery import releases

    found = releases.asked(root, number, moment)
    with releases.reading(root, found):
        yield found


@contextmanager
def _at(root: str, number: int | None, moment: str | None) -> Iterator[Any]:
    """The point of that release; None for the newest versions."""
    with _of(root, number, moment) as found:
        yield found.point if found else None


@app.command()
def sql(
    statement: Annotated[
        str | None,
        typer.Argument(
            help="One reading statement; tables are named gold.daily_sales. Without it a prompt, or what standard "
            "input says.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Format, typer.Option("--format", help="table for people, csv or json for programs.")
    ] = Format.table,
    release: ReleaseOption = None,
    as_of: AsOfOption = None,
    lake: LakeOption = None,
    engine: EngineOption = None,
) -> None:
    """Ask the lake in Spark SQL; the answer alone goes to standard output. At a prompt where no statement is given."""
    from lakehouse.serving import answers
    from lakehouse.serving import sql as asked_in_sql

    if statement is not None:
        asked_in_sql.check_reading(statement)
    root, computes = _lake(lake), engine_name(engine)

    def answer(asked: str) -> None:
        columns, rows = answers.ask(computes, root, asked, SPELLED[output], at)
        if output is Format.json:
            printed.json_array(rows)
        elif output is Format.csv:
            printed.csv_rows(columns, rows)
        else:
            printed.grid(columns, rows, messages)

    with _of(root, release, as_of) as at:
        if statement is not None:
            answer(statement)
            return
        from jobs.serving import prompt

        if not (sys.stdin.isatty() and output is Format.table):
            prompt.read(sys.stdin.read(), answer)
            return
        from lakehouse.recovery import releases

        def first(asked: str) -> prompt.Answer:
            with releases.reading(root, at):
                columns, rows = answers.ask(computes, root, asked, SPELLED[output], at)
                return columns, [*islice(rows, prompt.MOST + 1)]

        messages.print(f"[dim]lake {escape(root)}{f', release {at.number}' if at else ''}[/]")
        prompt.talk(messages, first)


@app.command()
def connect(
    program: Annotated[Program, typer.Argument(help="Who is to read.")],
    table: Annotated[
        str | None, typer.Argument(help="A table such as gold.daily_sales; the first that it reads by default.")
    ] = None,
    lake: LakeOption = None,
) -> None:
    """Print the lines by which another program reads this lake, and say which tables; never a secret."""
    from lakehouse.serving import connect as ways

    print(ways.lines(_lake(lake), program.value, table))  # noqa: T201


@app.command()
def explain(
    table: Annotated[str, typer.Argument(help="A table such as gold.daily_sales.")],
    where: Annotated[
        str, typer.Option(help="Which of its rows, as in SQL: \"market = 1 and order_date = '2022-01-05'\".")
    ] = "true",
    examples: Annotated[int, typer.Option(help="How many rows to show of each table.", min=1, max=100)] = 5,
    output: Annotated[Shape, typer.Option("--format", help="tree for people, json for programs.")] = Shape.tree,
    release: ReleaseOption = None,
    as_of: AsOfOption = None,
    lake: LakeOption = None,
    landing: LandingOption = None,
    engine: EngineOption = None,
) -> None:
    """Show what a number was made from, down to rows of files, and how it changed over the last runs."""
    from jobs.proof import explained
    from lakehouse import engines, graph
    from lakehouse.proof import explain as walk
    from lakehouse.writes.lake import Lake

    known = graph.load()
    root = _lake(lake)
    with _at(root, release, as_of) as point:
        there = Lake(root, point)
        asked = walk.ask(there, known, table, where)
        started, where_files_are = engines.start(engine_name(engine)), places(lake, landing)[1]
        answer = walk.answer(started, there, known, asked, examples, storage.normalise(where_files_are))
    if output is Shape.json:
        print(explained.as_json(answer))  # noqa: T201
    else:
        explained.explained(printed.answers(), known[table], answer)


def with_a_number(args: list[str]) -> list[str]:
    """`--since` alone means the last run."""
    after = args.index("--since") + 1 if "--since" in args else 0
    return args if not after or "".join(args[after : after + 1]).isdigit() else [*args[:after], "1", *args[after:]]


class _SinceAlone(TyperCommand):
    """Typer itself knows only flags, and options with a value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  typer's own copy of click's
        return super().parse_args(ctx, with_a_number(args))


@app.command(cls=_SinceAlone)
def verify(
    tables: Annotated[list[str] | None, typer.Argument(help="Tables such as gold.daily_sales; all by default.")] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Only about 1 % of the units, others each time.")] = False,
    since: Annotated[
        int | None,
        typer.Option(metavar="[N]", min=1, help="Only the units that the last N runs touched (1 without a number)."),
    ] = None,
    lake: LakeOption = None,
    landing: LandingOption = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="What rebuilds them: native, spark, or other: the one that did not write the table.",
            envvar="LAKEHOUSE_ENGINE",
            show_default="conf/lake.yml",
        ),
    ] = None,
) -> None:
    """Rebuild tables from what they say they include, and compare row by row; ends with 1 where they are not equal.

    What was found is kept as certificates in ops.certificates.
    """
    from jobs.proof import verified
    from lakehouse import graph
    from lakehouse.proof import verify as proof
    from lakehouse.writes.lake import Lake

    if sample and since:
        raise LakehouseError("--sample and --since name different rows. Give one of them.")
    known = graph.load()
    root, files = places(lake, landing)
    storage.check(storage.normalise(root), role="lake", must_exist=True)
    wanted = proof.chosen(Lake(root), known, tables or [])
    scope = proof.Scope("sample") if sample else proof.Scope("since", since) if since else proof.Scope()
    answers = printed.answers()
    say = verified.sayer(answers, wanted)
    verdicts = proof.verify(
        engine if engine == proof.OTHER else engine_name(engine), Lake(root), files, known, wanted, scope, say
    )
    if not verified.summary(answers, verdicts):
        raise typer.Exit(1)


@app.command()
def maintain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    lake: LakeOption = None,
    landing: LandingOption = None,
    engine: EngineOption = None,
) -> None:
    """Compact small files and hidden rows, and delete what no version, release or table that is behind needs.

    `retention:` in conf/lake.yml says for how many days; a file younger than a day is never deleted. What a contract of
    bronze lets go after some days leaves bronze and landing. May run beside others; starts an engine only for rows of
    bronze that are so old.
    """
    from jobs.recovery.maintained import maintained

    maintained(messages, *places(lake, landing), engine_name(engine), dry_run=dry_run)


@app.command()
def check(
    deep: Annotated[bool, typer.Option("--deep", help="Read every byte, against checksums; not only sizes.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Build anew, by a run, what can be made from the layer below.")
    ] = False,
    lake: LakeOption = None,
    landing: LandingOption = None,
    engine: EngineOption = None,
) -> None:
    """Find files that are missing or damaged, gaps in logs, and notes that do not agree with the tables they name.

    Says for each what to do, and ends with 1 where something is wrong. Without --repair it changes nothing and starts
    no engine.
    """
    from jobs.recovery.checked import checked, repaired

    root, files = places(lake, landing)
    found = checked(printed.answers(), root, deep=deep)
    if found and not (repair and repaired(messages, root, files, engine_name(engine), found, deep=deep)):
        raise typer.Exit(1)


@app.command()
def rejected(
    table: Annotated[
        str | None,
        typer.Argument(
            help="A table such as silver.orders: what was rejected on the way to it. All when none is named."
        ),
    ] = None,
    examples: Annotated[int, typer.Option(help="How many rows to show with their text.", min=0)] = 10,
    export: Annotated[
        Path | None,
        typer.Option(help="Write the whole documents to this file, to be corrected and delivered again."),
    ] = None,
    lake: LakeOption = None,
    landing: LandingOption = None,
) -> None:
    """Show what stands in quarantine: counts by rule, and where the rows stand with their text; or export it."""
    from lakehouse import graph
    from lakehouse.serving import quarantine

    known = graph.load()
    root = _lake(lake)
    named = graph.selected(known, [table]) if table else known
    judges = [one for one in named.values() if one.contract.judges]
    if not judges:
        raise LakehouseError(f"Nothing is judged on the way to {table}: its rows are kept as they were delivered.")
    if export is None:
        for one in judges:
            printed.rejected(printed.answers(), root, one, examples, storage.normalise(places(lake, landing)[1]))
        return
    for one in judges:
        if len(judges) > 1:
            names = ", ".join(judge.name for judge in judges)
            raise LakehouseError(f"Each table's documents have columns of their own. Name one of: {names}.")
        source = known[one.parents[0]].contract.source
        printed.exported(messages, one, source, quarantine.export(root, one, export))


class Layer(StrEnum):
    bronze = "bronze"
    silver = "silver"
    gold = "gold"


@app.command()
def rewind(
    to_release: Annotated[int | None, typer.Option(metavar="N", help="The release to go back to.")] = None,
    to: Annotated[
        str | None, typer.Option(metavar="TIME", help="The newest release by then: '2022-01-05 12:00:00', UTC.")
    ] = None,
    layer: Annotated[
        Layer, typer.Option(help="What goes back: this layer and those made from it; the ones below stay.")
    ] = Layer.bronze,
    yes: Annotated[bool, typer.Option("--yes", help="Do it, instead of only saying what would be done.")] = False,
    lake: LakeOption = None,
    landing: LandingOption = None,
) -> None:
    """Take every table back to a release, with its progress; the next run takes up again what came since.

    Without --yes it says what would be lost and what taken again, and changes nothing.
    """
    from jobs.recovery import rewound
    from lakehouse import graph
    from lakehouse.recovery import releases
    from lakehouse.recovery import rewind as back

    root, files = map(storage.normalise, places(lake, landing))
    storage.check(root, role="lake", must_exist=True)
    if (one := releases.asked(root, to_release, to)) is None:
        raise LakehouseError("Say where to go back: --to-release N or --to TIME. `lakehouse releases` lists them.")
    prospect = back.look(root, files, graph.load(), f"to release {one.number}", one.point, layer)
    rewound.prospect(printed.answers(), prospect)
    if yes:
        rewound.restored(messages, prospect, back.go(root, prospect))
    else:
        messages.print("Nothing was changed. The same with --yes does it.")


@app.command()
def retract(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="Delivered files, by their paths in landing; a folder, or a pattern in quotes."
        ),
    ],
    why: Annotated[str, typer.Option(help="The reason, for whoever reads conf/retracted.yml.")],
    rows: Annotated[
        str,
        typer.Option(metavar="17-25", help="Of a topic's partition, as kafka/events/0: the offsets of the messages."),
    ] = "",
    content: Annotated[
        str, typer.Option(help="Of a file that came several times: the first letters of the content that is meant.")
    ] = "",
    then_run: Annotated[bool, typer.Option("--run", help="And run, which takes it out of the tables.")] = False,
    lake: LakeOption = None,
    landing: LandingOption = None,
    engine: EngineOption = None,
) -> None:
    """Take deliveries back, as if they had never come: their rows go into conf/retracted.yml.

    Bronze keeps what they said, and no other table does once the next run has judged without them.
    """
    from jobs.recovery import rewound
    from lakehouse import graph
    from lakehouse.intake import retracted
    from lakehouse.recovery import retention as let_go
    from lakehouse.runs.run import Run

    known = graph.load()
    one = Run(*places(lake, landing), known, engine=engine_name(engine))
    one.open()
    if rows:
        rewound.messages_taken_back(messages, retracted.add_messages(known, files, rows, why), known)
        if then_run:
            run(lake=lake, landing=landing, engine=engine)
        return
    known_files = retracted.marked(one.ledger.entries, one.retracted)
    entries = retracted.of_files(known_files, [retracted.path_in(one.landing, file) for file in files], content)
    rewound.taken_back(messages, retracted.add(entries, why), entries, known)
    for words in let_go.said(one.root, {entry.delivery.table: None for entry in entries}):
        messages.print(escape(words))
    if then_run:
        run(lake=lake, landing=landing, engine=engine)


@app.command()
def lineage(
    of: Annotated[
        str, typer.Argument(metavar="TABLE[.COLUMN]", help="Such as gold.daily_sales, or gold.daily_sales.revenue.")
    ],
    readers: Annotated[
        bool, typer.Option("--readers", help="The other way: what is made from it, so what changes with it.")
    ] = False,
    output: Annotated[Shape, typer.Option("--format", help="tree for people, json for programs.")] = Shape.tree,
) -> None:
    """Show which columns a column is made from, down to what is delivered; read from definitions, without a lake."""
    from jobs.proof import traced
    from lakehouse import graph
    from lakehouse.lineage import columns

    known = graph.load()
    place = traced.place(known, of)
    trace = traced.trace(known, columns.of(known, known), place, readers=readers)
    if output is Shape.json:
        print(traced.as_json(trace))  # noqa: T201
    else:
        traced.traced(printed.answers(), trace)


@app.command(name="graph")
def graph_() -> None:
    """Print each table with the tables that it reads, parents first, as JSON; docker/airflow makes its tasks from it.

    Read from definitions, without a lake.
    """
    import json

    from lakehouse import graph

    print(json.dumps({name: one.parents for name, one in graph.load().items()}, indent=1))  # noqa: T201


@app.command()
def docs(
    file: Annotated[Path, typer.Argument(help="The page to write, over one that is there.")] = Path("docs.html"),
    release: ReleaseOption = None,
    as_of: AsOfOption = None,
    lake: LakeOption = None,
) -> None:
    """Write one HTML page of every table: meanings, units, rules, lineage, freshness, examples.

    No engine starts, but where a definition is new, to read how its columns are made.
    """
    from jobs.docs import html as look
    from lakehouse import graph
    from lakehouse.lineage import columns
    from lakehouse.serving import docs as facts

    root, known = storage.normalise(places(lake, None)[0]), graph.load()
    with _at(root, release, as_of) as point:
        found = facts.gather(root, known, point=point, lineages=columns.of(known, known))
    facts.write(look.page(found), file)
    printed.documented(messages, found, file)


@app.command()
def export(
    table: Annotated[str, typer.Argument(help="A table such as gold.daily_sales, or a view such as ops.freshness.")],
    output: Annotated[File, typer.Option("--format", help="xlsx for people; csv and parquet for programs.")],
    to: Annotated[
        Path | None, typer.Option(help="The file, over one that is there; daily_sales.csv if not said.")
    ] = None,
    release: ReleaseOption = None,
    as_of: AsOfOption = None,
    lake: LakeOption = None,
) -> None:
    """Write a table as one file, row after row; in csv and xlsx no cell is a formula."""
    from lakehouse import engines, graph
    from lakehouse.serving import export as files

    root = _lake(lake)
    file = to or Path(f"{table.rpartition('.')[2]}.{output}")
    with _at(root, release, as_of) as point:
        rows = files.export(engines.reader(), root, table, output, file, point)
    messages.print(f"Wrote {rows:,} rows of {escape(table)} to {escape(str(file))}.")
    known = graph.load().get(table)
    if known and known.contract.personal:
        messages.print(f"It has columns that may be about people: {', '.join(known.contract.personal)}.")


@app.command()
def report(
    to: Annotated[
        Path | None, typer.Option(help="The page to write, over one that is there.", show_default="report.html")
    ] = None,
    release: ReleaseOption = None,
    as_of: AsOfOption = None,
    lake: LakeOption = None,
    engine: EngineOption = None,
) -> None:
    """Write the report of a release as one HTML page: revenue, customers, products, deliveries, what changed."""
    from lakehouse import engines
    from lakehouse.recovery import releases
    from lakehouse.serving import docs as facts

    look = _look_of_report("html")
    root = _lake(lake)
    one = releases.asked(root, release, as_of) or releases.last(root)
    with releases.reading(root, one):
        found = look.gather(engines.reader(engine_name(engine)), root, one, look.changes(root, one))
    file = to or Path("report.html")
    facts.write(look.page(found), file)
    messages.print(f"Wrote {escape(str(file))}: the report of release {one.number} of the lake {escape(root)}.")


@app.command()
def dashboard(
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Of 127.0.0.1, where browsers of this machine ask.")
    ] = 8123,
    lake: LakeOption = None,
    engine: EngineOption = None,
) -> None:
    """Serve the report with choices of release, market and days, on this machine alone, until Ctrl-C."""
    from lakehouse import engines
    from lakehouse.recovery import releases

    look = _look_of_report("dashboard")
    root = _lake(lake)
    releases.last(root)
    served = look.Dashboard(engines.reader(engine_name(engine)), root, retention().releases)
    with look.server(served, port) as server, suppress(KeyboardInterrupt):
        messages.print(f"Serving the lake {escape(root)} at http://127.0.0.1:{port}. Ctrl-C ends it.")
        server.serve_forever()


def _look_of_report(name: str) -> Any:  # noqa: ANN401
    """The module, whose charts need the extra. Raises LakehouseError where it is not installed."""
    from importlib import import_module

    try:
        return import_module(f"jobs.report.{name}")
    except ImportError as error:
        raise LackingExtraError("The report's charts are drawn by Altair", "report") from error


@app.command()
def demo(
    minio: Annotated[
        bool, typer.Option("--minio", help="On MinIO instead of a local folder; leaves it running.")
    ] = False,
    postgres: Annotated[
        bool, typer.Option("--postgres", help="And serve both releases to a PostgreSQL, which is started and ended.")
    ] = False,
    sources: Annotated[
        bool, typer.Option("--sources", help="And fetch from an API and a database, which are started and ended.")
    ] = False,
    events: Annotated[
        bool,
        typer.Option(
            "--events", help="Instead, a day of users' traffic through a Kafka broker that is started and ended."
        ),
    ] = False,
) -> None:
    """Make sample exports of two markets, build the lake, deliver another day and a late file, and look at it."""
    from contextlib import ExitStack

    from jobs.demo import two_days as show

    if events and (minio or postgres or sources):
        raise LakehouseError("--events is a demo of its own. Leave out the other options.")
    if events:
        from jobs.demo import traffic

        traffic.demo(messages)
        return
    with ExitStack() as until:
        url, shop = "", None
        if sources:
            from jobs.demo.shop import opened

            shop = until.enter_context(opened())
        if postgres:
            from lakehouse.serving.postgres import server

            url = until.enter_context(server.running())
        show.demo(messages, on_minio=minio, postgres=url, shop=shop)


@app.command()
def jars() -> None:
    """Print the jars that Spark needs beside its own, for `spark-submit --jars`; fetches them the first time."""
    from lakehouse.engines import jvm

    print(",".join(str(jar) for jar in jvm.jars(messages.print)))  # noqa: T201


@serve_app.command("postgres")
def serve_postgres(
    to: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="postgresql://user@host:5432/database, without a password: that is in PGPASSWORD or ~/.pgpass.",
            show_default="the variable LAKEHOUSE_POSTGRES, whose URL may hold one",
        ),
    ] = None,
    lake: LakeOption = None,
) -> None:
    """Bring PostgreSQL to the newest release: its schema gold, for BI tools. Only rows that differ are written."""
    from jobs.serving import postgres

    postgres.into_postgres(messages, postgres.address(to), _lake(lake))


@new_app.command("source")
def new_source(
    file: Annotated[Path, typer.Argument(help="A file of it: CSV or JSON, compressed or not, Parquet, or a workbook.")],
    name: Annotated[
        str, typer.Option(metavar="BRONZE.X", help="The table of its rows.", show_default="the file's name")
    ] = "",
    silver: Annotated[
        str, typer.Option(metavar="SILVER.X", help="The table of its newest right rows.", show_default="the same name")
    ] = "",
    landing: LandingOption = None,
) -> None:
    """Profile a file, and write the draft of its source: two contracts, two modules and their tests.

    Types, blanks, keys, dates and what holds in every row stand in the contracts with what they were found by. Nothing
    that is there is written over.
    """
    from jobs import drafted
    from lakehouse import contract
    from lakehouse.conf import HOME
    from lakehouse.scaffold import files, source

    where = places(None, landing)[1]
    made = source.draft(file, where, contract.load(HOME / "conf"), name, silver)
    drafted.source(messages, made, files.write(HOME, made.files), where)


@new_app.command("table")
def new_table(
    name: Annotated[str, typer.Argument(help="Of the new table: gold.returns_daily, or silver.x.")],
    parent: Annotated[
        str | None, typer.Option("--from", metavar="TABLE", help="What it is computed from.", show_default="a guess")
    ] = None,
) -> None:
    """Write the draft of a table computed from another one: its contract, module, test and, of gold, its recomputation.

    It counts the rows and adds up the amounts of each day, or of what else the other table has.
    """
    from jobs import drafted
    from lakehouse import graph
    from lakehouse.conf import HOME
    from lakehouse.scaffold import files, table

    made = table.draft(name, graph.load(), parent)
    drafted.table(messages, made, files.write(HOME, made.files))


@minio_app.command("start")
def minio_start() -> None:
    """Start it (building it the first time, about three minutes) and make its bucket and users."""
    from lakehouse.store import minio

    server = minio.start(minio.FOLDER, say=messages.print)
    minio.ensure_bucket(server)
    minio.reader_and_writer(server)
    messages.print(f'MinIO is running at {server.endpoint}. For this shell: eval "$(lakehouse minio status --env)"')


@minio_app.command("stop")
def minio_stop() -> None:
    """Stop it; its data stay."""
    from lakehouse.store import minio

    messages.print("MinIO is stopped." if minio.stop(minio.FOLDER) else "MinIO was not running.")


@minio_app.command("status")
def minio_status(
    env: Annotated[
        bool, typer.Option("--env", help="Print the AWS_* variables of its lakehouse user, for eval.")
    ] = False,
) -> None:
    """Say whether it runs, and where."""
    from lakehouse.store import minio

    server = minio.status(minio.FOLDER)
    if server is None:
        raise LakehouseError("MinIO is not running. Start it with `lakehouse minio start`.")
    if not env:
        messages.print(f"MinIO is running at {server.endpoint}, its data in {server.folder}.")
        return
    _, writer = minio.reader_and_writer(server)
    for name, value in writer.environment().items():
        print(f"export {name}={shlex.quote(value)}")  # noqa: T201


@kafka_app.command("start")
def kafka_start() -> None:
    """Start it (the first time it is fetched: 44 MB). It needs Java 17 or newer, and asks nobody who he is."""
    from lakehouse.sources import broker

    address = broker.start(say=messages.print).address
    messages.print(f'Kafka is running at {address}. For this shell: eval "$(lakehouse kafka status --env)"')


@kafka_app.command("stop")
def kafka_stop() -> None:
    """Stop it; its topics stay."""
    from lakehouse.sources import broker

    messages.print("Kafka is stopped." if broker.stop(broker.FOLDER) else "Kafka was not running.")


@kafka_app.command("status")
def kafka_status(
    env: Annotated[bool, typer.Option("--env", help="Print KAFKA_SERVERS, for eval.")] = False,
) -> None:
    """Say whether it runs, and where."""
    from lakehouse.sources import broker

    running = broker.status(broker.FOLDER)
    if running is None:
        raise LakehouseError("Kafka is not running. Start it with `lakehouse kafka start`.")
    if env:
        print(f"export KAFKA_SERVERS={running.address}")  # noqa: T201
    else:
        messages.print(f"Kafka is running at {running.address}, its data in {running.folder}.")


@serve_app.command("trino")
def serve_trino(
    port: Annotated[int, typer.Option(help="Where it listens, on this machine alone.", min=1, max=65535)] = 8080,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="No server: only keep one in step that runs there by docker/trino's settings."
        ),
    ] = None,
    lake: LakeOption = None,
) -> None:
    """Show gold in Trino until Ctrl-C: a schema for each kept release, gold for the newest, gold_live as it is now.

    In gold_local the newest stands as each market writes. It needs Java 24 or newer, and fetches Trino (821 MB) the
    first time. Who asks may only read.
    """
    from jobs.serving import trino

    trino.trino(messages, _lake(lake), port, at)


def main() -> None:
    """The entry point: an error on purpose is printed without a traceback, and ends with 1."""
    with printed.errors(messages):
        app()


if __name__ == "__main__":
    main()

"""Commands for who asks: by SQL, by files, and by the tools that people have."""

from __future__ import annotations

import sys
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from jobs import printed
from jobs.options import (
    AsOfOption,
    EngineOption,
    LakeOption,
    LandingOption,
    ReleaseOption,
    lake_of,
    messages,
    point_of,
    release_of,
)
from jobs.places import engine_name, places
from lakehouse.errors import LakehouseError
from lakehouse.store import storage

app = typer.Typer()
serve_app = typer.Typer(help="Gold in the tools that people ask it with.", no_args_is_help=True)
app.add_typer(serve_app, name="serve")


class Format(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"


SPELLED = {Format.table: "texts", Format.csv: "cells", Format.json: "objects"}


class File(StrEnum):
    csv = "csv"
    parquet = "parquet"
    xlsx = "xlsx"


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
    from lakehouse.serving.questions import answers
    from lakehouse.serving.questions import sql as asked_in_sql

    if statement is not None:
        asked_in_sql.check_reading(statement)
    root, computes = lake_of(lake), engine_name(engine)

    def answer(asked: str) -> None:
        columns, rows = answers.ask(computes, root, asked, SPELLED[output], at)
        if output is Format.json:
            printed.json_array(rows)
        elif output is Format.csv:
            printed.csv_rows(columns, rows)
        else:
            printed.grid(columns, rows, messages)

    with release_of(root, release, as_of) as at:
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

    print(ways.lines(lake_of(lake), program.value, table))  # noqa: T201


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
    from jobs.serving import kept_out
    from lakehouse import graph
    from lakehouse.serving import quarantine

    known = graph.load()
    root = lake_of(lake)
    named = graph.selected(known, [table]) if table else known
    judges = [one for one in named.values() if one.contract.judges]
    if not judges:
        raise LakehouseError(f"Nothing is judged on the way to {table}: its rows are kept as they were delivered.")
    if export is None:
        for one in judges:
            kept_out.rejected(printed.answers(), root, one, examples, storage.normalise(places(lake, landing)[1]))
        return
    for one in judges:
        if len(judges) > 1:
            names = ", ".join(judge.name for judge in judges)
            raise LakehouseError(f"Each table's documents have columns of their own. Name one of: {names}.")
        source = known[one.parents[0]].contract.source
        kept_out.exported(messages, one, source, quarantine.export(root, one, export))


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

    root = lake_of(lake)
    file = to or Path(f"{table.rpartition('.')[2]}.{output}")
    with point_of(root, release, as_of) as point:
        rows = files.export(engines.reader(), root, table, output, file, point)
    messages.print(f"Wrote {rows:,} rows of {escape(table)} to {escape(str(file))}.")
    known = graph.load().get(table)
    if known and known.contract.personal:
        messages.print(f"It has columns that may be about people: {', '.join(known.contract.personal)}.")


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

    postgres.into_postgres(messages, postgres.address(to), lake_of(lake))


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

    trino.trino(messages, lake_of(lake), port, at)

"""Commands that prove, explain and compare numbers."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from jobs import printed
from jobs.options import (
    AsOfOption,
    EngineOption,
    LakeOption,
    LandingOption,
    ReleaseOption,
    Shape,
    lake_of,
    messages,
    point_of,
)
from jobs.places import engine_name, places
from lakehouse.errors import LakehouseError
from lakehouse.store import storage

app = typer.Typer()


@app.command()
def diff(
    old: Annotated[int, typer.Argument(help="The number of a release.")],
    new: Annotated[int, typer.Argument(help="That of a later one.")],
    lake: LakeOption = None,
) -> None:
    """Say what differs between two releases: rows per table, and which numbers moved most and why."""
    from jobs.recovery import published
    from lakehouse import graph
    from lakehouse.causes import diff as proof
    from lakehouse.recovery import releases

    root = lake_of(lake)
    before, after = (releases.release(root, number) for number in sorted((old, new)))
    found = proof.diff(root, graph.load(), before, after)
    published.differences(printed.answers(), found, proof.numbers(found))


@app.command()
def preview(lake: LakeOption = None, engine: EngineOption = None) -> None:
    """Compute changed definitions and conf beside the lake, and say what they would change in the last release."""
    from jobs.recovery import published
    from jobs.runs import ran
    from lakehouse import graph
    from lakehouse.causes import diff as proof
    from lakehouse.causes import preview as beside

    known = graph.load()
    root = lake_of(lake)
    width = max(map(len, known)) + 2

    def say(done: Any) -> None:  # noqa: ANN401  a Done, whose module a question does not load
        if done.decision.does_something:
            ran.turn(messages, done, width)

    found = beside.preview(root, known, engine_name(engine), say)
    published.differences(printed.answers(), found, proof.numbers(found))


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
    from lakehouse.causes import explain as walk
    from lakehouse.writes.lake import Lake

    known = graph.load()
    root = lake_of(lake)
    with point_of(root, release, as_of) as point:
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

"""Commands that make releases and go back to them, and that check and maintain a lake."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from rich.markup import escape

from jobs import printed
from jobs.options import EngineOption, LakeOption, LandingOption, lake_of, messages
from jobs.places import engine_name, places, retention
from lakehouse.errors import LakehouseError
from lakehouse.store import storage

app = typer.Typer()


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
    root = lake_of(lake)
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

    root = lake_of(lake)
    known = releases.releases(root)
    published.listed(printed.answers(), known, releases.expired(root, known, retention().releases))


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
    from jobs.runs.commands import run
    from lakehouse import graph
    from lakehouse.intake.records import retracted
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

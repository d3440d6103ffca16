"""What the three spark-submit jobs share: bring one layer up to date, in the session that spark-submit gives."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs import plain, printed
from jobs.places import engine_name, places
from lakehouse import graph
from lakehouse.runs.run import Run


def run_layer(layer: str) -> None:
    """Parse --lake and --landing (or the variables, or conf/lake.yml) and run the layer's tables in order."""
    messages = printed.Terminal(stderr=True)

    def main(
        lake: Annotated[str | None, typer.Option(envvar="LAKEHOUSE_ROOT")] = None,
        landing: Annotated[str | None, typer.Option(envvar="LAKEHOUSE_LANDING")] = None,
    ) -> None:
        tables = graph.load()
        wanted = {name: table for name, table in tables.items() if name.startswith(f"{layer}.")}
        run = Run(*places(lake, landing), tables, engine=engine_name(None))
        with printed.run(messages, run, wanted) as say:
            report = run.execute(wanted, say)
        printed.summary(messages, report)
        plain.after(messages, run.root, wanted)

    with printed.errors(messages):
        typer.run(main)

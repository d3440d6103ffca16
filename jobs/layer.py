"""What the three spark-submit jobs share: bring one layer up to date, in the session that spark-submit gives."""

from __future__ import annotations

import typer

from jobs import printed
from jobs.monitoring import alerted
from jobs.options import LakeOption, LandingOption, messages
from jobs.places import engine_name, places
from jobs.runs import plain, ran
from lakehouse import graph
from lakehouse.runs.run import Run


def run_layer(layer: str) -> None:
    """Parse --lake and --landing (or the variables, or conf/lake.yml) and run the layer's tables in order."""

    def main(lake: LakeOption = None, landing: LandingOption = None) -> None:
        printed.begin(messages)
        where, computes = places(lake, landing), engine_name(None)
        with alerted.after(messages, *where, computes) as watch:
            tables = graph.load()
            wanted = {name: table for name, table in tables.items() if name.startswith(f"{layer}.")}
            watch.run = run = Run(*where, tables, engine=computes)
            with ran.run(messages, run, wanted) as say:
                report = run.execute(wanted, say)
            ran.summary(messages, report)
            watch.found = report.found
            plain.after(messages, run.root, wanted)

    with printed.errors(messages):
        typer.run(main)

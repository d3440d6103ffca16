"""Commands that show a release in charts."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from jobs.options import AsOfOption, EngineOption, LakeOption, ReleaseOption, lake_of, messages
from jobs.places import engine_name, retention
from lakehouse.errors import LackingExtraError

app = typer.Typer()


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
    root = lake_of(lake)
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
    root = lake_of(lake)
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

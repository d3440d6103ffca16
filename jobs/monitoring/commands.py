"""Commands for who watches."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from jobs import printed
from jobs.options import EngineOption, LakeOption, LandingOption, messages
from jobs.places import engine_name, places
from lakehouse.errors import LackingExtraError, LakehouseError
from lakehouse.store import storage

app = typer.Typer()


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
            raise LakehouseError(
                f"conf/alerts.yml has no route {test}. Write it below `routes:`. There are: {there_are}."
            )
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

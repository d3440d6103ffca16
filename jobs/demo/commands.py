"""The command that shows all of it, on samples."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.options import messages
from lakehouse.errors import LakehouseError

app = typer.Typer()


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

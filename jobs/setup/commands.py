"""Commands that come first: drafts of tables, jars of Spark, MinIO and Kafka on this machine."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from jobs.options import LandingOption, messages
from jobs.places import places
from lakehouse.errors import LakehouseError

app = typer.Typer()
minio_app = typer.Typer(help="MinIO in the house: the S3 of this machine, on 127.0.0.1.", no_args_is_help=True)
app.add_typer(minio_app, name="minio")
kafka_app = typer.Typer(help="Kafka in the house: a broker of this machine, on 127.0.0.1.", no_args_is_help=True)
app.add_typer(kafka_app, name="kafka")
new_app = typer.Typer(help="Drafts of new tables, to be read and corrected.", no_args_is_help=True)
app.add_typer(new_app, name="new")


@app.command()
def jars() -> None:
    """Print the jars that Spark needs beside its own, for `spark-submit --jars`; fetches them the first time."""
    from lakehouse.engines.spark import jvm

    print(",".join(str(jar) for jar in jvm.jars(messages.print)))  # noqa: T201


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
    from jobs.setup import drafted
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
    from jobs.setup import drafted
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

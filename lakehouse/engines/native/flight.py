"""Questions to Sail by Arrow Flight SQL: its client is loaded in a third of a second, Spark's takes two more.

It is another server of the same engine, in this process and behind the same door, with Spark's dialect and its time in
UTC. `lakehouse sql` asks it; tables are built by engine.py.
"""

from __future__ import annotations

import atexit
import re
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import flight

from lakehouse.engines.native import guard, sail
from lakehouse.engines.protocol import UnansweredError
from lakehouse.errors import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

QUERY = b"type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery"
KIND = re.compile(r"([\w ]*\berror\b[\w ]*: )+")  # of an error, as Sail and Arrow say it before the error itself
UNKNOWN = re.compile(r"attribute ObjectName\(\[(.+?)\]\) is missing from the schema")
PART = re.compile(r'Identifier\("(.+?)"\)')
UNGROUPED = re.compile(r'No field named \S*"#\d+"')


class Flight:
    """One connection to the one server; names are those of its session."""

    def __init__(self, client: flight.FlightClient) -> None:
        self.client = client

    @classmethod
    def start(cls) -> Flight:
        """The process's, started where it is not."""
        return _started()

    def table(self, name: str, address: str, version: int, columns: Sequence[str]) -> None:
        named = ", ".join(f"`{column}`" for column in columns)
        folder = sail.copied(address, version)
        there = f"parquet.`{folder}`" if folder else f"delta.`{sail.reachable(address)}` version as of {version}"
        self.view(name, f"select {named} from {there}")  # noqa: S608

    def view(self, name: str, statement: str) -> None:
        self.arrow(f"create or replace temporary view `{name}` as {statement}")

    def frame(self, name: str, rows: pa.Table) -> None:
        self.view(name, f"select * from parquet.`{sail.scratch().write(rows)}`")  # noqa: S608

    def schema(self, statement: str) -> pa.Schema:
        with _in_words():
            return self.client.get_flight_info(_command(statement)).schema

    def rows(self, statement: str) -> Iterator[tuple[Any, ...]]:
        for batch in self.batches(statement):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)

    def batches(self, statement: str) -> Iterator[pa.RecordBatch]:
        with _in_words():
            for part in self._answer(statement):
                yield part.data

    def arrow(self, statement: str) -> pa.Table:
        with _in_words():
            return self._answer(statement).read_all()

    def _answer(self, statement: str) -> flight.FlightStreamReader:
        found = self.client.get_flight_info(_command(statement))
        return self.client.do_get(found.endpoints[0].ticket)


@cache
def _started() -> Flight:
    sail.scratch()
    from pysail.flight import FlightSqlServer  # noqa: PLC0415

    server = FlightSqlServer("127.0.0.1", 0)
    with sail.own_interrupts():
        client, port, why_not = guard.start(server, _connect)
    sail.warn(why_not)

    def end() -> None:
        client.close()
        server.stop()
        if port:
            port.close()

    atexit.register(end)
    return Flight(client)


def _connect(host: str, port: int) -> tuple[flight.FlightClient, Future[Any]]:
    """It connects with its first question, which Sail prepares its session for."""
    client = flight.FlightClient((host, port), generic_options=list(guard.OPTIONS))
    with_one = ThreadPoolExecutor(1)
    asked = with_one.submit(client.get_flight_info, _command("select 1"))
    with_one.shutdown(wait=False)
    return client, asked


def _command(statement: str) -> flight.FlightDescriptor:
    """A CommandStatementQuery in a protobuf Any, as Flight SQL has it; protobuf itself takes a tenth of a second."""
    return flight.FlightDescriptor.for_command(_field(1, QUERY) + _field(2, _field(1, statement.encode())))


def _field(number: int, content: bytes) -> bytes:
    """One field of bytes in protobuf's format: its number and kind, its length in sevens of bits, itself."""
    sevens, rest = bytearray(), len(content)
    while rest >= 1 << 7:
        sevens.append(rest % (1 << 7) + (1 << 7))
        rest >>= 7
    return bytes([number << 3 | 2, *sevens, rest]) + content


@contextmanager
def _in_words() -> Iterator[None]:
    """The first line of what it was in the end: the rest is for Sail's developers."""
    try:
        yield
    except pa.ArrowException as error:
        if refused := refusal(error):
            raise UnansweredError(refused) from error
        said = str(error).partition(", with message: ")[2] or str(error)
        cause = said.partition(". gRPC client debug")[0].rpartition("caused by\n")[2].strip()
        raise UnansweredError(_plainer(KIND.sub("", cause, count=1).splitlines()[0])) from error


def _plainer(said: str) -> str:
    """The two mistakes that people make most, which Sail says by the names of its own parts."""
    if unknown := UNKNOWN.match(said):
        return f"there is no column {'.'.join(PART.findall(unknown[1]))} in what it reads"
    if UNGROUPED.match(said):
        return "a column stands neither in `group by` nor in an aggregate, such as sum"
    return said

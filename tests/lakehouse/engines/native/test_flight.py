"""Questions to the native engine: its reader says what the engine itself computes, behind the same door."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from lakehouse import engines
from lakehouse.delta.commits import committer
from lakehouse.delta.commits.committer import Target
from lakehouse.engines.native import engine as native
from lakehouse.engines.native import flight, guard
from lakehouse.engines.protocol import UnansweredError

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.native.engine import Native
    from lakehouse.engines.protocol import Reader

SCHEMA = pa.schema({"id": pa.int64(), "day": pa.string(), "n": pa.int64()})


@pytest.fixture(scope="module")
def reader() -> Reader:
    return engines.reader()


def rows(*ids: int) -> pa.Table:
    return pa.table({"id": [*ids], "day": [f"day {one % 2}" for one in ids], "n": [10 * one for one in ids]}, SCHEMA)


@pytest.mark.parametrize("name", ["lake", "my lake"])
@pytest.mark.parametrize("vectors", [False, True])
def test_a_table_is_what_it_was_at_its_version(tmp_path: Path, reader: Reader, name: str, vectors: bool) -> None:  # noqa: FBT001
    target = Target(str(tmp_path / name), SCHEMA, partition_by=("day",), vectors=vectors)
    committer.overwrite(target, -1, rows(1, 2, 3, 4), None)
    committer.replace_units(target, 0, ["id"], rows(2), pa.table({"id": [3]}), None)
    for version, ids in enumerate([[1, 2, 3, 4], [1, 2, 4]]):
        reader.table("t", target.address, version, ["n", "day"])
        found = reader.arrow("select * from t order by n")
        assert found.to_pylist() == [{"n": 10 * one, "day": f"day {one % 2}"} for one in ids]


def test_a_version_before_a_checkpoint_is_found(
    tmp_path: Path, engine: Native, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sail 0.7.2 looks for the log of some of them only from the commit before on."""
    monkeypatch.setattr(native, "FEW_BYTES", -1)
    target = Target(str(tmp_path), SCHEMA, vectors=True)
    committer.overwrite(target, -1, rows(*range(100)), None)
    for base in range(11):
        committer.replace_units(target, base, ["id"], rows(), pa.table({"id": [base]}), None)
    for version in (0, 5, 10, 11):
        reader.table("t", target.address, version, ["n", "day"])
        assert reader.arrow("select count(*) as n from t").to_pylist() == [{"n": 100 - version}]
        assert engine.read(target.address, version).count() == 100 - version


def test_rows_come_as_they_are_asked_for_and_views_may_name_views(reader: Reader) -> None:
    reader.frame("numbers", rows(3, 1, 2))
    reader.view("doubled", "select id, n * 2 as twice from numbers")
    assert reader.schema("select * from doubled").names == ["id", "twice"]
    assert list(reader.rows("select * from doubled order by id")) == [(1, 20), (2, 40), (3, 60)]


@pytest.mark.slow
@pytest.mark.parametrize("length", [1, 127, 128, 16_383, 16_384, 3_000_000])
def test_a_statement_may_be_long(reader: Reader, length: int) -> None:
    assert list(reader.rows(f"select length('{'x' * length}')")) == [(length,)]


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("select nothing_at_all", "answered: there is no column nothing_at_all in what it reads"),
        ("select t.nope from (select 1 as a) t", "answered: there is no column t.nope in what it reads"),
        (
            "select a, b from (select 1 as a, 2 as b) t group by a",
            "answered: a column stands neither in `group by` nor",
        ),
        ("select from where", "answered: found end of input expected expression"),
        ("select * from nowhere", "answered: Table not found: .*nowhere"),
        ("select cast('x' as int)", "answered: Cannot cast string 'x' to value of Int32 type"),
        ("select 1 / 0", "answered: Divide by zero error"),
        ("select 1 from delta.`/nowhere`", "answered: .*No commit files found"),
    ],
)
def test_what_cannot_be_answered_is_one_line(reader: Reader, statement: str, words: str) -> None:
    with pytest.raises(UnansweredError, match=words) as error:
        reader.arrow(statement)
    assert "\n" not in str(error.value)
    assert "Flight" not in str(error.value)


def test_times_are_in_utc_wherever_the_machine_is(reader: Reader) -> None:
    assert list(reader.rows("select current_timezone(), cast(timestamp'2022-01-05 12:00:00+02:00' as string)")) == [
        ("UTC", "2022-01-05 10:00:00")
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="without /proc it is not guarded")
def test_its_door_is_shut_behind_the_one_connection() -> None:
    from pysail.flight import FlightSqlServer  # noqa: PLC0415

    server = FlightSqlServer("127.0.0.1", 0)
    client, port, why_not = guard.start(server, flight._connect)  # noqa: SLF001
    try:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(server.listening_address, timeout=5)
        assert (why_not, flight.Flight(client).arrow("select 1 as n").to_pylist()) == ("", [{"n": 1}])
    finally:
        client.close()
        server.stop()
        if port:
            port.close()

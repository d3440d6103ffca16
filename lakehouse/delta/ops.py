"""The core's own tables, `ops.*`: small, appended to once per run by delta-rs, and read without a JVM."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from lakehouse.delta import progress
from lakehouse.errors import LakehouseError, refusal
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from arro3.core import Array, Table
    from deltalake import CommitProperties, DeltaTable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Kind = Literal["text", "whole", "small", "real", "truth", "moment"]


def append(root: str, name: str, types: Mapping[str, Kind], rows: Sequence[Mapping[str, Any]]) -> None:
    """Append rows to `ops.<name>` in one commit; without rows there is none. `moment` is a time with its zone."""
    if not rows:
        return
    from deltalake import write_deltalake  # noqa: PLC0415

    address = progress.address(root, name)
    where = storage.for_deltalake(address)
    with _in_words(address):
        write_deltalake(address, arrow(types, rows), mode="append", schema_mode="merge", storage_options=where)


class WrittenMeanwhileError(LakehouseError):
    """Somebody else wrote the table since it was read."""


def create(root: str, name: str, types: Mapping[str, Kind], rows: Sequence[Mapping[str, Any]]) -> None:
    """The first commit of `ops.<name>`. Raises WrittenMeanwhileError where there is one already."""
    from deltalake import write_deltalake  # noqa: PLC0415

    address = progress.address(root, name)
    where, rules = storage.for_deltalake(address), _no_retry()
    with _alone(name, address):
        write_deltalake(address, arrow(types, rows), mode="error", storage_options=where, commit_properties=rules)


def merge(
    root: str,
    name: str,
    types: Mapping[str, Kind],
    rows: Sequence[Mapping[str, Any]],
    version: int,
    on: Sequence[str],
    insert_unless: str = "",
) -> None:
    """Update the rows that are the same `on` these columns, in the one commit that follows the version.

    With `insert_unless`, a condition over the table's row `t`, rows are updated only where it holds, and others come
    beside. Raises WrittenMeanwhileError where another commit follows the version.
    """
    table = open_table(progress.address(root, name), version)
    if table is None:
        raise LakehouseError(f"{progress.address(root, name)} is gone. Restore it before the next run.")
    same = " and ".join(f"t.{column} = s.{column}" for column in on) + (
        f" and {insert_unless}" if insert_unless else ""
    )
    source = arrow(types, rows)
    merging = table.merge(
        source,
        same,
        source_alias="s",
        target_alias="t",
        merge_schema=True,  # a ledger of before has fewer columns
        commit_properties=_no_retry(),
    )
    merging = merging.when_matched_update_all()
    with _alone(name, progress.address(root, name)):
        (merging.when_not_matched_insert_all() if insert_unless else merging).execute()


def _no_retry() -> CommitProperties:
    from deltalake import CommitProperties  # noqa: PLC0415

    return CommitProperties(max_commit_retries=0)


@contextmanager
def _in_words(address: str) -> Iterator[None]:
    """What the machine refuses is no other writer."""
    from deltalake.exceptions import DeltaError  # noqa: PLC0415

    try:
        storage.check_room(address)
        yield
    except (DeltaError, OSError) as error:
        if said := refusal(error):
            raise LakehouseError(f"{address} could not be written: {said}") from error
        raise


@contextmanager
def _alone(name: str, address: str) -> Iterator[None]:
    from deltalake.exceptions import DeltaError  # noqa: PLC0415

    try:
        with _in_words(address):
            yield
    except DeltaError as error:
        raise WrittenMeanwhileError(f"Another run wrote {name} at the same moment. Start this one again.") from error


def arrow(types: Mapping[str, Kind], rows: Sequence[Mapping[str, Any]]) -> Table:
    """The rows as deltalake takes them. By pyarrow a first table costs a second: it looks for pandas, and loads it."""
    from arro3.core import Table  # noqa: PLC0415

    columns = [_array(kind, [row[column] for row in rows]) for column, kind in types.items()]
    return Table.from_arrays(columns, names=list(types))


def _array(kind: Kind, values: list[Any]) -> Array:
    from arro3.core import Array, DataType  # noqa: PLC0415

    kinds = {"text": DataType.string(), "whole": DataType.int64(), "small": DataType.int32()}
    kinds |= {"real": DataType.float64(), "truth": DataType.bool(), "moment": DataType.timestamp("us", tz="UTC")}
    if kind == "moment":
        ticks = [None if value is None else (value - EPOCH) // timedelta(microseconds=1) for value in values]
        return Array(ticks, type=kinds["whole"]).cast(kinds["moment"])
    return Array(values, type=kinds[kind])


def query(address: str, statement: str, version: int | None = None, **others: str) -> list[dict[str, Any]]:
    """Rows of a small answer; the table is `t`, `others` by their names. Empty where there is no such table."""
    from deltalake import QueryBuilder  # noqa: PLC0415

    builder = QueryBuilder()
    for name, place in {"t": address, **others}.items():
        opened = open_table(place, version if name == "t" else None)
        if opened is None:
            return []
        builder = builder.register(name, opened)
    table = builder.execute(statement).read_all()
    columns = [table.column(name).to_pylist() for name in table.column_names]
    return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


def open_table(address: str, version: int | None = None) -> DeltaTable | None:
    """The table by delta-rs, at its newest version or another; None where there is none yet."""
    from deltalake import DeltaTable  # noqa: PLC0415
    from deltalake.exceptions import TableNotFoundError  # noqa: PLC0415

    try:
        return DeltaTable(address, version=version, storage_options=storage.for_deltalake(address))
    except TableNotFoundError:
        return None

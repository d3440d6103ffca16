"""The core's own tables, `ops.*`: small, appended to once per run, and asked by delta-rs, without a JVM."""

from __future__ import annotations

import re
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from lakehouse.delta.commits.conflicts import after_others
from lakehouse.delta.tables import log, progress
from lakehouse.errors import LakehouseError
from lakehouse.store import storage
from lakehouse.store.storage import BrokenOffError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa
    from arro3.core import Array, Table
    from deltalake import DeltaTable

    from lakehouse.delta.commits.committer import Target
    from lakehouse.delta.tables.log import Action, Snapshot

OF_A_STORE = re.compile(r"S3 error|[Oo]bject [Ss]tore error|Error performing (GET|HEAD|PUT|list)")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Kind = Literal["text", "whole", "small", "real", "truth", "moment"]


@after_others
def append(root: str, name: str, types: Mapping[str, Kind], rows: Sequence[Mapping[str, Any]]) -> None:
    """Append rows to `ops.<name>` in one commit, behind those of others; without rows there is none.

    `moment` is a time with its zone.
    """
    if not rows:
        return
    address = progress.address(root, name)
    try:
        follow(root, name, types, rows, _newest(address))
    except log.DamagedLogError as error:
        what = f"{error} Or move {address} away: it tells of earlier runs, and no number depends on it."
        raise LakehouseError(what) from error


def create(root: str, name: str, types: Mapping[str, Kind], rows: Sequence[Mapping[str, Any]]) -> None:
    """The first commit of `ops.<name>`. Raises ConflictError where there is one already."""
    follow(root, name, types, rows, -1)


def follow(
    root: str,
    name: str,
    types: Mapping[str, Kind],
    rows: Sequence[Mapping[str, Any]],
    version: int,
    note: str | None = None,
) -> None:
    """Append rows in the one commit that follows the version. Raises ConflictError where another one does.

    The `note` can be read without the rows, from the log alone.
    """
    from lakehouse.delta.commits import committer  # noqa: PLC0415  Arrow, which a look at the lake does not pay for

    address, new = progress.address(root, name), _arrow_rows(types, rows)
    committer.append(_target(address, new), version, new, note)


def replace(
    root: str,
    name: str,
    types: Mapping[str, Kind],
    rows: Sequence[Mapping[str, Any]],
    version: int,
    on: Sequence[str],
    gone: Sequence[Mapping[str, Any]] = (),
) -> None:
    """These rows come, and those leave that are the same as they or as `gone` ones `on` these columns.

    In the one commit that follows the version. Raises ConflictError where another one follows it.
    """
    from lakehouse.delta.commits import committer  # noqa: PLC0415  Arrow, which a look at the lake does not pay for

    address, new = progress.address(root, name), _arrow_rows(types, rows)
    left = _arrow_rows({column: types[column] for column in on}, gone) if gone else None
    stored = log.snapshot(address, version)
    if stored is None:
        raise LakehouseError(f"{address} is gone. Restore it before the next run.")
    if set(new.column_names) <= set(log.schema(stored).names):
        committer.replace_units(_target(address, new), version, on, new, left, None)
    else:  # a ledger of before has fewer columns
        committer.overwrite(_target(address, new), version, _all(stored, new, left, on), None)


def stored(
    root: str, name: str, types: Mapping[str, Kind], rows: Sequence[Mapping[str, Any]], version: int
) -> list[Action]:
    """The rows in files of `ops.<name>`, of the columns that it had at a version; no commit names them yet."""
    from lakehouse.delta.files import parquet  # noqa: PLC0415  Arrow, which a look at the lake does not pay for

    address, new = progress.address(root, name), _arrow_rows(types, rows)
    then = log.snapshot(address, version)
    names = log.schema(then).names if then else new.column_names
    return parquet.write(address, new.select([one for one in names if one in new.column_names]))


def _all(stored: Snapshot, new: pa.Table, left: pa.Table | None, on: Sequence[str]) -> pa.Table:
    """The rows that stay, with the columns that are new, and the new ones."""
    import pyarrow as pa  # noqa: PLC0415

    from lakehouse.delta.commits import leaving  # noqa: PLC0415
    from lakehouse.delta.files import feed  # noqa: PLC0415

    rows, names = feed.read(stored.address, stored.version), list(on)
    keys = pa.concat_tables([new.select(names), *([] if left is None else [left])])
    left = set(leaving.places_of(keys, rows).to_pylist())
    stay = rows.take(pa.array([place for place in range(rows.num_rows) if place not in left], pa.int64()))
    return pa.concat_tables([new.schema.empty_table(), stay, new], promote_options="default")


def _target(address: str, rows: pa.Table) -> Target:
    from lakehouse.delta.commits.committer import Target  # noqa: PLC0415

    return Target(address, rows.schema, properties={})


def _newest(address: str) -> int:
    now = log.snapshot(address)
    return now.version if now else -1


def _arrow_rows(types: Mapping[str, Kind], rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """By a stream: where pyarrow makes a table itself it looks for pandas, and loads it, which takes a second."""
    import pyarrow as pa  # noqa: PLC0415

    return pa.RecordBatchReader.from_stream(arrow(types, rows)).read_all()


def arrow(types: Mapping[str, Kind], rows: Sequence[Mapping[str, Any]]) -> Table:
    """The rows in Arrow's types."""
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


def moment(text: str) -> datetime:
    """A time as a person writes it; UTC where it says no zone."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise LakehouseError(f"{text!r} is no time. Write one such as '2022-01-05 12:00:00' (UTC).") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def query(address: str, statement: str, version: int | None = None, **others: str) -> list[dict[str, Any]]:
    """Rows of a small answer; the table is `t`, `others` by their names. Empty where there is no such table."""
    return list(each(address, statement, version, **others))


def newest(address: str, of: str, where: str = "true") -> list[dict[str, Any]]:
    """Of the rows `where` something holds the newest, by `at`, for each value of these columns, and in their order."""
    place = f"row_number() over (partition by {of} order by at desc)"
    numbered = f"select *, {place} as place from t where {where}"  # noqa: S608
    return query(address, f"select * from ({numbered}) as numbered where place = 1 order by {of}")  # noqa: S608


def each(address: str, statement: str, version: int | None = None, **others: str) -> Iterator[dict[str, Any]]:
    """As `query`, of an answer of many rows: they are never all there at once as Python's objects."""
    for batch in storage.patiently(lambda: _batches(address, statement, version, others), BrokenOffError):
        columns = [batch.column(name).to_pylist() for name in batch.column_names]
        yield from (dict(zip(batch.column_names, row, strict=True)) for row in zip(*columns, strict=True))


def _batches(address: str, statement: str, version: int | None, others: Mapping[str, str]) -> list[Any]:
    from deltalake import QueryBuilder  # noqa: PLC0415

    builder = QueryBuilder()
    with ExitStack() as until:
        until.enter_context(_in_words(address))
        for name, place in {"t": address, **others}.items():
            opened = until.enter_context(_opened(place, version if name == "t" else None))
            if opened is None:
                return []
            builder = builder.register(name, opened)
        try:
            return list(builder.execute(statement).read_all().to_batches())
        except Exception as error:
            if lost := progress.lost_files(log.snapshot(address, version)):
                what = f"{address}/{lost[0]} is gone or cut. Bring that file back from a copy."
                raise LakehouseError(what) from error
            raise


@contextmanager
def _in_words(address: str) -> Iterator[None]:
    """delta-rs raises what a store did not answer as a page, of a class that it has for everything."""
    try:
        yield
    except Exception as error:
        if not OF_A_STORE.search(str(error)) or isinstance(error, LakehouseError):
            raise
        raise BrokenOffError(
            f"S3 did not answer whole when {address} was asked. Start the run again; it goes on where it stopped."
        ) from error


@contextmanager
def _opened(address: str, version: int | None = None) -> Iterator[DeltaTable | None]:
    """The table by delta-rs, at its newest version or another; None where there is none yet."""
    if log.snapshot(address) is None:
        yield None
        return
    from deltalake import DeltaTable  # noqa: PLC0415

    with storage.reachable(address) as place:
        yield DeltaTable(place, version=version, storage_options=storage.for_deltalake(address))

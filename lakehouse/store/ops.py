"""The core's own tables, `ops.*`: small, appended to once per run by delta-rs, and read without a JVM."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from lakehouse.store import progress, storage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from arro3.core import Array, Table

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Kind = Literal["text", "whole", "small", "real", "truth", "moment"]


def append(root: str, name: str, types: Mapping[str, Kind], rows: Sequence[Mapping[str, Any]]) -> None:
    """Append rows to `ops.<name>` in one commit; without rows there is none. `moment` is a time with its zone."""
    if not rows:
        return
    from deltalake import write_deltalake  # noqa: PLC0415

    address = progress.address(root, name)
    write_deltalake(address, arrow(types, rows), mode="append", schema_mode="merge", storage_options=storage.for_deltalake(address))


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


def query(address: str, statement: str, **others: str) -> list[dict[str, Any]]:
    """Rows of a small answer; the table is `t`, `others` by their names. Empty where there is no such table."""
    from deltalake import QueryBuilder  # noqa: PLC0415

    builder = QueryBuilder()
    for name, place in {"t": address, **others}.items():
        log = progress.open_table(place)
        if log is None:
            return []
        builder = builder.register(name, log)
    table = builder.execute(statement).read_all()
    columns = [table.column(name).to_pylist() for name in table.column_names]
    return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]

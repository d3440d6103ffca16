"""The core's own tables, `ops.*`: small, appended to once per run by delta-rs, and read without a JVM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from lakehouse import progress, storage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Kind = Literal["text", "whole", "small", "real", "truth", "moment"]


def append(root: str, name: str, types: Mapping[str, Kind], rows: Sequence[Mapping[str, Any]]) -> None:
    """Append rows to `ops.<name>` in one commit; without rows there is none. `moment` is a time with its zone."""
    if not rows:
        return
    import pyarrow as pa  # noqa: PLC0415  a quarter of a second that an idle run does not pay
    from deltalake import write_deltalake  # noqa: PLC0415

    kinds = {"text": pa.string(), "whole": pa.int64(), "small": pa.int32(), "real": pa.float64(), "truth": pa.bool_()}
    kinds["moment"] = pa.timestamp("us", tz="UTC")
    schema = pa.schema([(column, kinds[kind]) for column, kind in types.items()])
    address = progress.address(root, name)
    table = pa.Table.from_pylist(list(rows), schema=schema)
    write_deltalake(address, table, mode="append", storage_options=storage.for_deltalake(address))


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

"""Data files say what is in them, exactly or not at all; what is read back is what was written."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.delta.files import parquet
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from pathlib import Path

DIGITS = "12345678901234567890.123456789012345678"
UTC_TIME = pa.timestamp("us", "UTC")


def bounds(column: pa.Array) -> tuple[str, str] | None:
    """The bounds of a column as they stand in the log, or None."""
    said = json.loads(parquet.statistics(pa.table({"c": column})), parse_float=str)
    return (said["minValues"]["c"], said["maxValues"]["c"]) if "c" in said["minValues"] else None


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([3, None, -1], pa.int64(), (-1, 3)),
        ([date(2024, 2, 1), date(1, 1, 1)], pa.date32(), ("0001-01-01", "2024-02-01")),
        ([Decimal(DIGITS)], pa.decimal128(38, 18), (DIGITS, DIGITS)),
        ([Decimal(0)], pa.decimal128(38, 18), ("0.000000000000000000",) * 2),
        ([0.1, -2.5], pa.float64(), ("-2.5", "0.1")),
        ([-0.0, 0.0], pa.float64(), ("-0.0", "0.0")),
        ([0.0], pa.float64(), ("-0.0", "0.0")),
        ([1.0, float("nan")], pa.float64(), None),
        ([1.0, float("inf")], pa.float64(), None),
        ([True, False], pa.bool_(), None),
        ([b"x"], pa.binary(), None),
        ([None, None], pa.int32(), None),
        (["b", "a"], pa.string(), ("a", "b")),
        (["x" * 33], pa.string(), ("x" * 32, "x" * 32 + "\U0010ffff")),
        (["x" * 32 + "\U0010ffff" * 2], pa.string(), None),
        ([10_000_000_000], UTC_TIME, ("1970-01-01T02:46:40.000Z",) * 2),
        ([1], UTC_TIME, ("1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00.001Z")),
        ([-1], UTC_TIME, ("1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00.000Z")),
        ([253402300799999999], UTC_TIME, None),  # a microsecond before the year 10000
    ],
)  # fmt: skip
def test_bounds_hold_every_value_or_are_absent(values: list[Any], kind: pa.DataType, expected: object) -> None:
    assert bounds(pa.array(values, kind)) == expected


def test_rows_and_nulls_are_counted_and_only_the_first_columns_have_bounds() -> None:
    said = json.loads(parquet.statistics(pa.table({f"c{n}": [1, None] for n in range(40)})))
    assert said["numRecords"] == 2
    assert said["tightBounds"] is True
    assert said["nullCount"] == dict.fromkeys(said["maxValues"], 1)
    assert len(said["maxValues"]) == 32


def test_statistics_that_are_loosened_keep_every_digit() -> None:
    table = pa.table({"m": pa.array([Decimal("0.1234567890123456789")], pa.decimal128(38, 19)), "f": [1e300]})
    loose = parquet.loosened({"stats": parquet.statistics(table)}, 5)
    assert '"m":0.1234567890123456789' in loose
    assert json.loads(loose)["maxValues"]["f"] == 1e300
    assert (json.loads(loose)["numRecords"], json.loads(loose)["tightBounds"]) == (5, False)


@pytest.mark.slow
def test_a_file_has_at_most_400_000_rows(tmp_path: Path) -> None:
    files = parquet.write(str(tmp_path), pa.table({"n": range(900_000)}))
    assert [parquet.rows_in(str(tmp_path), file) for file in files] == [400_000, 400_000, 100_000]


def test_no_rows_make_no_file(tmp_path: Path) -> None:
    assert (
        parquet.write(str(tmp_path), pa.table({"n": pa.array([], pa.int64()), "p": pa.array([], pa.string())}), ["p"])
        == []
    )


def test_partition_columns_are_in_the_log_and_not_in_the_file(tmp_path: Path) -> None:
    rows = pa.table({"n": [1, 2, 3], "p": ["a/b %", None, "a/b %"], "d": [date(2024, 1, 1), None, date(2024, 1, 1)]})
    first, second = sorted(
        parquet.write(str(tmp_path), rows, ["p", "d"]), key=lambda file: str(file["partitionValues"])
    )
    assert first["partitionValues"] == {"p": "a/b %", "d": "2024-01-01"}
    assert second["partitionValues"] == {"p": None, "d": None}
    assert first["path"].startswith("p=a%252Fb%20%2525/d=2024-01-01/")
    assert second["path"].startswith("p=__HIVE_DEFAULT_PARTITION__/d=__HIVE_DEFAULT_PARTITION__/")
    assert parquet.read(str(tmp_path), first, rows.schema).to_pylist() == [rows.to_pylist()[0], rows.to_pylist()[2]]
    assert pq.read_schema(next((tmp_path / "p=a%2Fb %25" / "d=2024-01-01").iterdir())).names == ["n"]


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (True, pa.bool_(), "true"),
        (-3, pa.int32(), "-3"),
        (Decimal("1.50"), pa.decimal128(10, 2), "1.50"),
        (datetime(2024, 1, 1, 10, tzinfo=UTC), UTC_TIME, "2024-01-01T10:00:00.000000Z"),
    ],
)
def test_a_partitions_value_is_a_text_and_comes_back(
    tmp_path: Path, value: object, kind: pa.DataType, text: str
) -> None:
    rows = pa.table({"p": pa.array([value], kind), "n": [1]})
    (file,) = parquet.write(str(tmp_path), rows, ["p"])
    assert file["partitionValues"] == {"p": text}
    assert parquet.read(str(tmp_path), file, rows.schema) == rows


def test_both_spellings_of_a_timestamp_are_read() -> None:
    assert parquet.value("2024-01-01 10:00:00", UTC_TIME) == parquet.value("2024-01-01T10:00:00.000000Z", UTC_TIME)


def test_an_empty_text_as_a_partition_is_refused_because_delta_reads_it_as_null(tmp_path: Path) -> None:
    with pytest.raises(LakehouseError, match="p divides the table into partitions and holds an empty text"):
        parquet.write(str(tmp_path), pa.table({"n": [1], "p": [""]}), ["p"])


def test_the_log_counts_where_a_file_holds_its_partition_columns_too(tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": [1], "p": [99]}), tmp_path / "a.parquet")
    file = {"path": "a.parquet", "partitionValues": {"p": "7"}}
    schema = pa.schema([("p", pa.int64()), ("n", pa.int64()), ("later", pa.string())])
    assert parquet.read(str(tmp_path), file, schema).to_pylist() == [{"p": 7, "n": 1, "later": None}]
    assert parquet.read(str(tmp_path), file, schema, ["p"]).to_pylist() == [{"p": 7}]


def test_rows_are_written_in_the_tables_types_and_other_columns_are_refused_all_at_once() -> None:
    schema = pa.schema([("n", pa.int32()), ("s", pa.string())])
    given = pa.table({"s": pa.array(["a"], pa.large_string()), "n": pa.array([1], pa.int32())})
    assert parquet.conformed("gold.x", given, schema).schema == schema
    wrong = r"gold.x holds the columns {'n': 'long', 'z': 'long'}, promised are {'n': 'integer', 's': 'string'}"
    with pytest.raises(LakehouseError, match=wrong):
        parquet.conformed("gold.x", pa.table({"n": [1], "z": [1]}), schema)


def test_a_timestamp_of_spark_has_no_zone_and_is_utc(tmp_path: Path) -> None:
    far = [datetime(1600, 1, 1, tzinfo=UTC), datetime(2300, 1, 1, tzinfo=UTC)]
    rows = pa.table({"t": pa.array(far, UTC_TIME)})
    pq.write_table(rows, tmp_path / "a.parquet", use_deprecated_int96_timestamps=True)
    assert parquet.read(str(tmp_path), {"path": "a.parquet"}, rows.schema) == rows


def test_a_column_stored_in_another_type_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": pa.array([1], pa.int32())}), tmp_path / "a.parquet")
    with pytest.raises(LakehouseError, match="holds n as int32, the table as int64"):
        parquet.read(str(tmp_path), {"path": "a.parquet"}, pa.schema([("n", pa.int64())]))


def test_a_file_of_an_engine_is_described_from_its_footer(tmp_path: Path) -> None:
    columns = {
        "n": pa.array([1, 2, None, 4], pa.int64()),
        "m": pa.array([Decimal("1.50"), Decimal("-2.25"), None, None], pa.decimal128(20, 2)),
        "t": pa.array([1, 2, 3, 1001], UTC_TIME),
        "s": ["a", "b", "c", "d"],
        "f": [1.0, float("nan"), 2.0, 3.0],
        "none": pa.array([None] * 4, pa.int32()),
    }
    path = str(tmp_path / "a b.parquet")
    pq.write_table(pa.table(columns), path, row_group_size=2)
    schema = pa.table(columns).schema
    (file,) = parquet.adopt(str(tmp_path), {path: {}}, schema)
    said = json.loads(file["stats"], parse_float=str)
    assert said["numRecords"] == 4
    assert said["minValues"] == {"n": 1, "m": "-2.25", "t": "1970-01-01T00:00:00.000Z"}
    assert said["maxValues"] == {"n": 4, "m": "1.50", "t": "1970-01-01T00:00:00.002Z"}
    assert said["nullCount"] == {"n": 1, "m": 2, "t": 0, "s": 0, "f": 0, "none": 4}
    with pytest.raises(LakehouseError, match="holds the columns"):
        parquet.adopt(str(tmp_path), {path: {}}, schema.set(0, pa.field("n", pa.int32())))


def test_a_file_in_folders_of_partitions_is_described_with_their_values(tmp_path: Path) -> None:
    values = parquet.of_folders("p=a%2Fb/q=__HIVE_DEFAULT_PARTITION__/a.parquet")
    assert values == {"p": "a/b", "q": None}
    pq.write_table(pa.table({"n": [1]}), tmp_path / "a.parquet")
    schema = pa.schema([("n", pa.int64()), ("p", pa.string()), ("q", pa.int32())])
    (file,) = parquet.adopt(str(tmp_path), {f"{tmp_path}/a.parquet": values}, schema)
    assert file["path"].startswith("p=a%252Fb/q=__HIVE_DEFAULT_PARTITION__/part-")
    assert parquet.read(str(tmp_path), file, schema).to_pylist() == [{"n": 1, "p": "a/b", "q": None}]

"""Delivered files as rows of text: each read by its own header, nothing guessed, nothing dropped."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import reduce
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from lakehouse import landing, storage
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakehouse.contract import Source
    from lakehouse.landing import Taken

CORE_COLUMNS = ("_file", "_row", "_batch", "_sequence", "_delivered_at", "_problem", "_raw")
CORRUPT = "_corrupt"
# Spark numbers rows by partition (the high bits) and place in it; with one file per partition the place is the row.
PLACE_BITS = (1 << 33) - 1


def rows(spark: SparkSession, root: str, source: Source, batch: list[Taken]) -> DataFrame:
    """All rows of the batch: CORE_COLUMNS, what the path says (market), then the union of the files' columns as text.

    `_row` counts a file's records from 1, without the header. `_problem` is `width` or `json` where a record is not
    what its file announces; `_raw` then has its text, and the columns what could be read.
    """
    # One file per partition, so that the row's number is its place; coalesced afterwards.
    spark.conf.set("spark.sql.files.openCostInBytes", str(1 << 40))
    spark.conf.set("spark.sql.files.maxPartitionBytes", str(1 << 40))
    frames = _csv(spark, root, batch) if source.format == "csv" else _json(spark, root, batch)
    text = reduce(lambda left, right: left.unionByName(right, allowMissingColumns=True), frames)
    facts = _facts(spark, root, batch)
    parts = [name for name in facts.columns if name not in CORE_COLUMNS and name != "_path"]
    delivered = [name for name in text.columns if name not in {"_path", *CORE_COLUMNS}]
    return (
        text.join(F.broadcast(facts), on="_path", how="inner")
        .select(*CORE_COLUMNS, *parts, *delivered)
        .coalesce(2 * spark.sparkContext.defaultParallelism)
    )


def _csv(spark: SparkSession, root: str, batch: list[Taken]) -> list[DataFrame]:
    by_header = defaultdict(list)
    for taken in batch:
        if taken.delivery.header:  # an empty file has neither header nor rows
            by_header[taken.delivery.header].append(taken.delivery.path)
    frames = []
    for header, paths in by_header.items():
        names = landing.column_names(header)
        fields = [
            StructField(name, StringType(), metadata={"comment": text})
            for text, name in zip(header, names.values(), strict=True)
        ]
        schema = StructType([*fields, StructField(CORRUPT, StringType())])
        read = spark.read.schema(schema).csv(
            [_escaped(_full(root, path)) for path in paths],
            header=True,
            multiLine=True,
            escape='"',
            mode="PERMISSIVE",
            columnNameOfCorruptRecord=CORRUPT,
        )
        frames.append(_numbered(read, "width"))
    return frames


def _json(spark: SparkSession, root: str, batch: list[Taken]) -> list[DataFrame]:
    """By a schema of strings, since inference and maps both damage numbers: 1.10 would become 1.1."""
    paths = [_escaped(_full(root, taken.delivery.path)) for taken in batch]
    spark.conf.set("spark.sql.caseSensitive", "true")  # keys that differ by case are two keys until they are folded
    names = landing.column_names(_keys(spark, paths))
    schema = StructType([*(StructField(key, StringType()) for key in names), StructField(CORRUPT, StringType())])
    read = spark.read.schema(schema).json(
        paths, multiLine=True, mode="PERMISSIVE", columnNameOfCorruptRecord=CORRUPT, primitivesAsString=True
    )
    by_name = defaultdict(list)
    for key, name in names.items():
        by_name[name].append(key)
    columns = [
        F.coalesce(*(F.col(f"`{key}`") for key in keys)).alias(name, metadata={"comment": " or ".join(keys)})
        for name, keys in by_name.items()
    ]
    numbered = _numbered(read, "json")
    return [numbered.select("_path", "_row", "_problem", "_raw", *columns)]


def _keys(spark: SparkSession, paths: list[str]) -> list[str]:
    """The keys of all objects; two keys of one object that fold to one column are an error that names both."""
    objects = spark.read.text(paths, wholetext=True).select(
        F.explode(F.from_json("value", "array<map<string,string>>")).alias("object")
    )
    keys_of_objects = objects.select(F.array_sort(F.map_keys("object")).alias("keys")).distinct().collect()
    for row in keys_of_objects:
        names = landing.column_names(row["keys"])
        for key, name in names.items():
            if twins := [other for other, folded in names.items() if folded == name and other != key]:
                raise LakehouseError(
                    f"A JSON object in {', '.join(paths)} has two keys that both fold to {name}: {key!r} and "
                    f"{twins[0]!r}. Nothing was loaded. Rename one of them."
                )
    return sorted({key for row in keys_of_objects for key in row["keys"]})


def _numbered(read: DataFrame, problem: str) -> DataFrame:
    return read.select(
        F.col("_metadata.file_path").alias("_path"),
        (F.monotonically_increasing_id().bitwiseAND(F.lit(PLACE_BITS)) + 1).alias("_row"),
        F.when(F.col(CORRUPT).isNotNull(), F.lit(problem)).alias("_problem"),
        F.col(CORRUPT).alias("_raw"),
        *(F.col(f"`{name}`") for name in read.columns if name != CORRUPT),
    )


def _facts(spark: SparkSession, root: str, batch: list[Taken]) -> DataFrame:
    """What the ledger knows of each file, by the path as Spark prints it."""
    parts = sorted(batch[0].delivery.parts)
    values = [
        (
            _as_spark_prints(spark, _full(root, taken.delivery.path)),
            taken.delivery.path,
            taken.batch,
            taken.delivery.sequence,
            taken.delivery.delivered_at,
            *(taken.delivery.parts[part] for part in parts),
        )
        for taken in batch
    ]
    core = "_path string, _file string, _batch bigint, _sequence string, _delivered_at timestamp"
    return spark.createDataFrame(values, ", ".join([core, *(f"{part} int" for part in parts)]))


def _full(root: str, path: str) -> str:
    return f"{storage.for_spark(root)}/{path}"


def _escaped(path: str) -> str:
    """File names may hold what Hadoop takes for a pattern."""
    return re.sub(r"([\\{}\[\]*?])", r"\\\1", path)


def _as_spark_prints(spark: SparkSession, path: str) -> str:
    jvm: Any = spark.sparkContext._jvm  # noqa: SLF001  the only way to its own spelling of blanks and percent signs
    return str(jvm.org.apache.hadoop.fs.Path(path.replace("file:///", "file:/")).toUri().toString())

"""The column lineage of tables: once for each definition, kept in the cache folder. `python -m` derives what lacks."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse import engines, graph
from lakehouse.delta.tables.types import arrow_schema
from lakehouse.engines import protocol
from lakehouse.errors import LakehouseError
from lakehouse.intake.rows import files, messages
from lakehouse.lineage import origins
from lakehouse.lineage.origins import FILTER, GROUP_BY, SORT, Frame, UnknownPlanError, indirectly, merged
from lakehouse.store.cache import cache_folder
from lakehouse.writes.lake import conf_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyspark.sql import DataFrame

    from lakehouse.contract import Contract
    from lakehouse.graph import Table
    from lakehouse.lineage.origins import Origins


@dataclass(frozen=True)
class Lineage:
    """By column what it is made from, and what decides which `rows` there are; `unknown` says why that is not known.

    An origin is an input, as build() names it, and a column of it; of `landing` a column as bronze calls it.
    """

    columns: Mapping[str, Origins] = field(default_factory=dict)
    rows: Origins = field(default_factory=dict)
    unknown: str = ""


_known: dict[str, Lineage] = {}  # a process that is kept asks again at every round


def of(tables: Mapping[str, Table], names: Iterable[str], engine: str = engines.NATIVE) -> dict[str, Lineage]:
    """Of the named tables. `engine`: the one that this process runs, if any.

    Plans are read from the native one's client, so beside another one a process derives what is not known yet.
    """
    keys = {name: _key(tables[name], tables) for name in names}
    lacking = [name for name, key in keys.items() if key not in _known and not _load(key)]
    if lacking and engine != engines.NATIVE:
        command = [sys.executable, "-m", "lakehouse.lineage.columns", *lacking]
        subprocess.run(command, check=False, cwd=graph.HOME, capture_output=True)
        lacking = [name for name in lacking if not _load(keys[name])]
        _known.update({keys[name]: Lineage(unknown="it could not be derived beside Spark") for name in lacking})
    elif lacking:
        for name in lacking:
            _keep(keys[name], derived(tables[name], tables))
    return {name: _known[key] for name, key in keys.items()}


def _key(table: Table, tables: Mapping[str, Table]) -> str:
    """Of the table's definition, and of what its inputs have."""
    inputs = {name: _columns_of(tables[name].contract) for name in table.parents}
    conf = {name: str(conf_table(name).schema) for name in table.inputs if name.startswith("conf.")}
    facts = json.dumps([_how(), table.fingerprint, inputs, conf], sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()[:24]


@cache
def _how() -> list[str]:
    """How plans are read: what was read otherwise is derived anew."""
    return [Path(one).read_text(encoding="utf-8") for one in (__file__, str(origins.__file__))]


def _columns_of(contract: Contract) -> dict[str, str]:
    """Of the stored table; those of bronze that no contract knows are read by no build()."""
    own = {name: column.type for name, column in contract.columns.items()}
    if contract.write != "append":
        return own | (contract.types_of_the_core if contract.judges else {})
    return {**(files.CORE_COLUMNS if contract.takes_files else messages.CORE_COLUMNS), **own}


# Derived


def derived(table: Table, tables: Mapping[str, Table]) -> Lineage:
    """From the plan of what the core makes of its inputs, by the native engine's client."""
    try:
        frame = _frame(table, tables)
        columns = {name: frame.of(name) for name in table.contract.columns if name != table.contract.position}
    except (UnknownPlanError, LakehouseError) as error:
        return Lineage(unknown=f"{table.name}: {error}")
    except protocol.errors() as error:
        return Lineage(unknown=f"{table.name}: {protocol.words(error)}")
    return Lineage(columns, frame.rows)


def _frame(table: Table, tables: Mapping[str, Table]) -> Frame:
    """What is stored, before what repeats or is older is left out."""
    from lakehouse.engines.native import engine as native  # noqa: PLC0415  its client; a cached lineage is read without

    engine = engines.start()
    schemas = {name: conf_table(name).schema for name in table.inputs if name.startswith("conf.")}
    for name in table.inputs:
        if name not in schemas:
            schemas[name] = arrow_schema(_columns_of(tables[name].contract if name in tables else table.contract))
    frames = {name: engine.frame(schema.empty_table()) for name, schema in schemas.items()}
    plans = {name: native.plan(rows) for name, rows in frames.items()}
    inputs = {plan.read.data_source.paths[0]: (name, schemas[name].names) for name, plan in plans.items()}
    return _judged(table, origins.of_plan(native.plan(_made(table, tables, frames)), inputs))


def _made(table: Table, tables: Mapping[str, Table], frames: dict[str, DataFrame]) -> DataFrame:
    if not table.contract.judges:
        return table.build(*(frames[name] for name in table.inputs))
    from lakehouse.documents.judgement import parsing  # noqa: PLC0415
    from lakehouse.events import judging  # noqa: PLC0415

    source = table.parents[0]
    bronze, rows = tables[source].contract, frames[source]
    columns = _columns_of(bronze)
    if table.contract.write == "deduplicate":
        return judging.judged(table, bronze, rows, columns, frames, ())
    return parsing.parse(table, bronze, rows, columns, frames)


def _judged(table: Table, frame: Frame) -> Frame:
    """What is written `latest` or `deduplicate` keeps, of each unit or id, what its rules accept."""
    promise = table.contract
    if not promise.judges:
        return frame
    one = promise.deduplicate
    unit = [one.id, one.day] if one else promise.unit
    about_documents = [*promise.document.values(), *([promise.totals] if promise.totals else [])]
    identity = promise.identity.columns if promise.identity else ()
    chosen = [
        frame.of("_broken"),
        *(origins.of_sql(text, _with_last(table, frame)) for text in about_documents),
        *(frame.of(name) for name in identity),
    ]
    newest: Origins = {(table.parents[0], "_sequence"): frozenset({SORT})}
    groups = [indirectly(frame.of(name), GROUP_BY) for name in unit]
    return Frame(frame.columns, merged(frame.rows, indirectly(merged(*chosen), FILTER), *groups, newest))


def _with_last(table: Table, frame: Frame) -> Frame:
    """With what the rules of a document may name beside its columns."""
    last = origins.Value({(table.parents[0], "_is_last"): frozenset({origins.IDENTITY})})
    return Frame([*frame.columns, origins.Column("_is_last", last)], frame.rows)


# Kept


def _keep(key: str, lineage: Lineage) -> None:
    _known[key] = lineage
    if lineage.unknown:
        return
    path = _path(key)
    said = {"columns": {name: _said(of) for name, of in lineage.columns.items()}, "rows": _said(lineage.rows)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            json.dump(said, file)
        Path(file.name).replace(path)
    except OSError:  # it is derived again
        return


def _load(key: str) -> bool:
    """Whether it is known."""
    try:
        said = json.loads(_path(key).read_text(encoding="utf-8"))
        columns = {name: _read(of) for name, of in said["columns"].items()}
        _known[key] = Lineage(columns, _read(said["rows"]))
    except (OSError, ValueError, KeyError):
        return False
    return True


def _path(key: str) -> Path:
    return cache_folder() / "lineage" / f"{key}.json"


def _said(some: Origins) -> list[Any]:
    return [[*place, *sorted(ways)] for place, ways in some.items()]


def _read(said: Iterable[list[str]]) -> Origins:
    return {(name, column): frozenset(ways) for name, column, *ways in said}


if __name__ == "__main__":
    _tables = graph.load()
    of(_tables, sys.argv[1:])

"""`lakehouse new table NAME`: a table that counts and adds up another one's rows, a draft of an answer."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from lakehouse.errors import LakehouseError
from lakehouse.scaffold import files
from lakehouse.scaffold.words import is_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lakehouse.contract import Contract
    from lakehouse.graph import Table

READS = {"silver": ("silver",), "gold": ("silver", "gold")}
DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
WHOLE = ("int", "bigint")
MOST_DIGITS = 28  # of a decimal that can be summed
OF_DUCKDB = {"int": "INTEGER", "string": "VARCHAR"}
SAMPLES = {"boolean": "true", "date": "2022-01-05", "timestamp": "2022-01-05 14:03:22", "string": "A", "double": "1.5"}
OTHERS = {"boolean": "false", "date": "2022-01-06", "timestamp": "2022-01-06 14:03:22", "string": "B", "double": "2.5"}
ROW_COUNT = "row_count"


@dataclass(frozen=True)
class Column:
    """A column of the draft: `of` the parent's column of that name, or a day made of an instant."""

    name: str
    of: str
    type: str
    meaning: str
    measured_in: str = ""

    @property
    def parent_sample(self) -> str:
        return SAMPLES["timestamp"] if self.is_derived else self.sample

    @property
    def other(self) -> str:
        """Of the parent, in a row of another group."""
        return OTHERS["timestamp"] if self.is_derived else _sample(self.type, OTHERS, "3")

    @property
    def sample(self) -> str:
        return _sample(self.type, SAMPLES, "2")

    @property
    def is_derived(self) -> bool:
        return self.type == "date" and self.name != self.of

    @property
    def becomes(self) -> str:
        """Of two rows of the same sample together."""
        return str(2 * Decimal(self.sample))

    @property
    def code(self) -> str:
        if decimal := DECIMAL.fullmatch(self.type):
            call = f'F.sum({files.python(self.of)}).cast("decimal({decimal[1]},{decimal[2]})")'
            return f"{call}.alias({files.python(self.name)}),"
        return files.called("whole_sum", files.python(self.of), name=self.name)

    @property
    def duckdb(self) -> str:
        return OF_DUCKDB.get(self.type, self.type.upper())


def _sample(kind: str, samples: Mapping[str, str], number: str) -> str:
    if decimal := DECIMAL.fullmatch(kind):
        return f"12.{'5'.ljust(int(decimal[2]), '0')}" if int(decimal[2]) else "12"
    return samples.get(kind, number)


@dataclass(frozen=True)
class Draft:
    """`files`: path below the project -> text. `note`: what whoever asked should know at once."""

    name: str
    files: dict[str, str]
    note: str


def draft(name: str, tables: Mapping[str, Table], parent: str | None = None) -> Draft:
    """Writes nothing. Raises LakehouseError where the name cannot be taken or there is nothing to compute it from."""
    files.check_name(name, tuple(READS))
    layer, _, own = name.partition(".")
    readable = [one for one in tables if one.startswith(READS[layer])]
    of = parent or _most_read(tables, readable)
    if of not in readable:
        raise LakehouseError(
            f"{name} cannot be computed from {of}. Name one of these with --from: {', '.join(readable)}."
        )
    promise = tables[of].contract
    group = list(_group(promise))
    wide = {column for one in tables.values() for column, kind in one.contract.columns.items() if kind.type == "bigint"}
    may_lack = [one.name for one in group if _may_lack(promise, one.of, is_derived=one.is_derived)]
    facts = {
        "name": name, "parent": of, "group": group, "measures": list(_measures(promise, group, wide)),
        "row_count": ROW_COUNT,
        "derived": [one for one in group if one.is_derived], "may_lack": may_lack, "has_position": promise.position,
        "carried": [one.name for one in group if not one.is_derived], "vectors": layer == "silver",
    }  # fmt: skip
    targets = {
        f"conf/{layer}/{own}.yml": "table.yml.j2",
        f"{layer}/{own}.py": "table.py.j2",
        f"tests/{layer}/test_{own}.py": "test_table.py.j2",
    }
    targets |= {f"tests/oracle/{own}.sql": "oracle.sql.j2"} if layer == "gold" else {}
    how = "" if parent else ", which most tables read: --from says another one"
    note = f"one row per {' and '.join(one.name for one in group)} of {of}{how}"
    return Draft(name, {path: files.rendered(one, **facts) for path, one in targets.items()}, note)


def _most_read(tables: Mapping[str, Table], readable: list[str]) -> str:
    read = Counter(parent for table in tables.values() for parent in table.parents if parent in readable)
    return read.most_common(1)[0][0] if read else next(iter(readable), "nothing that there is")


def _may_lack(promise: Contract, column: str, *, is_derived: bool = False) -> bool:
    """Whether rows may say nothing in it: a group needs a name. Of a computed table its contract does not say it."""
    is_said = column in promise.grain or promise.columns[column].required
    return not is_said and (is_derived or promise.write == "latest")


def _group(promise: Contract) -> Iterator[Column]:
    """What the draft is by: market, day and currency, as far as there are such columns; else the parent's unit."""
    types = {name: column.type for name, column in promise.columns.items()}
    days = sorted((one for one in types if types[one] == "date"), key=lambda one: _may_lack(promise, one))
    instants = sorted((one for one in types if types[one] == "timestamp"), key=lambda one: _may_lack(promise, one))
    names = [one for one in ("market", *days[:1], "currency") if one in types]
    for one in names or ([] if instants else promise.unit or promise.grain):
        yield Column(one, one, types[one], _meaning(promise, one))
    if not days and instants:
        of = instants[0]
        name = f"{of.removesuffix('_at').removesuffix('_time')}_date"
        yield Column(name if name not in types else f"{of}_day", of, "date", f"TODO: the day of {of}, in UTC")


def _meaning(promise: Contract, name: str) -> str:
    return " ".join(promise.columns[name].meaning.split())


def _measures(promise: Contract, group: list[Column], wide: set[str]) -> Iterator[Column]:
    """Every number that no row is named by. Which of them may be added up, a person knows.

    `wide`: names of whole numbers that `sum` does not take, whatever else is called so.
    """
    taken = {*promise.grain, *promise.unit, *(one.of for one in group)}
    for name, column in promise.columns.items():
        decimal = DECIMAL.fullmatch(column.type)
        can_be_summed = name not in wide and int(decimal[1]) <= MOST_DIGITS if decimal else column.type in WHOLE
        if can_be_summed and name not in taken and not is_id(name):
            kind = f"decimal({MOST_DIGITS},{decimal[2]})" if decimal else "bigint"
            unit = column.measured_in or "TODO: the currency, or the unit"
            yield Column(f"{name}_sum", name, kind, f"TODO: the sum of {name}; null for none", unit)

"""Tables, their inputs and their order: all read from the names of modules and of the parameters of `build`."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import json
import re
import sys
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from graphlib import CycleError, TopologicalSorter
from types import ModuleType
from typing import TYPE_CHECKING

import yaml

from lakehouse import conf, contract, markets
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from pyspark.sql import DataFrame

    from lakehouse.contract import Accepted, Contract, FullDump, Source

HOME = conf.HOME
VALID_FROM, VALID_UNTIL = "valid_from", "valid_until"
# What somebody knows to be right although a rule of a table refuses it or warns of it.
ACCEPTED, ACCEPTED_KEYS = "conf.accepted", ("table", "rule", "key", "why")
ROW = re.compile(r"[0-9]{1,18}")
# The core's own part of every definition: raise it when the way rows are read, judged or compared changes results.
CORE = 6


@dataclass(frozen=True)
class Table:
    """`inputs` in the order of build's parameters: other tables, `conf.<file>`, or `landing` for bronze.

    `accepted`: what conf/accepted.yml accepts for it: files, or of `deduplicate` messages, each with the rule that it
    may break (`fields_are_values kafka/events/0:17-17`). `accounts`: whether it says in the ledger what became
    of its source's rows, which one table of each source does. `serves`: the bronze tables of whatever it goes into, and
    its own: where nothing was delivered for any of them, nobody needs it.
    """

    name: str
    contract: Contract
    module: ModuleType
    inputs: tuple[str, ...]
    fingerprint: str
    accepted: tuple[str, ...] = ()
    accounts: bool = True
    serves: frozenset[str] = frozenset()

    @property
    def build(self) -> Callable[..., DataFrame]:
        return self.module.build  # type: ignore[no-any-return]

    @property
    def repair(self) -> Callable[[DataFrame], DataFrame] | None:
        return getattr(self.module, "repair", None)

    @property
    def parents(self) -> tuple[str, ...]:
        return tuple(name for name in self.inputs if name.split(".")[0] in contract.LAYERS)

    @property
    def files(self) -> str:
        return f"{self.name.replace('.', '/')}.py or conf/{self.name.replace('.', '/')}.yml"


def load(home: Path = HOME) -> dict[str, Table]:
    """Every table, parents before children. Needs no JVM."""
    contracts = contract.load(home / "conf")
    accepted = contract.accepted(home / "conf")
    _check_rates(contracts)
    tables = {
        name: table(name, promise, contracts, accepted=_accepted(name, promise, accepted))
        for name, promise in contracts.items()
    }
    _check_accepted(home, tables, accepted)
    tables |= {name: replace(tables[name], accounts=False) for name in _not_accounting(tables)}
    for one in tables.values():
        for name in one.inputs:
            if name.startswith("conf."):
                conf_file(name, home)
            elif name not in tables and not (name == "landing" and one.contract.source):
                raise LakehouseError(f"{one.name} reads {name}, which has no contract. Change {one.files}.")
        _check_reaches(one)
        for name, check in one.contract.checks.items():
            other = check.references or check.agrees_with
            if other and other not in one.parents:
                raise LakehouseError(
                    f"{one.name} does not read {other}, so {name} cannot check it. Change {one.files}."
                )
    try:
        order = list(TopologicalSorter({name: one.parents for name, one in tables.items()}).static_order())
    except CycleError as error:
        raise LakehouseError(f"These tables read each other in a circle: {' <- '.join(error.args[1])}.") from error
    serves = _serves(tables, order)
    return {name: replace(tables[name], serves=serves[name]) for name in order}


def _serves(tables: Mapping[str, Table], order: Sequence[str]) -> dict[str, frozenset[str]]:
    """By table; `order`: parents before children."""
    made_from: dict[str, frozenset[str]] = {}
    for name in order:
        own = [name] if tables[name].contract.source else []
        made_from[name] = frozenset(own).union(*(made_from[one] for one in tables[name].parents))
    serves = dict(made_from)
    for name in reversed(order):
        for parent in tables[name].parents:
            serves[parent] |= serves[name]
    return serves


def _check_rates(contracts: Mapping[str, Contract]) -> None:
    """Contracts of one host say one limit: what they send counts together, so by the lower one all must go."""
    first: dict[tuple[str, str], tuple[str, tuple[float, int]]] = {}
    for name, promise in contracts.items():
        if promise.source and (api := promise.source.api):
            said = (api.rate, api.burst)
            other, before = first.setdefault((api.origin, api.limit), (name, said))
            if said != before:
                both = " and ".join(f"{rate:g}/s with bursts of {burst}" for rate, burst in (before, said))
                raise LakehouseError(
                    f"{other} and {name} ask {api.origin} at different rates: {both}. A host counts together what it "
                    "is sent: say the same `rate:` and `burst:` in both, the lower ones; or, where it has a limit of "
                    f"its own for some addresses, name that by `limit:`. Change conf/{name.replace('.', '/')}.yml."
                )


def _accepted(name: str, promise: Contract, rows: Iterable[Accepted]) -> tuple[str, ...]:
    """As `Table.accepted`, of one table."""
    mine = [one for one in rows if one.table == name]
    if promise.deduplicate is None:
        return tuple(sorted(one.file for one in mine if one.file))
    places = [(one.rule, one.key.get("_file"), one.key.get("_row")) for one in mine]
    return tuple(sorted({f"{rule} {file}:{row}-{row}" for rule, file, row in places}))


def _check_accepted(home: Path, tables: Mapping[str, Table], rows: Iterable[Accepted]) -> None:
    """Raises LakehouseError where a row of conf/accepted.yml can be about nothing of a table: it would do nothing."""
    for row in rows:
        one = tables.get(row.table)
        promise = one.contract if one else None
        names = sorted((promise.unit if promise.write == "latest" else promise.grain) if promise else ())
        if one is None or promise is None:
            wrong = f"there is no table {row.table}"
        elif row.file and (row.rule != contract.IDENTITY_IS_KEPT or not promise.rejects_changes):
            wrong = (
                f"{row.table} rejects no file by {row.rule}; by {contract.IDENTITY_IS_KEPT} it does where its "
                "`identity:` has `on_change: reject`"
            )
        elif not row.file and row.rule not in promise.rules:
            wrong = f"{row.table} has no rule {row.rule}"
        elif not row.file and promise.deduplicate is None and ACCEPTED not in one.inputs:
            wrong = (
                f"of {row.table} no row is accepted by itself, since its build() has no parameter conf_accepted: "
                "deliver it right, or change the rule"
            )
        elif not row.file and sorted(row.key) != names:
            wrong = f"a row of {row.table} is named by {', '.join(names)}, not by {row.place}"
        elif promise.deduplicate and not ROW.fullmatch(str(row.key["_row"])):
            wrong = f"a row of {row.table} is named by its _row, an offset, and {row.key['_row']} is none"
        else:
            continue
        raise LakehouseError(f"{home / 'conf/accepted.yml'}: {wrong}. Correct that row or take it out.")


def _not_accounting(tables: Mapping[str, Table]) -> list[str]:
    """Of several `latest` tables of one source the one with its `score` accounts for the source's rows."""
    of_source: dict[str, list[str]] = {}
    for name, one in tables.items():
        if one.contract.write == "latest":
            of_source.setdefault(one.parents[0], []).append(name)
    others: list[str] = []
    for source, names in of_source.items():
        scored = [name for name in names if tables[name].contract.score]
        if len(names) > 1 and len(scored) != 1:
            raise LakehouseError(
                f"{', '.join(names)} all read {source}; exactly one of them must have a `score:` and so account for "
                f"what becomes of its rows. Change conf/{names[0].replace('.', '/')}.yml or the others."
            )
        others += [name for name in names if len(names) > 1 and name not in scored]
    return others


def _check_reaches(one: Table) -> None:
    """Every input that a change may come from must reach the units, in the end by columns of its own."""
    reaches = one.contract.inputs
    wrong = [f"{name} is no input" for name in reaches if name not in one.parents]
    for name, reach in reaches.items():
        way = [name]
        while (next_ := reaches[way[-1]].through if way[-1] in reaches else None) and next_ not in way:
            way.append(next_)
        if next_:
            wrong.append(f"{' -> '.join([*way, next_])} is a circle")
        elif reach.through and reach.through not in one.parents:
            wrong.append(f"{name} goes through {reach.through}, which is no input")
    if wrong:
        raise LakehouseError(
            f"{one.name}: its inputs do not reach its units: {'; '.join(wrong)}. Change {one.files}: an input is named "
            "as build() reads it, with a point after its layer."
        )


def table(
    name: str,
    promise: Contract,
    contracts: Mapping[str, Contract],
    module: ModuleType | None = None,
    accepted: tuple[str, ...] = (),
) -> Table:
    """One table from its contract, those of its inputs, its module (found by its name), and the files it accepts."""
    path = name.replace(".", "/")
    module = module or _find(name)
    inputs = tuple(_input_of(parameter) for parameter in _parameters(path, module))
    if strange := [one for one in inputs if one != "landing" and one.split(".")[0] not in {*contract.LAYERS, "conf"}]:
        raise LakehouseError(
            f"{path}.py: build() reads {', '.join(strange)}, which can be no table. Its parameters are named bronze_, "
            "silver_, gold_ or conf_ and a name, or landing."
        )
    sources = [one for one in inputs if not one.startswith("conf.")]
    if promise.judges and (len(sources) != 1 or not sources[0].startswith("bronze.")):
        raise LakehouseError(
            f"{name} is written `{promise.write}`, so its build() reads one bronze table and conf, not "
            f"{', '.join(sources)}. Change {path}.py; what needs a join is a table of its own."
        )
    if promise.full_dump and sources[0] in contracts:
        _check_dumps(name, promise.full_dump, contracts[sources[0]])
    for one in sources:
        if one in contracts and contracts[one].retention.bronze and contracts[one].takes_files:
            _check_retention(name, promise, one)
    source = contracts[sources[0]].source if promise.judges and sources[0] in contracts else None
    return Table(name, promise, module, inputs, _fingerprint(promise, module, source, accepted), accepted)


def _check_dumps(name: str, promise: FullDump, bronze: Contract) -> None:
    """What the scope of a dump is said by must stand in each of its paths."""
    source = bronze.source
    patterns = (*source.files, *(["what is fetched"] if source.fetched else [])) if source else ()
    if lacking := [one for pattern in patterns for one in promise.of if f"{{{one}:int}}" not in pattern]:
        raise LakehouseError(
            f"conf/{name.replace('.', '/')}.yml: full_dump.of: {lacking[0]} does not stand as {{{lacking[0]}:int}} in "
            f"all paths of its source: {', '.join(patterns)}. A file must say of what it holds all documents."
        )


def _check_retention(name: str, promise: Contract, bronze: str) -> None:
    """Rows may leave bronze where what follows from the others is the same."""
    if promise.write == "deduplicate":  # beyond what is left in bronze its own rows are what counts
        return
    why = promise.judges_by_earlier if promise.write == "latest" else "it is not written `latest`, so each row counts"
    if why:
        raise LakehouseError(
            f"conf/{bronze.replace('.', '/')}.yml: retention.bronze cannot be, because of {name}: {why}, and would be "
            f"another table once earlier rows are gone. Take it out, or change conf/{name.replace('.', '/')}.yml."
        )


class _OnDemand(ModuleType):
    """A table's module as text; it is imported, and Spark's Python with it, when its functions are wanted."""

    def __init__(self, name: str, file: str) -> None:
        super().__init__(name)
        self.__file__ = file

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return getattr(importlib.import_module(self.__name__), name)
        except ModuleNotFoundError as error:
            path = self.__name__.replace(".", "/")
            raise LakehouseError(f"{path}.py needs {error.name}, which is not installed.") from error


def _find(name: str) -> ModuleType:
    """Half a second of imports is saved by what only plans, and by a run without work."""
    if name in sys.modules:
        return sys.modules[name]
    path = name.replace(".", "/")
    try:
        found = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        found = None
    if found is None or found.origin is None:
        raise LakehouseError(f"conf/{path}.yml has no module {path}.py. Write it, with a build().")
    return _OnDemand(name, found.origin)


def _parameters(path: str, module: ModuleType) -> tuple[str, ...]:
    found = _of_build(inspect.getsource(module))
    if found is None:
        raise LakehouseError(f"{path}.py has no build(). Write it: its parameters are the tables it reads.")
    return found


@cache
def _of_build(source: str) -> tuple[str, ...] | None:
    """The parameters of a module's build(), None where it has none; found once like its code."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == "build":
            return tuple(one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs))
    return None


def _input_of(parameter: str) -> str:
    return parameter if parameter == "landing" else parameter.replace("_", ".", 1)


def selected(tables: dict[str, Table], names: Iterable[str]) -> dict[str, Table]:
    """The named tables and all that they are made from; every table when none is named."""
    wanted = list(names) or list(tables)
    if unknown := [name for name in wanted if name not in tables]:
        raise LakehouseError(f"There is no table {', '.join(unknown)}. There are: {', '.join(tables)}.")
    found: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name not in found:
            found.add(name)
            wanted += tables[name].parents
    return {name: tables[name] for name in tables if name in found}


def conf_file(name: str, home: Path = HOME) -> tuple[str, list[dict[str, object]]]:
    """`conf.markets`: the version (hash of the content) and the rows of conf/markets.yml, a list of flat mappings.

    Where some have `valid_from`, a date, all have that and `valid_until`: the `valid_from` of the next row of the same
    market (or what else their first key says), null for the newest. Those of conf.accepted, which may be none, are
    texts: the `key` is `currency=NGN, rate_date=2023-06-14`, its columns in the order of their names.
    """
    if name == ACCEPTED:
        named = [one for one in contract.accepted(home / "conf") if one.key]
        return _versioned([{"table": one.table, "rule": one.rule, "key": one.place, "why": one.why} for one in named])
    path = home / "conf" / f"{name.removeprefix('conf.')}.yml"
    if not path.exists():
        raise LakehouseError(f"A build() has the parameter {name.replace('.', '_')}, but there is no {path}.")
    try:
        rows = conf.read(path)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise LakehouseError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if (
        not isinstance(rows, list)
        or not rows
        or not all(isinstance(row, dict) and row.keys() - {VALID_FROM} == rows[0].keys() - {VALID_FROM} for row in rows)
    ):
        raise LakehouseError(f"{path} must be a list of mappings that all have the same keys.")
    if any(VALID_FROM in row for row in rows):
        rows = _with_periods(path, rows)
    for key in rows[0]:
        kinds = {type(row[key]).__name__ for row in rows if row[key] is not None}
        if len(kinds) != 1:
            raise LakehouseError(
                f"{path}: all values of {key} must be of one type, and are {', '.join(sorted(kinds)) or 'nothing'}. "
                "Quotes around each make them texts."
            )
    if name == markets.NAME:
        markets.check(path, rows)
    return _versioned(rows)


def _versioned(rows: list[dict[str, object]]) -> tuple[str, list[dict[str, object]]]:
    return hashlib.sha256(json.dumps(rows, default=str).encode()).hexdigest()[:16], rows


def _with_periods(path: Path, rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Each day of a market has one row of facts: the first from the beginning, others from their `valid_from`."""
    key = next((name for name in rows[0] if name != VALID_FROM), VALID_FROM)
    begins: dict[object, list[object]] = {}
    for row in rows:
        begins.setdefault(row[key], []).append(row.get(VALID_FROM))
    for value, days in begins.items():
        known = [day for day in days if type(day) is date]
        if days.count(None) != 1 or len({*known}) + 1 != len(days):
            raise LakehouseError(
                f"{path}: of {key} {value} one row must have no valid_from, which holds from the beginning, and others "
                f"each a day of its own, as 2022-02-01. It has {', '.join(str(day or 'none') for day in days)}."
            )
    return [
        {**row, VALID_FROM: row.get(VALID_FROM), VALID_UNTIL: _next(row.get(VALID_FROM), begins[row[key]])}
        for row in rows
    ]


def _next(day: object, days: Iterable[object]) -> date | None:
    later = [one for one in days if isinstance(one, date) and (day is None or one > day)]  # type: ignore[operator]
    return min(later, default=None)


def _fingerprint(promise: Contract, module: ModuleType, source: Source | None, accepted: tuple[str, ...]) -> str:
    """Changes with what the rows depend on: code without comments and docstrings, the contract without its words.

    A `latest` table also depends on what its source spells as nothing, and on the files that are accepted.
    """
    blank = source.blank if source else ()
    files = () if promise.deduplicate else accepted  # messages are judged again by themselves (events/deduplicate)
    parts = [json.dumps(promise.definition(), sort_keys=True), code(module), json.dumps(blank), str(CORE), *files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def code(module: ModuleType) -> str:
    """The module's code, and of lakehouse.transforms the functions and constants it uses, with those they use."""
    own, names = _own(inspect.getsource(module))
    helpers = _helpers(inspect.getsource(_find("lakehouse.transforms")))
    used, waiting = {}, names & helpers.keys()
    while waiting:
        name = waiting.pop()
        used[name], names = helpers[name]
        waiting |= (names & helpers.keys()) - used.keys()
    return "\n".join([own, *(used[name] for name in sorted(used))])


@cache
def _own(source: str) -> tuple[str, set[str]]:
    """A module's code and the names in it, found once however often a process that is kept loads the tables."""
    tree = _without_docstrings(ast.parse(source))
    return ast.unparse(tree), _names(tree)


@cache
def _helpers(source: str) -> dict[str, tuple[str, set[str]]]:
    """Of each definition its code and the names in it, found once for all the tables that use it."""
    definitions = _definitions(_without_docstrings(ast.parse(source)))
    return {name: (ast.unparse(node), _names(node)) for name, node in definitions.items()}


def _definitions(tree: ast.Module) -> dict[str, ast.stmt]:
    """Top-level functions and constants by name."""
    found: dict[str, ast.stmt] = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            found |= {target.id: node for target in node.targets if isinstance(target, ast.Name)}
    return found


def _names(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                names.add(name)
            case ast.ImportFrom(names=imported):
                names |= {alias.name for alias in imported}
    return names


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree

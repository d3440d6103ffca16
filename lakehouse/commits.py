"""How much a table changed between two of its versions: from its log and its change feed alone, without a JVM."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from lakehouse import progress, storage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from arro3.core import RecordBatchReader
    from deltalake import DeltaTable

    from lakehouse.graph import Table
    from lakehouse.progress import Input

AT_ONCE = 8  # requests to S3


@dataclass(frozen=True)
class Written:
    """What commits did: rows that came and rows that went, new files of rows and their bytes, how many commits.

    A row that changed came and went; `changed` counts it once. The counts are None where a log does not say them.
    """

    rows: int | None = 0
    deleted: int | None = 0
    changed: int | None = 0
    files: int = 0
    bytes: int = 0
    commits: int = 0


def written(address: str, since: int, until: int) -> Written | None:
    """What the versions in (since, until] did; None where one of their log files is gone.

    Rows that were only rearranged did not change. Counted from the files that each commit added and removed, less the
    rows that deletion vectors hide (Delta protocol, "Add File and Remove File"): operationMetrics have other names for
    each statement, and those of `replaceUsing` take the rows of a file that got a vector for written.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            commits = list(pool.map(lambda version: _commit(address, version), range(since + 1, until + 1)))
        except storage.MissingFileError:
            return None
    return Written(
        rows=together(one.rows for one in commits),
        deleted=together(one.deleted for one in commits),
        changed=together(one.changed for one in commits),
        files=sum(one.files for one in commits),
        bytes=sum(one.bytes for one in commits),
        commits=len(commits),
    )


def _commit(address: str, version: int) -> Written:
    log = storage.read_bytes(address, f"_delta_log/{version:020}.json").decode()
    actions = [json.loads(line) for line in log.splitlines() if line]
    added, removed = ({fact["path"]: fact for fact in _changes(actions, kind)} for kind in ("add", "remove"))
    new = [fact for path, fact in added.items() if path not in removed]
    came = together(_rows(fact) for fact in new)
    still_there = together(_rows(fact) for path, fact in added.items() if path in removed)
    before = together(map(_rows, removed.values()))
    went = None if before is None or still_there is None else before - still_there
    changed = None if came is None or went is None else max(came, went)
    return Written(came, went, changed, len(new), sum(fact["size"] for fact in new), 1)


def _changes(actions: Iterable[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [action[kind] for action in actions if action.get(kind, {}).get("dataChange")]


def _rows(fact: Mapping[str, Any]) -> int | None:
    rows = json.loads(fact.get("stats") or "{}").get("numRecords")
    return None if rows is None else int(rows) - int((fact.get("deletionVector") or {}).get("cardinality", 0))


def together(counts: Iterable[int | None]) -> int | None:
    """The sum; None where one of them is not known."""
    known = list(counts)
    return None if None in known else sum(one for one in known if one is not None)


def rows_of(root: str, inputs: Mapping[str, Input]) -> int | None:
    """The rows of these inputs in all, by their logs; rows that deletion vectors hide are counted, a few per cent."""
    tables = {name: int(one.version) for name, one in inputs.items() if one.id is not None}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return together(pool.map(lambda name: _rows_of(progress.address(root, name), tables[name]), tables))


def _rows_of(address: str, version: int) -> int | None:
    files = _opened(address, version).get_add_actions()
    return together(files.column("num_records").to_pylist()) if "num_records" in files.schema.names else None


# Units, for people who plan ------------------------------------------------------------------------------------------


def units(root: str, table: Table, inputs: Mapping[str, Input], moved: Mapping[str, tuple[int, int]]) -> int | None:
    """How many units the rows of the moved inputs belong to, before and after each change; None where none can tell.

    `moved`: by input, its versions (since, until]. The contract's SQL is Spark's and is read by DataFusion here, so it
    is for people who plan, never for what is computed. Fewer are computed where rows changed that say what they said
    in the columns that build() uses, which only Spark can tell.
    """
    from deltalake import QueryBuilder  # noqa: PLC0415
    from deltalake.exceptions import DeltaError  # noqa: PLC0415

    builder = QueryBuilder()
    with TemporaryDirectory(prefix="lakehouse-") as scratch:
        try:
            for name, (since, until) in moved.items():
                feed = _changed_rows(progress.address(root, name), since, until, _columns(table, name))
                builder.register(_changes_of(name), _stored(feed, f"{scratch}/{name}"))
            for name in {reach.through for reach in table.contract.inputs.values() if reach.through}:
                builder.register(_word(name), _opened(progress.address(root, name), int(inputs[name].version)))
            every = " union ".join(_units_of(table, name, _changes_of(name)) for name in moved)
            answer = builder.execute(f"select count(*) as n from ({every}) as units").read_all()  # noqa: S608
        except (DeltaError, OSError, ValueError):
            return None
    return int(answer.column("n").to_pylist()[0])


def _changed_rows(address: str, since: int, until: int, columns: set[str]) -> RecordBatchReader:
    """Both images of each change, of the columns that the input really has."""
    log = _opened(address, until)
    there = [field.name for field in log.schema().fields if field.name in columns]
    return log.load_cdf(since + 1, until, columns=there)


def _columns(table: Table, name: str) -> set[str]:
    """The columns that lead from the input's rows to units; of SQL all words, since some of them are columns."""
    reach = table.contract.inputs.get(name)
    if reach is None:
        return set(table.contract.unit)
    words = {word for text in reach.unit.values() for word in re.findall(r"\w+", text)}
    return words | set(reach.on) | (set(table.contract.unit) if reach.unit else set())


def _stored(feed: RecordBatchReader, folder: str) -> DeltaTable:
    """DataFusion, as the deltalake package offers it, asks only Delta tables."""
    from deltalake import DeltaTable, write_deltalake  # noqa: PLC0415

    write_deltalake(folder, feed)
    return DeltaTable(folder)


def _opened(address: str, version: int) -> DeltaTable:
    from deltalake import DeltaTable  # noqa: PLC0415

    return DeltaTable(address, version=version, storage_options=storage.for_deltalake(address))


def _units_of(table: Table, name: str, rows: str) -> str:
    """As `units.touched` does it in Spark: the different units of these rows of an input."""
    reach = table.contract.inputs.get(name)
    if reach and reach.through:
        same = " and ".join(f'(o."{column}" is not distinct from c."{column}")' for column in reach.on)
        leading = f"(select o.* from {_word(reach.through)} as o left semi join {rows} as c on {same}) as leading"  # noqa: S608
        return _units_of(table, reach.through, leading)
    derived = reach.unit if reach else {}
    unit = ", ".join(f'{derived.get(column, _quoted(column))} as "{column}"' for column in table.contract.unit)
    return f"select distinct {unit} from {rows}"  # noqa: S608


def _quoted(column: str) -> str:
    return f'"{column}"'


def _word(name: str) -> str:
    return name.replace(".", "_")


def _changes_of(name: str) -> str:
    return f"changes_of_{_word(name)}"

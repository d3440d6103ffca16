"""What stands in quarantine, `<table>__rejected`: counts, examples, and whole documents for a person to correct."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from lakehouse.delta.commits.ops import query
from lakehouse.delta.tables import progress
from lakehouse.errors import LakehouseError
from lakehouse.intake.records import ledger
from lakehouse.readers.columns import OF_CORRECTIONS, defused
from lakehouse.readers.records import LARGEST

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lakehouse.graph import Table
    from lakehouse.intake.records.ledger import Delivery

Row = dict[str, Any]


def by_rule(root: str, table: Table) -> dict[str, int]:
    """Rows by the rule they broke, the most frequent first; a row counts under each of its rules."""
    counts: dict[str, int] = {}
    for row in query(_address(root, table), "select rules, count(*) as n from t group by rules"):
        for rule in row["rules"]:
            counts[rule] = counts.get(rule, 0) + row["n"]
    return dict(sorted(counts.items(), key=lambda one: -one[1]))


def examples(root: str, table: Table, limit: int) -> list[Row]:
    """Where rows stand, since when, and what was delivered there: `text` without the columns that say nothing."""
    if table.contract.deduplicate:
        return _messages(root, table, limit)
    found = []
    for row in _rows(root, table, f"order by t._file, t._row limit {int(limit)}"):
        key = {name: row[f"_unit_{name}"] for name in table.contract.unit}
        key |= {"rules": row["_rules"], "since": row["_since"], "_file": row["_file"], "_row": row["_row"]}
        parts = {name for name in table.contract.unit if not isinstance(row.get(name), str)}  # of the path
        delivered = {k: v for k, v in row.items() if not k.startswith("_") and k not in parts}
        text = row["_raw"] or {k: v for k, v in delivered.items() if v not in {None, "", "-"}}
        found.append(key | {"text": text})
    return found


def _messages(root: str, table: Table, limit: int) -> list[Row]:
    """The newest ones, with what was sent, as far as it is text: bronze may have let them go."""
    statement = (
        "select rules, since, _file, _row, _value from t order by since desc, _file, _row desc "  # noqa: S608
        f"limit {int(limit)}"
    )
    rows = query(_address(root, table), statement)
    return [row | {"text": (row["_value"] or b"").decode(errors="backslashreplace")} for row in rows]


def export(root: str, table: Table, to: Path) -> dict[Path, int]:
    """Write the whole documents as files like those that were delivered; rows by file, one file per market.

    Each row says which one it replaces, so that a corrected file heals rows without a key as well.
    Raises LakehouseError for messages, which came in no file.
    """
    if table.contract.deduplicate:
        raise LakehouseError(
            f"What {table.name} rejected came as messages, which nobody delivers again as files. Let their sender send "
            f"them again, corrected; or change the rule in conf/{table.name.replace('.', '/')}.yml."
        )
    deliveries = {(one.delivery.path, one.delivery.sequence): one.delivery for one in ledger.read(root).taken()}
    of_partition: dict[str, list[tuple[Row, Delivery]]] = defaultdict(list)
    for row in _rows(root, table, "order by t._file, t._sequence, t._row"):
        delivery = deliveries[row["_file"], row["_sequence"]]
        of_partition[" ".join(f"{name}_{value}" for name, value in delivery.parts.items())].append((row, delivery))
    written = {}
    for partition, rows in of_partition.items():
        path = to if len(of_partition) == 1 else to.with_name(f"{to.stem} {partition}{to.suffix}")
        try:
            (_write_json if rows[0][1].layout and rows[0][1].layout.format == "json" else _write_csv)(path, rows)
        except OSError as error:
            raise LakehouseError(
                f"{path} cannot be written: {error.strerror}. Name a file in a folder that is there."
            ) from error
        written[path] = len(rows)
    return written


def _rows(root: str, table: Table, rest: str) -> Iterable[Row]:
    """Rejected rows with what bronze has of them; what quarantine says itself begins with _, unlike delivered names."""
    unit = ", ".join(f"t.{name} as _unit_{name}" for name in table.contract.unit)
    statement = (
        f"select {unit}, t.rules as _rules, t.since as _since, b.* from t join b "  # noqa: S608
        f"on t._file = b._file and t._row = b._row and t._sequence = b._sequence {rest}"
    )
    return query(_address(root, table), statement, b=progress.address(root, table.parents[0]))


def _address(root: str, table: Table) -> str:
    return progress.address(root, progress.rejected(table.name))


def _correction(row: Row, delivery: Delivery) -> list[str]:
    """The three columns that tell the core, and the person, what is corrected; OF_CORRECTIONS names them.

    Of a file the content tells which version is meant: another one may have another row there.
    """
    why = ", ".join(row["_rules"])
    raw = (row["_raw"] or "").replace("\0", "\\x00")  # a NUL would make the corrected row wrong, too
    return [row["_file"], f"{row['_row']}@{delivery.short_content}", f"{why}: {raw}" if raw else why]


def _write_csv(path: Path, rows: list[tuple[Row, Delivery]]) -> None:
    """By all headers of the files concerned, with what `_rescued` holds; cells too many stand behind the last column.

    Written with the delimiter and quote that the files share, and a BOM, so that it can be read whatever the contract
    declares (and by spreadsheets, too, to which no cell is a formula).
    """
    texts = {name: text for _, delivery in rows for text, name in delivery.columns.items()}
    # A nameless column keeps the name that its place gave it.
    texts = {name: name if name.startswith("unnamed_") else text for name, text in texts.items()}
    texts = {name: text for name, text in texts.items() if name not in OF_CORRECTIONS}
    layouts = {(one.layout.delimiter, one.layout.quote) for _, one in rows if one.layout}
    delimiter, quote = layouts.pop() if len(layouts) == 1 else (",", '"')
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, quotechar=quote)
        writer.writerow([*OF_CORRECTIONS, *map(defused, texts.values())])
        for row, delivery in rows:
            delivered = row | _rescued(row, delivery)
            cells = ["" if delivered.get(name) is None else delivered[name] for name in texts]
            writer.writerow(map(defused, [*_correction(row, delivery), *cells, *_cells_too_many(row, delivery)]))


def _cells_too_many(row: Row, delivery: Delivery) -> list[str]:
    """Cells of a row that is not what its header announces are a guess: one more keeps it out until it is corrected."""
    if row["_problem"] is None:
        return []
    if row["_problem"] != "row_is_too_long" or delivery.layout is None:
        return [f"delete this cell when the row is right ({row['_problem']})"]
    csv.field_size_limit(LARGEST)  # Python's own limit is 128 KB
    cells = next(csv.reader([row["_raw"]], delimiter=delivery.layout.delimiter, quotechar=delivery.layout.quote))
    return cells[len(delivery.header) :]


def _rescued(row: Row, delivery: Delivery) -> Row:
    """The columns that the contract does not name, where its source keeps them as JSON."""
    texts = json.loads(row.get("_rescued") or "{}")
    return {delivery.columns[text]: value for text, value in texts.items() if text in delivery.columns}


def _write_json(path: Path, rows: list[tuple[Row, Delivery]]) -> None:
    objects = []
    for row, delivery in rows:
        delivered = row | _rescued(row, delivery)
        texts = {text: delivered[name] for text, name in delivery.columns.items() if delivered.get(name) is not None}
        # Of an object that is not right no value is sure; without its key it cannot get in before it is corrected.
        objects.append(
            dict(zip(OF_CORRECTIONS, _correction(row, delivery), strict=True)) | ({} if row["_problem"] else texts)
        )
    layout = rows[0][1].layout
    said: Any = objects
    for key in reversed(layout.rows.split(".") if layout and layout.rows else []):
        said = {key: said}
    path.write_text(json.dumps(said, ensure_ascii=False, indent=1), encoding="utf-8")

"""A landing of literal files, read as bronze reads it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from lakehouse.intake.deliveries import landing
from lakehouse.intake.records.ledger import Entry, Ledger
from lakehouse.writes import append
from tests.rows import Read, Texts, as_texts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lakehouse.engines.native.engine import Native
    from lakehouse.graph import Table


@pytest.fixture(scope="session")
def read(engine: Native, tables: dict[str, Table], tmp_path_factory: pytest.TempPathFactory) -> Read:
    """Files of one batch -> by file, its rows in the order of `_row`."""

    def write_and_read(name: str, files: Mapping[str, str | bytes]) -> dict[str, list[Texts]]:
        folder = tmp_path_factory.mktemp("landing")
        for path, text in files.items():
            write(folder / path, text)
        found = landing.find(str(folder), [tables[name]], Ledger())
        assert {delivery.path for delivery in found.new} == files.keys()
        batch = [Entry(delivery, 5, "claimed") for delivery in found.new]
        rows = append.rows(engine, tables[name], str(folder), batch).rows
        assert {kind for column, kind in rows.dtypes if not column.startswith("_") and column != "market"} == {"string"}
        by_file = defaultdict(list)
        for row in as_texts(rows.coalesce(1).sortWithinPartitions("_row")):
            by_file[str(row["_file"])].append(row)
        return by_file

    return write_and_read


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)

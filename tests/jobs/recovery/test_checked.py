"""`lakehouse check --repair`: a run of what the command knows makes right what it found."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from jobs.recovery import checked
from lakehouse import engines, graph
from tests.toy import of_monday

if TYPE_CHECKING:
    from lakehouse.engines.native.engine import Native


@pytest.mark.slow
def test_what_is_found_is_repaired_and_looked_at_again(
    tmp_path: Path, engine: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy, said = of_monday(tmp_path, engine), StringIO()
    tables, console = toy.tables(), Console(file=said, width=300)
    monkeypatch.setattr(graph, "load", lambda: tables)
    next(Path(toy.lake.address("silver.orders")).glob("*.parquet")).unlink()
    found = checked.checked(console, toy.lake.root)
    assert checked.repaired(console, toy.lake.root, str(toy.landing), engines.NATIVE, found, deep=True)
    assert "The next run builds the table anew; `lakehouse check --repair` starts one." in said.getvalue()
    assert said.getvalue().endswith("All that was looked at is right.\n")
    assert toy.rows("silver.orders") == [(1, 7, 3), (1, 8, 1)]

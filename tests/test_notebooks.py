"""The notebooks run on a small lake, and are committed without their outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nbformat
import pytest
from nbclient import NotebookClient

from jobs import samples
from lakehouse import graph
from lakehouse.runs.run import Run

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.protocol import Engine

NOTEBOOKS = sorted((graph.HOME / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped(path: Path) -> None:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]  # type: ignore[no-untyped-call]
    assert cells
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the notebook client's own
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_from_top_to_bottom(
    path: Path, tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples.generate(tmp_path / "landing", lines=200, days=2)
    tables = graph.load()
    wanted = graph.selected(tables, ["gold.daily_sales", "gold.customer_metrics"])
    Run(str(tmp_path / "lake"), str(tmp_path / "landing"), tables, engine=engine).execute(wanted)
    monkeypatch.setenv("LAKEHOUSE_ROOT", str(tmp_path / "lake"))
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=300).execute()
    said = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    assert "KES of" in said
    assert "NGN of" in said

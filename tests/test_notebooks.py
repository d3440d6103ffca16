"""The notebooks run on a small lake, draw, and are committed without their outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient

from lakehouse import graph

if TYPE_CHECKING:
    from pathlib import Path

NOTEBOOKS = sorted((graph.HOME / "notebooks").glob("*.ipynb"))


def cells(path: Path) -> list[Any]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]  # type: ignore[no-untyped-call]


def forgetting() -> Any:  # noqa: ANN401
    """Its names, but not what Python itself has in a main module."""
    return nbformat.v4.new_code_cell("%reset_selective -f ^[a-z]")  # type: ignore[no-untyped-call]


def said(cell: Any) -> str:  # noqa: ANN401  as nbformat has it
    return "".join(output.get("text", "") for output in cell.outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped(path: Path) -> None:
    assert cells(path)
    assert all(not cell.outputs and cell.execution_count is None for cell in cells(path))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the notebook client's own
def test_they_run_from_top_to_bottom_and_draw(released: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other in one kernel, which is started once, and forgets the names of the one before."""
    pytest.importorskip("altair", reason="needs the extra `report`: uv sync --inexact --extra report")
    monkeypatch.setenv("LAKEHOUSE_ROOT", released)
    of = {path.stem: [forgetting(), *cells(path)] for path in NOTEBOOKS}
    all_of_them = nbformat.v4.new_notebook(cells=[cell for mine in of.values() for cell in mine])  # type: ignore[no-untyped-call]
    NotebookClient(all_of_them, timeout=300).execute()
    for name, mine in of.items():
        drawing = [cell for cell in mine if "alt.Chart" in cell.source]
        assert drawing, name
        drawn = [any("image/svg+xml" in output.get("data", {}) for output in cell.outputs) for cell in drawing]
        assert all(drawn), name
    text = "".join(map(said, all_of_them.cells))
    assert "KES of" in text
    assert "would be" in text

"""`lakehouse demo --sources`: files, an API and a database beside each other, from nothing."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from jobs.demo import two_days

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.long
def test_the_demo_of_sources_shows_each_way_in_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("uvicorn", reason="it serves the API: uv sync --inexact --extra sources")
    from jobs.demo import shop  # noqa: PLC0415  with uvicorn

    monkeypatch.setattr(two_days, "FOLDER", tmp_path / "demo")
    console, before = Console(file=io.StringIO(), width=200), dict(os.environ)
    with shop.opened() as opened:
        secrets = [opened.api.key, opened.database]
        two_days.demo(console, on_minio=False, shop=opened)
        assert [one.status for one in opened.api.asked if one.status != 200] == [429, 503]
    text = console.file.getvalue() + capsys.readouterr().out  # type: ignore[attr-defined]
    assert dict(os.environ) == before
    assert not [one for one in secrets if one in text]
    for source in ("bronze.api_sales", "bronze.merchants", "bronze.products"):
        assert text.count(f"{source} ") >= 4  # fetched and loaded, on both days
    assert "Nothing new: every table is up to date" in text
    assert "exports     true" in text
    assert "rates.zip" in "".join(map(str, (tmp_path / "demo").rglob("rates.*")))

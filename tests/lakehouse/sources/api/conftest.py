"""One sales API for a module, which each test fills."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("httpx2", reason="needs the extra `sources`: uv sync --inexact --extra sources")
pytest.importorskip("uvicorn", reason="needs the extra `sources`: uv sync --inexact --extra sources")

from jobs.demo.sales_api import SalesAPI, served
from lakehouse.sources.api import client
from tests.selling import KEY, LINES, Shop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def open_shop() -> Iterator[Shop]:
    shop = Shop()
    with served(shop) as shop.url:
        yield shop


@pytest.fixture
def shop(open_shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("LAKEHOUSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SHOP_KEY", KEY)
    monkeypatch.setattr(client, "FIRST_WAIT", 0.01)  # between tries: tests have no time
    open_shop.api = SalesAPI(LINES, KEY)
    return open_shop

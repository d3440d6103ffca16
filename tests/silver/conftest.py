"""Tables from literal rows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests import regions, rows

if TYPE_CHECKING:
    from lakehouse.engines.native.engine import Native
    from lakehouse.graph import Table
    from tests.rows import Built, Judged, Parsed


@pytest.fixture(scope="session")
def built(engine: Native, tables: dict[str, Table]) -> Built:
    return partial(rows.built, engine, tables)


@pytest.fixture(scope="session")
def parsed(engine: Native, tables: dict[str, Table]) -> Parsed:
    return partial(rows.parsed, engine, tables)


@pytest.fixture(scope="session")
def parsed_abroad(engine: Native, tables: dict[str, Table]) -> Parsed:
    return partial(rows.parsed, engine, tables, markets=regions.MARKETS)


@pytest.fixture(scope="session")
def judged(engine: Native, tables: dict[str, Table]) -> Judged:
    return partial(rows.judged, engine, tables)

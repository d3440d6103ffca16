"""Tables from literal rows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests import regions
from tests import rows as made

if TYPE_CHECKING:
    from lakehouse.engines.native.engine import Native
    from lakehouse.graph import Table
    from tests.rows import Built, Judged, Parsed, Texts


@pytest.fixture(scope="session")
def built(engine: Native, tables: dict[str, Table]) -> Built:
    return partial(made.built, engine, tables)


@pytest.fixture(scope="session")
def parsed(engine: Native, tables: dict[str, Table]) -> Parsed:
    return partial(made.parsed, engine, tables)


@pytest.fixture(scope="session")
def parsed_abroad(engine: Native, tables: dict[str, Table]) -> Parsed:
    return partial(made.parsed, engine, tables, markets=regions.MARKETS)


@pytest.fixture(scope="module")
def rows(request: pytest.FixtureRequest, parsed: Parsed) -> dict[str, Texts]:
    """Of the file's CASES what its TABLE makes of each, by its sentence."""
    return parsed(request.module.TABLE, request.module.CASES)


@pytest.fixture(scope="module")
def rows_abroad(request: pytest.FixtureRequest, parsed_abroad: Parsed) -> dict[str, Texts]:
    """The same of its rows of markets that write in another way."""
    return parsed_abroad(request.module.TABLE, request.module.ABROAD)


@pytest.fixture(scope="session")
def judged(engine: Native, tables: dict[str, Table]) -> Judged:
    return partial(made.judged, engine, tables)

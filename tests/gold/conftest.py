"""Tables from literal rows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests import rows

if TYPE_CHECKING:
    from lakehouse.engines.native.engine import Native
    from lakehouse.graph import Table
    from tests.rows import Built


@pytest.fixture(scope="session")
def built(engine: Native, tables: dict[str, Table]) -> Built:
    return partial(rows.built, engine, tables)

"""`source: {database: ...}`: how rows of a PostgreSQL are fetched."""

from __future__ import annotations

from lakehouse.described import Fetched


class Database(Fetched):
    """A table, or a view, of a PostgreSQL."""

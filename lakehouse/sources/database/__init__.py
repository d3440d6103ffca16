"""Rows of a PostgreSQL, as Parquet: all of a table in one snapshot, then what changed by its watermark."""

from lakehouse.errors import LackingExtraError

try:
    import psycopg  # noqa: F401
except ImportError as error:
    raise LackingExtraError("A database is read by psycopg", "sources") from error

from lakehouse.sources.database.fetch import source

__all__ = ["source"]

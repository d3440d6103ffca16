"""PostgreSQL for BI tools: what its tables are (shape), how they follow releases (sync), one to try it on (server)."""

from lakehouse.errors import LackingExtraError

try:
    import psycopg  # noqa: F401
except ImportError as error:
    raise LackingExtraError("PostgreSQL is talked to by psycopg", "postgres") from error

"""PostgreSQL for BI tools: what its tables are (shape), how they follow releases (sync), one to try it on (server)."""

from lakehouse.errors import LakehouseError

try:
    import psycopg  # noqa: F401
except ImportError as error:
    raise LakehouseError(
        "PostgreSQL is talked to by psycopg, which is not installed. Add it: `uv sync --extra postgres`, "
        "or `pip install 'lakehouse[postgres]'`."
    ) from error

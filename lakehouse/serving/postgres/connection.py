"""How the PostgreSQL is reached that is served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lakehouse.errors import LakehouseError
from lakehouse.store import postgres

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from psycopg import Connection

THEN = "It holds what it held, and the next sync goes on from there."


def check_argument(url: str) -> str:
    """The URL as it is. Raises LakehouseError where a password stands in it: everybody on the machine can read that."""
    if urlsplit(url).password or "password" in url:
        raise LakehouseError(
            "The URL holds a password, and arguments are seen by everybody on this machine. Leave it out, and put it "
            "into PGPASSWORD or ~/.pgpass; or put the whole URL into the variable LAKEHOUSE_POSTGRES."
        )
    return url


def connected(url: str) -> AbstractContextManager[Connection[Any]]:
    """As lakehouse.store.postgres.connected."""
    return postgres.connected(url, "lakehouse serve postgres", THEN)

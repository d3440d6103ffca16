"""How PostgreSQL is reached, and what is said where it refuses."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from psycopg import Connection
    from psycopg.sql import Composed


def check_argument(url: str) -> str:
    """The URL as it is. Raises LakehouseError where a password stands in it: everybody on the machine can read that."""
    if urlsplit(url).password or "password" in url:
        raise LakehouseError(
            "The URL holds a password, and arguments are seen by everybody on this machine. Leave it out, and put it "
            "into PGPASSWORD or ~/.pgpass; or put the whole URL into the variable LAKEHOUSE_POSTGRES."
        )
    return url


@contextmanager
def connected(url: str) -> Iterator[Connection[Any]]:
    """A connection whose refusals are LakehouseErrors in PostgreSQL's own words; the URL is in none of them."""
    try:
        said = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise LakehouseError("That is no URL of a PostgreSQL: postgresql://user@host:5432/database is one.") from None
    own: dict[str, Any] = {
        "connect_timeout": 10,
        "application_name": "lakehouse serve postgres",
        "client_encoding": "utf8",
    }
    try:
        with psycopg.connect(make_conninfo(**own | said), autocommit=True) as connection:
            yield connection
    except psycopg.Error as error:
        words = f"{error.diag.message_primary or error} {error.diag.message_detail or ''}".split()
        raise LakehouseError(
            f"PostgreSQL refused: {' '.join(words)}\nIt holds what it held, and the next sync goes on from there."
        ) from error


def only(connection: Connection[Any], query: str | Composed, values: Sequence[Any] = ()) -> Sequence[Any]:
    """The only row of an answer."""
    (row,) = connection.execute(query, values)
    return row  # type: ignore[no-any-return]

"""How a PostgreSQL is reached, and what is said where it refuses."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from psycopg import Connection
    from psycopg.sql import Composed

DIALECT = "postgresql+psycopg://"  # as SQLAlchemy writes it


@contextmanager
def connected(url: str, application: str, then: str) -> Iterator[Connection[Any]]:
    """A connection whose refusals are LakehouseErrors in PostgreSQL's own words, and `then`; the URL is in none."""
    plain = f"postgresql://{url.removeprefix(DIALECT)}" if url.startswith(DIALECT) else url
    try:
        said = conninfo_to_dict(plain)
    except psycopg.ProgrammingError:
        raise LakehouseError("That is no URL of a PostgreSQL: postgresql://user@host:5432/database is one.") from None
    own: dict[str, Any] = {"connect_timeout": 10, "application_name": application, "client_encoding": "utf8"}
    try:
        with psycopg.connect(make_conninfo(**own | said), autocommit=True) as connection:
            yield connection
    except psycopg.Error as error:
        words = f"{error.diag.message_primary or error} {error.diag.message_detail or ''}".split()
        raise LakehouseError(f"PostgreSQL refused what it was asked: {' '.join(words)}\n{then}") from error


def only(connection: Connection[Any], query: str | Composed, values: Sequence[Any] = ()) -> Sequence[Any]:
    """The only row of an answer."""
    (row,) = connection.execute(query, values)
    return row  # type: ignore[no-any-return]

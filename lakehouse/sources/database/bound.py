"""Up to when all that changed can be read: a transaction that is still open may bring what is older than now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakehouse.sources.windows import SourceError
from lakehouse.store.postgres import only

if TYPE_CHECKING:
    from datetime import datetime

    from psycopg import Connection

    from lakehouse.described.database import Database

# now() is when this statement began, before it looks at the others. What vacuums writes no rows of a table. Of a
# transaction that was prepared PostgreSQL knows only when that was.
OPEN = """
select now(), not pg_is_in_recovery() and pg_has_role(current_user, 'pg_read_all_stats', 'usage'),
  (select min(xact_start) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and backend_type <> 'autovacuum worker'),
  (select min(prepared) from pg_prepared_xacts where database = current_database())
"""


def upper(connection: Connection[Any], said: Database) -> datetime:
    """By the server's clock, and to be asked before the rows are read; what changes from then on has a later time.

    Raises SourceError where the role does not see when transactions began, and the contract does not say either.
    """
    now, sees, began, prepared = only(connection, OPEN)
    lasts = said.longest_transaction
    if (not sees or prepared) and lasts is None:
        raise SourceError(
            "A transaction that is open now may bring rows that are older than this fetch, and this role does not see "
            "when those of others began (nor does a standby, nor anybody of a prepared one). Grant it "
            "pg_read_all_stats, or say `longest_transaction: 1h` in the contract, which none outlasts."
        )
    known = [now, *([began] if sees and began else []), *([prepared - lasts] if prepared and lasts else [])]
    return min(known) if sees or lasts is None else now - lasts  # type: ignore[no-any-return]

"""What Trino shows of gold: a schema of views for each kept release, `gold` for the newest, `gold_live` as it is now.

A view names its columns and the version of its table, so a schema `gold_r12` answers alike as long as it is there. What
`gold` says stands in `gold_local` as each market writes.
"""

from __future__ import annotations

import http.client
import json
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pyarrow as pa

from lakehouse.delta.tables import log, progress
from lakehouse.errors import LakehouseError
from lakehouse.recovery import releases
from lakehouse.serving.questions import local, sql
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lakehouse.recovery.releases import Release

LAYER, LIVE = "gold", "gold_live"
PUBLISHER, READ = "publisher", "lake"  # catalogs of the same tables: docker/trino/catalog
SECONDS = 60


class TrinoError(LakehouseError):
    """Trino did not do what it was asked."""


@dataclass(frozen=True)
class Trino:
    """A server at a URL, and who asks: its `user` of docker/trino/rules.json may make schemas and views."""

    url: str
    user: str

    def ask(self, statement: str) -> list[list[Any]]:
        """The rows. By Trino's own protocol, a dozen lines, so that nobody needs its client to serve it."""
        answer, rows = self._request("POST", "/v1/statement", statement), list[list[Any]]()
        while True:
            if error := answer.get("error"):
                raise TrinoError(f"Trino does not do `{statement}`: {error['message']}")
            rows += answer.get("data") or []
            if not (following := answer.get("nextUri")):
                return rows
            answer = self._request("GET", urlsplit(following).path, None)

    def _request(self, how: str, path: str, body: str | None) -> dict[str, Any]:
        with closing(http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=SECONDS)) as connection:
            try:
                connection.request(how, path, body and body.encode(), {"X-Trino-User": self.user})
                return dict(json.loads(connection.getresponse().read()))
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise TrinoError(
                    f"There is no Trino that answers at {self.url}: {error}. `lakehouse serve trino` starts one."
                ) from error


def follow(trino: Trino, root: str, days: int) -> Release | None:
    """Show the releases of the last `days` and the newest, which is returned; None where there is none yet.

    A release's own schema is whole before `gold` is replaced by it, table by table: who joins tables and must have them
    of one release names its schema.
    """
    known = releases.releases(root)
    if not known:
        return None
    kept = releases.kept(known, days)
    there = _there(trino)
    _register(trino, root, kept, there)
    for one in reversed(kept):
        _show(trino, root, one, there)
        if one is kept[-1]:
            _replace(trino, LAYER, _views(root, one, _gold(one)), there)
            _replace(trino, local.SCHEMA, _local_views(root, one), there)
    for schema in there.keys() - {LAYER, LIVE, local.SCHEMA} - {f"{LAYER}_r{one.number}" for one in kept}:
        trino.ask(f"drop schema {PUBLISHER}.{schema} cascade")
    return known[-1]


def _there(trino: Trino) -> dict[str, set[str]]:
    """The schemas that there are, with what is in them."""
    found: dict[str, set[str]] = {
        str(one): set() for (one,) in trino.ask(f"show schemas from {PUBLISHER} like 'gold%'")
    }
    for schema, table in trino.ask(
        f"select table_schema, table_name from {PUBLISHER}.information_schema.tables where table_schema like 'gold%'"  # noqa: S608
    ):
        found[schema].add(table)
    return found


def _register(trino: Trino, root: str, kept: list[Release], there: Mapping[str, set[str]]) -> None:
    """The tables themselves, at their newest version."""
    if LIVE not in there:
        trino.ask(f"create schema {PUBLISHER}.{LIVE}")
    place = root if storage.is_s3(root) else "local:///lake"  # a link to it: see server.py
    for name in {name: None for one in kept for name in _gold(one)}:
        if _own(name) not in there.get(LIVE, ()):
            where = progress.address(place, name).replace("'", "''")
            trino.ask(f"call {PUBLISHER}.system.register_table('{LIVE}', '{_own(name)}', '{where}')")


def _gold(one: Release) -> list[str]:
    return [name for name in one.tables if name.startswith(f"{LAYER}.")]


def _own(name: str) -> str:
    return name.partition(".")[2]


def _views(root: str, one: Release, names: Iterable[str]) -> dict[str, str]:
    """By table what its view says; tables that were made anew since have versions of another life, and none."""
    views = {}
    for name in names:
        with suppress(LakehouseError):
            at = sql.version(root, name, point=one.point)
            columns = ", ".join(f'"{column}"' for column in sql.shown(progress.address(root, name), at))
            views[_own(name)] = f"select {columns} from {READ}.{LIVE}.{_own(name)} for version as of {at}"  # noqa: S608
    return views


def _show(trino: Trino, root: str, one: Release, there: Mapping[str, set[str]]) -> None:
    """What a release says never changes: a view that is there is right."""
    schema = f"{LAYER}_r{one.number}"
    if schema not in there:
        trino.ask(f"create schema {PUBLISHER}.{schema}")
    missing = [name for name in _gold(one) if _own(name) not in there.get(schema, ())]
    for table, view in _views(root, one, missing).items():
        trino.ask(f"create view {PUBLISHER}.{schema}.{table} security invoker as {view}")


def _local_views(root: str, one: Release) -> dict[str, str]:
    """Over those of `gold`, where rows belong to a market; columns are those that are shown there."""
    views = {}
    for name in _gold(one):
        with suppress(LakehouseError):
            address, at = progress.address(root, name), sql.version(root, name, point=one.point)
            found, shown = log.snapshot(address, at), sql.shown(address, at)
            columns = pa.schema([column for column in log.schema(found) if column.name in shown] if found else [])
            views[_own(name)] = local.question(_own(name), f"{READ}.{LAYER}.{_own(name)}", columns, local.TRINO)
    return views


def _replace(trino: Trino, schema: str, views: Mapping[str, str], there: Mapping[str, set[str]]) -> None:
    if schema not in there:
        trino.ask(f"create schema {PUBLISHER}.{schema}")
    for table, view in views.items():
        trino.ask(f"create or replace view {PUBLISHER}.{schema}.{table} security invoker as {view}")
    for table in there.get(schema, set()) - views.keys():
        trino.ask(f"drop view {PUBLISHER}.{schema}.{table}")

"""What tables, conf files and sources are called in a catalog of lineage: as OpenLineage's naming says."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from lakehouse import graph
from lakehouse.delta.tables import progress
from lakehouse.errors import LakehouseError
from lakehouse.sources.credentials import secret

if TYPE_CHECKING:
    from lakehouse.contract import Source
    from lakehouse.described.api import Api
    from lakehouse.described.database import Database
    from lakehouse.graph import Table

LANDING = "landing"


class Dataset(NamedTuple):
    namespace: str
    name: str


def of_table(root: str, name: str) -> Dataset:
    return of_place(progress.address(root, name))


def of_place(address: str) -> Dataset:
    """`s3://bucket` and the key, or `file` and the path."""
    if "://" not in address:
        return Dataset("file", address)
    scheme, _, place = address.partition("://")
    bucket, _, key = place.partition("/")
    return Dataset(f"{scheme}://{bucket}", key or "/")


def of_input(root: str, landing: str, table: Table, name: str) -> tuple[Dataset, ...]:
    """What an input of build() is outside: of `landing` where the table's source is delivered or fetched from."""
    if name.startswith("conf."):
        return (of_place(str(graph.HOME / "conf" / f"{name.removeprefix('conf.')}.yml")),)
    if name != LANDING or table.contract.source is None:
        return (of_table(root, name),)
    return _of_source(landing, table.name, table.contract.source)


def _of_source(landing: str, name: str, source: Source) -> tuple[Dataset, ...]:
    """Of files the patterns that they come by: they are one dataset, whichever day they are of."""
    found = [of_place(f"{landing.rstrip('/')}/{one}") for one in source.files]
    if source.kafka:
        found.append(Dataset(_broker(os.environ.get(source.kafka.servers, source.kafka.servers)), source.kafka.topic))
    if source.api or source.database:
        fetched = _of_api(source.api) if source.api else _of_database(source.database)
        found.append(fetched or of_place(f"{landing.rstrip('/')}/{name}"))
    return tuple(found)


def _broker(servers: str) -> str:
    """The first of them, each of which may lack the port, or have a protocol before it."""
    host = servers.partition(",")[0].strip().rpartition("://")[2]
    return f"kafka://{host}" if re.search(r":\d+$", host) else f"kafka://{host}:9092"


def _of_api(api: Api) -> Dataset | None:
    """None where nobody says its address."""
    parts = urlsplit(api.base_url if "://" in api.base_url else os.environ.get(api.base_url, ""))
    port = f":{parts.port}" if parts.port else ""
    path = "/".join(one.strip("/") for one in (parts.path, api.path) if one.strip("/"))
    return Dataset(f"{parts.scheme}://{parts.hostname}{port}", path or "/") if parts.hostname else None


def _of_database(database: Database | None) -> Dataset | None:
    """None where nobody says its address."""
    try:
        parts = urlsplit(secret(database.url).revealed if database else "")
        port = parts.port or 5432
    except (LakehouseError, ValueError):
        return None
    name = f"{parts.path.strip('/')}.{database.table}" if database else ""
    return Dataset(f"postgres://{parts.hostname}:{port}", name) if parts.hostname else None

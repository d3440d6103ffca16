"""One MinIO for the run, on a folder of its own, with its users; and one PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lakehouse.errors import LakehouseError
from lakehouse.store import minio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakehouse.store.minio import Account, Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("store") / "minio"
    yield minio.start(folder)
    minio.stop(folder)


@pytest.fixture(scope="session")
def reader_and_writer(server: Server) -> tuple[Account, Account]:
    minio.ensure_bucket(server)
    return minio.reader_and_writer(server)


@pytest.fixture
def as_writer(reader_and_writer: tuple[Account, Account], monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is that of who may write, as on a server that the store's page sets up."""
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    for name, value in reader_and_writer[1].environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """It notes who waits for a lock for longer than his deadlock_timeout."""
    pytest.importorskip("psycopg", reason="needs the extra `postgres`: uv sync --inexact --extra postgres")
    from lakehouse.serving.postgres import server  # noqa: PLC0415  which is lacking without psycopg

    try:
        server.programs()
    except LakehouseError as error:
        pytest.skip(str(error))
    settings = {"fsync": "off", "max_connections": "250", "max_prepared_transactions": "2", "log_lock_waits": "on"}
    with server.running(settings) as url:
        yield url


@pytest.fixture
def url(postgres: str, request: pytest.FixtureRequest) -> str:
    """A database of its own."""
    import psycopg  # noqa: PLC0415  as above

    name = f"of_{abs(hash(request.node.nodeid))}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    return f"{postgres.rpartition('/')[0]}/{name}"

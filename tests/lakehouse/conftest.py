"""One MinIO for the run, on a folder of its own, with its users."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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

"""A place on S3 that the environment of a test leads to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lakehouse.store.minio import Account


@pytest.fixture
def on_s3(reader_and_writer: tuple[Account, Account], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    for name, value in reader_and_writer[1].environment().items():
        monkeypatch.setenv(name, value)
    return "s3://lakehouse/committed"

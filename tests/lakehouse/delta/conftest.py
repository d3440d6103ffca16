"""A place on S3 that the environment of a test leads to."""

from __future__ import annotations

import pytest


@pytest.fixture
def on_s3(as_writer: None) -> str:  # noqa: ARG001  for what it does
    return "s3://lakehouse/committed"

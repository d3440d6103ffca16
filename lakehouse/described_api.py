"""`source: {api: ...}`: how pages of an HTTP API are fetched."""

from __future__ import annotations

from lakehouse.described import Fetched


class Api(Fetched):
    """An HTTP API that gives pages."""

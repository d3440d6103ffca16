"""The core of the lakehouse; whoever reads one, or an API's sales, imports `Lake` or `SalesAPIClient` from here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakehouse.serving.lake import Lake
    from lakehouse.sources.api.sales import SalesAPIClient

__all__ = ["Lake", "SalesAPIClient"]


def __getattr__(name: str) -> object:
    """Loaded when it is asked for: importing a part of the core must not pay for it."""
    if name == "Lake":
        from lakehouse.serving.lake import Lake  # noqa: PLC0415

        return Lake
    if name == "SalesAPIClient":
        from lakehouse.sources.api.sales import SalesAPIClient  # noqa: PLC0415

        return SalesAPIClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The core of the lakehouse; for whoever only reads one, `from lakehouse import Lake` is enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakehouse.serving.lake import Lake

__all__ = ["Lake"]


def __getattr__(name: str) -> object:
    """Loaded when it is asked for: importing a part of the core must not pay for it."""
    if name == "Lake":
        from lakehouse.serving.lake import Lake  # noqa: PLC0415

        return Lake
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

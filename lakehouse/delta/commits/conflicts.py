"""Several writers of one table: who was quicker, and going on from what is there then."""

from __future__ import annotations

from functools import partial, wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from lakehouse.delta.tables import progress
from lakehouse.errors import LakehouseError
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Callable

OTHERS = 16  # tries of a small commit, each after another's
MAINTAINED = 5  # tries of a turn, each after maintenance
P = ParamSpec("P")
T = TypeVar("T")


class ConflictError(LakehouseError):
    """Another writer was quicker: nothing was written."""


def after_others(write: Callable[P, T]) -> Callable[P, T]:
    """Again, from looking at what is there on, where another writer was quicker."""

    @wraps(write)
    def again(*arguments: P.args, **named: P.kwargs) -> T:
        return storage.patiently(partial(write, *arguments, **named), ConflictError, tries=OTHERS)

    return again


def beside_maintenance(address: str, base: int, write: Callable[[int], T]) -> T:
    """What `write` commits upon `base`, or upon a later version of the same rows: maintenance stops no run.

    Not `after_others`: what was computed from other rows is nothing to try again with.
    """
    for _ in range(MAINTAINED - 1):
        try:
            return write(base)
        except ConflictError:
            if (now := progress.after_maintenance(address, base)) is None:
                raise
            base = now
    return write(base)

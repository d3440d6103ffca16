"""Tables of which a test says only what it is about; those that a lake is made of stand in toy.py."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from lakehouse.contract import Contract
from lakehouse.graph import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyspark.sql import DataFrame

CSV = {"files": ["*.csv"], "format": "csv"}


def a_table(
    name: str,
    write: str,
    *inputs: str,
    columns: Mapping[str, str] | None = None,
    build: Callable[..., DataFrame] | None = None,
    fingerprint: str = "definition",
    **promise: object,
) -> Table:
    """`columns` by their types, `order_id` where none are named; the grain is the first, the unit the grain."""
    types = columns or {"order_id": "bigint"}
    facts = {"owner": "tests", "description": "rows", "write": write, "grain": list(types)[:1]} | promise
    facts["columns"] = {one: {"type": kind, "meaning": "a column"} for one, kind in types.items()}
    if write == "append":
        facts = {"source": CSV} | facts
    if write in {"latest", "refresh"}:
        facts = {"unit": facts["grain"]} | facts
    module = ModuleType(name)
    vars(module)["build"] = build
    return Table(name, Contract.model_validate(facts), module, inputs, fingerprint)

"""Which rules a delivered row can break: the contract's own, and those that the core adds to every table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import Column

    from lakehouse.graph import Table

RULES_OF = {"reject": "_broken", "warn": "_warned", "stop": "_stopped"}  # where the rules that a row breaks stand


def rules_of(table: Table) -> dict[str, tuple[Column, str]]:
    """The contract's rules and those of the core, as conditions that hold for a right row.

    A cause comes before its consequences: of an unknown market no time can be read, while of a column that cannot be
    read no rule is broken, since unknown passes.
    """
    own = {name: (F.expr(rule.check), rule.severity) for name, rule in table.contract.rules.items()}
    rules = {f"{name}_is_present": (F.col(name).isNotNull(), "reject") for name in table.contract.unit} | own
    for name, column in table.contract.columns.items():
        present = F.col(name).isNotNull()
        if column.source:
            text = F.col(f"_source.text.`{column.source}`")
            rules[f"{name}_is_readable"] = (text.isNull() | F.col(name).isNotNull(), "reject")
            present = text.isNotNull()
        if column.required or name in table.contract.unit:
            rules[f"{name}_is_present"] = (present, "reject")
    return rules


def broken(rules: Mapping[str, tuple[Column, str]], wanted: str) -> Column:
    """Names of the rules of one severity that the row breaks.

    Unknown (null) passes, as in SQL constraints: `required` is the rule for what must be there.
    """
    checks = {name: check for name, (check, severity) in rules.items() if severity == wanted}
    broken = [F.when(~F.coalesce(check, F.lit(True)), F.lit(name)) for name, check in checks.items()]  # noqa: FBT003
    return F.array_compact(F.array(*broken)) if broken else F.array().cast("array<string>")


def document_rules(table: Table) -> dict[str, tuple[Column, str]]:
    return {name: one for name, one in rules_of(table).items() if is_of_document(table, name)}


def is_of_document(table: Table, rule: str) -> bool:
    """Whether the rule needs columns that are computed over the document."""
    words = set(re.findall(r"\w+", table.contract.rules[rule].check)) if rule in table.contract.rules else set()
    return bool(words & table.contract.document.keys())

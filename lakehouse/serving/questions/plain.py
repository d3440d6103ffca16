"""Questions so plain that their tables can be told without a grammar, whose import takes longer than their answers.

Plain is `select ... from gold.daily_sales where ... group by ... order by ... limit ...`, with joins and subqueries, of
names, numbers, texts and the functions below. Whatever else stands in a question, sqlglot reads it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SCHEMAS = ("bronze", "silver", "gold", "gold_local", "ops")
TOKEN = re.compile(r"(?P<text>'[^'\\]*')|(?P<word>\w+)|(?P<sign><=|>=|<>|[(),.*=<>+-])|(?P<other>\S)")
FUNCTIONS = {"count", "sum", "min", "max", "avg"}
CALL = re.compile(rf"'[^']*'|\b({'|'.join(sorted(FUNCTIONS))})\s*\(", re.IGNORECASE)
BEFORE_A_PARENTHESIS = FUNCTIONS | {"from", "join", "in", "on", "using", "and", "or", "where", "by", "as"}
BEFORE_A_TEXT = {"in", "like", "and", "or", "between", "select"}
AFTER_A_TABLE = {"where", "group", "order", "having", "limit", "union", "on", "using"}
FROM_ENDS = {"where", "group", "order", "having", "limit", "union", "select"}
AFTER_A_TABLE |= {"join", "inner", "left", "right", "full", "cross", ")", ""}
# Of tables that are none of the lake's, columns that are not named, `from` in another meaning, `join` after a name; and
# `not`, which sqlglot moves to another place.
NOT_PLAIN = {"with", "all", "distinct", "lateral", "values", "table", "interval", "natural", "semi", "anti", "not"}


@dataclass(frozen=True)
class Named:
    """Where a question names a table, as `schema.name`, and whether it gives it another name there."""

    start: int
    end: int
    table: str
    has_alias: bool


def tables(statement: str) -> list[Named] | None:
    """The places of its tables; None where the question is not plain."""
    found = list(TOKEN.finditer(statement))
    words = [one[0].lower() for one in found]
    if words[:1] != ["select"] or "--" in statement or NOT_PLAIN & set(words):
        return None
    kinds, words = [one.lastgroup for one in found], [*words, "", "", "", "", "", ""]
    named: list[Named] = []
    in_from = [False]  # of each parenthesis that is open
    for place, kind in enumerate(kinds):
        word, after = words[place], words[place + 1]
        in_from = _in_from(in_from, word)
        if not in_from or (word == "," and in_from[-1]):
            return None
        if kind == "other" or (kind != "sign" and not _may_be(word, after)):
            return None
        if word in {"from", "join"} and after == "(":
            if words[place + 2] != "select":
                return None
        elif word in {"from", "join"}:
            _, schema, point, name, *rest = words[place : place + 7]
            alias, ending = (rest[1], rest[2]) if rest[0] == "as" else (rest[0], rest[1])
            has_alias = rest[0] not in AFTER_A_TABLE
            if point != "." or (ending if has_alias else rest[0]) not in AFTER_A_TABLE or alias in {"(", "."}:
                return None
            named.append(Named(found[place + 1].start(), found[place + 3].end(), f"{schema}.{name}", has_alias))
    return named


def spelled(statement: str) -> str:
    """With its functions as sqlglot writes them, since columns without a name are called by them."""
    return CALL.sub(lambda found: found[0].upper() if found[1] else found[0], statement)


def _in_from(before: list[bool], word: str) -> list[bool]:
    """Of each open parenthesis, whether a comma in it would stand between tables; empty where none is open to close."""
    if word == "(":
        return [*before, False]
    if word == ")":
        return before[:-1]
    if word == "from" or word in FROM_ENDS:
        return [*before[:-1], word == "from"]
    return before


def _may_be(word: str, after: str) -> bool:
    """Whether a word or text may stand before this; two texts side by side are one, with a quote or without."""
    if after == "(":
        return word in BEFORE_A_PARENTHESIS
    return not after.startswith("'") or word in BEFORE_A_TEXT

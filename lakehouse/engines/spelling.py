"""The functions that both engines compute alike: the only ones that builds, rules and the core may use.

tests/lakehouse/engines/test_spelling.py holds each of them equal on random and extreme values; a function is on the
list when it passes there, and is taken off when it fails after an upgrade. What else they do not agree on, and the
spelling that both take: a quotient of decimals (whole-number `div`, or a product with 0.001), `weekday`, `date_trunc`,
`trunc` and `extract` (transforms.weekday, week_start, month_start, iso_year), `try_to_date` (calendar_day), sums that
begin again at the other end (whole_sum), `to_json`, a union with columns that one side lacks (typed nulls).
What static reading does not find: all branches of a `when` or `case` must have one type (Sail takes the first one's,
and cuts off what the others have more), and so must the two sides of a union; an int literal beside a decimal is
decimal(10,0) there and as short as it is in Spark, so that products are cast to the type that is meant; `sum(a)` and
`sum(cast(a ...))` cannot stand in one aggregate.
"""

from __future__ import annotations

import ast
import re
from collections import ChainMap
from typing import TYPE_CHECKING

import sqlglot
from sqlglot.tokenizer_core import TokenType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# By name, in `F.*` and in SQL texts alike: of which values it holds, where it does not hold of all.
FUNCTIONS: Mapping[str, str] = {
    # nulls and choices
    "coalesce": "",
    "nullif": "",
    "isnull": "",
    "if": "both of one type",
    "least": "",
    "greatest": "",
    # numbers
    "abs": "doubles, and decimals of at most 34 digits",
    "signum": "cast to decimal(1,0)",
    "isnan": "what is not null: null is no NaN to Spark, and null to Sail",
    "round": "decimals, cast to the type that is meant",
    "floor": "decimals, and doubles that fit into a bigint",
    "pmod": "a positive divisor",
    "div": "a quotient of at most 64 bits: beyond Spark gives another number, Sail an error",
    "raise_error": "",
    # texts
    "concat": "",
    "concat_ws": "texts, whole numbers and decimals",
    "lower": "",
    "upper": "",
    "trim": "blanks alone, no tabs",
    "btrim": "",
    "length": "",
    "translate": "",
    "split": "",
    "md5": "",
    "regexp_replace": "patterns without NOT_IN_PATTERNS",
    "regexp_extract": "patterns without NOT_IN_PATTERNS",
    # times
    "year": "",
    "quarter": "",
    "month": "",
    "dayofweek": "",
    "weekofyear": "",
    "hour": "",
    "date_add": "",
    "date_sub": "",
    "dayofmonth": "",
    "make_date": "days that there are",
    "sequence": "whole numbers and days",
    "date_format": "yyyy, MM and dd",
    "to_date": "",
    "date_diff": "cast to int",
    "datediff": "cast to int",
    "try_to_timestamp": "the formats of lakehouse.transforms",
    "unix_date": "",
    "unix_micros": "",
    "to_utc_timestamp": "before the year 2100",
    "from_utc_timestamp": "before the year 2100",
    # arrays and structs
    "array": "",
    "array_append": "",
    "array_compact": "",
    "array_contains": "arrays without nulls",
    "array_join": "",
    "array_sort": "",
    "sort_array": "",
    "slice": "",
    "get": "a place from 0 on",
    "size": "arrays that are not null",
    "explode": "",
    "inline": "",
    "filter": "",
    "aggregate": "",
    "struct": "",
    # hashes
    "xxhash64": "anything but decimals of more than 18 digits: those as text",
    # aggregates
    "count": "",
    "count_distinct": "",
    "count_if": "",
    "min": "",
    "max": "",
    "min_by": "by what is not null, nor any part of it",
    "max_by": "as min_by",
    "sum": "int, and decimals of at most 28 digits",
    "collect_list": "in any order",
    "collect_set": "in any order",
    # of windows
    "row_number": "",
    "rank": "",
    "lag": "",
    "lead": "",
    "last": "",
}
# What `F` has beside functions: names, values, conditions, orders, and hints that change no value.
WORDS = {"col", "lit", "expr", "when", "call_function", "asc", "desc", "broadcast"}
# What stands before a parenthesis in SQL without being a function; `cast` says which type, see TYPES.
SYNTAX = {
    "and",
    "or",
    "not",
    "in",
    "when",
    "then",
    "else",
    "filter",
    "where",
    "cast",
    "try_cast",
    "div",
    "is",
    "between",
}
TYPES = re.compile(r"string|boolean|int|bigint|double|date|timestamp|decimal\([^)]*\)|array<string>")
KINDS = {"TEXT", "BOOLEAN", "INT", "BIGINT", "DOUBLE", "DATE", "TIMESTAMPTZ", "DECIMAL"}
OPERATORS = {"+", "-", "*", "%", "=", "<>", "!=", "<", "<=", ">", ">=", "<=>", "(", ")", ",", ".", "->", "::"}
# Right only inside of another: their types differ.
WITHIN = {"date_diff": "cast", "datediff": "cast", "round": "cast", "signum": "cast"}
# In Java \d is ASCII's digits, \s its blanks, and $ stands before a last line feed too; here they are not.
NOT_IN_PATTERNS = re.compile(r"\\[dDsSwWbBhHvVR]|(?<!\\)\$|\(\?[a-zA-Z]")
PATTERNS = {"rlike": 0, "regexp_replace": 1, "regexp_extract": 1}  # which argument is one
OF_SQL = {"where", "filter", "expr", "selectExpr"}


def refused(code: ast.AST | str) -> list[str]:
    """What in a module, or in a SQL text, is not known to be computed alike; in words, with the line of a module.

    Texts that a function puts together while it runs are not read.
    """
    return list(_of_tree(code) if isinstance(code, ast.AST) else _of_sql(code))


def _of_sql(text: str) -> Iterator[str]:
    tokens = sqlglot.tokenize(text, read="databricks")
    words = ["", "", *(token.text.lower() for token in tokens), ""]
    for place, token in enumerate(tokens, start=2):
        word, kind, before, after = words[place], token.token_type, words[place - 1], words[place + 1]
        if kind is TokenType.STRING:
            yield from _of_pattern(token.text) if before == "rlike" else ()
        elif before in {"as", "::"}:
            yield from () if kind.name in KINDS else (f"a cast to {word}",)
        elif not re.match(r"\w|`", word):
            yield from () if word in OPERATORS or kind is TokenType.IDENTIFIER else (f"{word} in {text!r}",)
        elif after == "(" and word not in SYNTAX:
            outer = words[place - 2] if before == "(" else ""
            yield from _of_function(word, outer.replace("try_cast", ""))


def _of_function(name: str, outer: str) -> Iterator[str]:
    if name not in FUNCTIONS:
        yield name
    elif WITHIN.get(name, outer) != outer:
        yield f"{name} without {WITHIN[name]} around it"


def _of_pattern(pattern: str) -> Iterator[str]:
    yield from (f"{found} in the pattern {pattern!r}" for found in dict.fromkeys(NOT_IN_PATTERNS.findall(pattern)))


def _of_tree(tree: ast.AST) -> Iterator[str]:
    outer = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    constants = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found = list(_of_attribute(node, outer, constants))
            yield from (f"line {node.lineno}: {one}" for one in found)
        elif isinstance(node, ast.keyword) and node.arg == "allowMissingColumns":
            yield f"line {node.value.lineno}: allowMissingColumns"


def _of_attribute(
    node: ast.Attribute, outer: Mapping[ast.AST, ast.AST], constants: Mapping[str, ast.AST]
) -> Iterator[str]:
    call = outer.get(node)
    arguments = call.args if isinstance(call, ast.Call) and call.func is node else []
    texts = [text for one in arguments if (text := _text(one, constants)) is not None]
    is_function = isinstance(node.value, ast.Name) and node.value.id == "F"
    if is_function and node.attr not in WORDS:
        yield from _of_function(node.attr, _name_around(outer.get(call) if call else None))
    if is_function and node.attr == "call_function":
        yield from _of_function(texts[0] if texts else "a function by no name", "")
    if node.attr in PATTERNS:
        pattern = _text(arguments[PATTERNS[node.attr]], constants) if arguments else None
        yield from _of_pattern(pattern or "")
    if node.attr in OF_SQL and not (is_function and node.attr == "filter"):
        yield from (one for text in texts for one in _of_sql(text))
    if node.attr in {"cast", "try_cast"}:
        yield from (f"a cast to {text}" for text in texts if not TYPES.fullmatch(text))


def _name_around(node: ast.AST | None) -> str:
    """Of the method called on it, or of the function that it is an argument of."""
    function = node.func if isinstance(node, ast.Call) else node
    return function.attr if isinstance(function, ast.Attribute) else ""


def _text(node: ast.AST, constants: Mapping[str, ast.AST]) -> str | None:
    """A literal text, also by its name, and what is literal of a formatted one."""
    if isinstance(node, ast.Name) and node.id in constants:
        return _text(constants[node.id], ChainMap({}, {k: v for k, v in constants.items() if k != node.id}))
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(one, constants) or "" for one in node.values)
    if isinstance(node, ast.FormattedValue):
        return _text(node.value, constants) or "1"
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None

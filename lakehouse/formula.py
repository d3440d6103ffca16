"""The formulas of contracts: numbers, counts of a delivery's rows, + - * /, parentheses, min and max, nothing else."""

from __future__ import annotations

import ast
import math
import operator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PLACES = ("kept", "unchanged", "rejected", "duplicate", "superseded", "retracted")  # where a row that came in can end
NAMES = ("rows", *PLACES, "warned")

OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
SIGNS: Mapping[type[ast.unaryop], Callable[[float], float]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
CHOICES: Mapping[str, Callable[[list[float]], float]] = {"min": min, "max": max}


def check_formula(text: str) -> str:
    """The text itself. Raises ValueError (which pydantic puts beside the file's name) with what is wrong in it."""
    known = f"it may have numbers, + - * / ( ), min(...), max(...), and the counts {', '.join(NAMES)}"
    try:
        _evaluate(_parsed(text), dict.fromkeys(NAMES, 1.0))
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise ValueError(f"the formula {text!r} cannot be computed ({error}); {known}") from error
    return text


def evaluate(formula: str, counts: Mapping[str, int]) -> float | None:
    """From 0 to 100; null where it divides by zero or a count that it names is not known."""
    result = _evaluate(_parsed(formula), {name: float(count) for name, count in counts.items()})
    return None if result is None or math.isnan(result) else min(100.0, max(0.0, result))


def _parsed(text: str) -> ast.expr:
    return ast.parse(text.strip(), mode="eval").body


def _evaluate(node: ast.expr, counts: Mapping[str, float]) -> float | None:
    """Every part is looked at, whatever its values are; one that is not listed here is an error."""
    match node:
        case ast.Constant(value=number) if type(number) in {int, float}:
            return float(number)  # type: ignore[arg-type]
        case ast.Name(id=name) if name in NAMES:
            return counts.get(name)
        case ast.UnaryOp(op=op, operand=operand) if type(op) in SIGNS:
            return _known(SIGNS[type(op)], [_evaluate(operand, counts)])
        case ast.BinOp(op=op, left=left, right=right) if type(op) in OPERATORS:
            values = [_evaluate(left, counts), _evaluate(right, counts)]
            is_by_zero = isinstance(op, ast.Div) and values[1] == 0
            return None if is_by_zero else _known(OPERATORS[type(op)], values)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in CHOICES:
            return _known(lambda *known: CHOICES[name](list(known)), [_evaluate(one, counts) for one in args])
    raise ValueError(f"{ast.unparse(node)!r} is no part of a formula")


def _known(compute: Callable[..., float], values: Sequence[float | None]) -> float | None:
    """Null where a value is not known."""
    return None if None in values else compute(*values)

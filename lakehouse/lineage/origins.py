"""Which columns of its inputs each column of a frame is made from, read from the plan that its client would send.

Nothing is computed, and no engine's optimizer is asked: names are resolved here, as Spark resolves them. What is not
understood is an UnknownPlanError, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Place = tuple[str, str]  # an input and a column of it
Origins = Mapping[Place, frozenset[str]]  # and in which ways; of those in DIRECT at most one, the last of them

# As OpenLineage's column lineage facet names them. What is direct gives values; what is not, chooses among them.
IDENTITY, TRANSFORMATION, AGGREGATION = DIRECT = ("IDENTITY", "TRANSFORMATION", "AGGREGATION")
CONDITIONAL, WINDOW = "CONDITIONAL", "WINDOW"  # of one column
FILTER, JOIN, GROUP_BY, SORT = "FILTER", "JOIN", "GROUP_BY", "SORT"  # of which rows there are

AGGREGATES = {
    "count", "count_distinct", "count_if", "sum", "min", "max", "min_by", "max_by", "collect_list", "collect_set",
    "avg", "mean", "first", "any_value", "bool_and", "bool_or", "every", "some",
}  # fmt: skip
# Of structs, or of arrays of them, these give structs or arrays of them; what is chosen by all fields says CHOOSING.
KEEPING = {
    "array", "array_append", "array_compact", "array_distinct", "coalesce", "collect_list", "collect_set", "concat",
    "element_at", "explode", "explode_outer", "filter", "first", "flatten", "get", "greatest", "inline",
    "inline_outer", "lag", "last", "lead", "least", "max", "max_by", "min", "min_by", "slice", "sort_array",
    "array_sort",
}  # fmt: skip
CHOOSING = {"greatest", "least", "max", "min", "sort_array", "array_sort"}
# By their second argument the first is chosen.
CHOSEN_BY = {"min_by", "max_by", "nullif", "slice", "get", "element_at", "lag", "lead"}
GENERATORS = {"explode", "explode_outer", "inline", "inline_outer"}
SAME_ROWS = {"hint", "repartition", "repartition_by_expression", "fill_na", "limit"}
INNER, FULL, LEFT, RIGHT, ANTI, SEMI, CROSS = range(1, 8)  # of spark.connect.Join.JoinType
INTERSECT, UNION, EXCEPT = 1, 2, 3  # of spark.connect.SetOperation.SetOpType
GROUP_BY_ALONE = 1  # of spark.connect.Aggregate.GroupType


class UnknownPlanError(Exception):
    """A part of a plan whose meaning is not known here, in words."""


@dataclass(frozen=True)
class Value:
    """What a column or expression is made from; of a struct, or an array of structs, also its `fields`, if known."""

    origins: Origins = field(default_factory=dict)
    fields: Mapping[str, Value] | None = None


@dataclass(frozen=True)
class Column:
    name: str
    value: Value
    of: str = ""  # the alias of its frame


@dataclass(frozen=True)
class Frame:
    """`rows`: what decides which rows there are."""

    columns: Sequence[Column]
    rows: Origins = field(default_factory=dict)

    def of(self, name: str) -> Origins:
        """Of the column of that name."""
        return self.value([name]).origins

    def value(self, path: Sequence[str]) -> Value:
        """Of a column, or of a field of a struct."""
        found = [one for one in self.columns if one.name.lower() == path[0].lower()]
        rest = path[1:]
        if not found and rest:
            found = [one for one in self.columns if (one.of, one.name.lower()) == (path[0], rest[0].lower())]
            rest = rest[1:]
        if not found:
            raise UnknownPlanError(f"no column is named {'.'.join(path)}")
        if len(found) > 1:
            raise UnknownPlanError(f"several columns are named {'.'.join(path)}")
        value = found[0].value
        for name in rest:
            value = _field(value, name)
        return value


def of_plan(relation: Any, inputs: Mapping[str, tuple[str, Sequence[str]]]) -> Frame:  # noqa: ANN401
    """The columns of a relation, a message of Spark Connect.

    `inputs`: by the path that is read, the name of an input and its columns. Raises UnknownPlanError for what
    it does not know.
    """
    return _Plan(inputs).frame(relation)


def merged(*all_of: Origins) -> Origins:
    """What is an origin of any."""
    found: dict[Place, frozenset[str]] = {}
    for origins in all_of:
        for place, ways in origins.items():
            found[place] = _plain(found.get(place, frozenset()) | ways)
    return found


def indirectly(origins: Origins, way: str) -> Origins:
    """What they choose is made from others."""
    return dict.fromkeys(origins, frozenset({way}))


def _directly(origins: Origins, way: str) -> Origins:
    """What is made of them: values by that way at least, and what chose among them goes on to."""
    return {
        place: _plain(ways | {way}) if ways & {*DIRECT} else ways for place, ways in origins.items()
    }  # fmt: skip


def _plain(ways: frozenset[str]) -> frozenset[str]:
    direct = [one for one in DIRECT if one in ways]
    return ways - {*direct[:-1]}


def _together(values: Sequence[Value], way: str, *, is_choosing: bool = False) -> Value:
    """Of which a value may be any; where they have fields, so has it."""
    whole = _directly(merged(*(one.origins for one in values)), way)
    known = [one.fields for one in values if one.fields is not None]
    fields = None
    if known:
        chosen_by = indirectly(whole, CONDITIONAL) if is_choosing else {}
        names = {name: None for some in known for name in some}
        fields = {
            name: _and(_together([some[name] for some in known if name in some], way), chosen_by) for name in names
        }
    return Value(whole, fields)


def _and(value: Value, origins: Origins) -> Value:
    """The value, and in each of its parts what chose it."""
    fields = value.fields and {name: _and(one, origins) for name, one in value.fields.items()}
    return Value(merged(value.origins, origins), fields)


def _field(value: Value, name: str) -> Value:
    """Of what is not known field by field any may be meant."""
    if value.fields is None:
        return Value(_directly(value.origins, TRANSFORMATION))
    found = [one for key, one in value.fields.items() if key.lower() == name.lower()]
    if not found:
        raise UnknownPlanError(f"no field is named {name}")
    return found[0]


class _Plan:
    def __init__(self, inputs: Mapping[str, tuple[str, Sequence[str]]]) -> None:
        self.inputs = inputs

    def frame(self, relation: Any) -> Frame:  # noqa: ANN401
        kind = relation.WhichOneof("rel_type")
        one = getattr(relation, kind)
        if kind in SAME_ROWS:
            return self.frame(one.input)
        read: Callable[[Any], Frame] | None = getattr(self, f"_{kind}", None)
        if read is None:
            raise UnknownPlanError(f"{kind} of frames is not known")
        return read(one)

    # Frames

    def _read(self, one: Any) -> Frame:  # noqa: ANN401
        paths = list(one.data_source.paths)
        if len(paths) != 1 or paths[0] not in self.inputs:
            raise UnknownPlanError("it reads what is no input")
        name, columns = self.inputs[paths[0]]
        return Frame([Column(of, Value({(name, of): frozenset({IDENTITY})})) for of in columns])

    def _project(self, one: Any) -> Frame:  # noqa: ANN401
        below = self.frame(one.input)
        return self._selected(below, one.expressions, below.rows)

    def _selected(self, below: Frame, expressions: Iterable[Any], rows: Origins) -> Frame:
        """Columns by these expressions; of what makes several rows of one it depends how many there are."""
        columns: list[Column] = []
        for each in expressions:
            if each.WhichOneof("expr_type") == "unresolved_star":
                columns += below.columns
                continue
            named = _named(each)
            function = named if each.WhichOneof("expr_type") != "alias" else each.alias.expr
            made = self._function_name(function)
            value = _Expressions(below).value(each)
            if made in GENERATORS:
                rows = merged(rows, indirectly(value.origins, FILTER))
            if made in {"inline", "inline_outer"}:
                if value.fields is None:
                    raise UnknownPlanError("inline of what is not known field by field")
                names = list(each.alias.name) if each.WhichOneof("expr_type") == "alias" else list(value.fields)
                columns += [Column(*of) for of in zip(names, value.fields.values(), strict=True)]
            else:
                columns.append(Column(_name(each), value))
        return Frame(columns, rows)

    @staticmethod
    def _function_name(expression: Any) -> str:  # noqa: ANN401
        kind = expression.WhichOneof("expr_type")
        return str(getattr(expression, kind).function_name) if kind in {"unresolved_function", "call_function"} else ""

    def _with_columns(self, one: Any) -> Frame:  # noqa: ANN401
        below = self.frame(one.input)
        columns, rows = list(below.columns), below.rows
        for alias in one.aliases:
            name, value = alias.name[0], _Expressions(below).value(alias.expr)
            if self._function_name(alias.expr) in GENERATORS:
                rows = merged(rows, indirectly(value.origins, FILTER))
            places = [at for at, of in enumerate(columns) if of.name.lower() == name.lower()]
            for at in places:
                columns[at] = Column(name, value)
            columns += [] if places else [Column(name, value)]
        return Frame(columns, rows)

    def _with_columns_renamed(self, one: Any) -> Frame:  # noqa: ANN401
        below = self.frame(one.input)
        names = {of.col_name.lower(): of.new_col_name for of in one.renames}
        return replace(below, columns=[replace(of, name=names.get(of.name.lower(), of.name)) for of in below.columns])

    def _to_df(self, one: Any) -> Frame:  # noqa: ANN401
        below = self.frame(one.input)
        named = zip(below.columns, one.column_names, strict=True)
        return replace(below, columns=[Column(name, of.value) for of, name in named])

    def _drop(self, one: Any) -> Frame:  # noqa: ANN401
        below = self.frame(one.input)
        gone = {name.lower() for name in (*one.column_names, *map(_name, one.columns))}
        return replace(below, columns=[of for of in below.columns if of.name.lower() not in gone])

    def _subquery_alias(self, one: Any) -> Frame:  # noqa: ANN401
        below = self.frame(one.input)
        return replace(below, columns=[replace(of, of=one.alias) for of in below.columns])

    def _filter(self, one: Any) -> Frame:  # noqa: ANN401
        below = self.frame(one.input)
        why = _Expressions(below).value(one.condition).origins
        return replace(below, rows=merged(below.rows, indirectly(why, FILTER)))

    def _drop_na(self, one: Any) -> Frame:  # noqa: ANN401
        below = self.frame(one.input)
        names = list(one.cols) or [of.name for of in below.columns]
        return replace(below, rows=merged(below.rows, *(indirectly(below.of(name), FILTER) for name in names)))

    def _sort(self, one: Any) -> Frame:  # noqa: ANN401
        below = self.frame(one.input)
        by = [_Expressions(below).value(of.child).origins for of in one.order]
        return replace(below, rows=merged(below.rows, indirectly(merged(*by), SORT)))

    def _deduplicate(self, one: Any) -> Frame:  # noqa: ANN401
        below = self.frame(one.input)
        names = [of.name for of in below.columns] if one.all_columns_as_keys else list(one.column_names)
        return replace(below, rows=merged(below.rows, *(indirectly(below.of(name), GROUP_BY) for name in names)))

    def _aggregate(self, one: Any) -> Frame:  # noqa: ANN401
        if one.group_type != GROUP_BY_ALONE:
            raise UnknownPlanError("groups of a pivot, a cube or a rollup are not known")
        below = self.frame(one.input)
        by = self._selected(below, one.grouping_expressions, below.rows)
        groups = [indirectly(of.value.origins, GROUP_BY) for of in by.columns]
        made = self._selected(below, one.aggregate_expressions, merged(below.rows, *groups))
        return replace(made, columns=[*by.columns, *made.columns])

    def _set_op(self, one: Any) -> Frame:  # noqa: ANN401
        left, right = self.frame(one.left_input), self.frame(one.right_input)
        rows = merged(left.rows, right.rows)
        if one.set_op_type in {INTERSECT, EXCEPT} or not one.is_all:
            compared = [of.value.origins for of in (*left.columns, *right.columns)]
            rows = merged(rows, indirectly(merged(*compared), FILTER))
        if one.set_op_type in {INTERSECT, EXCEPT}:
            return Frame(left.columns, rows)
        places = {of.name.lower(): at for at, of in enumerate(right.columns)}
        if one.by_name and places.keys() != {of.name.lower() for of in left.columns}:
            raise UnknownPlanError("a union of other columns is not known")
        others = [right.columns[places[of.name.lower()] if one.by_name else at] for at, of in enumerate(left.columns)]
        pairs = zip(left.columns, others, strict=True)
        return Frame([Column(of.name, _either(of.value, other.value)) for of, other in pairs], rows)

    def _join(self, one: Any) -> Frame:  # noqa: ANN401
        left, right, kind = self.frame(one.left), self.frame(one.right), one.join_type
        both, names = Frame([*left.columns, *right.columns]), list(one.using_columns)
        keys = [indirectly(side.of(name), JOIN) for side in (left, right) for name in names]
        if one.HasField("join_condition"):
            keys.append(indirectly(_Expressions(both).value(one.join_condition).origins, JOIN))
        rows = merged(left.rows, right.rows, *keys)
        if kind in {ANTI, SEMI}:
            return Frame(left.columns, rows)
        using = {name.lower() for name in names}
        of_keys = []
        for name in names:
            mine, other = left.value([name]), right.value([name])
            value = {RIGHT: other, FULL: _either(mine, other)}.get(kind, mine)
            of_keys.append(Column(name, value))
        rest = [of for side in (left, right) for of in side.columns if of.name.lower() not in using]
        return Frame([*of_keys, *rest], rows)


def _either(one: Value, other: Value) -> Value:
    """Rows of the one and of the other: what is one column of each stays what it is."""
    fields = None
    if one.fields is not None and other.fields is not None and one.fields.keys() == other.fields.keys():
        fields = {name: _either(of, other.fields[name]) for name, of in one.fields.items()}
    return Value(merged(one.origins, other.origins), fields)


def _named(expression: Any) -> Any:  # noqa: ANN401
    """The expression below what keeps a name: Spark calls `cast(a as int)` a."""
    while expression.WhichOneof("expr_type") == "cast":
        expression = expression.cast.expr
    return expression


def _name(expression: Any) -> str:  # noqa: ANN401
    """What Spark calls a column of this expression; a name that nobody can write where it is made up of its text."""
    one = _named(expression)
    match one.WhichOneof("expr_type"):
        case "alias":
            return str(one.alias.name[0])
        case "unresolved_attribute":
            return _parts(one.unresolved_attribute.unparsed_identifier)[-1]
        case "unresolved_extract_value" if one.unresolved_extract_value.extraction.HasField("literal"):
            return str(one.unresolved_extract_value.extraction.literal.string)
        case "unresolved_function" if one.unresolved_function.function_name in GENERATORS:
            return "col"
    return f"({one.WhichOneof('expr_type')})"


def _parts(identifier: str) -> list[str]:
    """Of `a.b` and of `` `a.b` ``."""
    found = re.findall(r"`((?:[^`]|``)*)`|([^.`]+)", identifier)
    return [quoted.replace("``", "`") or plain for quoted, plain in found]


class _Expressions:
    """Expressions over the columns of a frame, and the variables of lambdas around them."""

    def __init__(self, frame: Frame, variables: Mapping[str, Value] | None = None) -> None:
        self.frame, self.variables = frame, variables or {}

    def value(self, expression: Any) -> Value:  # noqa: ANN401
        kind = expression.WhichOneof("expr_type")
        read: Callable[[Any], Value] | None = getattr(self, f"_{kind}", None)
        if read is None:
            raise UnknownPlanError(f"{kind} in an expression is not known")
        return read(getattr(expression, kind))

    @staticmethod
    def _literal(_: Any) -> Value:  # noqa: ANN401
        return Value()

    _unresolved_star = _literal  # of count(*)

    def _unresolved_attribute(self, one: Any) -> Value:  # noqa: ANN401
        return self.frame.value(_parts(one.unparsed_identifier))

    def _alias(self, one: Any) -> Value:  # noqa: ANN401
        return self.value(one.expr)

    def _cast(self, one: Any) -> Value:  # noqa: ANN401
        return Value(_directly(self.value(one.expr).origins, TRANSFORMATION))

    def _expression_string(self, one: Any) -> Value:  # noqa: ANN401
        return _Sql(self.frame).value(sqlglot.parse_one(one.expression, read="databricks"))

    def _window(self, one: Any) -> Value:  # noqa: ANN401
        by = [self.value(of).origins for of in (*one.partition_spec, *(each.child for each in one.order_spec))]
        return _and(self.value(one.window_function), indirectly(merged(*by), WINDOW))

    def _unresolved_function(self, one: Any) -> Value:  # noqa: ANN401
        return self._function(one.function_name.lower(), list(one.arguments))

    _call_function = _unresolved_function

    def _unresolved_named_lambda_variable(self, one: Any) -> Value:  # noqa: ANN401
        return self._variable(list(one.name_parts))

    def _variable(self, path: list[str]) -> Value:
        value = self.variables[path[0]]
        for name in path[1:]:
            value = _field(value, name)
        return value

    def _unresolved_extract_value(self, one: Any) -> Value:  # noqa: ANN401
        child = self.value(one.child)
        if one.extraction.HasField("literal") and one.extraction.literal.HasField("string"):
            return _field(child, one.extraction.literal.string)
        return _and(_together([child], TRANSFORMATION), indirectly(self.value(one.extraction).origins, CONDITIONAL))

    def _function(self, name: str, arguments: list[Any]) -> Value:
        if name == "struct":
            return _struct({_name(one): self.value(one) for one in arguments})
        if name in {"transform", "filter", "exists", "forall"}:
            return self._of_elements(name, *arguments)
        if name == "aggregate":
            return self._folded(*arguments)
        if any(one.WhichOneof("expr_type") == "lambda_function" for one in arguments):
            raise UnknownPlanError(f"{name} with a lambda is not known")
        return _called(name, [self.value(one) for one in arguments])

    def _of_elements(self, name: str, array: Any, function: Any) -> Value:  # noqa: ANN401
        elements = self.value(array)
        made = self._applied(function, [elements, Value()])
        if name == "transform":
            return _together([made], TRANSFORMATION)
        if name == "filter":
            return _and(_together([elements], TRANSFORMATION), indirectly(made.origins, CONDITIONAL))
        return Value(_directly(merged(elements.origins, made.origins), TRANSFORMATION))

    def _folded(self, array: Any, zero: Any, merge: Any, finish: Any = None) -> Value:  # noqa: ANN401
        """What each element adds may come from what the others did: until nothing new comes."""
        elements, state = self.value(array), self.value(zero)
        while True:
            after = _either(state, _together([self._applied(merge, [state, elements])], TRANSFORMATION))
            if after == state:
                break
            state = after
        return self._applied(finish, [state]) if finish is not None else state

    def _applied(self, function: Any, values: Sequence[Value]) -> Value:  # noqa: ANN401
        names = [one.name_parts[0] for one in function.lambda_function.arguments]
        inside = {**self.variables, **dict(zip(names, values, strict=False))}
        return _Expressions(self.frame, inside).value(function.lambda_function.function)


def _struct(fields: Mapping[str, Value]) -> Value:
    return Value(merged(*(one.origins for one in fields.values())), fields)


def _called(name: str, values: Sequence[Value]) -> Value:
    """Of a function by its name and its arguments."""
    if name == "raise_error":  # it gives no value, and what is said in it decides nothing
        return Value()
    if name == "when":
        return _chosen([*values[::2]] if len(values) % 2 == 0 else [*values[:-1:2]], [
            *values[1::2], *(values[-1:] if len(values) % 2 else ())
        ])  # fmt: skip
    if name == "if":
        return _chosen(values[:1], values[1:])
    way = AGGREGATION if name in AGGREGATES else TRANSFORMATION
    by: Origins = {}
    if name in CHOSEN_BY:
        by = indirectly(merged(*(one.origins for one in values[1:2])), CONDITIONAL)
        values = [*values[:1], *values[2:]]
    if name in KEEPING:
        return _and(_together(values, way, is_choosing=name in CHOOSING), by)
    return Value(merged(_directly(merged(*(one.origins for one in values)), way), by))


def _chosen(conditions: Sequence[Value], values: Sequence[Value]) -> Value:
    by = indirectly(merged(*(one.origins for one in conditions)), CONDITIONAL)
    return _and(_together(values, TRANSFORMATION), by)


class _Sql:
    """The same for an expression that is written in SQL."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    def value(self, node: exp.Expr) -> Value:
        match node:
            case exp.Column():
                return self.frame.value([one.name for one in node.parts])
            case exp.Alias() | exp.Paren():
                return self.value(node.this)
            case exp.Case():
                branches = node.args["ifs"]
                tests = [one.this for one in branches] + ([node.this] if node.this else [])
                results = [one.args["true"] for one in branches] + [one for one in [node.args.get("default")] if one]
                return _chosen([*map(self.value, tests)], [*map(self.value, results)])
            case exp.If():
                results = [node.args[key] for key in ("true", "false") if node.args.get(key)]
                return _chosen([self.value(node.this)], [*map(self.value, results)])
            case exp.Subquery() | exp.Window() | exp.Lambda() | exp.Star() | exp.Struct():
                raise UnknownPlanError(f"{node.sql()} in SQL is not known")
        way = AGGREGATION if isinstance(node, exp.AggFunc) else TRANSFORMATION
        parts = [one for one in node.iter_expressions() if isinstance(one, exp.Expr)]
        return Value(_directly(merged(*(self.value(one).origins for one in parts)), way))


def of_sql(text: str, frame: Frame) -> Origins:
    """What a condition or an aggregate in SQL is made from. Raises UnknownPlanError."""
    return _Sql(frame).value(sqlglot.parse_one(text, read="databricks")).origins

"""What a statement of a person may do: read tables of the lake, by functions that touch nothing else.

Decided by the tree that sqlglot makes of it, and the engine is given that tree's text, so that no comment, quote or
name means one thing here and another there. What is not known to be harmless is refused, also what sqlglot cannot read.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel, SqlglotError

from lakehouse.engines.spelling import FUNCTIONS
from lakehouse.errors import LakehouseError
from lakehouse.serving.questions.plain import SCHEMAS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DIALECT = "databricks"
# Beside those that both engines are known to compute alike: of a row's own values, of rows, and rows from values.
HARMLESS = frozenset(
    re.findall(
        r"\w+",
        """
    acos add_months any_value approx_count_distinct approx_percentile array_agg array_distinct array_except
    array_intersect array_max array_min array_position array_remove array_repeat array_union arrays_overlap
    arrays_zip ascii asin atan atan2 avg base64 bool_and bool_or bround btrim cardinality cast cbrt ceil ceiling
    char char_length character_length chr contains corr cos covar_pop covar_samp crc32 cume_dist curdate
    current_date current_timestamp date date_from_unix_date date_part date_trunc dateadd datepart day dayname
    dayofyear degrees dense_rank element_at endswith every exists exp explode_outer extract find_in_set first
    first_value flatten forall format_number from_json from_unixtime get_json_object grouping grouping_id hash hex
    ifnull ilike initcap inline_outer instr isnotnull kurtosis last_day last_value left len levenshtein like listagg
    ln localtimestamp locate log log10 log1p log2 lpad ltrim make_interval make_timestamp map map_concat
    map_contains_key map_entries map_filter map_from_arrays map_from_entries map_keys map_values mean median minute
    mod mode monthname months_between named_struct nanvl negative next_day now nth_value ntile nvl nvl2 overlay
    percent_rank percentile percentile_approx percentile_cont percentile_disc pi posexplode posexplode_outer
    position positive pow power radians rand range reduce regexp regexp_count regexp_extract_all regexp_instr
    regexp_like regexp_substr regr_slope repeat replace reverse right rint rlike rpad rtrim second sha sha1 sha2
    shiftleft shiftright shuffle sign sin skewness some soundex space split_part sqrt stack startswith std stddev
    stddev_pop stddev_samp string_agg substr substring substring_index tan timestamp timestamp_micros
    timestamp_millis timestamp_seconds timestampadd timestampdiff to_char to_json to_number to_timestamp
    to_unix_timestamp transform transform_keys transform_values trunc try_add try_avg try_divide try_element_at
    try_multiply try_subtract try_sum try_to_date try_to_number typeof unbase64 unhex unix_millis unix_seconds
    unix_timestamp uuid var_pop var_samp variance week weekday width_bucket zip_with
    """,
    )
)
# Operators and choices, which sqlglot has as functions.
SYNTAX = (exp.And, exp.Or, exp.Xor, exp.Case, exp.If, exp.Cast, exp.Coalesce, exp.Exists)
BEGINS = {"select", "values", "with", "from"}
WRITES = (exp.DDL, exp.DML, exp.Command, exp.Into)
ELSEWHERE = (exp.QueryTransform, exp.Parameter, exp.SessionParameter, exp.Placeholder, exp.Lock, exp.Stream)
NAME = re.compile(r"\w+")


def query(statement: str) -> exp.Query | exp.Values:
    """The tree of one query. Raises LakehouseError for whatever does more than to read the lake."""
    word = _first_word(statement)
    parsed = _parsed(statement) if word in BEGINS else None
    if not isinstance(parsed, exp.Query | exp.Values) or parsed.find(*WRITES):
        raise LakehouseError(
            f"`lakehouse sql` only reads, and this statement, {word} ..., is not a query (select, "
            "with, values, describe, show, explain). Tables are written by `lakehouse run` alone."
        )
    if refused := list(dict.fromkeys([*_functions(parsed), *_places(parsed)])):
        raise LakehouseError(
            f"`lakehouse sql` reads tables of the lake alone, by functions that touch nothing else, and this statement "
            f"has {', '.join(refused)}. Tables are named with their layer ({', '.join(SCHEMAS)}); functions are those "
            "of lakehouse/engines/spelling.py and lakehouse/serving/questions/allowed.py."
        )
    return parsed


def condition(text: str, table: str, columns: Sequence[str]) -> str:
    """The condition as the engine is given it. Raises LakehouseError unless it is over one row with these columns."""
    try:
        with _in_words():
            parsed = sqlglot.parse_one(text, read=DIALECT, into=exp.Condition)
    except LakehouseError as error:
        raise LakehouseError(
            f"{text!r} is no condition over the columns of {table}. Write one as after `where` in SQL, e.g. "
            f'"{columns[0]} = 1".'
        ) from error
    refused = list(dict.fromkeys(_functions(parsed)))
    if refused or parsed.find(exp.Query, exp.AggFunc, exp.Window, exp.Star, *WRITES):
        has = f" It has {', '.join(refused)}." if refused else ""
        raise LakehouseError(
            f"{text!r} is more than a condition over one row of {table}: it may compare the row's own columns, "
            f"without subqueries, sums over rows and programs.{has}"
        )
    known = {name.lower() for name in columns}
    named = {written(column) for column in parsed.find_all(exp.Column)}
    if unknown := sorted(name for name in named if name.replace("`", "").lower() not in known):
        there = ", ".join(name for name in columns if not name.startswith("_"))
        raise LakehouseError(f"{table} has no column {', '.join(unknown)}. It has: {there}.")
    return written(parsed)


def _first_word(statement: str) -> str:
    with _in_words():
        tokens = sqlglot.tokenize(statement, read=DIALECT)
    return next((one.text.lower() for one in tokens if NAME.match(one.text)), "nothing")


def _parsed(statement: str) -> exp.Expr | None:
    with _in_words():
        every = sqlglot.parse(statement, read=DIALECT)
    if len(every) > 1:
        raise LakehouseError("`lakehouse sql` takes one statement, and these are several. Ask them one by one.")
    return every[0]


@contextmanager
def _in_words() -> Iterator[None]:
    """A call with too few arguments, or one that is nested too deeply, it meets with whatever error."""
    try:
        yield
    except (SqlglotError, LookupError, AttributeError, TypeError, ValueError, RecursionError) as error:
        words = " ".join(str(error.__cause__ or error).partition("\n")[0].split())  # "Missing ' from 1:9"
        raise LakehouseError(f"That is no SQL that can be read: {words}") from error


def written(part: exp.Expr) -> str:
    """What the engine is given, and a person is told."""
    with _in_words():
        return part.sql(DIALECT, comments=False, unsupported_level=ErrorLevel.IGNORE) or type(part).__name__.lower()


def _functions(parsed: exp.Expr) -> Iterator[str]:
    """What is called, or stands for what is not in the tree, and is not known to be harmless."""
    for one in parsed.find_all(exp.Func):
        names = {one.name.lower()} if isinstance(one, exp.Anonymous | exp.AnonymousAggFunc) else _names(one)
        if isinstance(one.parent, exp.Dot):
            yield f"the function {written(one.parent)}"
        elif not isinstance(one, SYNTAX) and not names & (HARMLESS | FUNCTIONS.keys()):
            yield f"the function {min(names)}"
    yield from (written(one) for one in parsed.find_all(*ELSEWHERE))


def _names(function: exp.Func) -> set[str]:
    """Of a function that sqlglot knows: its own, and as the engine is given it."""
    given = NAME.match(written(function))
    return {one.lower() for one in function.sql_names()} | ({given[0].lower()} if given else set())


def _places(parsed: exp.Expr) -> Iterator[str]:
    """What rows are taken from, and is neither a table of the lake nor a part of the statement."""
    for table in parsed.find_all(exp.Table):
        if isinstance(table.this, exp.Func) and not table.db:  # which is judged by its name
            continue
        is_of_the_lake = table.db.lower() in SCHEMAS and not table.catalog and NAME.fullmatch(table.name)
        if not is_of_the_lake and (table.db or table.name.lower() not in _own(table)):
            yield f"the table {written(table)}"


def _own(table: exp.Table) -> set[str]:
    """The names that the queries around a table give by `with`."""
    names, around = set[str](), table.parent
    while around is not None:
        names |= {one.alias.lower() for one in around.ctes} if isinstance(around, exp.Query) else set()
        around = around.parent
    return names

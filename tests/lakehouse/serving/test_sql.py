"""`lakehouse sql` reads: what else a statement may want is refused before Spark starts."""

from __future__ import annotations

import pytest

from lakehouse.errors import LakehouseError
from lakehouse.serving import sql


@pytest.mark.parametrize(
    "statement",
    [
        "select * from gold.daily_sales",
        "SELECT 1",
        "values (1, 'a')",
        "table gold.daily_sales",
        "describe table gold.daily_sales",
        "desc history gold.daily_sales",
        "show tables in gold",
        "explain select * from gold.daily_sales",
        "(select 1) union all (select 2)",
        " ( ( select 1 ) ) ",
        "-- revenue\n-- by day\nselect 1",
        "/* insert into t */ /* \n */ select 1",
        "with days as (select 1 as n) select * from days",
        "with days as (select 1 as n) from days select n",
        "with days as (select * from gold.daily_sales version as of 0) select * from days",
        "with recursive days as (select 1 as n) select n from days",
        "from gold.daily_sales select revenue",
        "select 'drop table x' as words",
    ],
)
def test_what_only_reads_is_let_through(statement: str) -> None:
    sql.check_reading(statement)


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("insert into gold.daily_sales select 1", "insert"),
        ("INSERT OVERWRITE gold.daily_sales values (1)", "insert"),
        ("with days as (select 1) insert into gold.daily_sales select * from days", "with"),
        ("with days as (select 1) delete from gold.daily_sales", "with"),
        ("from gold.daily_sales insert into t select *", "from"),
        ("from gold.daily_sales insert into t select * insert into u select *", "from"),
        ("-- select\ninsert into gold.daily_sales select 1", "insert"),
        ("/* select */ -- select\n (delete from gold.daily_sales)", "delete"),
        ("merge into t using u on t.a = u.a when matched then delete", "merge"),
        ("delete from gold.daily_sales", "delete"),
        ("update gold.daily_sales set revenue = 0", "update"),
        ("drop table gold.daily_sales", "drop"),
        ("create table t as select 1", "create"),
        ("create temporary view v as select 1", "create"),
        ("truncate table gold.daily_sales", "truncate"),
        ("alter table gold.daily_sales add column a int", "alter"),
        ("restore table gold.daily_sales to version as of 0", "restore"),
        ("set spark.sql.ansi.enabled = false", "set"),
        ("use gold", "use"),
        ("vacuum gold.daily_sales", "vacuum"),
        ("optimize gold.daily_sales", "optimize"),
        ("call system.procedure()", "call"),
        ("copy into t from 's3://x'", "copy"),
        ("", "nothing"),
        ("  \n", "nothing"),
        ("-- select 1", "nothing"),
    ],
)
def test_everything_else_is_refused_by_its_first_word(statement: str, word: str) -> None:
    with pytest.raises(LakehouseError, match=f"`lakehouse sql` only reads, and this statement, {word} ..., is not"):
        sql.check_reading(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "select java_method('java.lang.System', 'exit', 1)",
        "select try_reflect('java.util.UUID', 'randomUUID')",
        "select transform(a) using 'cat' from gold.daily_sales",
    ],
)
def test_a_query_may_not_start_programs(statement: str) -> None:
    with pytest.raises(LakehouseError, match="starts no programs"):
        sql.check_reading(statement)


COLUMNS = ["market", "order_date", "_file"]


@pytest.mark.parametrize(
    "condition",
    [
        "true",
        "market = 1 and order_date = '2022-01-05'",
        "MARKET = 1 or `market` <=> 2",
        "order_date between date'2022-01-01' and current_date - interval 3 days",
        "_file like '%late%' -- a word",
    ],
)
def test_a_condition_over_known_columns_is_let_through(condition: str) -> None:
    sql.check_condition(condition, "gold.daily_sales", COLUMNS)


@pytest.mark.parametrize(
    "condition",
    ["", "market =", "market = 1; drop table t", "1 = 1 union select 1", "market = 1) or (1 = 1", "market = 1 limit 1"],
)
def test_what_is_no_condition_is_refused_with_an_example(condition: str) -> None:
    with pytest.raises(LakehouseError, match=r'is no condition over the columns of gold.daily_sales.*"market = 1"'):
        sql.check_condition(condition, "gold.daily_sales", COLUMNS)


@pytest.mark.parametrize(
    "condition",
    ["market in (select 1)", "exists (select 1)", "sum(market) > 1", "*", "java_method('a', 'b') = 'c'"],
)
def test_a_condition_is_over_one_row_alone(condition: str) -> None:
    with pytest.raises(LakehouseError, match=r"is more than a condition over one row of gold\.daily_sales"):
        sql.check_condition(condition, "gold.daily_sales", COLUMNS)


def test_columns_that_are_not_there_are_named_with_those_that_are() -> None:
    with pytest.raises(LakehouseError) as error:
        sql.check_condition("market = 1 and t.market = 1 and day > 1", "gold.daily_sales", COLUMNS)
    assert str(error.value) == "gold.daily_sales has no column day, t.market. It has: market, order_date."

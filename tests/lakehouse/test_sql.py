"""`lakehouse sql` reads: what else a statement may want is refused before Spark starts."""

from __future__ import annotations

import pytest

from lakehouse import sql
from lakehouse.errors import LakehouseError


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

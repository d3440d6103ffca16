"""`lakehouse sql` reads: what else a statement may want is refused before an engine starts."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from lakehouse import conf, engines
from lakehouse.delta.commits import committer
from lakehouse.delta.commits.committer import Target
from lakehouse.delta.tables import progress
from lakehouse.engines import spelling
from lakehouse.errors import LakehouseError
from lakehouse.serving.questions import allowed, plain, sql

if TYPE_CHECKING:
    from lakehouse.engines.protocol import Reader
    from lakehouse.engines.spark.engine import Spark


@pytest.mark.parametrize(
    "statement",
    [
        "select * from gold.daily_sales",
        "SELECT 1",
        "values (1, 'a')",
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


OF_PROGRAMS = (
    "reflect",
    "try_reflect",
    "java_method",
    "`reflect`",
    "/**/reflect/**/",
    "default.reflect",
    "read_csv",
    "read_files",
    "identifier",
    "input_file_name",
    "ai_query",
    "getvariable",
    "a.`java_method`",
    "REFLECT ",
)


@pytest.mark.parametrize("function", OF_PROGRAMS)
@pytest.mark.parametrize(
    "statement",
    [
        "select {}('java.util.UUID', 'randomUUID')",
        "select * from {}('/etc/passwd')",
        "explain select upper({}('a', 'b'))",
        "with a as (select 1) select * from gold.sales lateral view {}('a') t as x",
        "select 1 from gold.sales where {}('a', 'b') = '1' -- harmless",
        "select count(*) from (select * from gold.sales order by {}('a', 'b'))",
    ],
)
def test_a_function_is_one_of_those_that_touch_nothing_else(statement: str, function: str) -> None:
    name = re.sub(r".*[.]|\W", "", function)
    with pytest.raises(LakehouseError, match=f"(?i)the function [^,]*{name}"):
        sql.check_reading(statement.format(function))
    with pytest.raises(LakehouseError, match=r"more than a condition over one row of gold\.daily_sales"):
        allowed.condition(f"{function}('a', 'b') = 'c'", "gold.daily_sales", COLUMNS)


PLACES = (
    "text.`/etc/passwd`",
    "`text`.`/etc/passwd`",
    "parquet.`s3://a/b`",
    "delta.`/lake/gold/sales`",
    "csv.data",
    "gold.`../../other/table`",
    "spark_catalog.gold.sales",
    "'/etc/passwd'",
    "sales",
    "json.`x` as gold",
)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "statement",
    [
        "select * from {}",
        "select 1 from ({})",
        "select 1 from gold.sales, {}",
        "select 1 from (select market from gold.sales) a, {}",
        "select 1 from gold.sales a join {} on a.market = 1",
        "select market from gold.sales union select * from {}",
        "select market from gold.sales where market in (select value from {})",
        "with a as (select * from {}) select * from a",
        "select * from (with sales as (select 1) select * from sales) a, {}",
        "explain select * from {}",
    ],
)
def test_rows_are_taken_from_tables_of_the_lake_alone(root: str, statement: str, place: str) -> None:
    with pytest.raises(LakehouseError, match=r"There is no table|reads tables of the lake alone"):
        sql.query(engines.reader(), root, statement.format(place))


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("select transform(market) using 'cat' from gold.sales", "has TRANSFORM"),
        ("select map market using 'cat' from gold.sales", "no SQL that can be read"),
        ("select 1 from (map market using 'cat' as b from gold.sales)", "no SQL that can be read"),
        ("select market from gold.sales for update", "has "),
        ("select ${env:AWS_SECRET_ACCESS_KEY}", "has "),
        ("select :a", "has :a"),
        ("select * from stream gold.sales", "has STREAM"),
        ("select 1; select 2", "one statement"),
        ("select 1; drop table gold.sales", "one statement"),
        ("select market from gold.sales where day = 'x", "no SQL that can be read"),
        ("select 1 from gold.sales) a, (select 2", "no SQL that can be read"),
    ],
)
def test_what_else_a_question_may_hold_is_refused_in_words(statement: str, words: str) -> None:
    with pytest.raises(LakehouseError, match=words):
        sql.check_reading(statement)


@pytest.mark.slow
def test_every_function_of_the_lists_may_be_asked_for() -> None:
    for name in sorted({*spelling.FUNCTIONS} | allowed.HARMLESS):
        taken = list[object]()
        for arguments in (
            "a",
            "a, 1",
            "a, 'y'",
            "a, 1, 2",
            "a, 1, 2, 3",
            "",
            "a as int",
            "day from a",
            "'a' in b",
            "a, 'b', c",
        ):
            with suppress(LakehouseError):  # so many it does not take
                taken.append(allowed.query(f"select {name}({arguments})" if name != "div" else "select 3 div 2"))
        assert taken, name


def test_the_views_of_ops_are_questions_like_any_other() -> None:
    for file in sorted((conf.HOME / "conf" / "ops").glob("*.sql")):
        sql.check_reading(file.read_text(encoding="utf-8"))


TEXTS = ["it's", "a\\b", "\\", "\\'", "a\nb", '"', "`", "--", "/* */", "${env:HOME}", "\\u0041", "%_", "é€🙂", ""]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_means_to_the_engine_what_the_tree_says(root: str, text: str) -> None:
    """Else what stands in quotes here were code there."""
    written = "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    assert answer(engines.reader(), root, f"select {written} as t, length({written}) as n from gold.sales limit 1") == [
        "t n",
        f"{text} {len(text)}",
    ]


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
    allowed.condition(condition, "gold.daily_sales", COLUMNS)


@pytest.mark.parametrize(
    "condition",
    [
        "",
        "market =",
        "market = 'x",
        "market = 1; drop table t",
        "1 = 1 union select 1",
        "market = 1) or (1 = 1",
        "market = 1 limit 1",
    ],
)
def test_what_is_no_condition_is_refused_with_an_example(condition: str) -> None:
    with pytest.raises(LakehouseError, match=r'is no condition over the columns of gold.daily_sales.*"market = 1"'):
        allowed.condition(condition, "gold.daily_sales", COLUMNS)


@pytest.mark.parametrize(
    "condition",
    ["market in (select 1)", "exists (select 1)", "sum(market) > 1", "*", "java_method('a', 'b') = 'c'"],
)
def test_a_condition_is_over_one_row_alone(condition: str) -> None:
    with pytest.raises(LakehouseError, match=r"is more than a condition over one row of gold\.daily_sales"):
        allowed.condition(condition, "gold.daily_sales", COLUMNS)


def test_columns_that_are_not_there_are_named_with_those_that_are() -> None:
    with pytest.raises(LakehouseError) as error:
        allowed.condition("market = 1 and t.market = 1 and day > 1", "gold.daily_sales", COLUMNS)
    assert str(error.value) == "gold.daily_sales has no column day, t.market. It has: market, order_date."


# answers


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two tables; of gold.sales the first version has one row less, and each row a hash that is not shown."""
    folder = str(tmp_path_factory.mktemp("lake"))
    days = {"market": [1, 2, 2], "day": ["a", "a", "b"], "orders": [3, 1, 5], "_digest": [7, 8, 9]}
    sales = Target(progress.address(folder, "gold.sales"), pa.table(days).schema, {"day": "as text"})
    committer.overwrite(sales, -1, pa.table(days).slice(1), None)
    committer.overwrite(sales, 0, pa.table(days), None)
    names = pa.table({"market": [1, 2], "name": ["one", "two"]})
    committer.overwrite(Target(progress.address(folder, "silver.markets"), names.schema), -1, names, None)
    return folder


def answer(reader: Reader, root: str, statement: str) -> list[str]:
    found = sql.query(reader, root, statement)
    return [" ".join(found.columns), *(" ".join(map(str, row)) for row in found.texts())]


ANSWERS = {
    "select * from gold.sales order by orders": ["market day orders", "2 a 1", "1 a 3", "2 b 5"],
    "select count(*) as n from gold.sales version as of 0": ["n", "2"],
    "select market, sum(orders) as n from gold.sales group by all order by all": ["market n", "1 3", "2 6"],
    "with d as (select max(orders) as n from gold.sales) select n from d": ["n", "5"],
    "select a.name, b.name from silver.markets a join silver.markets b using (market) order by 1": [
        "name name_2",
        "one one",
        "two two",
    ],
    "describe table gold.sales": [
        "col_name data_type comment",
        "market bigint ",
        "day string as text",
        "orders bigint ",
        "_digest bigint ",
    ],
    "select array(1, 2) as a, cast(2 as decimal(9,2)) as d, null as n": ["a d n", "[1, 2] 2.00 None"],
}


@pytest.mark.parametrize("statement", ANSWERS)
def test_a_question_is_answered_over_versions_of_tables(root: str, statement: str) -> None:
    assert answer(engines.reader(), root, statement) == ANSWERS[statement]


@pytest.mark.spark
def test_spark_answers_alike(on_spark: Spark, root: str) -> None:  # noqa: ARG001  which it keeps to itself
    reader = engines.reader(engines.SPARK)
    assert {one: answer(reader, root, one) for one in ANSWERS} == ANSWERS
    assert list(sql.query(reader, root, "select array(1) as a, cast(2 as decimal(9,2)) as d").objects()) == [
        '{"a": [1], "d": 2.00}'
    ]
    with pytest.raises(LakehouseError, match=r"That cannot be answered: .*nothing_at_all"):
        sql.query(reader, root, "select nothing_at_all from gold.sales")


def test_in_json_numbers_have_all_digits_and_texts_have_quotes(root: str) -> None:
    found = sql.query(
        engines.reader(), root, "select 1.50 as d, 'x' as t, true as b, array(1) as a, cast('NaN' as double) as n"
    )
    assert list(found.objects()) == ['{"d": 1.50, "t": "x", "b": true, "a": [1], "n": "NaN"}']


PLAIN = [
    "select orders + 1, orders * 2, -orders, orders = 3, orders is null, 'x', 1.5, true from gold.sales",
    "select market in (1, 2), day like 'a', orders between 1 and 2, market = 1 or orders >= 3 from gold.sales",
    "select case when orders = 1 then 2 else 3 end from gold.sales",
    "select count(orders), avg(orders), sum(orders * 2) from gold.sales having count(*) > 1",
    "select current_date is null, null, (1 + 2) * 3 from gold.sales limit 1",
    "select count(*) from gold.sales",
    "SELECT market, SUM(orders) AS n FROM gold.sales GROUP BY market ORDER BY n DESC LIMIT 1",
    "select sales.orders from gold.sales where day = 'b' and market in (1, 2)",
    "select m.name, s.orders from gold.sales s join silver.markets as m on m.market = s.market order by s.orders",
    "select orders from gold.sales where market in (select market from silver.markets where name = 'one')",
    "select n from (select max(orders) as n from gold.sales)",
    "select min(orders), max(day) from gold.sales left join silver.markets using (market)",
    "select day from gold.sales where day like 'from gold.%' union select name from silver.markets order by 1",
]


@pytest.mark.parametrize("statement", PLAIN)
def test_a_plain_question_is_answered_as_if_it_were_parsed(
    root: str, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert plain.tables(statement)
    found = answer(engines.reader(), root, statement)
    monkeypatch.setattr(plain, "tables", lambda _: None)
    assert found == answer(engines.reader(), root, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "with d as (select 1) select * from d",
        "select count(*) from gold.sales version as of 0",
        "select count(*) from gold.sales timestamp as of '2022-01-05'",
        "select market, count(*) from gold.sales group by all",
        "select * from sales",
        "select * from gold.sales, silver.markets",
        "select * from gold.sales natural join silver.markets",
        "select * from gold.sales tablesample (10 rows)",
        "select * from gold.sales lateral view explode(array(1)) t as x",
        "select `market` from gold.sales",
        "select extract(year from gold.day) from gold.sales",
        "select 1 is distinct from gold.orders from gold.sales",
        "select date '2022-01-05' from gold.sales",
        "select upper(day) from gold.sales",
        "select 1 from gold.sales where orders is not null",
        "select 1 -- from gold.sales",
        "select 'it''s' from gold.sales",
        'select day || "x" from gold.sales',
        "from gold.sales select 1",
        "select * from gold.sales.orders",
        "select * from range(3)",
        "select * from (text.passwd)",
        "select * from (select 1 as n) a, text.passwd",
        "select 1 from gold.sales where market in (select value from (csv.data))",
        "select 1 from gold.sales) a, (select 2",
    ],
)
def test_whatever_else_stands_in_a_question_it_is_parsed(statement: str) -> None:
    assert plain.tables(statement) is None

"""A question or command that cannot be answered says why, and is answered when it is put as the words say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from jobs import cli
from jobs.runs import every
from jobs.samples import daily
from lakehouse import engines
from lakehouse.delta.commits import committer
from lakehouse.delta.commits.committer import Target
from lakehouse.delta.tables import progress
from lakehouse.engines.native import sail
from lakehouse.errors import LakehouseError
from lakehouse.serving import docs
from lakehouse.serving.questions import allowed, sql
from lakehouse.store import storage
from tests.jobs.test_cli import a_lake

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COLUMNS = ("market", "day", "_file")
DAYS = {"market": [1, 2, 2], "day": ["a", "a", "b"]}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A lake with gold.sales, of which the first version has no rows."""
    folder = str(tmp_path_factory.mktemp("lake"))
    sales = Target(progress.address(folder, "gold.sales"), pa.table(DAYS).schema)
    committer.overwrite(sales, -1, pa.table(DAYS).schema.empty_table(), None)
    committer.overwrite(sales, 0, pa.table(DAYS), None)
    return folder


def answer(root: str, statement: str) -> list[tuple[str | None, ...]]:
    return list(sql.query(engines.reader(), root, statement).texts())


@pytest.mark.parametrize(
    ("statement", "words", "right"),
    [
        (
            "drop table gold.sales",
            r"`lakehouse sql` only reads, and this statement, drop \.\.\., is not a query \(select, with, values, desc",
            "select count(*) from gold.sales",
        ),
        (
            "select reflect('java.lang.System', 'exit') from gold.sales",
            "reads tables of the lake alone, by functions that touch nothing else, and this statement has the func",
            "select upper('exit') from gold.sales",
        ),
        (
            "select * from sales",
            r"this statement has the table sales\. Tables are named with their layer \(bronze, silver, gold",
            "select * from gold.sales",
        ),
        (
            "select 1; select 2",
            r"`lakehouse sql` takes one statement, and these are several\. Ask them one by one\.",
            "select 2",
        ),
        ("select 'a", "That is no SQL that can be read: ", "select 'a'"),
        (
            "select * from gold.sails",
            r"There is no table gold\.sails in .*\. `lakehouse status` shows those that are there\.",
            "select * from gold.sales",
        ),
        (
            "describe table main.sales",
            "There is no table main.sales: tables are in bronze, silver, gold",
            "describe table gold.sales",
        ),
        (
            "select * from gold.sales version as of 7",
            r"gold\.sales has no version 7; its newest is 1\.",
            "select * from gold.sales version as of 1",
        ),
        (
            "select * from gold.sales timestamp as of 'noon'",
            r"'noon' is no time\. Write one such as '2022-01-05 12:00:00' \(UTC\)\.",
            "select * from gold.sales timestamp as of '2222-01-05 12:00:00'",
        ),
        (
            "select * from gold.sales timestamp as of '2022-01-05'",
            r"gold\.sales was not there yet at 2022-01-05, or its log of that time was cleaned away\.",
            "select * from gold.sales timestamp as of '2222-01-05'",
        ),
        ("select month from gold.sales", "That cannot be answered: .*month", "select day from gold.sales"),
    ],
)
def test_a_question_is_answered_when_it_is_put_as_the_words_say(
    root: str, statement: str, words: str, right: str
) -> None:
    with pytest.raises(LakehouseError, match=words):
        answer(root, statement)
    assert answer(root, right)


@pytest.mark.parametrize(
    ("text", "words", "right"),
    [
        ("market =", r"'market =' is no condition over the columns of gold\.sales\. Write one as after `where`", "{e}"),
        ("market = 1 or (", r'Write one as after `where` in SQL, e\.g\. "market = 1"\.', "market = 1"),
        (
            "market = (select 1)",
            r"is more than a condition over one row of gold\.sales: it may compare the row's own columns",
            "market = 1",
        ),
        ("year = 1", r"gold\.sales has no column year\. It has: market, day\.", "day = 'a' and market = 1"),
    ],
)
def test_a_condition_is_one_when_it_is_written_as_the_words_say(root: str, text: str, words: str, right: str) -> None:
    with pytest.raises(LakehouseError, match=words) as refused:
        allowed.condition(text, "gold.sales", COLUMNS)
    example = str(refused.value).partition('e.g. "')[2].partition('"')[0]
    condition = allowed.condition(right.format(e=example), "gold.sales", COLUMNS)
    assert answer(root, f"select * from gold.sales where {condition}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-- One row.\nselect (", r"conf/ops/toys\.sql is no SQL: .* Correct it there\."),
        ("drop table t", r"conf/ops/toys\.sql is not one `select`, which a view of `ops` must be\. Correct it there\."),
        ("select\n    a\nfrom ops.files", r"does not say what a row, a is\. It begins with a comment, `-- One row per"),
    ],
)
def test_a_view_is_right_when_it_says_what_the_words_ask_for(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "toys.sql"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(LakehouseError, match=words):
        docs.view(file)
    file.write_text("-- One row per file.\nselect\n    a -- one\nfrom ops.files", encoding="utf-8")
    assert docs.view(file).columns == {"a": "one"}


def test_a_page_is_written_where_there_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(LakehouseError, match=r"cannot be written: No such file or directory\. Name a file in a folder"):
        docs.write("", tmp_path / "nowhere" / "docs.html")
    docs.write("", tmp_path / "docs.html")
    assert (tmp_path / "docs.html").exists()


# Arguments and variables


def command(*arguments: str) -> str:
    """What a person reads: the error, or what was answered."""
    done = CliRunner().invoke(cli.app, list(arguments))
    if done.exception is not None and not isinstance(done.exception, LakehouseError | SystemExit):
        raise done.exception
    return str(done.exception) if isinstance(done.exception, LakehouseError) else done.output


@pytest.mark.parametrize(
    ("wrong", "words", "right"),
    [
        (
            ["verify", "--sample", "--since", "1"],
            "--sample and --since name different rows. Give one of them.",
            ["verify", "--sample"],
        ),
        (
            ["publish", "--despite", "few"],
            '--despite RULE and --why "..." go together: a release says why it was made all the same.',
            ["publish", "--despite", "few", "--why", "so be it"],
        ),
        (
            ["rejected", "bronze.orders"],
            "Nothing is judged on the way to bronze.orders: its rows are kept as they were delivered.",
            ["rejected", "silver.orders"],
        ),
        (
            ["rejected", "--export", "fixed.csv"],
            "Each table's documents have columns of their own. Name one of: silver.api_sales, ",
            ["rejected", "silver.customers", "--export", "fixed.csv"],
        ),
    ],
)
def test_a_command_goes_on_when_it_is_called_as_the_words_say(
    tmp_path: Path, wrong: list[str], words: str, right: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("lake", "landing"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv({"lake": "LAKEHOUSE_ROOT", "landing": "LAKEHOUSE_LANDING"}[name], str(tmp_path / name))
    assert words in command(*wrong)
    assert words not in command(*right)


@pytest.mark.slow
def test_an_export_is_written_where_there_is_a_folder(tmp_path: Path) -> None:
    a_lake(tmp_path / "lake", ("7", "A", "two", "42"))
    ask = ["rejected", "silver.order_lines", "--lake", str(tmp_path / "lake"), "--export"]
    words = "cannot be written: No such file or directory. Name a file in a folder that is there."
    assert words in command(*ask, f"{tmp_path}/nowhere/fixed.csv")
    assert "Wrote 1 row" in command(*ask, f"{tmp_path}/fixed.csv")
    assert (tmp_path / "fixed.csv").exists()


@pytest.mark.parametrize(
    ("read", "wrong", "words", "right"),
    [
        (
            every.seconds,
            "soon",
            r"--every 'soon' is no time\. Give seconds, minutes or hours, such as 30s, 5m or 1h\.",
            "5m",
        ),
        (
            engines.chosen,
            "duckdb",
            r"'duckdb' is no engine\. Give native \(in this process\) or spark with --engine",
            "native",
        ),
        (
            storage.normalise,
            "ftp://lake",
            r"'ftp://lake' is neither a local folder nor an S3 address\. Give a path or s3://bucket/prefix\.",
            "s3://bucket/prefix",
        ),
        (
            sail.reachable,
            "s3://bucket/a%lake",
            r"The native engine cannot read s3://bucket/a%lake: below a bucket it takes letters, digits and ",
            "s3://bucket/a-lake",
        ),
    ],
)
def test_a_place_an_engine_and_a_time_are_known_when_they_are_written_as_the_words_say(
    read: Callable[[str], object], wrong: str, words: str, right: str
) -> None:
    with pytest.raises(LakehouseError, match=words):
        read(wrong)
    read(right)


def test_memory_is_given_as_the_words_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_MEMORY", "much")
    with pytest.raises(LakehouseError, match=r"LAKEHOUSE_MEMORY='much' is no size\. Give megabytes or gigabytes, such"):
        sail.memory()
    monkeypatch.setenv("LAKEHOUSE_MEMORY", "512m")
    assert sail.memory() == 512 << 20


def test_samples_are_of_days_that_they_have_and_late_where_there_are_some(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"deliver=\[2\] must name days from 0 to days - 1 = 1\. Change deliver or days"
    ):
        daily.generate(tmp_path, lines=60, days=2, deliver=[2])
    with pytest.raises(ValueError, match=r"Nothing of market 1 can come late in 1 days with 60 lines\. Raise days"):
        daily.late_file(tmp_path, lines=60, days=1)
    assert daily.generate(tmp_path, lines=60, days=3, deliver=[2]).files
    assert daily.late_file(tmp_path, lines=600, days=3).files

r"""The prompt: statements of several lines, `\d`, names while somebody types; and what a pipe asks."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from typer.testing import CliRunner

from jobs import cli, printed
from jobs.serving import prompt
from lakehouse import engines
from lakehouse.errors import LakehouseError
from lakehouse.serving.questions import answers

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.serving.prompt import Answer


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAKEHOUSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def typed(released: str, *lines: str) -> None:
    """What a person types, each line ended by Enter, to the prompt itself."""

    def ask(statement: str) -> Answer:
        columns, rows = answers.ask(engines.NATIVE, released, statement, "texts", None)
        return columns, [*islice(rows, prompt.MOST + 1)]

    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        keys.send_text("".join(f"{line}\r" for line in lines))
        prompt.talk(printed.Terminal(stderr=True), ask)


@pytest.mark.parametrize(
    ("text", "whole", "rest"),
    [
        ("select 1;\nselect\n 2 ;", ["select 1", "select\n 2"], ""),
        ("select 'a;b', \"c;\nd\";", ["select 'a;b', \"c;\nd\""], ""),
        ("select 'it''s;', `a;b`;", ["select 'it''s;', `a;b`"], ""),
        ("-- one; two\nselect 1 /* a;\n b */;", ["select 1"], ""),
        ("select 'a;\nb", [], "select 'a;\nb"),
        ("select 1 - 2 / 3;\nselect", ["select 1 - 2 / 3"], "select"),
        ("\\d gold.days\nselect 1;", ["\\d gold.days", "select 1"], ""),
        ("Help\nexit;\nquit", ["\\?", "\\q", "\\q"], ""),
        ("select\nquit", [], "select\nquit"),
        (";;\n;", [], ""),
    ],
)
def test_a_statement_ends_where_sql_ends_it(text: str, whole: list[str], rest: str) -> None:
    found, left = prompt.statements(text)
    assert (found, left.strip()) == (whole, rest)


def test_a_statement_may_have_several_lines_and_is_remembered(
    released: str, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(released, "select count(*) as days", "from gold.daily_sales;", "\\d gold.daily_sales", "\\q")
    said = capsys.readouterr().out
    assert re.search(r"days\s+\d+\s", said)
    assert "The market's local calendar day on which the orders were placed" in said
    history = cache / "sql_history"
    assert "+select count(*) as days\n+from gold.daily_sales;" in history.read_text()
    assert history.stat().st_mode & 0o777 == 0o600


def test_an_error_is_said_and_ends_nothing(released: str, capsys: pytest.CaptureFixture[str]) -> None:
    typed(
        released,
        "select nope from gold.daily_sales;",
        "\\x",
        "drop table gold.daily_sales;",
        "select 41 + 1 as sum;",
        "\\q",
    )
    said = capsys.readouterr()
    assert [words in said.err for words in ("cannot be answered", "\\x is not known here", "only reads")] == [True] * 3
    assert "42" in said.out


def test_help_is_given_and_exit_ends_it(released: str, capsys: pytest.CaptureFixture[str]) -> None:
    typed(released, "help", "exit", "select 41 + 1 as sum;")
    said = capsys.readouterr()
    assert said.err.count(prompt.HELP[:40]) == 2
    assert "42" not in said.out


def test_a_long_answer_is_paged_through(released: str, capsys: pytest.CaptureFixture[str]) -> None:
    typed(released, "select explode(sequence(1, 1200)) as n;", "\\q")
    said = capsys.readouterr()
    assert said.out.split()[-1] == str(prompt.MOST)
    assert f"Only the first {prompt.MOST} rows are shown" in said.err


def test_names_of_tables_and_of_their_columns_are_completed() -> None:
    names = prompt.Names()
    names.reading.join()
    assert [*names.names("select * from gold.daily", "gold.daily")] == ["gold.daily_sales"]
    assert "ops.freshness" in names.names("from ops.", "ops.")
    assert [*names.names("select new_ from gold.daily_sales", "new_")] == ["new_revenue"]
    assert [*names.names("select d.new_ from gold.daily_sales d", "d.new_")] == ["d.new_revenue"]
    assert [*names.names("SELE", "SELE")] == ["select"]
    assert names.names("select ", "") == {}


def test_what_is_no_terminal_is_read_to_its_end(released: str) -> None:
    asked = "select 1 as a; -- one\n\\d\nselect market from gold.daily_sales group by market order by market"
    done = CliRunner().invoke(cli.app, ["sql", "--lake", released, "--format", "csv"], input=asked)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("a\n1\nnamespace,tableName\n")
    assert done.stdout.endswith("market\n1\n2\n")


def test_a_pipe_ends_at_the_first_error(released: str) -> None:
    asked = ["select 1 as a;", "\\x", "select 2 as b;"]
    done = CliRunner().invoke(cli.app, ["sql", "--lake", released, "--format", "csv"], input="\n".join(asked))
    assert isinstance(done.exception, LakehouseError)
    assert (done.stdout, str(done.exception).split(". A")[0]) == ("a\n1\n", "\\x is not known here")
    asked[1] = "\\d gold.daily_sales"
    done = CliRunner().invoke(cli.app, ["sql", "--lake", released, "--format", "csv"], input="\n".join(asked))
    assert done.stdout.endswith("b\n2\n")

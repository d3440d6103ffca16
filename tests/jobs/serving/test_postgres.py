"""`lakehouse serve` as people call it: where PostgreSQL is, without a password in sight, and what is said after."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from jobs import cli
from lakehouse.errors import LakehouseError

pytest.importorskip("psycopg", reason="needs the extra `postgres`: uv sync --inexact --extra postgres")

from jobs.serving import postgres
from lakehouse.serving.postgres.sync import Synced

OPEN, HIDDEN = "postgresql://ana@db:5432/bi", "postgresql://ana:geheim@db:5432/bi"


@pytest.mark.parametrize("url", [HIDDEN, "postgresql://db/bi?user=ana&password=geheim", "host=db password=geheim"])
def test_a_password_in_an_argument_is_refused_and_in_the_variable_taken(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LakehouseError, match="arguments are seen by everybody on this machine") as error:
        postgres.address(url)
    assert "geheim" not in str(error.value)
    monkeypatch.setenv("LAKEHOUSE_POSTGRES", url)
    assert postgres.address(None) == url
    assert postgres.address(OPEN) == OPEN


def test_without_an_address_both_ways_to_say_it_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAKEHOUSE_POSTGRES", raising=False)
    with pytest.raises(LakehouseError, match=r"Which PostgreSQL\? Say --to .*, or set LAKEHOUSE_POSTGRES"):
        postgres.address(None)
    monkeypatch.setenv("LAKEHOUSE_POSTGRES", OPEN)
    assert postgres.address(None) == OPEN


def test_help_shows_no_password_of_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_POSTGRES", HIDDEN)
    answer = CliRunner().invoke(cli.app, ["serve", "postgres", "--help"])
    assert "LAKEHOUSE_POSTGRES" in re.sub(r"[\s│]+", " ", answer.output)
    assert "geheim" not in answer.output


def test_what_was_written_is_said_in_numbers() -> None:
    first = Synced(1, None, 2, {"gold.a": 1_000, "gold.b": 2}, anew=True)
    assert postgres.words(first).endswith("release 1[/]: 2 tables, which it did not hold yet, 1,002 rows.")
    other = Synced(2, 1, 2, {"gold.a": 1_000, "gold.b": 2}, anew=True)
    assert "whose shape is another one" in postgres.words(other)
    later = Synced(3, 2, 2, {"gold.a": 7, "gold.b": 0}, {"gold.a": 5, "gold.b": 0})
    assert postgres.words(later).endswith(", after 2: of 2 tables 1 changed, 7 rows were written and 5 deleted.")
    assert postgres.words(Synced(3, 3, 2)).endswith("holds release 3[/]: no row differed.")

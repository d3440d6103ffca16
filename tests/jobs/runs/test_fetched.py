"""The command fetches what is due first; a source that cannot be fetched stops nothing else, and is the run's 1."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobs import cli
from lakehouse import graph
from lakehouse.described.terms import Fetched
from lakehouse.sources import due
from lakehouse.sources.windows import SourceError
from tests.lakehouse.intake.deliveries.test_windows import BRONZE, SILVER, SOURCES, a_page
from tests.lakehouse.sources.pages import Listed
from tests.toy import Toy

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakehouse.engines.native.engine import Native

STOCK = "bronze.stock"


@pytest.fixture
def toy(tmp_path: Path, engine: Native, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """Two fetched sources: sales, and stock, whose second page does not come."""
    toy = Toy(tmp_path, engine, SOURCES | {STOCK: SOURCES[BRONZE]})
    toy.landing.mkdir()
    tables = toy.tables()
    for name in (BRONZE, STOCK):
        contract = tables[name].contract
        assert contract.source is not None
        source = contract.source.model_copy(update={"api": Fetched(every=timedelta(days=1))})
        tables[name] = replace(tables[name], contract=contract.model_copy(update={"source": source}))
    asleep = Listed([a_page((1, 1, 1))] * 2, error=(1, SourceError("It is [asleep].")))
    sources = {BRONZE: Listed([a_page((1, 1, 2))]), STOCK: asleep}
    monkeypatch.setattr(graph, "load", lambda: tables)
    monkeypatch.setattr(due, "source_of", lambda table: sources[table.name])
    monkeypatch.setenv("LAKEHOUSE_ROOT", toy.lake.root)
    monkeypatch.setenv("LAKEHOUSE_LANDING", str(toy.landing))
    return toy


@pytest.fixture
def lakehouse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """The command's end, and all that it says."""

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["lakehouse", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out + said.err

    return run


@pytest.mark.slow
def test_a_run_fetches_what_is_due_and_ends_with_1_where_a_source_does_not_answer(
    toy: Toy, lakehouse: Callable[..., tuple[int, str]]
) -> None:
    code, said = lakehouse("plan")
    assert (code, said.count("was never fetched")) == (0, 2)
    code, said = lakehouse("run")
    assert code == 1
    assert "bronze.sales" in said
    assert "1 window, 1 page" in said
    assert "bronze.stock was not fetched whole: It is [asleep]." in said
    assert toy.rows(SILVER) == [(1, 1, 2)]
    assert lakehouse("fetch", "sales")[0] == 0
    code, said = lakehouse("fetch", "--dry-run")
    assert "bronze.sales  wait   was fetched at" in said
    assert "and is due every 1d" in said
    assert "bronze.stock  fetch  its last fetch is not done" in said


def test_named_sources_are_fetched_at_once_and_for_the_time_that_is_asked_for(
    toy: Toy, lakehouse: Callable[..., tuple[int, str]]
) -> None:
    assert lakehouse("fetch", "sales", "--since", "2026-01-01")[0] == 0
    assert lakehouse("fetch", "sales", "--until", "2026-02-01")[0] == 0
    assert lakehouse("fetch")[0] == 1
    assert lakehouse("fetch", "sales", "stock")[0] == 1
    code, said = lakehouse("fetch", "sales", "--since", "2026-02-01", "--until", "2026-01-01")
    assert (code, "Nothing lies between --since 2026-02-01 and --until 2026-01-01" in said) == (1, True)
    assert lakehouse("fetch", "sales", "--since", "2026-01-01", "--until", "2026-02-01")[0] == 0
    assert len([*toy.landing.glob("fetched/sales/*")]) == 4
    assert len([*toy.landing.glob("fetched/stock/*")]) == 1


def test_a_fetch_of_nothing_says_why(toy: Toy, lakehouse: Callable[..., tuple[int, str]]) -> None:
    assert lakehouse("fetch", "sales")[0] == 0
    del graph.load()[STOCK]
    code, said = lakehouse("fetch")
    assert code == 0
    assert "Nothing is due. Whose name is given is fetched all the same." in said
    assert "bronze.sales  wait   was fetched at" in said
    assert len([*toy.landing.glob("fetched/*")]) == 1


def test_a_time_is_fetched_once(toy: Toy, lakehouse: Callable[..., tuple[int, str]]) -> None:
    code, said = lakehouse("run", "--every", "1m", "--since", "2026-01-01")
    assert code == 1
    assert "--since and --until fetch a time once. Leave them out, or --every." in said
    assert not [*toy.landing.glob("fetched/*")]


@pytest.mark.slow
def test_a_step_fetches_nothing_and_needs_none_but_its_tables(
    toy: Toy, lakehouse: Callable[..., tuple[int, str]]
) -> None:
    for times in (("--every", "1m"), ("--since", "2026-01-01"), ("--until", "2026-02-01")):
        code, said = lakehouse("run", "--only", SILVER, *times)
        assert code == 1
        assert "--only is one step, and fetches nothing. Leave it out, or --every, --since and --until" in said
    assert lakehouse("fetch", "sales", "--since", "2026-01-01")[0] == 0
    assert lakehouse("run", "--only", BRONZE)[0] == 0
    assert not Path(toy.lake.root, "silver").exists()
    code, said = lakehouse("run", "--only", SILVER)
    assert (code, "bronze" in said) == (0, False)
    assert toy.rows(SILVER) == [(1, 1, 2)]
    assert not [*toy.landing.glob("fetched/stock/*")]

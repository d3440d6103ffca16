"""`lakehouse rewind` and `lakehouse retract` say what they would do, and do it when they are told to."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from jobs import cli
from lakehouse import graph
from lakehouse.intake import retracted
from lakehouse.recovery import releases
from lakehouse.recovery.rewind import look
from lakehouse.writes import rewind
from tests.toy import Toy, of_monday

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lakehouse.engines.native import Native

pytestmark = pytest.mark.slow
ORDERS = "silver.orders"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, engine: Native) -> Toy:
    """Monday and Tuesday, each with its release."""
    toy = of_monday(tmp_path_factory.mktemp("made"), engine)
    releases.publish(toy.lake.root, toy.tables())
    toy.deliver("tuesday.csv", "8,B,5,5.00", "9,C,1,1.00", "10,C,two,1.00")
    toy.run()
    releases.publish(toy.lake.root, toy.tables())
    return toy


@pytest.fixture
def toy(made: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    toy = made.copied(tmp_path / "toy")
    monkeypatch.setattr(graph, "load", toy.tables)
    monkeypatch.setattr(retracted, "FILE", toy.folder / "retracted.yml")
    monkeypatch.setenv("LAKEHOUSE_ROOT", toy.lake.root)
    monkeypatch.setenv("LAKEHOUSE_LANDING", str(toy.landing))
    return toy


@pytest.fixture
def lakehouse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What the command says."""

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["lakehouse", *arguments])
        with pytest.raises(SystemExit):
            cli.main()
        said = capsys.readouterr()
        return said.out + said.err

    return run


def test_a_rewind_is_shown_then_done_and_a_run_takes_up_what_came_since(
    toy: Toy, lakehouse: Callable[..., str]
) -> None:
    versions, orders = toy.versions(), toy.rows(ORDERS)
    shown = lakehouse("rewind", "--to-release", "1")
    assert re.search(r"silver.orders +1 +0 +3 +2 +2 +1\n", shown)
    assert "taken again from landing by the next run:\n  bronze.orders: market_1/tuesday.csv" in shown
    assert "Nothing was changed. The same with --yes does it." in shown
    assert toy.versions() == versions
    moment = releases.release(toy.lake.root, 1).published_at.isoformat()
    assert "Rewound to release 1: 4 of 4 tables got a commit." in lakehouse("rewind", "--to", moment, "--yes")
    assert toy.rows(ORDERS) == [(1, 7, 3), (1, 8, 1)]
    assert "1 new file" in lakehouse("plan")
    assert "Release 3" in lakehouse("run")
    assert toy.rows(ORDERS) == orders


def test_a_rewind_that_broke_off_is_told_of_until_a_run_has_finished_it(
    toy: Toy, lakehouse: Callable[..., str]
) -> None:
    then = releases.release(toy.lake.root, 1).point
    rewind.begin(toy.lake.root, "to release 1", look(toy.lake.root, str(toy.landing), toy.tables(), "", then).point)
    words = "A rewind broke off, some tables are back and some are not: the next run finishes it first."
    assert words in lakehouse("plan")
    assert words in lakehouse("status")
    assert "another rewind broke off" in lakehouse("rewind", "--to-release", "1")
    assert "A rewind to release 1 had broken off, and was finished first." in lakehouse("run")
    assert words not in lakehouse("status")


def test_where_to_go_back_is_said_once(toy: Toy, lakehouse: Callable[..., str]) -> None:
    words = "Say where to go back: --to-release N or --to TIME, one of them."
    for wrong in ([], ["--to-release", "1", "--to", "2024-01-01"]):
        assert words in lakehouse("rewind", *wrong)
    assert "There is no release 7. There are: 1 to 2" in lakehouse("rewind", "--to-release", "7")
    assert "taken again from silver by the next run" in lakehouse("rewind", "--to-release", "1", "--layer", "gold")
    assert toy.rows(ORDERS)


def test_a_file_is_taken_back_and_a_run_takes_it_out(toy: Toy, lakehouse: Callable[..., str]) -> None:
    said = lakehouse("retract", "market_1/tuesday.csv", "--why", "Not ours")
    assert '- {source: bronze.orders, file: "market_1/tuesday.csv", content:' in said
    assert "bronze.orders keeps its 3 rows; silver.order_lines, and what is made from it, are without them" in said
    assert "market_1/tuesday.csv was retracted" in lakehouse("plan")
    lakehouse("run")
    assert toy.rows(ORDERS) == [(1, 7, 3), (1, 8, 1)]
    lakehouse("retract", str(toy.landing / "market_1" / "monday.csv"), "--why", "Nor this", "--run")
    assert toy.rows(ORDERS) == []

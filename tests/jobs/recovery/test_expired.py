"""A release that expired, and a list of releases that is damaged, are said in words by every command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobs import cli
from lakehouse import graph
from lakehouse.conf import Retention
from lakehouse.delta.tables import log
from lakehouse.intake.records import retracted
from lakehouse.recovery import maintain, releases
from tests.lakehouse.delta.upkeep.test_vacuum import aged
from tests.toy import Toy, of_monday

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakehouse.engines.native.engine import Native

pytestmark = pytest.mark.slow
ORDERS = "silver.orders"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, engine: Native) -> Toy:
    """Three releases, of which only the last is kept, and one of a day more."""
    toy = of_monday(tmp_path_factory.mktemp("made"), engine)
    for day, units in enumerate((2, 5, 6), start=1):
        toy.deliver("orders.csv", f"8,B,{units},5.00", f"9,B,{units},5.00", day=day)
        toy.run()
        releases.publish(toy.lake.root, toy.tables())
    aged(toy.folder / "lake")
    kept = Retention(1, 0)
    maintain.maintain(toy.lake.root, toy.tables(), kept, maintain.released(toy.lake.root, kept))
    return toy


@pytest.fixture
def toy(made: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    toy = made.copied(tmp_path / "toy")
    monkeypatch.setattr(graph, "load", toy.tables)
    monkeypatch.setattr(retracted, "FILE", toy.folder / "retracted.yml")
    monkeypatch.setenv("LAKEHOUSE_ROOT", toy.lake.root)
    monkeypatch.setenv("LAKEHOUSE_LANDING", str(toy.landing))
    monkeypatch.chdir(tmp_path)
    return toy


@pytest.fixture
def lakehouse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[object, str]]:
    """How it ended, and all that was said, in one line."""

    def run(*arguments: str) -> tuple[object, str]:
        monkeypatch.setattr(sys, "argv", ["lakehouse", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return ended.value.code, " ".join((said.out + said.err).split())

    return run


QUESTION = f"select units from {ORDERS}"
ASKED = [
    ("sql", QUESTION, "--release", "1"),
    ("explain", ORDERS, "--release", "1"),
    ("docs", "--release", "1"),
    ("diff", "1", "3"),
    ("rewind", "--to-release", "1"),
]


@pytest.mark.parametrize("asked", ASKED, ids=[one[0] for one in ASKED])
@pytest.mark.usefixtures("toy")
def test_a_release_that_expired_is_said_and_which_are_kept(
    asked: tuple[str, ...], lakehouse: Callable[..., tuple[object, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releases, "_days", lambda: 0)
    code, said = lakehouse(*asked)
    assert code == 1
    assert "Release 1 of 20" in said
    assert " has expired: releases are kept for 0 days (`retention:` in conf/lake.yml), it was until 20" in said
    assert said.endswith(" is gone. Kept are: 3.")


@pytest.mark.parametrize("asked", ASKED[:2], ids=[one[0] for one in ASKED[:2]])
def test_a_release_of_which_somebody_else_deleted_is_said(
    toy: Toy, asked: tuple[str, ...], lakehouse: Callable[..., tuple[object, str]]
) -> None:
    code, said = lakehouse(*asked)
    assert code == 1
    assert " cannot be read, since somebody else than `lakehouse maintain` deleted of it: it was to be kept" in said
    assert said.endswith("Kept are: 2, 3.")
    assert lakehouse("sql", QUESTION, "--release", "3")[0] == 0
    assert toy.rows(ORDERS)


@pytest.mark.parametrize("command", ["run", "publish", "releases", "maintain"])
def test_a_list_of_releases_that_is_damaged_is_said_with_what_to_do(
    toy: Toy, command: str, lakehouse: Callable[..., tuple[object, str]]
) -> None:
    there = Path(toy.lake.address(releases.RELEASES))
    now = log.snapshot(str(there))
    assert now is not None
    (there / log.commit_path(now.version)).write_text("{")
    toy.deliver("orders.csv", "8,B,7,5.00", day=9)
    before = toy.rows(ORDERS)
    for _ in range(2):  # the second run is idle
        code, said = lakehouse(command)
        assert code == 1
        assert "ops.releases cannot be read, so nothing is released, and no release can be asked for" in said
        assert f"Or move {there} away: releases begin anew with 1" in said
    assert (toy.rows(ORDERS) != before) == (command == "run")
    there.rename(toy.folder / "away")
    assert lakehouse(command)[0] == 0

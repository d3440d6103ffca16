"""`lakehouse rewind` and `lakehouse retract` say what they would do, and do it when they are told to."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from jobs import cli
from lakehouse import graph
from lakehouse.intake.records import ledger, retracted, schema_changes
from lakehouse.recovery import releases
from lakehouse.recovery.rewind import look
from lakehouse.writes import rewind
from tests.toy import Toy, of_monday

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lakehouse.engines.native.engine import Native

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
    assert "Say where to go back: --to-release N or --to TIME." in lakehouse("rewind")
    assert "by its number or by a time" in lakehouse("rewind", "--to-release", "1", "--to", "2024-01-01")
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


def test_several_files_a_folder_and_a_pattern_are_taken_back_at_once(toy: Toy, lakehouse: Callable[..., str]) -> None:
    for day in (2, 3):
        toy.deliver("orders.csv", f"1{day},A,1,1.00", day=day)
        toy.deliver("more.csv", f"2{day},A,1,1.00", day=day, market=2)
    toy.run()
    rows = toy.rows(ORDERS)
    assert "was never delivered" in lakehouse(
        "retract", "market_1/tuesday.csv", "market_1/mondy.csv", "--why", "a test"
    )
    assert not retracted.FILE.exists()
    said = lakehouse("retract", "market_1/2024-01-02", "market_2/*/more.csv", "market_1/tuesday.csv", "--why", "a test")
    assert [one.file for one in retracted.read()] == [
        "market_1/2024-01-02/orders.csv",
        "market_2/2024-01-02/more.csv",
        "market_2/2024-01-03/more.csv",
        "market_1/tuesday.csv",
    ]
    assert "bronze.orders keeps its 6 rows; silver.order_lines, and what is made from it, are without them" in said
    lakehouse("run")
    assert {row[:2] for row in rows} - {row[:2] for row in toy.rows(ORDERS)} == {(1, 9), (1, 12), (2, 22), (2, 23)}
    lakehouse("retract", str(toy.landing / "market_1"), "--why", "all others")
    assert len(retracted.read()) == 6
    lakehouse("run")
    assert toy.rows(ORDERS) == []


@pytest.mark.parametrize("breaks_off", [False, True])
def test_what_was_taken_back_and_is_not_in_landing_stops_no_rewind(
    toy: Toy, lakehouse: Callable[..., str], monkeypatch: pytest.MonkeyPatch, *, breaks_off: bool
) -> None:
    toy.deliver("gone.csv", "7,A,9,10.00", ",D,1,1.00")
    toy.run()
    lakehouse("retract", "market_1/gone.csv", "--why", "Not ours")
    toy.run()
    orders, file = toy.rows(ORDERS), toy.landing / "market_1" / "gone.csv"
    text = file.read_text(encoding="utf-8")
    file.unlink()
    shown = " ".join(lakehouse("rewind", "--to-release", "1").split())
    assert "and their rows leave bronze for good: bronze.orders: market_1/gone.csv Nothing was changed" in shown
    with monkeypatch.context() as patch:
        if breaks_off:
            patch.setattr(rewind, "finish", lambda _: None)
        lakehouse("rewind", "--to-release", "1", "--yes")
    assert "Release 3" in lakehouse("run")
    assert toy.rows(ORDERS) == orders
    assert "market_1/gone.csv" not in {row[0] for row in toy.rows("bronze.orders", "_file")}
    (lost,) = (one for one in ledger.read(toy.lake.root).entries if one.delivery.path == "market_1/gone.csv")
    assert (lost.status, lost.is_taken) == ("lost", False)
    assert "taken back, and landing did not hold it" in lost.reason.replace("was ", "")
    lakehouse("rewind", "--to-release", "1", "--yes")  # once more: the list still names what was there
    lakehouse("run")
    assert toy.rows(ORDERS) == orders
    file.write_text(text, encoding="utf-8")
    retracted.FILE.write_text("[]", encoding="utf-8")
    toy.run()
    assert toy.rows(ORDERS)[0] == (1, 7, 9)


def test_a_file_that_comes_again_brings_no_change_of_columns_twice(toy: Toy, lakehouse: Callable[..., str]) -> None:
    for day, header in ((4, "order_id,product,quantity,price,note"), (5, "order_id,product,quantity,price")):
        toy.deliver("orders.csv", f"1{day},A,1,1.00{',x' * (day == 4)}", day=day, header=header)
        toy.run()
    noted = sorted(schema_changes.read(toy.lake.root), key=str)
    assert sorted(one.change for one in noted if one.column_name == "note") == ["new", "vanished"]
    lakehouse("rewind", "--to-release", "1", "--yes")
    toy.run()
    assert sorted(schema_changes.read(toy.lake.root), key=str) == noted
    toy.deliver("orders.csv", "16,A,1,1.00,x", day=6, header="order_id,product,quantity,price,note")
    toy.run()
    assert [one.change for one in schema_changes.read(toy.lake.root) if one not in noted] == ["came_back"]

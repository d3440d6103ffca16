"""A delivery that conf/retracted.yml takes back counts no more, as if it had never come; bronze keeps it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from jobs import printed
from jobs.runs import planned, ran
from lakehouse import engines
from lakehouse.delta.tables import progress
from lakehouse.errors import LakehouseError
from lakehouse.intake.records import ledger, retracted
from lakehouse.intake.records.ledger import Delivery
from lakehouse.proof import verify
from lakehouse.runs.run import Run
from tests.toy import HEADER, Toy

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.native.engine import Native

pytestmark = pytest.mark.slow
BRONZE, LINES, ORDERS, TOTALS = "bronze.orders", "silver.order_lines", "silver.orders", "gold.totals"
CORRECTING = f"{HEADER},_replaces_file,_replaces_row"


@pytest.fixture
def toy(tmp_path: Path, engine: Native, monkeypatch: pytest.MonkeyPatch) -> Toy:
    monkeypatch.setattr(retracted, "FILE", tmp_path / "retracted.yml")
    return Toy(tmp_path, engine)


def take_back(toy: Toy, *paths: str) -> None:
    """The newest version of each, by the row that a run says."""
    newest = {one.delivery.path: one for one in sorted(ledger.read(toy.lake.root).taken(), key=lambda one: one.batch)}
    rows = [retracted.line(newest[path].delivery, "a test") for path in paths]
    retracted.FILE.write_text("\n".join(rows), encoding="utf-8")


def state(toy: Toy) -> list[list[tuple[object, ...]]]:
    return [toy.rows(name) for name in (LINES, ORDERS, TOTALS)] + [toy.rejected()]


def is_equal(toy: Toy, scope: verify.Scope | None = None) -> bool:
    tables = toy.tables()
    wanted = verify.chosen(toy.lake, tables, [])
    found = verify.verify(toy.engine.name, toy.lake, str(toy.landing), tables, wanted, scope or verify.Scope())
    assert [one.reason for one in found if one.reason] == []
    return not sum(one.differing for one in found)


FIRST = [("monday.csv", ["7,A,2,10.00", "8,B,1,5.00", ",D,1,1.00"]), ("other.csv", ["20,A,1,1.00"])]
# What the delivery that is taken back does, each in a market of its own: (name, day, rows, header)
WRONG = {
    "another order": ("wrong.csv", 5, ["30,A,1,1.00"], HEADER),
    "newer rows of a known order": ("wrong.csv", 5, ["7,A,9,10.00", "7,B,1,1.00"], HEADER),
    "rejected rows": ("wrong.csv", 5, ["8,B,two,5.00", ",E,1,1.00"], HEADER),
    "a newer version of a file": ("monday.csv", 1, ["7,A,3,10.00", ",D,1,2.00", "40,A,1,1.00"], HEADER),
    "a correction": ("fixed.csv", 5, ["50,D,1,1.00,market_5/2024-01-01/monday.csv,3"], CORRECTING),
    "late rows": ("late.csv", 1, ["7,C,4,1.00", "60,A,1,1.00"], HEADER),
    "all that there is of a market": ("wrong.csv", 5, ["7,A,1,1.00"], HEADER),
}
MARKETS = tuple(enumerate(WRONG.items(), start=1))


def test_what_is_taken_back_was_never_there_and_comes_back_when_its_row_goes(toy: Toy) -> None:
    for market, (kind, _) in MARKETS:
        for name, rows in FIRST if kind != "all that there is of a market" else ():
            toy.deliver(name, *rows, day=1, market=market)
    toy.run()
    never = state(toy)
    files = [
        toy.deliver(name, *rows, day=day, market=market, header=header)
        for market, (_, (name, day, rows, header)) in MARKETS
    ]
    toy.run()
    with_it, bronze, before = state(toy), toy.rows(BRONZE), toy.versions()
    paths = [one.relative_to(toy.landing).as_posix() for one in files]
    take_back(toy, *paths)
    done = toy.run()
    assert (done[LINES].decision.path, done[LINES].decision.reason) == (
        "whole",
        "market_1/2024-01-05/wrong.csv (and 6 more) was retracted",
    )
    assert done[LINES].counts["rows"]["retracted"] == sum(len(rows) for _, _, rows, _ in WRONG.values())
    assert sum(done[LINES].counts["rows"].values()) == done[LINES].rows_in
    assert (state(toy), toy.rows(BRONZE), toy.versions()[BRONZE]) == (never, bronze, before[BRONZE])
    assert is_equal(toy)
    assert not [one for one in toy.run().values() if one.decision.does_something]

    taken_back = retracted.FILE.read_text(encoding="utf-8")
    retracted.FILE.write_text("", encoding="utf-8")
    assert toy.run()[LINES].decision.reason == "market_1/2024-01-05/wrong.csv (and 6 more) is no longer retracted"
    assert state(toy) == with_it

    retracted.FILE.write_text(taken_back, encoding="utf-8")
    toy.run()
    for market, _ in MARKETS:  # what comes now is judged as if it had never been there
        toy.deliver("next.csv", "8,B,6,5.00", "9,,1,1.00", day=2, market=market)
    assert toy.run()[LINES].decision.path == "new"
    assert is_equal(toy, verify.Scope("since"))
    assert is_equal(toy)


def test_a_delivery_that_is_on_the_list_before_it_comes_never_counts(toy: Toy) -> None:
    """As in a lake that is built anew."""
    toy.deliver("monday.csv", "7,A,2,10.00", day=1)
    toy.deliver("wrong.csv", "7,A,9,10.00", ",D,1,1.00", day=2)
    retracted.FILE.write_text('- {source: bronze.orders, file: market_1/2024-01-02/wrong.csv, why: "a test"}')
    done = toy.run()[LINES]
    assert done.counts["rows"]["retracted"] == 2
    assert (toy.rows(ORDERS), toy.rows(LINES, "order_id", "quantity")) == ([(1, 7, 2)], [(7, 2)])
    assert toy.run()[LINES].decision.path == "nothing"
    assert is_equal(toy)


def test_the_file_as_it_comes_later_with_other_content_counts(toy: Toy) -> None:
    toy.deliver("monday.csv", "7,A,9,10.00", day=1)
    toy.run()
    take_back(toy, "market_1/2024-01-01/monday.csv")
    toy.deliver("monday.csv", "7,A,2,10.00", day=1)
    toy.run()
    assert toy.rows(ORDERS) == [(1, 7, 2)]
    assert is_equal(toy)
    retracted.FILE.write_text("- {source: bronze.orders, file: market_1/2024-01-01/monday.csv, why: all versions}")
    assert toy.run()[LINES].decision.reason == "market_1/2024-01-01/monday.csv was retracted"
    assert (toy.rows(ORDERS), toy.rows(LINES)) == ([], [])


def test_a_stop_rule_that_one_file_breaks_is_passed_without_it(toy: Toy) -> None:
    contract, code = toy.sources[LINES]
    stop = 'rules: {quantity_is_possible: {check: "quantity < 500", severity: stop, why: a test}}'
    toy.sources[LINES] = (f"{contract.rstrip()}\n        {stop}\n        ", code)
    toy.deliver("monday.csv", "7,A,2,1")
    toy.run()
    toy.deliver("wrong.csv", "8,A,600,1")
    with pytest.raises(LakehouseError, match="whose severity is stop"):
        toy.run()
    take_back(toy, "market_1/wrong.csv")
    toy.run()
    assert toy.rows(ORDERS) == [(1, 7, 2)]
    assert is_equal(toy)


def test_the_row_that_a_run_says_of_a_wrong_file_is_the_remedy(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    contract, code = toy.sources[LINES]
    toy.sources[LINES] = (
        f"{contract.rstrip()}\n        reject_limit: 0.4\n        reject_limit_rows: 1\n        ",
        code,
    )
    toy.deliver("monday.csv", "7,A,2,1")
    toy.deliver("wrong.csv", "8,A,two,1")
    run = Run(str(toy.folder / "lake"), str(toy.landing), tables := toy.tables(), engine=toy.engine)
    ran.summary(printed.answers(), run.execute(tables))
    said = capsys.readouterr().out
    (row,) = [line for line in said.splitlines() if line.startswith("  - {")]
    retracted.FILE.write_text(row.replace('why: ""', 'why: "Half of a file"'), encoding="utf-8")
    assert [one[0] for one in toy.rejected()] == [8]
    toy.run()
    assert toy.rejected() == []
    planned.status(printed.answers(), Run(run.root, run.landing, tables), toy.engine.name)
    assert "bronze.orders: market_1/wrong.csv" in capsys.readouterr().out


def test_meanings_that_change_leave_what_is_kept_out(toy: Toy) -> None:
    toy.deliver("monday.csv", "7,A,2,10.00", day=1)
    toy.deliver("wrong.csv", "7,A,9,10.00", day=2)
    toy.run()
    take_back(toy, "market_1/2024-01-02/wrong.csv")
    toy.run()
    contract, code = toy.sources[LINES]
    toy.sources[LINES] = (contract.replace("meaning: how many", "meaning: how many units"), code)
    assert toy.run()[LINES].decision.path == "describe"
    held = progress.state(toy.lake.address(LINES))
    assert held is not None
    assert held.progress is not None
    assert len(held.progress.retracted) == 1
    assert toy.run()[LINES].decision.path == "nothing"


def test_a_file_that_was_put_into_another_markets_folder_is_said_and_taken_back_where_it_was(
    toy: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    file = toy.deliver("monday.csv", "7,A,2,1", market=2)
    toy.deliver("other.csv", "9,A,3,1", market=1)
    toy.run()
    shutil.move(file, toy.landing / "market_1" / "monday.csv")
    run = Run(str(toy.folder / "lake"), str(toy.landing), tables := toy.tables(), engine=toy.engine)
    ran.summary(printed.answers(), run.execute(tables))
    said = capsys.readouterr().out
    assert "market_1/monday.csv holds the same as market_2/monday.csv, of another market" in said
    assert '  - {source: bronze.orders, file: "market_1/monday.csv", content:' in said
    assert toy.rows(ORDERS) == [(1, 7, 2), (1, 9, 3), (2, 7, 2)]
    take_back(toy, "market_2/monday.csv")
    toy.run()
    assert toy.rows(ORDERS) == [(1, 7, 2), (1, 9, 3)]
    shutil.move(toy.landing, toy.folder / "elsewhere")
    toy.landing.mkdir()
    planned.status(printed.answers(), Run(run.root, run.landing, tables), toy.engine.name)
    assert "landing does not hold any of the 3 files that were taken from it" in capsys.readouterr().out
    ran.summary(printed.answers(), Run(run.root, run.landing, tables, engine=toy.engine).execute(tables))
    assert "landing does not hold any of the 3 files" in capsys.readouterr().out


ROW = "{source: bronze.orders, file: market_1/monday.csv, why: a test}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            f"- {ROW.replace('bronze.orders', 'bronze.order')}",
            "row 1 names bronze.order, which has no deliveries. .*: bronze.orders",
        ),
        (
            f"- {ROW}\n- {ROW.replace('monday', 'mnday')}",
            "row 2 names market_1/mnday.csv, which .* Near to it: market_1/monday.csv",
        ),
        (
            f"- {ROW.replace('why', 'content: 0123456789ab, why')}",
            "names a content 0123456789ab that .* never had. It had: [0-9a-f]{12}",
        ),
        (
            f"- {ROW.replace('monday', 'half')}",
            "names market_1/half.csv, of which nothing is loaded: it ends with an open quote",
        ),
        (f"- {ROW.replace('why', 'content: 123456789012, why')}", "row 1: content must be a text: put it in quotes"),
        (f"- {ROW.replace('why', 'content: 0123ab, why')}", "row 1: content must be at least 12 letters"),
        (f"- {ROW.replace('why', 'wyh')}", "row 1: why is missing\n.*wyh is not a known key"),
        (f"- {ROW.replace(', why: a test', '')}", "row 1: why is missing"),
        ("- market_1/monday.csv", "row 1: must have source, file and why"),
        ("source: bronze.orders", "must be a list of rows like - {source"),
        ("- {source", "retracted.yml cannot be read"),
    ],
)
def test_rows_that_are_not_right_or_name_nothing_stop_the_run_in_words(toy: Toy, text: str, words: str) -> None:
    toy.deliver("monday.csv", "7,A,2,10.00")
    (toy.landing / "market_1" / "half.csv").write_text(f'{HEADER}\n7,"A,2', encoding="utf-8")
    retracted.FILE.write_text(text, encoding="utf-8")
    with pytest.raises(LakehouseError, match=words):
        toy.run()
    assert not (toy.folder / "lake").exists()


LIST = "# why\n# - {source: bronze.orders, file: x}\n"


@pytest.mark.parametrize("before", ["", f"{LIST}[]\n", LIST, f"{LIST}- {ROW.replace('monday', 'other')}"])
def test_a_file_is_taken_back_by_its_name_and_the_list_keeps_what_it_holds(toy: Toy, before: str) -> None:
    toy.deliver("other.csv", "8,A,9,10.00")
    file = toy.deliver("monday.csv", "7,A,2,10.00")
    toy.run()
    retracted.FILE.write_text(before, encoding="utf-8")
    path = retracted.path_in(str(toy.landing), str(file))
    assert path == retracted.path_in(str(toy.landing), path) == "market_1/monday.csv"
    (row,) = retracted.add(retracted.of_file(ledger.read(toy.lake.root).entries, path), "a test: of words")
    kept = before.removesuffix("[]\n")
    assert (
        retracted.FILE.read_text(encoding="utf-8")
        == f"{kept}{'' if kept.endswith(chr(10)) or not kept else chr(10)}{row}\n"
    )
    assert retracted.read()[-1].why == "a test: of words"
    toy.run()
    assert (7,) not in toy.rows(ORDERS, "order_id")


def test_the_version_that_is_taken_back_is_named_where_a_file_had_several(toy: Toy) -> None:
    for quantity in (2, 9):
        toy.deliver("monday.csv", f"7,A,{quantity},10.00")
        toy.run()
    entries = ledger.read(toy.lake.root).entries
    with pytest.raises(LakehouseError, match=r"with the contents \w{12} \(2023-11-14 22:13\), \w{12} .*: --content"):
        retracted.of_file(entries, "market_1/monday.csv")
    newest = max(entries, key=lambda one: one.batch)
    retracted.add(retracted.of_file(entries, "market_1/monday.csv", newest.delivery.content[:4]), "a test")
    toy.run()
    assert toy.rows(ORDERS) == [(1, 7, 2)]
    with pytest.raises(LakehouseError, match=r"taken back already \(a test\)\. To have it again take its row out"):
        retracted.of_file(retracted.marked(entries, retracted.read()), "market_1/monday.csv", newest.delivery.content)
    retracted.FILE.write_text("[]", encoding="utf-8")
    toy.run()
    assert toy.rows(ORDERS) == [(1, 7, 9)]


def test_what_was_not_delivered_and_a_list_of_another_form_are_said_in_words(toy: Toy) -> None:
    toy.deliver("monday.csv", "7,A,2,10.00")
    (toy.landing / "market_1" / "half.csv").write_text(f'{HEADER}\n7,"A,2', encoding="utf-8")
    toy.run()
    entries = ledger.read(toy.lake.root).entries
    for path, words in (
        ("monday.csv", r"was never delivered\. Near to it: market_1/monday\.csv\. Name it by its path in landing"),
        ("market_1/half.csv", r"nothing is loaded: it ends with an open quote.* Take it out of landing instead"),
    ):
        with pytest.raises(LakehouseError, match=words):
            retracted.of_file(entries, path)
    mine = retracted.of_file(entries, "market_1/monday.csv")
    retracted.FILE.write_text(f"[{ROW.replace('monday', 'other')}]", encoding="utf-8")
    with pytest.raises(
        LakehouseError, match=r"rows a line each\. Write this into it:\n- {source: bronze.orders, file: .*mon"
    ):
        retracted.add(mine, "a test")
    retracted.FILE.unlink()
    retracted.FILE.with_name("retracted.yml.new").mkdir()
    with pytest.raises(LakehouseError, match=r"cannot be written \(Is a directory\)\. Add to it yourself"):
        retracted.add(mine, "a test")
    retracted.FILE.with_name("retracted.yml.new").rmdir()
    retracted.add(mine, "a test")
    toy.run()
    assert toy.rows(ORDERS) == []


@pytest.mark.parametrize(
    "path", ["market_1/a b.csv", 'market_1/"quoted": x.csv', "market_1/é😀.csv", "market_1/#1, 2.csv"]
)
@pytest.mark.usefixtures("toy")
def test_the_row_that_takes_a_file_back_is_read_as_it_is_meant(path: str) -> None:
    at = datetime(2024, 1, 1, tzinfo=UTC)
    one = Delivery(BRONZE, path, 1, at, "012345678901234", at, {})
    retracted.FILE.write_text(retracted.line(one, "x"), encoding="utf-8")
    assert retracted.read() == (retracted.Retraction(BRONZE, path, "x", "012345678901"),)


@pytest.mark.spark
@pytest.mark.usefixtures("on_spark")
def test_spark_takes_back_and_heals_one_version_of_a_file_as_native_does(toy: Toy, tmp_path: Path) -> None:
    engines.start(engines.NATIVE)
    toy.deliver("monday.csv", "9,C,two,1.00", ",D,1,1.00", day=1)
    toy.run()
    toy.deliver("monday.csv", "10,C,two,1.00", ",E,1,1.00", day=1)
    toy.deliver("wrong.csv", "7,A,9,10.00", "8,,1,1.00", day=2)
    toy.run()
    (first, *_) = sorted(ledger.read(toy.lake.root).taken(), key=lambda one: one.batch)
    states = []
    for name in (engines.NATIVE, engines.SPARK):
        lake = replace(toy.copied(tmp_path / name), engine=engines.start(name))
        place = f"{first.delivery.path},1@{first.delivery.short_content}"
        lake.deliver("fixed.csv", f"90,C,2,1.00,{place}", day=3, header=CORRECTING)
        take_back(lake, "market_1/2024-01-02/wrong.csv")
        lake.run()
        states.append(state(lake))
    assert states[0] == states[1]
    assert [row[0] for row in states[0][-1]] == [10, None]

"""What else is done with deliveries is done with windows: verified, taken back, gone back to, noted again, let go."""

from __future__ import annotations

import shutil
from random import Random
from typing import TYPE_CHECKING

import pytest

from lakehouse.causes import explain
from lakehouse.intake.deliveries import fetched
from lakehouse.intake.deliveries.fetched import OnPage
from lakehouse.intake.records import ledger, retracted
from lakehouse.intake.records.ledger import Delivery
from lakehouse.proof import verify
from lakehouse.recovery import retention, rewind
from lakehouse.serving import quarantine
from tests.lakehouse.intake.deliveries.test_windows import BRONZE, SILVER, SOURCES, a_page, a_toy, a_window
from tests.toy import Toy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lakehouse.engines.native.engine import Native

pytestmark = pytest.mark.slow


@pytest.fixture
def toy(tmp_path: Path, engine: Native, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """After two runs: the sales 1 and 2, of which 2 is said otherwise by the second window."""
    monkeypatch.setattr(retracted, "FILE", tmp_path / "retracted.yml")
    toy = a_toy(tmp_path, engine, a_page((1, 1, 2), (2, 1, 9)), a_page((1, 2, 5)))
    toy.run()
    a_window(toy, a_page((2, 1, 3)))
    toy.run()
    return toy


def is_equal(toy: Toy) -> bool:
    tables = toy.tables()
    wanted = verify.chosen(toy.lake, tables, [])
    found = verify.verify(toy.engine.name, toy.lake, str(toy.landing), tables, wanted, verify.Scope())
    assert [one.reason for one in found if one.reason] == []
    return not sum(one.differing for one in found)


def windows(toy: Toy) -> list[str]:
    return [*fetched.windows(str(toy.landing), BRONZE)]


def test_a_window_is_verified_explained_and_taken_back_by_its_folder(toy: Toy) -> None:
    assert is_equal(toy)
    tables = toy.tables()
    asked = explain.ask(toy.lake, tables, SILVER, "sale_id = 1 and line = 2")
    ((file,),) = (
        one.files for one in explain.answer(toy.engine, toy.lake, tables, asked, landing=str(toy.landing)).step.inputs
    )
    assert (file.path, file.ranges, file.pages) == (windows(toy)[0], ((3, 3),), (OnPage("000001.json", 1, 1),))
    assert (1, 2, windows(toy)[0], 3) in toy.rows(SILVER, "sale_id", "line", "_file", "_row")
    entries = ledger.read(toy.lake.root).entries
    (mine,) = retracted.of_files(entries, [windows(toy)[1]])
    retracted.add([mine], "a test")
    toy.run()
    assert toy.rows(SILVER) == [(1, 1, 2), (1, 2, 5), (2, 1, 9)]
    assert is_equal(toy)


def test_rows_of_a_window_are_found_on_its_pages_as_long_as_landing_has_them(toy: Toy) -> None:
    landing, first = str(toy.landing), windows(toy)[0]
    assert [*map(str, fetched.on_pages(landing, first, 2, 3))] == ["row 2 of 000000.json", "row 1 of 000001.json"]
    assert [*map(str, fetched.on_pages(landing, first, 1, 2))] == ["rows 1-2 of 000000.json"]
    assert fetched.on_pages(landing, first, 4, 4) == fetched.on_pages(landing, "dropped/a.json", 1, 1) == []
    shutil.rmtree(toy.landing / first)
    assert fetched.on_pages(landing, first, 1, 1) == []


def test_rejected_rows_of_a_window_are_corrected_by_what_is_exported(tmp_path: Path, engine: Native) -> None:
    toy = Toy(tmp_path, engine, dict(SOURCES))
    contract, code = toy.sources[BRONZE]
    toy.sources[BRONZE] = (contract.replace("format: json", "format: json, rows: found.data"), code)
    toy.landing.mkdir(parents=True)
    a_window(toy, b'{"found": {"data": ' + a_page((1, 1, 2), (2, 1, "two")) + b"}}")
    toy.run()
    corrected = toy.landing / "dropped" / "corrected.json"
    corrected.parent.mkdir()
    assert quarantine.export(toy.lake.root, toy.tables()[SILVER], corrected) == {corrected: 1}
    corrected.write_text(corrected.read_text().replace('"two"', '"3"'))
    toy.run()
    assert (toy.rows(SILVER), toy.rows(f"{SILVER}__rejected")) == ([(1, 1, 2), (2, 1, 3)], [])


def test_a_ledger_that_was_lost_notes_windows_again_and_nothing_comes_twice(toy: Toy) -> None:
    before = toy.rows(SILVER)
    toy.opened("ops.files").delete()
    toy.run()
    assert (toy.rows(SILVER), len(toy.rows(BRONZE))) == (before, 4)
    assert sorted(one.delivery.path for one in ledger.read(toy.lake.root).taken()) == windows(toy)
    assert is_equal(toy)


def test_a_rewind_behind_a_window_loads_it_again(toy: Toy) -> None:
    point, before = toy.point(), toy.rows(SILVER)
    a_window(toy, a_page((3, 1, 1)))
    toy.run()
    after = toy.rows(SILVER)
    rewind.go(toy.lake.root, rewind.look(toy.lake.root, str(toy.landing), toy.tables(), "before", point))
    assert toy.rows(SILVER) == before
    toy.run()
    assert toy.rows(SILVER) == after
    assert is_equal(toy)


def test_landing_lets_windows_go_but_for_the_last_which_says_where_to_go_on(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract, code = toy.sources[BRONZE]
    toy.sources[BRONZE] = (f"{contract.rstrip()}\n        retention: {{landing: 1d}}\n        ", code)
    monkeypatch.setattr(Delivery, "is_older", lambda _, days, __: days is not None)
    _, last = windows(toy)
    (done,) = retention.remove(toy.lake.root, str(toy.landing), toy.tables(), {}, lambda: toy.engine)
    assert (done.files, windows(toy)) == (1, [last])
    assert [one.decision.path for one in toy.run().values()] == ["nothing"] * 2


def seeds() -> list[object]:
    return [0, *(pytest.param(one, marks=pytest.mark.long) for one in range(1, 20))]


@pytest.mark.parametrize("seed", seeds())
def test_whatever_windows_say_and_whenever_one_is_taken_back_the_sales_are_those_of_plain_python(
    seed: int, tmp_path: Path, engine: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retracted, "FILE", tmp_path / "retracted.yml")
    random, toy, said = Random(seed), a_toy(tmp_path, engine, a_page((1, 1, 1))), [[(1, 1, "1")]]  # noqa: S311
    toy.run()
    for _ in range(4):
        rows = [(random.randint(1, 4), random.randint(1, 3), random.choice(["0", "1", "2", "two"])) for _ in range(9)]
        cut = random.randint(0, 9)
        a_window(toy, a_page(*rows[:cut]), a_page(*rows[cut:]))
        said.append(rows)
        if random.random() < 0.4:
            place = random.randrange(len(said) - 1)
            said[place] = []
            path = windows(toy)[place]
            mine = [one for one in ledger.read(toy.lake.root).taken() if one.delivery.path == path]
            if path not in str(retracted.read()):
                retracted.add(mine, "a test")
        toy.run()
        assert toy.rows(SILVER) == sales_of(said)
    assert is_equal(toy)


def sales_of(said: Iterable[Iterable[tuple[int, int, str]]]) -> list[tuple[int, int, int]]:
    """Of each sale the newest window's that is right, each line as its last row says."""
    sales: dict[int, dict[int, int]] = {}
    for window in said:
        lines: dict[int, dict[int, str]] = {}
        for sale, line, quantity in window:
            lines.setdefault(sale, {})[line] = quantity
        for sale, last in lines.items():
            if all(one.isdigit() for one in last.values()) and sum(map(int, last.values())) > 0:
                sales[sale] = {line: int(one) for line, one in last.items()}
    return sorted(((sale, line, n) for sale, lines_of in sales.items() for line, n in lines_of.items()), key=str)

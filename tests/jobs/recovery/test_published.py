"""What a run says of its release, and when it makes one; the list of releases as people see it."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from jobs.recovery import published
from lakehouse import graph
from lakehouse.errors import LakehouseError
from lakehouse.recovery import releases
from lakehouse.recovery.releases import Release
from lakehouse.runs.run import Run
from tests.toy import Toy

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.native.engine import Native

LINES, TOTALS = "silver.order_lines", "gold.totals"


@pytest.fixture
def toy(tmp_path: Path, engine: Native) -> Toy:
    toy = Toy(tmp_path, engine)
    toy.deliver("monday.csv", "7,A,2,10.00")
    return toy


def run(toy: Toy, *names: str) -> str:
    """What is said of its release."""
    tables, console = toy.tables(), Console(file=io.StringIO(), width=500)
    one = Run(toy.lake.root, str(toy.landing), tables, engine=toy.engine)
    try:
        published.after(console, one, one.execute(graph.selected(tables, names)))
    except LakehouseError:
        console.print(published.words_of_a_stop(one))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


@pytest.mark.slow
def test_a_run_releases_what_moved_and_one_without_work_looks_only(toy: Toy) -> None:
    assert run(toy) == "Release 1: 4 tables moved.\n"
    assert run(toy) == ""
    toy.deliver("tuesday.csv", "8,A,1,1.00")
    assert run(toy, LINES).startswith("Nothing is released: silver.orders: silver.order_lines moved 0 -> 1.")
    assert run(toy) == "Release 2: 4 tables moved.  lakehouse diff 1 2\n"


@pytest.mark.slow
def test_what_a_run_wrote_before_it_was_killed_the_next_one_releases(toy: Toy) -> None:
    toy.run()
    assert run(toy) == "Release 1: 4 tables moved.\n"


@pytest.mark.slow
def test_a_rule_that_stopped_a_table_is_named_with_what_readers_see(toy: Toy) -> None:
    run(toy)
    contract, code = toy.sources[TOTALS]
    few = "{agrees_with: silver.orders, this: sum(units), that: sum(units) + 1, severity: stop, why: a test}"
    toy.sources[TOTALS] = (f"{contract.rstrip()}\n        checks: {{few: {few}}}\n", code)
    assert run(toy) == (
        "Nothing was released, because of few: release 1 stays the newest. To release what was written, "
        'with the other tables as they were: lakehouse publish --despite few --why "..."\n'
    )
    assert [one.number for one in releases.releases(toy.lake.root)] == [1]


def test_the_newest_releases_are_listed_first() -> None:
    console, at = Console(file=io.StringIO(), width=500), datetime(2024, 1, 5, 12, tzinfo=UTC)
    last = Release(23, at, "run", "native 1", "code", {}, {"silver.orders": 98.25}, {"few": "so be it"}, {}, 1)
    known = [replace(last, number=number, despite={}) for number in range(1, 23)]
    published.listed(console, [*known, last], {})
    _, first, *others = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert " ".join(first.split()) == "23 2024-01-05 12:00:00 1 98.2 run native 1 code few: so be it"
    assert (len(others), others[-1]) == (20, "and 3 older ones, in ops.releases")


def test_a_lake_without_releases_says_how_to_make_one() -> None:
    console = Console(file=io.StringIO(), width=500)
    published.listed(console, [], {})
    assert "There is no release yet: `lakehouse run` makes one" in console.file.getvalue()  # type: ignore[attr-defined]

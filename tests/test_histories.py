"""Incremental equals recompute: in random histories of a toy lake every table is, after every step, as a rebuild is.

Five native histories and one of both engines are in the suite, 200 and 20 behind `-m long`; a failure says what was
done, and its seed plays it again. What can happen is in `tests/histories.py`, what must come out, computed in plain
Python, in `tests/world.py`.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from lakehouse.engines import NATIVE, SPARK
from tests.histories import ACCIDENTS, EVENTS, History, run

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.protocol import Engine
    from tests.histories import Event

IN_A_ROUND, ROUNDS = 5, 40  # every round of histories has every event and every accident
STEPS, LONGER = 2, 4
# Histories of both engines, and their steps, of which two are by Spark; the one in the suite is shorter.
MIXED, OF_BOTH, SHORT, BY_SPARK = 20, 8, 4, 2


def seeds(in_the_suite: int, in_all: int) -> list[object]:
    return [*range(in_the_suite), *(pytest.param(one, marks=pytest.mark.long) for one in range(in_the_suite, in_all))]


def plot(seed: int) -> list[tuple[list[Event], Event]]:
    """What happens in each step, one or two events, and how it is run."""
    round_, place = divmod(seed, IN_A_ROUND)
    random, steps = Random(round_), IN_A_ROUND * (LONGER if round_ else STEPS)  # noqa: S311
    events = random.sample(EVENTS, len(EVENTS)) + random.choices(EVENTS, k=steps // 2)
    ways = random.sample([*ACCIDENTS, *random.choices([*[run] * 12, *ACCIDENTS], k=steps - len(ACCIDENTS))], steps)
    of_steps = [events[step : 2 * steps : steps] for step in range(steps)]
    return list(zip(of_steps, ways, strict=True))[place::IN_A_ROUND]


def of_both_engines(seed: int) -> list[tuple[list[Event], Event, str]]:
    """What happens in each step, how it is run, and by which engine."""
    random = Random(f"of both {seed}")  # noqa: S311
    steps = OF_BOTH if seed else SHORT
    engines = random.sample([SPARK] * BY_SPARK + [NATIVE] * (steps - BY_SPARK), steps)
    ways = random.sample([*ACCIDENTS, *[run] * (OF_BOTH - len(ACCIDENTS))], steps)
    events = random.sample(EVENTS, 2 * steps)
    return [(events[2 * step : 2 * step + 2], ways[step], engines[step]) for step in range(steps)]


@pytest.fixture(scope="module")
def begun(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> History:
    return History.begin(tmp_path_factory.mktemp("begun"), engine, Random(0))  # noqa: S311


def test_every_round_of_histories_has_every_event_and_every_accident() -> None:
    for first in range(0, IN_A_ROUND * ROUNDS, IN_A_ROUND):
        steps = [step for seed in range(first, first + IN_A_ROUND) for step in plot(seed)]
        assert {event for events, _ in steps for event in events} == set(EVENTS)
        assert {way for _, way in steps} == {run, *ACCIDENTS}


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(IN_A_ROUND, IN_A_ROUND * ROUNDS))
def test_after_every_step_of_a_random_history_all_tables_are_as_a_rebuild(
    seed: int, begun: History, tmp_path: Path
) -> None:
    history = begun.continued(tmp_path, seed)
    for events, way in plot(seed):
        history.step(events, way)
        assert_all_is_right(history)
    if seed % IN_A_ROUND == 0:  # plain Python does not know every column
        assert history.rebuilt(tmp_path / "rebuilt").content() == history.content(), history.story()


@pytest.mark.slow
@pytest.mark.spark
@pytest.mark.usefixtures("on_spark")
@pytest.mark.parametrize("seed", seeds(1, MIXED))
def test_what_one_engine_wrote_the_other_continues(seed: int, begun: History, tmp_path: Path) -> None:
    history = begun.continued(tmp_path, seed)
    for events, way, engine in of_both_engines(seed):
        history.step(events, way, engine)
        assert_all_is_right(history)
    assert history.rebuilt(tmp_path / "rebuilt").content() == history.content(), history.story()


def assert_all_is_right(history: History) -> None:
    """A further run finds nothing to do."""
    before = history.versions()
    history.run()
    assert (history.wrong(), history.versions()) == ({}, before), history.story()

"""Incremental equals recompute: in random histories of a toy lake every table is, after every step, as a rebuild is.

Five histories are in the suite, 200 behind `-m long`; a failure says what was done, and its seed plays it again. What
can happen is in `tests/histories.py`, what must come out, computed without Spark, in `tests/world.py`.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.histories import ACCIDENTS, EVENTS, History, run

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from tests.histories import Event

IN_A_ROUND, ROUNDS = 5, 40  # every round of histories has every event and every accident
STEPS, LONGER = 2, 4
SEEDS = [
    *range(IN_A_ROUND),
    *(pytest.param(seed, marks=pytest.mark.long) for seed in range(IN_A_ROUND, IN_A_ROUND * ROUNDS)),
]


def plot(seed: int) -> list[tuple[list[Event], Event]]:
    """What happens in each step, one or two events, and how it is run."""
    round_, place = divmod(seed, IN_A_ROUND)
    random, steps = Random(round_), IN_A_ROUND * (LONGER if round_ else STEPS)  # noqa: S311
    events = random.sample(EVENTS, len(EVENTS)) + random.choices(EVENTS, k=steps // 2)
    ways = random.sample([*ACCIDENTS, *random.choices([*[run] * 12, *ACCIDENTS], k=steps - len(ACCIDENTS))], steps)
    of_steps = [events[step : 2 * steps : steps] for step in range(steps)]
    return list(zip(of_steps, ways, strict=True))[place::IN_A_ROUND]


@pytest.fixture(scope="module")
def begun(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> History:
    return History.begin(tmp_path_factory.mktemp("begun"), spark, Random(0))  # noqa: S311


def test_every_round_of_histories_has_every_event_and_every_accident() -> None:
    for first in range(0, IN_A_ROUND * ROUNDS, IN_A_ROUND):
        steps = [step for seed in range(first, first + IN_A_ROUND) for step in plot(seed)]
        assert {event for events, _ in steps for event in events} == set(EVENTS)
        assert {way for _, way in steps} == {run, *ACCIDENTS}


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_after_every_step_of_a_random_history_all_tables_are_as_a_rebuild(
    seed: int, begun: History, tmp_path: Path
) -> None:
    history = begun.continued(tmp_path, seed)
    for events, way in plot(seed):
        history.step(events, way)
        before = history.versions()
        history.run()
        assert (history.wrong(), history.versions()) == ({}, before), history.story()
    if seed % IN_A_ROUND == 0:  # plain Python does not know every column
        assert history.rebuilt(tmp_path / "rebuilt").content() == history.content(), history.story()

"""Two runs in one process, as `lakehouse run --every` has them: the second one finds a warm engine.

    .venv/bin/python -m tests.bench.kept_session LAKE LANDING LATER_LANDING

Prints JSON: the seconds of both.
"""

from __future__ import annotations

import json
import sys
import time

from lakehouse import engines, graph
from lakehouse.intake.records.ledger import Ledger
from lakehouse.runs.run import Run
from tests.bench.answers import COMPARED


def main(lake: str, *landings: str) -> None:
    tables, engine, known, seconds = graph.load(), engines.start(engines.chosen()), Ledger(), []
    for landing in landings:
        begin = time.monotonic()
        run = Run(lake, landing, tables, engine=engine, is_kept=True)
        run.ledger = known
        run.execute(graph.selected(tables, COMPARED))
        known = run.ledger
        seconds.append(time.monotonic() - begin)
    engine.stop()
    print(json.dumps(seconds))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])

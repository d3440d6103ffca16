"""Two runs in one process, as `lakehouse run --every` has them: the second one finds a warm session.

    .venv/bin/python -m tests.bench.kept_session LAKE LANDING LATER_LANDING

Prints JSON: the seconds of both.
"""

from __future__ import annotations

import json
import sys
import time

from lakehouse import graph
from lakehouse.ledger import Ledger
from lakehouse.run import Run
from tests.bench.answers import COMPARED


def main(lake: str, *landings: str) -> None:
    tables, spark, known, seconds = graph.load(), None, Ledger(), []
    for landing in landings:
        begin = time.monotonic()
        run = Run(lake, landing, tables, session=spark, is_kept=True)
        run.ledger = known
        run.execute(graph.selected(tables, COMPARED))
        spark, known = run.session, run.ledger
        seconds.append(time.monotonic() - begin)
    if spark:
        spark.stop()
    print(json.dumps(seconds))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])

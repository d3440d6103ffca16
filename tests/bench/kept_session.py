"""Two runs in one process, as `lakehouse run --every` has them: the second one finds a warm session.

    .venv/bin/python -m tests.bench.kept_session LAKE LANDING LATER_LANDING

Prints JSON: the seconds of both.
"""

from __future__ import annotations

import json
import sys
import time

from lakehouse import graph, session
from lakehouse.run import Run


def main(lake: str, *landings: str) -> None:
    tables, spark, seconds = graph.load(), session.start(), []
    for landing in landings:
        begin = time.monotonic()
        Run(lake, landing, tables, session=spark).execute(tables)
        seconds.append(time.monotonic() - begin)
    spark.stop()
    print(json.dumps(seconds))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])

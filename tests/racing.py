"""Writers of one table beside each other, each a process of its own: `python -m tests.racing ENGINE ADDRESS ...`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from lakehouse.delta.commits import committer
from lakehouse.delta.commits.committer import Target
from lakehouse.delta.commits.conflicts import ConflictError
from lakehouse.delta.files import feed
from lakehouse.delta.tables import log

if TYPE_CHECKING:
    from collections.abc import Callable

HOME = Path(__file__).parents[1]
PATIENCE = 600.0  # seconds, where many processes share a small machine
SCHEMA = pa.schema({"who": pa.int64(), "number": pa.int64()})


def row(who: int, number: int) -> pa.Table:
    return pa.table({"who": [who], "number": [number]}, SCHEMA)


def race(address: str, folder: Path, *engines: str, times: int) -> None:
    """Each engine appends so many rows, all at the same time; then each row is there once, and so is each version."""
    committer.overwrite(Target(address, SCHEMA), -1, SCHEMA.empty_table(), None)
    running = [_begin(engine, address, folder, who, len(engines), times) for who, engine in enumerate(engines)]
    try:
        said = [one.communicate(timeout=PATIENCE) for one in running]
    finally:
        for one in running:
            one.kill()
    assert not any(one.returncode for one in running), [errors[-2000:] for _, errors in said]
    acknowledged = sorted(tuple(map(int, line.split())) for out, _ in said for line in out.splitlines())
    assert acknowledged == [(who, number) for who in range(len(engines)) for number in range(times)]
    log.forget(address)
    stored = feed.read(address).to_pylist()
    assert sorted((one["who"], one["number"]) for one in stored) == acknowledged
    assert [one.version for one in log.history(address)] == [*reversed(range(1 + len(acknowledged)))]


def _begin(engine: str, address: str, folder: Path, who: int, of: int, times: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.racing", engine, address, str(folder), *map(str, (who, of, times))]
    environment = os.environ | {"LAKEHOUSE_DRIVER_MEMORY": "700m", "LAKEHOUSE_MASTER": "local[1]"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=HOME, env=environment, stdout=pipe, stderr=pipe, text=True)


def appender(engine: str, address: str) -> Callable[[int, pa.Table], int]:
    """What appends rows upon a version."""
    target = Target(address, SCHEMA)
    if engine == "native":
        return lambda base, rows: committer.append(target, base, rows, None)
    from lakehouse.engines.protocol import Change  # noqa: PLC0415
    from lakehouse.engines.spark.engine import Spark  # noqa: PLC0415  half a second that the others do not pay

    spark = Spark.start().for_a_turn(0)
    spark.read(address, 0).collect()
    return lambda base, rows: spark.write(target, base, Change("append", spark.frame(rows)), "")


def main(engine: str, address: str, folder: str, *numbers: str) -> None:
    """Each row upon the newest version, again until it is the next."""
    who, of, times = map(int, numbers)
    append, left = appender(engine, address), list(range(times))
    (Path(folder) / f"{who} is ready").touch()
    while len(list(Path(folder).glob("* is ready"))) < of:
        time.sleep(0.01)
    while left:
        now = log.snapshot(address)
        assert now
        with suppress(ConflictError):
            append(now.version, row(who, left[0]))
            print(who, left.pop(0), flush=True)  # noqa: T201  acknowledged


if __name__ == "__main__":
    main(*sys.argv[1:])

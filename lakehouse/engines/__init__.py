"""What computes: Sail in this process (native, the default) or Spark. Above this floor nobody knows which one runs.

Enter by `start`, or by `reader` for questions alone; what they can do says `protocol` (Engine, Reader), which functions
both compute alike `spelling`.
"""

from __future__ import annotations

import ctypes
import os
import sys
from importlib import metadata
from typing import TYPE_CHECKING

from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakehouse.engines.protocol import Engine, Reader

# gRPC reads it when it is loaded. Spark's Java is started by a fork, which gRPC's own handlers crash now and then.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
# Of glibc's arenas, which it makes for threads up to 16 on two cores, each keeps up to 64 MB that nobody uses: in a
# process that is kept 590 MB of 670 (measured). It must be said before there are threads.
ARENAS, M_ARENA_MAX = 2, -8
if hasattr(_libc := ctypes.CDLL(None), "mallopt"):
    _libc.mallopt(M_ARENA_MAX, ARENAS)

NATIVE, SPARK = "native", "spark"
NAMES = (NATIVE, SPARK)
PACKAGES = {NATIVE: "pysail", SPARK: "pyspark"}
# Engines with their versions, as notes have them, that computed something wrong: what they wrote is computed again.
WRONG: frozenset[str] = frozenset()


def chosen(name: str | None = None, default: str = NATIVE) -> str:
    """The engine's name: as asked for, else LAKEHOUSE_ENGINE, else Spark under spark-submit, else the default.

    Raises LakehouseError for a name that is no engine's.
    """
    under_spark_submit = SPARK if "PYSPARK_GATEWAY_PORT" in os.environ else None
    found = name or os.environ.get("LAKEHOUSE_ENGINE") or under_spark_submit or default
    if found not in NAMES:
        raise LakehouseError(
            f"{found!r} is no engine. Give native (in this process) or spark with --engine, LAKEHOUSE_ENGINE or "
            "`engine:` in conf/lake.yml."
        )
    return found


def version(name: str = NATIVE) -> str:
    """Of the package that computes, which is not loaded."""
    return metadata.version(PACKAGES[name])


def start(name: str = NATIVE, *, long: bool = False) -> Engine:
    """The engine, started; the process has one of each name, and the one that was started last computes.

    `long`: it is kept, or reads so much that preparing its code well is worth the time.
    """
    if name == SPARK:
        from lakehouse.engines.spark.engine import Spark  # noqa: PLC0415  each engine loads its own half second of modules

        return Spark.start(long=long)
    from lakehouse.engines.native.engine import Native  # noqa: PLC0415

    return Native.start()


def reader(name: str = NATIVE) -> Reader:
    """What answers questions, started: natively without PySpark, whose import takes longer than most answers."""
    if name == SPARK:
        from lakehouse.engines.spark.engine import Asked, Spark  # noqa: PLC0415

        return Asked(Spark.start())
    from lakehouse.engines.native.flight import Flight  # noqa: PLC0415

    return Flight.start()


def running() -> SparkSession | None:
    """The session of a JVM that this process runs, whoever started it; None where the native engine was started since.

    Of Spark Connect there may be several in a process, of which none is known to be meant.
    """
    if "pyspark" not in sys.modules:
        return None
    from lakehouse.engines.spark.engine import running as found  # noqa: PLC0415

    return found()


def around(session: SparkSession) -> Engine:
    """Somebody else's session, to read tables by: nothing is set on it, and nobody may write by it."""
    from lakehouse.engines.spark.engine import Spark  # noqa: PLC0415

    return Spark(session)


def asked(session: SparkSession) -> Reader:
    """Somebody else's session, to ask questions in one beside it, since they give names to what they read."""
    from lakehouse.engines.spark.engine import Asked, Spark  # noqa: PLC0415

    return Asked(Spark(session.newSession() if hasattr(session, "newSession") else session))


def other(name: str) -> str:
    """The engine that proves what this one wrote."""
    return next(one for one in NAMES if one != name)

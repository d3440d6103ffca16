"""Sail drops a session that is quiet for too long, and so a query that is: it is kept by being used meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

# The limit is read once a process, when its server starts. A query that is silent for as long as the first argument
# says, then, after as many quiet seconds, another one. The second: every how many seconds the session is used, if any.
QUERIES = """
import os, sys, time
from pysail.spark import SparkConnectServer
from pyspark.sql.connect.session import SparkSession
from lakehouse.engines.native import channel

def silent(batches):
    time.sleep(float(sys.argv[1]))
    yield from batches

way_in, _ = channel.start(SparkConnectServer("127.0.0.1", 0))
spark = SparkSession(way_in)
if len(sys.argv) > 2:
    way_in.keep(spark, float(sys.argv[2]))
try:
    print("query", spark.range(1).mapInArrow(silent, "id long").toArrow().num_rows, flush=True)
    time.sleep(float(sys.argv[1]))
    print("query", spark.range(2).count(), flush=True)
except Exception as error:
    print(error, flush=True)
os._exit(0)
"""


def queries_of(seconds: float, limit: int, *used: float) -> str:
    settings = {"SPARK_CONNECT_MODE_ENABLED": "1", "RUST_LOG": "error", "SAIL_SPARK__SESSION_TIMEOUT_SECS": str(limit)}
    return subprocess.run(
        [sys.executable, "-c", QUERIES, str(seconds), *map(str, used)],
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def test_a_query_longer_than_the_limit_dies() -> None:
    assert "is not running" in queries_of(seconds=1.3, limit=1)


def test_where_the_session_is_used_meanwhile_it_does_not() -> None:
    assert queries_of(1.3, 1, 0.2) == "query 1\nquery 2\n"

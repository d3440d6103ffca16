"""Sail drops a session that is quiet for too long, and so a query that is: the limit must be beyond any run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lakehouse.engines.native import sail

pytestmark = pytest.mark.slow

# The limit is read once a process, when its server starts. A query that is silent for as long as the first argument
# says, then, after as many quiet seconds, another one.
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
try:
    print("query", spark.range(1).mapInArrow(silent, "id long").toArrow().num_rows, flush=True)
    time.sleep(float(sys.argv[1]))
    print("query", spark.range(2).count(), flush=True)
except Exception as error:
    print(error, flush=True)
os._exit(0)
"""


def queries_of(seconds: float, limit: int) -> str:
    settings = {"SPARK_CONNECT_MODE_ENABLED": "1", "RUST_LOG": "error", "SAIL_SPARK__SESSION_TIMEOUT_SECS": str(limit)}
    return subprocess.run(
        [sys.executable, "-c", QUERIES, str(seconds)],
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def test_a_query_longer_than_the_limit_dies() -> None:
    assert "is not running" in queries_of(seconds=1.3, limit=1)


def test_with_the_limit_of_a_run_it_does_not() -> None:
    assert queries_of(seconds=1.3, limit=sail.LONGEST_RUN) == "query 1\nquery 2\n"

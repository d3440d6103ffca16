"""Whether the machines of a cluster share the folders of a run: else the driver commits files that it never sees."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from uuid import uuid4

from lakehouse.errors import LakehouseError
from lakehouse.store import storage

if TYPE_CHECKING:
    from pyspark import SparkContext


def check(context: SparkContext, lake: str, landing: str, asked: frozenset[str]) -> frozenset[str]:
    """The machines that were asked by now: those of `asked` are not asked again, those that came since are.

    Raises LakehouseError where one does not see a file that was just put into the lake, or the first one of landing.
    """
    while new := _machines(context) - asked:
        if not storage.is_s3(lake):
            probe = f"_seen_{uuid4()}"
            storage.put(lake, probe, b"")
            try:
                _check("lake", lake, blind(context, f"{lake}/{probe}"))
            finally:
                storage.delete(lake, probe)
        if not storage.is_s3(landing) and (
            file := next((one for one in storage.list_files(landing) if not one.problem), None)
        ):
            _check("landing", landing, blind(context, f"{landing}/{file.path}"))
        asked |= new
    return asked


def _machines(context: SparkContext) -> set[str]:
    """Of the driver, and of the executors that have come."""
    managers = context._jsc.sc().getExecutorMemoryStatus().keysIterator()  # noqa: SLF001
    found = set[str]()
    while managers.hasNext():
        found.add(managers.next().rpartition(":")[0])
    return found


def blind(context: SparkContext, path: str) -> list[str]:
    """The machines that do not see the file. Each executor that is idle gets one of the tasks, which are a few ms."""
    tasks = context.defaultParallelism
    # Executors' Python may have no package of ours: this is sent whole, not by its name.
    answers = context.parallelize(range(tasks), tasks).map(lambda _: (os.uname().nodename, os.path.exists(path)))  # noqa: PTH110
    return sorted({machine for machine, is_there in answers.collect() if not is_there})


def _check(role: str, root: str, without: list[str]) -> None:
    if without:
        raise LakehouseError(
            f"The machines of the cluster do not share the {role} folder {root}: what is in it here is not there on "
            f"{', '.join(without)}. Keep it on S3, or in a folder that all of them mount at this path (NFS, CephFS)."
        )

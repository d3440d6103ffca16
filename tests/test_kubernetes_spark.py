"""The chart's Spark job as its pod runs it: its own command, settings and template, on a stand-in for Kubernetes."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from jobs.samples import daily
from lakehouse import graph
from lakehouse.delta.commits import ops
from lakehouse.store import minio, storage
from lakehouse.store.cache import cache_folder
from tests import charts, cluster

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.long, pytest.mark.spark]
kubernetes_validate = pytest.importorskip(
    "kubernetes_validate", reason="needs the group `deploy`: uv sync --group deploy"
)
PATIENCE = 1800  # seconds, where many processes share a small machine; Spark asks for executors for ever
SMALL = {  # for a machine of two cores; and a stand-in is asked, it does not tell
    "spark.executor.memory": "700m",
    "spark.executor.cores": "1",
    "spark.kubernetes.executor.request.cores": "1",
    "spark.executor.instances": "2",
    "spark.driver.memory": "1g",
    "spark.kubernetes.executor.enableApiWatcher": "false",
    "spark.kubernetes.executor.apiPollingInterval": "1s",
}


def _of_the_chart() -> tuple[cluster.Pod, dict[str, str], list[cluster.Pod]]:
    """The pod of the job, the files of its ConfigMap, the rules of its role."""
    found = {(one["kind"], one["metadata"]["name"]): one for one in charts.documents("spark")}
    pod = charts.pod_of(found["CronJob", "lakehouse-run"]) or {}
    return pod, found["ConfigMap", "lakehouse-spark"]["data"], found["Role", "lakehouse-driver"]["rules"]


def test_a_job_takes_files_in_executors_that_it_asks_kubernetes_for(tmp_path: Path, store: minio.Account) -> None:
    exports, scratch = tmp_path / "exports", tmp_path / "scratch"
    for file in daily.generate(exports, lines=300, days=2).files:
        storage.client().upload_file(str(file), minio.BUCKET, f"landing/{file.relative_to(exports).as_posix()}")
    pod, files, rules = _of_the_chart()
    places = {
        "/home/lakehouse/.cache/lakehouse": str(cache_folder()),
        "/etc/lakehouse": str(tmp_path),
        "/scratch": str(scratch),
        "/app": str(graph.HOME),
        "spark-executor": str(graph.HOME / "docker" / "spark-executor"),
    }

    def here(text: str) -> str:
        for place, ours in places.items():
            text = re.sub(rf"(?<![\w/.-]){place}\b", ours, text)
        return text

    with cluster.Cluster(tmp_path, store.environment(), here).running() as standing_in:
        settings = dict(line.split("=", 1) for line in here(files["spark.conf"]).splitlines())
        settings |= SMALL | {"spark.master": f"k8s://{standing_in.url}"}
        (tmp_path / "spark.conf").write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        (tmp_path / "executor.yaml").write_text(files["executor.yaml"])
        bronze = next(one for one in charts.containers(pod) if one["name"] == "bronze")
        variables = standing_in.variables(bronze, cluster.DRIVER)
        command = [re.sub(r"\$\((\w+)\)", lambda found: variables[found[1]], part) for part in bronze["args"]]
        scratch.mkdir()
        answer = subprocess.run(
            [here(part) for part in (*bronze["command"], *command)],
            env=os.environ | variables | {"AWS_ENDPOINT_URL": store.endpoint},
            cwd=scratch, capture_output=True, text=True, check=False, timeout=PATIENCE,
        )  # fmt: skip
        assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr[-3000:]
    rows = sum(len(path.read_text().splitlines()) - 1 for path in exports.rglob("*Orders.csv"))
    assert ops.query(f"s3://{minio.BUCKET}/tables/bronze/orders", "select count(*) as rows from t") == [{"rows": rows}]
    assert len(standing_in.made) == 2
    for executor in standing_in.made:
        kubernetes_validate.validate(executor, charts.KUBERNETES, strict=True)
        assert list(charts.breaches(executor)) == []
    allowed = {(verb, resource) for rule in rules for verb in rule["verbs"] for resource in rule["resources"]}
    assert standing_in.asked <= allowed

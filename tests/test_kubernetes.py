"""The chart: each variant renders, is what Kubernetes takes, and asks for nothing that it does not need.

No cluster can run here. What Spark asks of one is asked of a small stand-in that starts executors as processes.
"""

from __future__ import annotations

import os
import subprocess
import time
from copy import deepcopy
from typing import TYPE_CHECKING

import pytest
import typer
import yaml

from jobs import cli
from lakehouse.store.cache import looked
from tests import charts, tools
from tests.charts import CHART, Document

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

kubernetes_validate = pytest.importorskip(
    "kubernetes_validate", reason="needs the group `deploy`: uv sync --group deploy"
)

OPERATORS_OWN = {"ServiceMonitor", "PrometheusRule"}  # kinds that a cluster knows from elsewhere
SPARKS_OWN = {"spark-submit", "spark-executor"}


@pytest.mark.parametrize("variant", charts.VARIANTS)
def test_a_variant_is_what_kubernetes_takes_and_runs_with_no_right_that_it_does_not_need(variant: str) -> None:
    text = (charts.RENDERED / f"{variant}.yaml").read_text(encoding="utf-8")
    assert charts.digest(variant) in text.partition("\n")[0], "render it anew: python -m tests.charts"
    found = charts.documents(variant)
    for document in found:
        if document["kind"] not in OPERATORS_OWN:
            kubernetes_validate.validate(document, charts.KUBERNETES, strict=True)
    assert {breach: one["kind"] for one in found for breach in charts.breaches(one)} == {}


def test_rules_for_the_operator_are_those_that_prometheus_reads_itself() -> None:
    rules = CHART.parent / "prometheus" / "rules.yml"
    (found,) = (one for one in charts.documents("kept") if one["kind"] == "PrometheusRule")
    assert found["spec"] == yaml.safe_load(rules.read_text(encoding="utf-8"))


def _container(change: Callable[[Document], object]) -> Callable[[Document], object]:
    return lambda document: change(charts.containers(charts.pod_of(document) or {})[0])


def _pod(change: Callable[[Document], object]) -> Callable[[Document], object]:
    return lambda document: change(charts.pod_of(document) or {})


@pytest.mark.parametrize(
    ("change", "breach"),
    [
        (lambda document: document.update(kind="Secret"), "a secret's values"),
        (lambda document: document.update(rules=[{"apiGroups": [""], "resources": ["*"], "verbs": ["get"]}]), "rights"),
        (_pod(lambda pod: pod["securityContext"].pop("runAsUser")), "root"),
        (_pod(lambda pod: pod["securityContext"].pop("seccompProfile")), "all system calls"),
        (_pod(lambda pod: pod.update(hostPID=True)), "the node's own"),
        (_pod(lambda pod: pod["volumes"].append({"name": "node", "hostPath": {"path": "/"}})), "the node's own"),
        (_pod(lambda pod: pod.update(automountServiceAccountToken=True)), "a token"),
        (_container(lambda one: one["securityContext"].update(privileged=True)), "privileged"),
        (_container(lambda one: one["securityContext"].pop("allowPrivilegeEscalation")), "privileged"),
        (_container(lambda one: one["securityContext"].pop("capabilities")), "capabilities"),
        (_container(lambda one: one["securityContext"].pop("readOnlyRootFilesystem")), "a writable image"),
        (_container(lambda one: one["resources"]["limits"].pop("memory")), "no limits"),
        (_container(lambda one: one.update(image="lakehouse:latest")), "an image of no version"),
        (_container(lambda one: one["env"].append({"name": "A_TOKEN", "value": "1"})), "a secret's value"),
        (_container(lambda one: one["volumeMounts"].append({"name": "none", "mountPath": "/x"})), "a mount"),
        (_container(lambda one: one.pop("livenessProbe")), "no probe"),
    ],
)
def test_what_must_not_be_is_seen(change: Callable[[Document], object], breach: str) -> None:
    document = next(one for one in charts.documents("kept") if one["kind"] == "Deployment")
    changed = deepcopy(document)
    change(changed)
    (said,) = charts.breaches(changed)
    assert said.startswith(breach)


def test_a_pod_runs_a_command_that_there_is_by_the_account_that_it_needs() -> None:
    named = vars(typer.main.get_command(cli.app))["commands"]
    secrets = {}
    for document in charts.documents("kept"):
        for one in charts.containers(charts.pod_of(document) or {"containers": []}):
            assert one["args"][0] in named
            keys = [variable["valueFrom"]["secretKeyRef"]["name"] for variable in one["env"] if "valueFrom" in variable]
            secrets[one["name"]] = {*keys, *(source["secretRef"]["name"] for source in one.get("envFrom", ()))}
    assert secrets == {
        "run": {"lakehouse-writer", "lakehouse-kafka", "lakehouse-alerts"},
        "alerts": {"lakehouse-writer", "lakehouse-alerts"},
        "postgres": {"lakehouse-reader", "lakehouse-postgres"},
        "trino": {"lakehouse-reader"},
        "metrics": {"lakehouse-reader"},
    }


def test_the_probe_of_a_process_that_stays_sees_whether_it_still_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEHOUSE_CACHE", str(tmp_path))
    (run,) = (
        one
        for document in charts.documents("kept")
        if document["kind"] == "Deployment"
        for one in charts.containers(charts.pod_of(document) or {})
        if one["name"] == "run"
    )
    probe = [part.replace("/scratch/cache", str(tmp_path)) for part in run["livenessProbe"]["exec"]["command"]]
    assert subprocess.run(probe, capture_output=True, check=False).returncode
    looked()
    assert not subprocess.run(probe, check=False).returncode
    long_ago = time.time() - 361 * 60
    os.utime(tmp_path / "looked", (long_ago, long_ago))
    assert subprocess.run(probe, check=False).returncode


@pytest.fixture(scope="module")
def helm() -> Path:
    return tools.needed("helm")


@pytest.mark.parametrize("variant", charts.VARIANTS)
def test_helm_renders_a_variant_as_it_stands_here(helm: Path, variant: str) -> None:
    lint = charts.helm(helm, "lint", CHART / "examples" / f"{variant}.yaml", "--strict")
    assert lint.returncode == 0, lint.stdout
    expected = (charts.RENDERED / f"{variant}.yaml").read_text(encoding="utf-8")
    assert charts.rendered(helm, variant) == expected, "render it anew: python -m tests.charts"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("image.repository=", "image.repository is missing: where the images of docker/Dockerfile were pushed"),
        ("lake.root=", "lake.root is missing: where the tables are"),
        ("s3.existingSecret=", "s3.existingSecret is missing: the name of a Secret with AWS_ACCESS_KEY_ID"),
        ("lake.root=/data/lake", "at '/lake/root': '/data/lake' does not match pattern"),
        ("lake.landing=/exports", "name the PersistentVolumeClaim that is mounted there, lake.landingClaim"),
        ("lake.landingClaim=exports", "is mounted at lake.landing, which must be a path such as /landing"),
        ("run.mode=often", "at '/run/mode': value must be one of 'cron', 'kept', 'spark'"),
        ("run.every=60", "at '/run/every': got number, want string"),
        ("run.mode=kept,airflow.serviceAccount=worker", "starts jobs, and run.mode kept has none"),
        ("run.mode=spark,run.tables={gold.daily_sales}", "run.mode spark does whole layers. Leave run.tables out"),
        ("metrics.serviceMonitor.enabled=true", "metrics.serviceMonitor.enabled needs metrics.enabled"),
        ("metrics.prometheusRule.enabled=true", "metrics.prometheusRule.enabled needs metrics.enabled"),
        ("env.SALES_API_KEY=x", "env.SALES_API_KEY is a secret by its name. Put it into a Secret"),
        ("runs.mode=kept", "additional properties 'runs' not allowed"),
        ("run.resources.limits.memory=lots", "at '/run/resources/limits/memory': 'lots' does not match pattern"),
    ],
)
def test_a_wrong_value_is_said(helm: Path, wrong: str, words: str) -> None:
    answer = charts.helm(helm, "template", CHART / "examples" / "least.yaml", "--set", wrong)
    assert answer.returncode
    assert words in answer.stderr


def test_examples_of_other_charts_are_marked_as_untested() -> None:
    others = list((CHART / "examples" / "others").glob("*.yaml"))
    assert {path.stem for path in others} == {"airflow", "trino", "strimzi"}
    for path in others:
        text = path.read_text(encoding="utf-8")
        assert text.startswith("# UNTESTED: ")
        assert all(isinstance(one, dict) for one in yaml.safe_load_all(text))

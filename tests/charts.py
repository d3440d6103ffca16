"""docker/helm as it is rendered: `python -m tests.charts` writes tests/rendered anew, and needs helm (tests/tools.py).

The rendered files stand in the repository, so that a change of the chart is seen as what it does, and so that what must
be true of every pod is looked at where there is no helm. Their first line says of which chart they are.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests import tools

HOME = Path(__file__).parents[1]
CHART = HOME / "docker" / "helm"
RENDERED = Path(__file__).with_name("rendered")
KUBERNETES = "1.37"
VARIANTS = sorted(path.stem for path in (CHART / "examples").glob("*.yaml"))
SECRET = re.compile("KEY|SECRET|PASSWORD|TOKEN")
Document = dict[str, Any]


def helm(program: Path, verb: str, values: Path, *options: str) -> subprocess.CompletedProcess[str]:
    name = ["lakehouse"] if verb == "template" else []
    command = [str(program), verb, *name, str(CHART), "--kube-version", f"{KUBERNETES}.0", "--namespace", "data"]
    return subprocess.run([*command, "--values", str(values), *options], capture_output=True, text=True, check=False)


def rendered(program: Path, variant: str) -> str:
    """With a first line by which its chart is known again."""
    answer = helm(program, "template", CHART / "examples" / f"{variant}.yaml")
    assert not answer.returncode, answer.stderr
    return f"# of the chart {digest(variant)}\n{answer.stdout}"


def digest(variant: str) -> str:
    files = [CHART / "Chart.yaml", CHART / "values.yaml", CHART / "rules.yml", *sorted((CHART / "templates").iterdir())]
    texts = [path.read_bytes() for path in (*files, CHART / "examples" / f"{variant}.yaml")]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]


def documents(variant: str) -> list[Document]:
    return [one for one in yaml.safe_load_all((RENDERED / f"{variant}.yaml").read_text(encoding="utf-8")) if one]


def pod_of(document: Document) -> Document | None:
    """The spec of the pod that it makes; of Spark's ConfigMap what it says of executors."""
    if document["kind"] == "ConfigMap":
        return dict(yaml.safe_load(document["data"]["executor.yaml"])["spec"])
    spec = document.get("spec", {})
    if document["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    found: Document | None = spec if document["kind"] == "Pod" else spec.get("template", {}).get("spec")
    return found


def containers(pod: Document) -> list[Document]:
    return [*pod.get("initContainers", ()), *pod["containers"]]


def breaches(document: Document) -> list[str]:
    """What must be true of all that is put into a cluster, and is not of this."""
    rights = {one for rule in document.get("rules", ()) for kind in rule.values() for one in kind}
    found = {
        "a secret's values": document["kind"] == "Secret",
        "rights to everything, secrets or others' processes": bool(rights & {"*", "secrets", "pods/exec"}),
    }
    said = [words for words, is_so in found.items() if is_so]
    if pod := pod_of(document):
        said += _of_a_pod(pod)
        said += [words for one in containers(pod) for words in _of_a_container(one, pod, document["kind"])]
    return said


def _of_a_pod(pod: Document) -> list[str]:
    context, volumes = pod.get("securityContext", {}), pod.get("volumes", ())
    of_the_node = {"hostNetwork", "hostPID", "hostIPC"} & pod.keys() or any("hostPath" in one for one in volumes)
    needs_no_token = not pod["serviceAccountName"].endswith("-driver")
    found = {
        "root": not (context.get("runAsNonRoot") and context.get("runAsUser")),
        "all system calls": context.get("seccompProfile") != {"type": "RuntimeDefault"},
        "the node's own network, processes or files": of_the_node,
        "a token of Kubernetes": needs_no_token and pod.get("automountServiceAccountToken") is not False,
    }
    return [words for words, is_so in found.items() if is_so]


def _of_a_container(one: Document, pod: Document, kind: str) -> list[str]:
    own, volumes = one.get("securityContext", {}), {volume["name"] for volume in pod.get("volumes", ())}
    limits = {"cpu", "memory"} - one.get("resources", {}).get("limits", {}).keys()
    image_has_a_version = re.search(r":\d+\.\d+\.\d+[\w.-]*$|@sha256:\w{64}$", one.get("image", ""))
    given = [variable["name"] for variable in one.get("env", ()) if "value" in variable]
    is_template = kind == "ConfigMap"  # Spark says the rest
    found = {
        "privileged": own.get("privileged") or own.get("allowPrivilegeEscalation") is not False,
        "a writable image": not own.get("readOnlyRootFilesystem"),
        "capabilities": own.get("capabilities") != {"drop": ["ALL"]},
        "no limits": limits and not is_template,
        "an image of no version": not image_has_a_version and not is_template,
        "a secret's value": any(SECRET.search(name) for name in given),
        "a mount of no volume": {mount["name"] for mount in one.get("volumeMounts", ())} - volumes,
        "no probe": kind == "Deployment" and "livenessProbe" not in one,
    }
    return [words for words, is_so in found.items() if is_so]


if __name__ == "__main__":
    for each in VARIANTS:
        (RENDERED / f"{each}.yaml").write_text(rendered(tools.built("helm"), each), encoding="utf-8")

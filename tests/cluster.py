"""A stand-in for Kubernetes: it takes what Spark's driver asks of its pods, and starts each executor as a process.

It holds the pods that Spark makes from the chart's template, and knows who asked for what (verb and resource).
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
import uuid
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Pod = dict[str, Any]
NAMESPACE, DRIVER, ADDRESS = "data", "lakehouse-run-1", "127.0.0.1"


class Cluster(ThreadingHTTPServer):
    """`secrets` are the variables of each Secret; `here` makes of a path in the image one of this machine."""

    def __init__(self, folder: Path, secrets: dict[str, str], here: Callable[[str], str]) -> None:
        super().__init__((ADDRESS, 0), _Asked)
        self.folder, self.secrets, self.here = folder, secrets, here
        self.pods: dict[str, Pod] = {DRIVER: _known({"kind": "Pod", "metadata": {"name": DRIVER, "labels": {}}})}
        self.made: list[Pod] = []
        self.asked: set[tuple[str, str]] = set()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    @contextmanager
    def running(self) -> Iterator[Self]:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            for name in list(self.processes):
                self.remove(name)
            self.shutdown()
            self.server_close()

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_port}"

    def make(self, pod: Pod) -> Pod:
        self.made.append(pod)
        name = pod["metadata"]["name"]
        self.pods[name] = _known(pod)
        (container,) = pod["spec"]["containers"]
        environment = os.environ | self.variables(container, name)
        command = [self.here(part) for part in (*container["command"], *container["args"])]
        where = self.here(container["workingDir"])
        os.makedirs(where, exist_ok=True)  # noqa: PTH103  as an emptyDir
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(command, env=environment, cwd=where, stdout=log, stderr=log)
        return self.pods[name]

    def variables(self, container: Pod, name: str) -> dict[str, str]:
        fields = {"status.podIP": ADDRESS, "metadata.name": name}
        found = {}
        for one in container["env"]:
            source = one.get("valueFrom", {})
            if "fieldRef" in source:
                found[one["name"]] = fields[source["fieldRef"]["fieldPath"]]
            elif "secretKeyRef" in source:
                found[one["name"]] = self.secrets[source["secretKeyRef"]["key"]]
            else:
                found[one["name"]] = self.here(one.get("value", ""))
        return found

    def remove(self, name: str) -> None:
        process = self.processes.pop(name, None)
        if process:
            process.terminate()
            process.wait()
        self.pods.pop(name, None)

    def chosen(self, labels: str) -> list[str]:
        """By a selector such as `spark-role=executor,spark-app-selector=x`; others than `=` choose all."""
        wanted = [part.split("=", 1) for part in labels.split(",") if part.count("=") == 1 and "!" not in part]
        found = {name: pod["metadata"].get("labels", {}) for name, pod in self.pods.items()}
        return [name for name, has in found.items() if all(has.get(key) == value for key, value in wanted)]


def _known(pod: Pod) -> Pod:
    """As the cluster answers: with an id, and running."""
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    of_the_cluster = {"namespace": NAMESPACE, "uid": str(uuid.uuid4()), "creationTimestamp": began}
    running = {"state": {"running": {"startedAt": began}}, "name": "executor", "ready": True}
    return {
        **pod,
        "apiVersion": "v1",
        "metadata": pod["metadata"] | of_the_cluster,
        "status": {"phase": "Running", "podIP": ADDRESS, "containerStatuses": [running]},
    }


class _Asked(BaseHTTPRequestHandler):
    server: Cluster
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, content: object, status: HTTPStatus = HTTPStatus.OK) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _what(self, verb: str) -> tuple[str | None, str]:
        """The name of a pod and the selector; what is asked of anything else is noted, and refused."""
        at = urlsplit(self.path)
        asked, rest = parse_qs(at.query), at.path.removeprefix(f"/api/v1/namespaces/{NAMESPACE}/").split("/")
        name, labels = (rest[1] if len(rest) > 1 else None), asked.get("labelSelector", [""])[0]
        many = {"get": "watch" if "watch" in asked else "list", "delete": "deletecollection"}
        self.server.asked.add((verb if name else many.get(verb, verb), rest[0]))
        return name, labels

    def do_GET(self) -> None:
        name, labels = self._what("get")
        if name:
            pod = self.server.pods.get(name)
            self._answer(pod or {"kind": "Status", "code": 404}, HTTPStatus.OK if pod else HTTPStatus.NOT_FOUND)
        else:
            pods = [self.server.pods[one] for one in self.server.chosen(labels)]
            meta = {"resourceVersion": "1"}
            self._answer({"kind": "PodList", "apiVersion": "v1", "metadata": meta, "items": pods})

    def _sent(self) -> Any:  # noqa: ANN401  JSON
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")

    def do_POST(self) -> None:
        self._what("create")
        self._answer(self.server.make(self._sent()), HTTPStatus.CREATED)

    def do_PATCH(self) -> None:
        name, _ = self._what("patch")
        self._sent()
        self._answer(self.server.pods[name or DRIVER])

    def do_DELETE(self) -> None:
        name, labels = self._what("delete")
        self._sent()
        for one in [name] if name else self.server.chosen(labels):
            self.server.remove(one)
        self._answer({"kind": "Status", "apiVersion": "v1", "status": "Success"})

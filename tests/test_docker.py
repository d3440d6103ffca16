"""The container files cannot be run here, so they are linted, and compared with the project they describe."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakehouse.engines import jvm
from lakehouse.serving import connect
from lakehouse.serving.trino import server
from lakehouse.store import minio

PROJECT = Path(__file__).resolve().parents[1]
DOCKERFILE = PROJECT / "docker" / "Dockerfile"
COMPOSE = PROJECT / "docker" / "compose.yml"
TOOLS = Path(sys.executable).parent  # of the dev group, in the same environment


def lint(*command: str | Path) -> str:
    """What the tool has to say, nothing when it is content; needs no network."""
    answer = subprocess.run([TOOLS / command[0], *command[1:]], capture_output=True, text=True, check=False)
    return answer.stdout + answer.stderr if answer.returncode else ""


def in_the_dockerfile(pattern: str) -> str:
    found = re.findall(pattern, DOCKERFILE.read_text(), flags=re.MULTILINE)
    assert len(found) == 1, f"{pattern} stands {len(found)} times in {DOCKERFILE}"
    return str(found[0])


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return dict(yaml.safe_load(COMPOSE.read_text())["services"])


def test_hadolint_has_nothing_to_say_about_the_dockerfile() -> None:
    assert not lint("hadolint", "--no-color", DOCKERFILE)


def test_the_compose_file_follows_the_compose_specification() -> None:
    assert not lint("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)


def test_the_store_in_the_image_is_built_from_the_same_source_by_the_same_go() -> None:
    assert in_the_dockerfile(r"^ARG MINIO_VERSION=(\S+)$") == minio.VERSION
    assert in_the_dockerfile(r'^RUN go install "(\S+)@\$\{MINIO_VERSION\}"$') == minio.MODULE
    assert in_the_dockerfile(r"^FROM golang:([\d.]+)-alpine ") == minio.GO_FROM_PYPI


def test_the_image_has_the_oldest_python_and_java_that_the_project_promises() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    oldest_python = project["requires-python"].partition(",")[0].removeprefix(">=")
    assert in_the_dockerfile(r"^FROM python:([\d.]+)-slim ") == oldest_python
    assert int(in_the_dockerfile(r"^FROM eclipse-temurin:(\d+)-jre ")) == jvm.OLDEST_JAVA
    assert in_the_dockerfile(r'^ENTRYPOINT \["(\w+)"\]$') in project["scripts"]


def test_the_image_holds_every_package_of_the_project_and_conf() -> None:
    wheel = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    copied = re.findall(r"^COPY (\w+)/ \1/$", DOCKERFILE.read_text(), flags=re.MULTILINE)
    assert sorted(copied) == sorted([*wheel["packages"], "conf"])


def test_no_container_runs_as_root() -> None:
    stages = re.split(r"^FROM ", DOCKERFILE.read_text(), flags=re.MULTILINE)
    run_by_compose = [stage for stage in stages if "\nENTRYPOINT " in stage]
    assert [re.findall(r"^USER (\d+)$", stage, flags=re.MULTILINE) for stage in run_by_compose] == [["10001"]] * 2


def test_jobs_and_readers_have_the_accounts_that_minio_gives_them(services: dict[str, Any]) -> None:
    accounts = {name: service["environment"].get("AWS_ACCESS_KEY_ID") for name, service in services.items()}
    assert (accounts["job"], accounts["reader"]) == (minio.WRITER, minio.READER)
    assert accounts["trino"] == accounts["shown"] == minio.READER
    assert services["job"]["environment"]["LAKEHOUSE_ROOT"].startswith(f"s3://{minio.BUCKET}/")
    root = {name for name, service in services.items() if "MINIO_ROOT_PASSWORD" in str(service)}
    assert root == {"minio", "users"}


def test_no_secret_stands_in_the_compose_file_and_a_missing_one_stops_with_a_sentence(services: dict[str, Any]) -> None:
    given = [item for service in services.values() for item in service["environment"].items()]
    secrets = [value for name, value in given if re.search("SECRET|PASSWORD", name)]
    assert secrets
    assert [value for value in secrets if not re.fullmatch(r"\$\{\w+:\?[^}]+\}", value)] == []


def test_the_variables_of_the_env_file_are_those_that_the_readme_makes(services: dict[str, Any]) -> None:
    asked = set(re.findall(r"\$\{(\w+)", str(services)))
    readme = (PROJECT / "docker" / "README.md").read_text()
    assert asked == set(re.findall(r"^    (\w+)=", readme, flags=re.MULTILINE))


def test_ports_are_open_to_this_machine_only(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_each_service_waits_until_what_it_needs_is_there(services: dict[str, Any]) -> None:
    waits = {name: service.get("depends_on", {}) for name, service in services.items()}
    done, healthy = {"condition": "service_completed_successfully"}, {"condition": "service_healthy"}
    first = {"minio": {}, "users": {"minio": healthy}, "job": {"users": done}, "reader": {"job": done}}
    assert waits == first | {"trino": {"users": done}, "shown": {"job": done, "trino": healthy}}
    assert {name for name, service in services.items() if "healthcheck" in service} == {"minio", "trino"}


def test_trino_is_the_one_that_the_command_starts_and_has_every_setting(services: dict[str, Any]) -> None:
    found = services["trino"]
    assert found["image"] == f"trinodb/trino:{server.VERSION}"
    assert found["volumes"] == [f"./{server.SETTINGS.relative_to(COMPOSE.parent)}:/etc/trino:ro"]
    settings = "".join(one.read_text() for one in server.SETTINGS.rglob("*.properties"))
    assert set(server.VARIABLE.findall(settings)) <= found["environment"].keys()
    assert services["shown"]["command"] == ["serve", "trino", "--at", f"http://trino:{connect.TRINO_PORT}"]

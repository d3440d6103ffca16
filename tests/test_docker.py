"""The container files cannot be run here, so they are linted, and compared with the project they describe."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from lakehouse import contract
from lakehouse.engines.spark import jvm
from lakehouse.errors import LakehouseError
from lakehouse.serving import connect
from lakehouse.serving.postgres import server as server_of_postgres
from lakehouse.serving.trino import server
from lakehouse.sources import broker
from lakehouse.store import minio

PROJECT = Path(__file__).resolve().parents[1]
DOCKERFILE = PROJECT / "docker" / "Dockerfile"
COMPOSE = PROJECT / "docker" / "compose.yml"
IMAGES = ("minio", "lakehouse", "spark", "airflow")
STARTS_AS_ROOT = "postgres:"  # the others' images name their user
QUIET = ["no-new-privileges:true"]
TOOLS = Path(sys.executable).parent  # of the dev group, in the same environment


def lint(*command: str | Path) -> str:
    """What the tool has to say, nothing when it is content; needs no network."""
    answer = subprocess.run([TOOLS / command[0], *command[1:]], capture_output=True, text=True, check=False)
    return answer.stdout + answer.stderr if answer.returncode else ""


def in_the_dockerfile(pattern: str) -> str:
    found = re.findall(pattern, DOCKERFILE.read_text(), flags=re.MULTILINE)
    assert len(found) == 1, f"{pattern} stands {len(found)} times in {DOCKERFILE}"
    return str(found[0])


def project() -> dict[str, Any]:
    return dict(tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"])


def stages_by_name() -> dict[str, str]:
    _, *stages = re.split(r"^FROM \S+ AS ", DOCKERFILE.read_text(), flags=re.MULTILINE)
    return {stage.partition("\n")[0]: stage for stage in stages}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return dict(yaml.safe_load(COMPOSE.read_text())["services"])


def test_hadolint_has_nothing_to_say_about_the_dockerfile() -> None:
    assert not lint("hadolint", "--no-color", DOCKERFILE)


@pytest.mark.slow
def test_the_compose_file_follows_the_compose_specification() -> None:
    assert not lint("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)


def test_the_store_in_the_image_is_built_from_the_same_source_by_the_same_go() -> None:
    assert in_the_dockerfile(r"^ARG MINIO_VERSION=(\S+)$") == minio.VERSION
    assert in_the_dockerfile(r'^RUN go install "(\S+)@\$\{MINIO_VERSION\}"$') == minio.MODULE
    assert in_the_dockerfile(r"^FROM golang:([\d.]+)-alpine ") == minio.GO_FROM_PYPI


def test_the_image_has_the_oldest_python_and_java_that_the_project_promises() -> None:
    oldest_python = project()["requires-python"].partition(",")[0].removeprefix(">=")
    pythons = re.findall(r"^FROM python:([\d.]+)-slim ", DOCKERFILE.read_text(), flags=re.MULTILINE)
    assert set(pythons) == {oldest_python}
    assert int(in_the_dockerfile(r"^FROM eclipse-temurin:(\d+)-jre ")) == jvm.OLDEST_JAVA
    assert in_the_dockerfile(r'^ENTRYPOINT \["(\w+)"\]$') in project()["scripts"]


def test_the_images_have_all_that_the_project_needs_and_the_jars_of_spark_where_spark_is() -> None:
    version = project()["requires-python"].partition(",")[0].removeprefix(">=")
    jars = f"/opt/lakehouse/lib/python{version}/site-packages/pyspark/jars"
    stages = stages_by_name()
    assert f"mv {jars} /opt/jars" in stages["packages"]
    assert [name for name, stage in stages.items() if f"COPY --from=packages /opt/jars {jars}\n" in stage] == ["spark"]
    assert "FROM lakehouse AS spark" in DOCKERFILE.read_text()


def test_what_is_copied_into_an_image_is_let_through() -> None:
    copied = set(re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.read_text(), flags=re.MULTILINE))
    named = {one.removesuffix("/") for line in copied for one in line.split()}
    named = {one for one in named if not named & {str(folder) for folder in Path(one).parents}}
    ignored = (PROJECT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == named
    assert all((PROJECT / one).exists() for one in named)


def test_the_image_holds_every_package_of_the_project_and_conf() -> None:
    wheel = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    copied = re.findall(r"^COPY (\w+)/ \1/$", DOCKERFILE.read_text(), flags=re.MULTILINE)
    assert sorted(copied) == sorted([*wheel["packages"], "conf"])


def test_no_container_runs_as_root_or_as_an_image_of_no_version(services: dict[str, Any]) -> None:
    stages = stages_by_name()
    users = {name: re.findall(r"^USER (\d+)$", stages[name], flags=re.MULTILINE) for name in IMAGES}
    assert users == {name: ["10001"] for name in IMAGES}
    others = {one["image"] for one in services.values() if "build" not in one}
    assert all(re.fullmatch(r"\S+:v?\d[\w.-]+", image) for image in others)
    as_root = {name for name, one in services.items() if one["image"].startswith(STARTS_AS_ROOT) and "user" not in one}
    assert not as_root
    assert all(one["cap_drop"] == ["ALL"] and one["security_opt"] == QUIET for one in services.values())


def test_jobs_and_readers_have_the_accounts_that_minio_gives_them(services: dict[str, Any]) -> None:
    accounts = {name: service.get("environment", {}).get("AWS_ACCESS_KEY_ID") for name, service in services.items()}
    assert (accounts["job"], accounts["reader"]) == (minio.WRITER, minio.READER)
    assert accounts["trino"] == accounts["shown"] == minio.READER
    assert accounts["served"] == minio.READER
    assert accounts["airflow"] == minio.WRITER
    assert services["job"]["environment"]["LAKEHOUSE_ROOT"].startswith(f"s3://{minio.BUCKET}/")
    root = {name for name, service in services.items() if "MINIO_ROOT_PASSWORD" in str(service)}
    assert root == {"minio", "users"}


def test_no_secret_stands_in_the_compose_file_and_a_missing_one_stops_with_a_sentence(services: dict[str, Any]) -> None:
    given = [item for service in services.values() for item in service.get("environment", {}).items()]
    secrets = [value for name, value in given if re.search("SECRET|PASSWORD|LAKEHOUSE_POSTGRES", name)]
    assert secrets
    assert [
        value for value in secrets if not re.fullmatch(r"(\w+://loader:)?\$\{\w+:\?[^}]+\}(@[\w:/]+)?", value)
    ] == []


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
    expected = {
        **{name: {} for name in ("minio", "kafka", "postgres")},
        "users": {"minio": healthy},
        "topics": {"kafka": healthy},
        "job": {"users": done, "topics": done},
        "reader": {"job": done},
        "served": {"job": done, "postgres": healthy},
        "trino": {"users": done},
        "shown": {"job": done, "trino": healthy},
        "metrics": {"users": done},
        "alertmanager": {},
        "prometheus": {"metrics": {"condition": "service_started"}},
        "grafana": {"prometheus": healthy},
        "airflow-database": {},
        "airflow-ready": {"airflow-database": healthy},
        **{name: {"airflow-ready": done} for name in ("airflow-api", "airflow-dags")},
        "airflow": {"airflow-ready": done, "users": done, "topics": done},
    }
    assert waits == expected
    waited_for = {name for names in waits.values() for name, until in names.items() if until == healthy}
    assert {name for name, service in services.items() if "healthcheck" in service} == waited_for


def test_kafka_is_the_one_that_the_command_starts_and_has_the_topic(services: dict[str, Any]) -> None:
    found, topic = services["kafka"], contract.load(PROJECT / "conf")["bronze.events"].source
    assert {found["image"], services["topics"]["image"]} == {f"apache/kafka:{broker.VERSION}"}
    for name, value in broker.SETTINGS.items():
        assert found["environment"][f"KAFKA_{name.upper().replace('.', '_')}"] == value
    assert topic
    assert topic.kafka
    assert topic.kafka.topic in services["topics"]["command"]
    assert topic.kafka.servers in services["job"]["environment"]


@pytest.mark.slow
def test_the_database_has_an_owner_of_gold_who_owns_nothing_else(tmp_path: Path) -> None:
    psycopg = pytest.importorskip("psycopg", reason="needs the extra `postgres`")
    try:
        server_programs = server_of_postgres.programs()
    except LakehouseError as error:
        pytest.skip(str(error))
    with server_of_postgres.running() as url:
        told = urlsplit(url)
        environment = {"PATH": f"{server_programs}:{os.environ['PATH']}", "LOADER_PASSWORD": "it's 'quoted'"}
        environment |= {"PGHOST": str(told.hostname), "PGPORT": str(told.port), "PGUSER": str(told.username)}
        environment |= {"PGPASSWORD": str(told.password)}
        subprocess.run([PROJECT / "docker" / "postgres" / "loader.sh"], env=environment, cwd=tmp_path, check=True)
        place = {"host": told.hostname, "port": told.port, "user": "loader", "password": "it's 'quoted'"}
        with psycopg.connect(**place, dbname="bi") as connection:
            owned = connection.execute("select datname from pg_database where pg_get_userbyid(datdba) = 'loader'")
            assert owned.fetchall() == [("bi",)]
            can = connection.execute("select rolcreaterole, rolsuper from pg_roles where rolname = 'loader'")
            assert can.fetchall() == [(True, False)]


def test_trino_is_the_one_that_the_command_starts_and_has_every_setting(services: dict[str, Any]) -> None:
    found = services["trino"]
    assert found["image"] == f"trinodb/trino:{server.VERSION}"
    assert found["volumes"] == [f"./{server.SETTINGS.relative_to(COMPOSE.parent)}:/etc/trino:ro"]
    settings = "".join(one.read_text() for one in server.SETTINGS.rglob("*.properties"))
    assert set(server.VARIABLE.findall(settings)) <= found["environment"].keys()
    assert services["shown"]["command"] == ["serve", "trino", "--at", f"http://trino:{connect.TRINO_PORT}"]

"""The command says in words what is wrong, on standard error, and ends with 1; `plan` needs no Java."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from jobs import cli, samples
from jobs.places import places

if TYPE_CHECKING:
    from collections.abc import Callable

HOME = Path(__file__).parents[2]


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def no_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing here needs Java: the only one on PATH leaves a trace and fails. Where that trace would be."""
    for name in [name for name in os.environ if name.startswith("LAKEHOUSE_")]:
        monkeypatch.delenv(name)
    java, trace = tmp_path / "bin" / "java", tmp_path / "java was started"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\n: > '{trace}'\nexit 1\n")
    java.chmod(0o755)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(java.parent))
    return trace


@pytest.fixture
def lakehouse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """The command with these arguments, in this process."""

    def run(*arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["lakehouse", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return Answer(int(ended.value.code or 0), said.out, said.err)

    return run


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    samples.generate(folder, lines=60, days=2)
    return folder


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    (tmp_path / "landing").mkdir()
    return tmp_path / "landing"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of this project, whose conf may be changed."""
    copy = tmp_path / "project"
    for folder in ("conf", "bronze", "silver", "gold", "lakehouse", "jobs"):
        shutil.copytree(HOME / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def of(project: Path, *arguments: str) -> Answer:
    """The command of that project, as a process of its own."""
    command = [sys.executable, "-m", "jobs.cli", *arguments]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    return Answer(done.returncode, done.stdout, done.stderr)


def assert_refused(answer: Answer, *words: str) -> None:
    """One message, for people, and nothing for programs; a run says first which lake and landing it works on."""
    assert (answer.code, answer.out) == (1, "")
    before, _, message = answer.err.partition("Error: ")
    assert re.fullmatch(r"(lake \S+, landing \S+\n)?", before)
    assert "Traceback" not in message
    assert "Error" not in message
    for each in words:
        assert each in message


# help


def commands() -> list[list[str]]:
    """Every command there is, and the groups."""
    root = typer.main.get_command(cli.app)
    found: list[list[str]] = [[]]
    waiting: list[tuple[list[str], object]] = [([], root)]
    while waiting:
        path, group = waiting.pop()
        for name, command in getattr(group, "commands", {}).items():
            found.append([*path, name])
            waiting.append((found[-1], command))
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_explains_itself(command: list[str]) -> None:
    answer = CliRunner().invoke(cli.app, [*command, "--help"])
    assert answer.exit_code == 0
    assert "Usage:" in answer.stdout
    assert len(answer.stdout.splitlines()) > 5


def test_all_commands_are_known() -> None:
    expected = {"run", "plan", "status", "sql", "rejected", "demo", "jars", "minio start", "minio stop", "minio status"}
    assert expected <= {" ".join(command) for command in commands()}


def test_the_installed_command_is_this_one() -> None:
    command = [str(Path(sys.executable).with_name("lakehouse")), "plan", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "starts no JVM and changes nothing" in done.stdout


def test_an_option_that_is_none_is_a_usage_error(lakehouse: Callable[..., Answer]) -> None:
    answer = lakehouse("plan", "--laek", "x")
    assert (answer.code, answer.out) == (2, "")
    assert "No such option: --laek" in answer.err


# what a user gets wrong


@pytest.mark.parametrize("command", ["run", "plan"])
def test_an_unknown_table_names_the_known(lakehouse: Callable[..., Answer], landing: Path, command: str) -> None:
    answer = lakehouse(command, "gold.slaes", "--landing", str(landing))
    assert_refused(answer, "There is no table gold.slaes. There are: ", "gold.daily_sales")


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_landing_folder_that_is_not_there_is_named(
    lakehouse: Callable[..., Answer], tmp_path: Path, command: str
) -> None:
    answer = lakehouse(command, "--lake", f"{tmp_path}/lake", "--landing", f"{tmp_path}/nowhere")
    assert_refused(answer, f"The landing folder {tmp_path}/nowhere does not exist.", "--landing, LAKEHOUSE_LANDING")
    assert not (tmp_path / "lake").exists()


def test_a_place_of_an_unknown_kind_is_refused(lakehouse: Callable[..., Answer], landing: Path) -> None:
    answer = lakehouse("plan", "--lake", "gs://bucket", "--landing", str(landing))
    assert_refused(answer, "'gs://bucket' is neither a local folder nor an S3 address")


def test_nothing_that_is_wanted_says_what_is_wanted_and_makes_no_lake(
    lakehouse: Callable[..., Answer], tmp_path: Path, landing: Path, no_java: Path
) -> None:
    (landing / "holiday.jpg").touch()
    answer = lakehouse("run", "--lake", f"{tmp_path}/lake", "--landing", str(landing))
    assert_refused(
        answer,
        f"nothing to load in {landing}: no file is wanted by a contract",
        "market_{market:int}/{date}/**/*Orders*.csv",
    )
    assert not (tmp_path / "lake").exists()
    assert not no_java.exists()


@pytest.mark.parametrize("command", ["run", "plan"])
def test_half_a_json_file_waits_and_is_named(
    lakehouse: Callable[..., Answer], tmp_path: Path, landing: Path, command: str
) -> None:
    (landing / "market_1").mkdir()
    file = landing / "market_1" / "Customers [old].json"
    file.write_text('[{"Customer ID": 1}, {"Cus')
    answer = lakehouse(command, "--lake", f"{tmp_path}/lake", "--landing", str(landing))
    assert "market_1/Customers [old].json" in answer.out + answer.err
    assert "its writer is not done" in answer.out + answer.err
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize(
    "statement",
    ["drop table gold.daily_sales", "with a as (select 1) insert into gold.daily_sales select * from a", ""],
)
def test_sql_that_writes_is_refused_before_spark_starts(
    lakehouse: Callable[..., Answer], tmp_path: Path, no_java: Path, statement: str
) -> None:
    assert_refused(lakehouse("sql", statement, "--lake", str(tmp_path)), "`lakehouse sql` only reads")
    assert not no_java.exists()


def test_sql_and_rejected_need_a_lake_that_is_there(lakehouse: Callable[..., Answer], tmp_path: Path) -> None:
    for arguments in (["sql", "select 1"], ["rejected", "silver.order_lines"]):
        answer = lakehouse(*arguments, "--lake", f"{tmp_path}/nowhere")
        assert_refused(answer, f"The lake folder {tmp_path}/nowhere does not exist.", "--lake, LAKEHOUSE_ROOT")


def test_a_computed_table_shows_what_was_rejected_on_the_way_to_it(
    lakehouse: Callable[..., Answer], tmp_path: Path
) -> None:
    answer = lakehouse("rejected", "gold.daily_sales", "--lake", str(tmp_path))
    assert (answer.code, answer.out) == (0, "Nothing is rejected in silver.order_lines.\n")


def test_without_java_a_run_says_how_to_get_it(
    lakehouse: Callable[..., Answer], tmp_path: Path, exports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lakehouse import session  # noqa: PLC0415

    session.check_java.cache_clear()
    monkeypatch.delenv("PYSPARK_GATEWAY_PORT", raising=False)
    answer = lakehouse("run", "--lake", f"{tmp_path}/lake", "--landing", str(exports))
    assert answer.code == 1
    assert "Error: Spark needs Java, and there is none that works in PATH. Install Java 17" in answer.err


@pytest.mark.parametrize("command", [["plan"], ["status"], ["rejected", "silver.orders"]])
def test_a_contract_with_a_typo_is_named(project: Path, command: list[str]) -> None:
    path = project / "conf/gold/daily_sales.yml"
    path.write_text(path.read_text().replace("owner:", "onwer:"))
    answer = of(project, *command)
    assert_refused(answer, "These contracts are not right:", f"{path}: owner: is missing")
    assert f"{path}: onwer: is not a known key; take it out or correct its spelling" in answer.err


# plan


@pytest.fixture
def planned(lakehouse: Callable[..., Answer], tmp_path: Path, exports: Path) -> Callable[..., Answer]:
    return lambda *tables: lakehouse("plan", *tables, "--lake", f"{tmp_path}/lake", "--landing", str(exports))


def rows_of(answer: Answer) -> dict[str, list[str]]:
    """By its first word, each line's other words."""
    return {line.split()[0]: line.split()[1:] for line in answer.out.splitlines() if line.strip()}


def test_plan_on_an_empty_lake_lists_files_starts_no_java_and_makes_nothing(
    planned: Callable[..., Answer], tmp_path: Path, no_java: Path
) -> None:
    answer = planned()
    assert (answer.code, answer.err) == (0, "")
    rows = rows_of(answer)
    assert rows["bronze.orders"] == ["load", "4", "new", "files"]  # two markets, two days
    assert rows["silver.order_lines"] == ["follow", "bronze.orders", "will", "be", "written", "first"]
    assert rows["gold.daily_sales"][0] == "follow"
    assert not no_java.exists()
    assert not (tmp_path / "lake").exists()


def test_plan_of_a_table_is_of_what_it_is_made_from(planned: Callable[..., Answer]) -> None:
    assert set(rows_of(planned("silver.orders"))) == {"table", "bronze.orders", "silver.order_lines", "silver.orders"}


def test_plan_names_what_is_ignored_and_what_waits(
    lakehouse: Callable[..., Answer], tmp_path: Path, landing: Path
) -> None:
    (landing / "market_1").mkdir()
    for name in ("[readme].txt", "market_1/_Orders.csv"):
        (landing / name).touch()
    answer = lakehouse("plan", "--lake", f"{tmp_path}/lake", "--landing", str(landing))
    assert "1 file ignored, no contract wants them: [readme].txt" in answer.out
    assert "waits: market_1/_Orders.csv its name says that it is being written" in answer.out


def test_status_of_an_empty_lake_says_what_is_new(
    lakehouse: Callable[..., Answer], tmp_path: Path, exports: Path, no_java: Path
) -> None:
    answer = lakehouse("status", "--lake", f"{tmp_path}/lake", "--landing", str(exports))
    assert rows_of(answer)["bronze.orders"] == ["-", "-", "-", "-", "4", "new", "files"]
    assert not no_java.exists()
    assert not (tmp_path / "lake").exists()


def test_status_shows_the_lake_even_if_its_landing_cannot_be_read(
    lakehouse: Callable[..., Answer], tmp_path: Path
) -> None:
    answer = lakehouse("status", "--lake", f"{tmp_path}/lake", "--landing", f"{tmp_path}/nowhere")
    words = f"New files are not counted: The landing folder {tmp_path}/nowhere does not exist."
    assert (answer.code, answer.err, answer.out.startswith(words)) == (0, "", True)
    assert rows_of(answer)["bronze.orders"][:4] == ["-", "-", "-", "-"]


def test_status_of_a_lake_that_cannot_be_read_is_an_error_on_purpose(
    lakehouse: Callable[..., Answer], landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as probe:  # bound and not listening: nobody answers there
        probe.bind(("127.0.0.1", 0))
        facts = {"ENDPOINT_URL_S3": f"http://127.0.0.1:{probe.getsockname()[1]}", "ACCESS_KEY_ID": "a"}
        for name, value in (facts | {"SECRET_ACCESS_KEY": "b"}).items():
            monkeypatch.setenv(f"AWS_{name}", value)
        answer = lakehouse("status", "--lake", "s3://lakehouse/tables", "--landing", str(landing))
    assert_refused(answer, "S3 does not answer for the lake")


# places


def test_options_come_before_variables_and_variables_before_conf(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "conf/lake.yml").write_text("root: tables\nlanding: by-conf\n")
    assert f"The landing folder {project}/by-conf does not exist" in of(project, "plan").err
    monkeypatch.setenv("LAKEHOUSE_LANDING", "by-variable")
    assert f"The landing folder {project}/by-variable does not exist" in of(project, "plan").err
    assert f"The landing folder {project}/by-option does not exist" in of(project, "plan", "--landing", "by-option").err


def test_the_lake_is_named_the_same_way(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "conf/lake.yml").write_text("root: by-conf\nlanding: exports\n")
    question = ["rejected", "silver.order_lines"]
    assert f"The lake folder {project}/by-conf does not exist" in of(project, *question).err
    monkeypatch.setenv("LAKEHOUSE_ROOT", "by-variable")
    assert f"The lake folder {project}/by-variable does not exist" in of(project, *question).err
    assert f"The lake folder {project}/by-option does not exist" in of(project, *question, "--lake", "by-option").err


def test_folders_of_conf_are_the_projects_wherever_the_command_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert places(None, None) == (str(HOME / ".lake/demo/tables"), str(HOME / ".lake/demo/landing"))
    assert places("lake", "s3://bucket/exports") == ("lake", "s3://bucket/exports")

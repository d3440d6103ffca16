"""The command says in words what is wrong, on standard error, and ends with 1; `plan` needs no Java."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
import typer
from deltalake import write_deltalake
from typer.testing import CliRunner

from jobs import cli
from jobs.places import places
from jobs.runs.every import Rounds
from jobs.samples import daily
from lakehouse.audit import quality
from lakehouse.intake.records import ledger, schema_changes
from lakehouse.intake.records.ledger import Delivery, Entry
from lakehouse.readers.records import Layout
from lakehouse.writes.measures import Measure

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
    daily.generate(folder, lines=60, days=2)
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
    expected = {
        "run",
        "plan",
        "status",
        "publish",
        "releases",
        "diff",
        "sql",
        "rejected",
        "demo",
        "jars",
        "minio start",
        "minio stop",
        "minio status",
        "kafka start",
        "kafka stop",
        "kafka status",
    }
    assert expected <= {" ".join(command) for command in commands()}


@pytest.mark.slow
def test_the_installed_command_is_this_one() -> None:
    command = [str(Path(sys.executable).with_name("lakehouse")), "plan", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "starts no engine, asks no source" in done.stdout


def test_commands_of_the_extra_ops_need_no_other_one(tmp_path: Path) -> None:
    """Which a test's environment has."""
    pytest.importorskip("prometheus_client", reason="needs the extra `ops`: uv sync --inexact --extra ops")
    others = ("psycopg", "confluent_kafka", "altair", "vl_convert", "httpx2", "olefile", "uvicorn", "xlsxwriter")
    commands = [["metrics"], ["alerts", "--dry-run"], ["graph"], ["lineage", "--help"]]
    code = f"""import sys
sys.modules.update(dict.fromkeys({others}))
from jobs import cli
for words in {commands}:
    cli.app(words, standalone_mode=False)
"""
    environment = os.environ | {"LAKEHOUSE_ROOT": str(tmp_path), "LAKEHOUSE_LANDING": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=HOME, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


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
        "market_{market:int}/**/{date}/**/*Orders*.csv",
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
def test_sql_that_writes_is_refused_before_an_engine_starts(
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


@pytest.mark.slow
def test_without_java_a_run_by_spark_says_how_to_get_it(tmp_path: Path, exports: Path) -> None:
    answer = of(HOME, "run", "--engine", "spark", "--lake", f"{tmp_path}/lake", "--landing", str(exports))
    assert answer.code == 1
    assert "Error: Spark needs Java, and there is none that works in PATH. Install Java 17" in answer.err


@pytest.mark.slow
def test_a_run_needs_no_java(lakehouse: Callable[..., Answer], tmp_path: Path, exports: Path, no_java: Path) -> None:
    answer = lakehouse("run", "silver.customers", "--lake", f"{tmp_path}/lake", "--landing", str(exports))
    assert (answer.code, answer.out) == (0, "")
    assert re.search(r"silver\.customers +\d+ in = \d+ kept", answer.err)
    assert not no_java.exists()


def test_an_engine_that_is_none_is_refused(lakehouse: Callable[..., Answer], landing: Path) -> None:
    answer = lakehouse("run", "--engine", "flink", "--landing", str(landing))
    assert_refused(answer, "'flink' is no engine. Give native (in this process) or spark with --engine")


def test_rounds_are_of_the_engine_that_is_asked_for(
    lakehouse: Callable[..., Answer], landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Rounds] = []

    def go_on(self: Rounds) -> None:
        asked.append(self)

    monkeypatch.setattr(Rounds, "go_on", go_on)
    assert lakehouse("run", "--every", "5s", "--engine", "spark", "--landing", str(landing)).code == 0
    assert [(one.every, one.engine_name, one.stopping.is_set()) for one in asked] == [(5, "spark", False)]


@pytest.mark.slow
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


@pytest.mark.slow
def test_plan_names_what_is_ignored_and_what_waits(
    lakehouse: Callable[..., Answer], tmp_path: Path, landing: Path
) -> None:
    (landing / "market_1").mkdir()
    for name in ("[readme].txt", "market_1/_Orders.csv"):
        (landing / name).touch()
    answer = lakehouse("plan", "--lake", f"{tmp_path}/lake", "--landing", str(landing))
    assert "1 file ignored, no contract wants them: [readme].txt" in answer.out
    assert "waits: market_1/_Orders.csv its name says that it is being written" in answer.out


@pytest.mark.slow
def test_status_of_an_empty_lake_says_what_is_new(
    lakehouse: Callable[..., Answer], tmp_path: Path, exports: Path, no_java: Path
) -> None:
    answer = lakehouse("status", "--lake", f"{tmp_path}/lake", "--landing", str(exports))
    assert rows_of(answer)["bronze.orders"] == ["-", "-", "-", "-", "4", "new", "files"]
    assert not no_java.exists()
    assert not (tmp_path / "lake").exists()


@pytest.mark.slow
def test_status_shows_the_lake_even_if_its_landing_cannot_be_read(
    lakehouse: Callable[..., Answer], tmp_path: Path
) -> None:
    answer = lakehouse("status", "--lake", f"{tmp_path}/lake", "--landing", f"{tmp_path}/nowhere")
    words = f"New files are not counted: The landing folder {tmp_path}/nowhere does not exist."
    assert (answer.code, answer.err, answer.out.startswith(words)) == (0, "", True)
    assert rows_of(answer)["bronze.orders"][:4] == ["-", "-", "-", "-"]


@pytest.mark.slow
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


# what stands in quarantine, and what is known of sources

NOON = datetime(2024, 1, 10, 12, tzinfo=UTC)
ORDER_COLUMNS = ("Order ID", "SKU", "Quantity", "Customer ID")


def a_delivery(path: str = "market_1/Orders.csv", table: str = "bronze.orders", **facts: object) -> Delivery:
    known: dict[str, object] = {"size": 1, "modified_at": NOON, "content": path, "delivered_at": NOON}
    known |= {"parts": {"market": 1}, "header": ORDER_COLUMNS, "layout": Layout("csv")}
    return Delivery(table, path, **(known | facts))  # type: ignore[arg-type]


def a_lake(root: Path, *wrong: tuple[str, ...], path: str = "market_1/Orders.csv") -> None:
    """Bronze with these rows, all of them in quarantine because of their quantity; written without a JVM."""
    delivery = a_delivery(path)
    ledger.claim(str(root), ledger.Ledger(), [Entry(delivery, -1, "claimed")])
    place = [{"_file": path, "_row": row, "_sequence": delivery.sequence} for row in range(1, len(wrong) + 1)]
    names = list(delivery.columns.values())
    bronze = [one | {"_problem": None, "_raw": None, "market": 1} for one in place]
    rows = [one | dict(zip(names, cells, strict=True)) for one, cells in zip(bronze, wrong, strict=True)]
    texts = pa.schema([("_problem", pa.string()), ("_raw", pa.string())])
    schema = pa.unify_schemas([pa.Table.from_pylist([rows[0]]).schema.remove(3).remove(3), texts])
    write_deltalake(str(root / "bronze/orders"), pa.Table.from_pylist(rows, schema=schema))
    why = {"market": 1, "order_id": 7, "rules": ["quantity_is_readable"], "since": NOON}
    write_deltalake(str(root / "silver/order_lines__rejected"), pa.Table.from_pylist([one | why for one in place]))


def test_rejected_shows_counts_by_rule_with_the_reason_and_where_each_row_stands(
    lakehouse: Callable[..., Answer], tmp_path: Path, no_java: Path
) -> None:
    a_lake(tmp_path / "lake", ("7", "A [x]", "two", "42"))
    answer = lakehouse("rejected", "silver.orders", "--lake", f"{tmp_path}/lake")
    assert (answer.code, answer.err) == (0, "")
    rule = "quantity_is_readable 1 the delivered text cannot be read as int"
    assert rule in " ".join(answer.out.split())
    assert "market_1/Orders.csv row 1 (market 1, order_id 7), since 2024-01-10: quantity_is_readable" in answer.out
    assert "order_id=7, sku=A [x], quantity=two, customer_id=42" in answer.out
    assert not no_java.exists()


def test_rejected_without_a_table_is_of_every_table_that_rejects(
    lakehouse: Callable[..., Answer], tmp_path: Path
) -> None:
    a_lake(tmp_path / "lake", ("7", "A", "two", "42"))
    answer = lakehouse("rejected", "--examples", "0", "--lake", f"{tmp_path}/lake")
    assert answer.code == 0
    assert "silver.order_lines: rule" in answer.out
    assert "Nothing is rejected in silver.customers." in answer.out
    assert "Nothing is rejected in silver.delivery_items." in answer.out
    assert "Orders.csv" not in answer.out


def test_rejected_of_a_table_that_nothing_is_judged_for_says_so(
    lakehouse: Callable[..., Answer], tmp_path: Path
) -> None:
    a_lake(tmp_path / "lake", ("7", "A", "two", "42"))
    answer = lakehouse("rejected", "bronze.orders", "--lake", f"{tmp_path}/lake")
    assert "bronze.orders" in answer.out + answer.err


def test_rejected_exports_a_file_and_says_where_it_goes(lakehouse: Callable[..., Answer], tmp_path: Path) -> None:
    a_lake(tmp_path / "lake", ("7", 'A, "a"', "two", "42"), ("7", "B", "1", "42"))
    file = tmp_path / "to correct.csv"
    answer = lakehouse("rejected", "silver.orders", "--export", str(file), "--lake", f"{tmp_path}/lake")
    assert (answer.code, answer.out) == (0, "")
    assert f"Wrote 2 rows to {file}." in answer.err
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert f"a folder of today and under a name like market_<market>/{today}/Orders.csv" in answer.err
    assert file.read_text(encoding="utf-8-sig").splitlines() == [
        "_replaces_file,_replaces_row,_rejected_because,Order ID,SKU,Quantity,Customer ID",
        'market_1/Orders.csv,1@market_1/Ord,quantity_is_readable,7,"A, ""a""",two,42',
        "market_1/Orders.csv,2@market_1/Ord,quantity_is_readable,7,B,1,42",
    ]


def test_an_export_of_nothing_writes_no_file_and_says_so(lakehouse: Callable[..., Answer], tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    file = tmp_path / "fixed.csv"
    answer = lakehouse("rejected", "silver.orders", "--export", str(file), "--lake", f"{tmp_path}/lake")
    assert (answer.code, answer.err) == (0, "Nothing is rejected in silver.order_lines, so no file was written.\n")
    assert not file.exists()


def test_an_export_is_of_one_table_of_documents(lakehouse: Callable[..., Answer], tmp_path: Path) -> None:
    a_lake(tmp_path / "lake", ("7", "A", "two", "42"))
    for named in ([], ["silver.sales"]):
        answer = lakehouse("rejected", *named, "--export", f"{tmp_path}/x.csv", "--lake", f"{tmp_path}/lake")
        assert_refused(answer, "Name one of: ", "silver.order_lines", "silver.customers")


@pytest.mark.slow
@pytest.mark.parametrize("place", ["nowhere/fixed.csv", "."])
def test_an_export_to_a_place_that_cannot_be_written_is_an_error_on_purpose(
    lakehouse: Callable[..., Answer], tmp_path: Path, place: str
) -> None:
    a_lake(tmp_path / "lake", ("7", "A", "two", "42"))
    answer = lakehouse("rejected", "silver.orders", "--export", f"{tmp_path}/{place}", "--lake", f"{tmp_path}/lake")
    assert_refused(answer, f"{tmp_path}/{place}".removesuffix("/."))


@pytest.mark.slow
def test_control_characters_of_files_and_texts_never_reach_the_terminal(
    lakehouse: Callable[..., Answer], tmp_path: Path, landing: Path
) -> None:
    root = tmp_path / "lake"
    a_lake(root, ("7", "A\x1b[2J\u202e", "two", "42"), path="market_1/Orders\x1b[31m\r.csv")
    (landing / "market_1").mkdir()
    for name in ("Orders\x1b]0;x\x07half.csv", "_Orders\x1b[1m.csv", "other\x1b[1m.txt"):
        (landing / "market_1" / name).write_text("Order ID\n1\n")
    said = lakehouse("rejected", "silver.orders", "--lake", str(root))
    (root / "bronze/orders/_delta_log").rename(tmp_path / "gone")  # status asks whose commits they are
    said_too = lakehouse("status", "--lake", str(root), "--landing", str(landing))
    said_of_a_run = lakehouse("run", "--lake", f"{tmp_path}/new", "--landing", str(landing))
    assert r"Orders\x1b[31m\r.csv row 1" in said.out
    for answer in (said, said_too, said_of_a_run):
        assert "\\x1b" in answer.out + answer.err
        assert not {"\x1b", "\x07", "\r", "\u202e"} & set(answer.out + answer.err)


@pytest.mark.slow
def test_status_shows_sources_what_changed_in_them_and_what_is_not_loaded(
    lakehouse: Callable[..., Answer], tmp_path: Path, landing: Path, no_java: Path
) -> None:
    root = str(tmp_path / "lake")
    before = a_delivery("market_1/Orders old.csv", delivered_at=NOON - timedelta(days=1))
    after = a_delivery(header=(*ORDER_COLUMNS[:3], "Colour"))
    elsewhere = a_delivery("market_2/Orders.csv", parts={"market": 2})
    entries = [Entry(one, -1, "claimed") for one in (before, after, elsewhere)]
    schema_changes.note(root, ledger.claim(root, ledger.Ledger(), entries).taken())
    for day, value in ((1, 12.5), (2, 99.25)):
        quality.write(
            root,
            f"{day}",
            NOON + timedelta(days=day),
            [Measure("silver.order_lines", "score", "score", 1, value=value)],
        )
    (landing / "market_1").mkdir()
    (landing / "market_1/Orders.csv").write_text("Order ID,order id\n1,2\n")
    (landing / "market_1/_Orders.csv").touch()

    answer = lakehouse("status", "--lake", root, "--landing", str(landing))
    assert (answer.code, answer.err) == (0, "")
    lines = [" ".join(line.split()) for line in answer.out.splitlines()]
    (first, second) = [line for line in lines if line.startswith("bronze.orders") and "2024-01-10 12:00" in line]
    assert (first.split()[1], first.split()[-1]) == ("1", "99.2")
    assert (second.split()[1], second.split()[-1]) == ("2", "-")
    assert "bronze.orders market 1: colour new in market_1/Orders.csv" in lines
    assert "bronze.orders market 1: customer_id vanished in market_1/Orders.csv" in lines
    assert any(line.startswith("cannot be read: market_1/Orders.csv has no column") for line in lines)
    assert "waits: market_1/_Orders.csv its name says that it is being written" in lines
    assert not no_java.exists()


# maintenance


def a_table_of_eight(root: Path) -> Path:
    """Eight small files of ops.runs, and a file that nobody needs."""
    table = root / "ops" / "runs"
    for _ in range(8):
        write_deltalake(str(table), pa.table({"n": [1]}), mode="append")
    (table / "part-of-nothing.parquet").write_bytes(b"12345")
    os.utime(table / "part-of-nothing.parquet", (0, 0))
    return table


@pytest.mark.slow
def test_maintain_says_what_it_would_do_and_does_it(lakehouse: Callable[..., Answer], tmp_path: Path) -> None:
    table = a_table_of_eight(tmp_path / "lake")
    would = lakehouse("maintain", "--dry-run", "--lake", str(tmp_path / "lake"))
    assert "8 files -> about 1; 1 files that nobody needs, 5 bytes" in would.err
    assert "1 of 1 tables would be compacted, 1 files (5 bytes) would be deleted." in would.err
    assert len(list(table.glob("*.parquet"))) == 9
    did = lakehouse("maintain", "--lake", str(tmp_path / "lake"))
    assert (did.code, did.out) == (0, "")
    assert re.search(r"ops\.runs +8 files -> 1 \(.+ kB -> .+\); 1 files that nobody needs", did.err)
    assert (
        "0 of 1 tables compacted, 0 files (0 bytes) deleted." in lakehouse("maintain", "--lake", f"{tmp_path}/lake").err
    )


@pytest.mark.slow
def test_check_ends_with_1_where_something_is_wrong(lakehouse: Callable[..., Answer], tmp_path: Path) -> None:
    table = a_table_of_eight(tmp_path / "lake")
    right = lakehouse("check", "--deep", "--lake", str(tmp_path / "lake"))
    assert (right.code, right.out) == (0, "All that was looked at is right.\n")
    max(table.glob("part-*-*-*.parquet")).unlink()
    wrong = lakehouse("check", "--lake", str(tmp_path / "lake"))
    assert wrong.code == 1
    assert re.search(r"ops\.runs: part-.+\.parquet is gone\n  Bring it back from a copy, or .+\n1 finding\.", wrong.out)


# places


@pytest.mark.slow
def test_options_come_before_variables_and_variables_before_conf(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "conf/lake.yml").write_text("root: tables\nlanding: by-conf\n")
    assert f"The landing folder {project}/by-conf does not exist" in of(project, "plan").err
    monkeypatch.setenv("LAKEHOUSE_LANDING", "by-variable")
    assert f"The landing folder {project}/by-variable does not exist" in of(project, "plan").err
    assert f"The landing folder {project}/by-option does not exist" in of(project, "plan", "--landing", "by-option").err


@pytest.mark.slow
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

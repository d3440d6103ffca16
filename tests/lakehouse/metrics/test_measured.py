"""`lakehouse metrics`: the numbers of a small lake, and what is told where it, a file or a port cannot be had."""

from __future__ import annotations

import io
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from jobs import cli
from jobs.monitoring.scraped import Scraped
from lakehouse.alerts import record, rules
from lakehouse.alerts.record import Record
from lakehouse.delta.commits import ops
from lakehouse.errors import LakehouseError
from lakehouse.metrics.measured import FAMILIES, Looked, Sample
from lakehouse.proof import verify
from lakehouse.runs.run import Run
from tests.toy import Toy

told = pytest.importorskip("lakehouse.metrics.told", reason="needs the extra `ops`: uv sync --inexact --extra ops")

if TYPE_CHECKING:
    from lakehouse.engines.native.engine import Native


@pytest.fixture
def toy(engine: Native, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """Two files: orders 7 and 8, and of order 9 a quantity that is none. Its run has succeeded."""
    monkeypatch.setenv("LAKEHOUSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LAKEHOUSE_POSTGRES", raising=False)
    toy = Toy(tmp_path / "toy", engine)
    toy.deliver("monday.csv", "7,A,2,10.00", "7,B,1,1.00", "8,B,1,5.00", "9,C,two,3.00")
    toy.run()
    Record(toy.lake.root, is_there=True).ended(record.after(None, "a", "", {}), None, is_told=False)
    return toy


def scraped(toy: Toy, said: io.StringIO | None = None) -> Scraped:
    run = Run(toy.lake.root, str(toy.landing), toy.tables(), engine=toy.engine.name)
    return Scraped(Console(file=said or io.StringIO(), width=300), run, rules.Alerts())


def numbers(looked: Looked) -> dict[tuple[str, ...], float]:
    found = {(one.name.removeprefix("lakehouse_"), *one.labels): one.value for one in looked.samples}
    assert len(found) == len(looked.samples), "a number that stands twice fails the whole scrape"
    assert all(len(one.labels) == len(FAMILIES[one.name][1]) for one in looked.samples)
    return found


@pytest.mark.slow
def test_the_numbers_are_those_of_the_lake(toy: Toy) -> None:
    looked = scraped(toy).look()
    found, now = numbers(looked), datetime.now(UTC).timestamp()
    assert looked.unknown == {}
    expected = {
        ("up",): 1,
        ("last_run_failed",): 0,
        ("table_rows", "bronze.orders"): 4,
        ("table_rows", "silver.order_lines"): 3,
        ("table_rejected_rows", "silver.order_lines"): 1,
        ("table_behind", "gold.totals"): 0,
        ("run_rows", "silver.order_lines", "written"): 3,
        ("run_failed", "gold.totals"): 0,
        ("source_files", "bronze.orders", "loaded"): 1,
        ("source_rows", "bronze.orders", "kept"): 3,
        ("source_rows", "bronze.orders", "rejected"): 1,
        ("problems", "run_failed", "critical"): 0,
    }
    assert {name: found.get(name) for name in expected} == expected
    assert 0 <= now - found["last_success_timestamp",] < 600
    assert {name[2] for name in found if name[:2] == ("run_phase_seconds", "gold.totals")} >= {"computing", "writing"}
    assert ("problems", "sql", "warning") not in found, "an engine answers those"


@pytest.mark.slow
def test_a_lake_that_is_gone_is_a_number_and_said_once(toy: Toy) -> None:
    said = io.StringIO()
    one, away = scraped(toy, said), toy.folder / "away"
    Path(toy.lake.root).rename(away)
    for _ in range(2):
        assert numbers(one.look())["up",] == 0
    assert said.getvalue().count("not told lake: The lake folder") == 1
    away.rename(toy.lake.root)
    assert numbers(one.look())["up",] == 1
    assert "lake: it can be had again" in said.getvalue()


@pytest.mark.slow
def test_one_part_that_cannot_be_read_hides_no_other(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise LakehouseError("moths")

    monkeypatch.setenv("LAKEHOUSE_POSTGRES", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setattr("lakehouse.recovery.releases.newest", broken)
    looked = scraped(toy).look()
    found = numbers(looked)
    assert looked.unknown["releases"] == "moths"
    assert "The other numbers are told all the same." in looked.unknown["postgres"]
    unknown = {name[1]: value for name, value in found.items() if name[0] == "part_unknown"}
    assert (unknown["releases"], unknown["postgres"], unknown["tables"]) == (1, 1, 0)
    assert found["table_rows", "gold.totals"] == 1


def test_what_was_found_is_kept_for_those_who_ask_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[int]()

    def look() -> Looked:
        asked.append(1)
        return Looked((Sample("lakehouse_up", 1),))

    kept = told.Kept(look)
    assert [one.name for _ in range(3) for one in kept.collect()] == ["lakehouse_up"] * 3
    assert len(asked) == 1
    monkeypatch.setattr(told, "KEPT", 0.0)
    kept = told.Kept(look)
    for _ in range(2):
        list(kept.collect())
    assert len(asked) > 1


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    def up() -> Looked:
        return Looked((Sample("lakehouse_up", 1),))

    def breaks() -> Looked:
        raise ZeroDivisionError

    with pytest.raises(LakehouseError, match=r"lakehouse.txt must end in .prom: node_exporter reads no other files"):
        told.write(tmp_path / "lakehouse.txt", up)
    there = tmp_path / "textfile" / "lakehouse.prom"
    with pytest.raises(LakehouseError, match=r"cannot be written: No such file or directory. Make its folder"):
        told.write(there, up)
    there.parent.mkdir()
    told.write(there, up)
    assert there.read_text().endswith("\nlakehouse_up 1.0\n")
    with pytest.raises(ZeroDivisionError):
        told.write(there, breaks)
    assert [one.name for one in there.parent.iterdir()] == ["lakehouse.prom"]
    assert there.read_text().endswith("\nlakehouse_up 1.0\n")


def test_an_address_is_one_that_can_be_listened_at() -> None:
    for wrong in ("9108", "localhost", "127.0.0.1:99999"):
        with pytest.raises(LakehouseError, match=r"is no address to listen at. Give a host and a port, such as 127"):
            told.serve(wrong, lambda: Looked(()))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LakehouseError, match=r"cannot be listened at: Address already in use. Name another: --lis"):
            told.serve(f"127.0.0.1:{port}", lambda: Looked(()))
    assert told.serve("127.0.0.1:0", lambda: Looked(())).startswith("http://127.0.0.1:")


def test_a_file_is_written_or_a_port_served_and_without_its_library_the_command_that_brings_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def said(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["lakehouse", "metrics", *arguments])
        with pytest.raises(SystemExit):
            cli.main()
        return " ".join(capfd.readouterr().err.split())

    monkeypatch.setenv("LAKEHOUSE_ROOT", str(tmp_path / "none"))
    file = str(tmp_path / "a.prom")
    assert "--listen and --file go apart" in said("--listen", "127.0.0.1:0", "--file", file)
    assert "not told lake: The lake folder" in said("--file", file)
    assert "\nlakehouse_up 0.0\n" in Path(file).read_text()
    monkeypatch.delitem(sys.modules, "lakehouse.metrics.told")
    monkeypatch.delattr("lakehouse.metrics.told")
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    assert "Metrics are told by prometheus-client, which is not installed. Install it: `uv sync --in" in said()


@pytest.mark.slow
def test_times_are_seconds_of_utc(toy: Toy) -> None:
    row = {"table_name": "gold.totals", "verification": "v", "version": 0, "equal": False}
    at = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [dict.fromkeys(verify.TYPES) | row | {"at": at.replace(day=day), "equal": day == 1} for day in (1, 2)]
    ops.append(toy.lake.root, verify.CERTIFICATES, verify.TYPES, rows)
    found = numbers(scraped(toy).look())
    assert found["verified_timestamp", "gold.totals"] == 1767312000
    assert found["verified_equal", "gold.totals"] == 0

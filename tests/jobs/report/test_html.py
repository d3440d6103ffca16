"""The report and the dashboard say what the release holds, ask nobody for anything, and are about nobody."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from datetime import date
from html import unescape
from http.client import HTTPConnection
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from jobs import cli
from jobs.samples import daily
from lakehouse import engines, graph
from lakehouse.errors import LackingExtraError, LakehouseError
from lakehouse.recovery import releases
from lakehouse.serving.questions import sql
from tests import browser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from jobs.report.html import Report

pytest.importorskip("altair", reason="needs the extra `report`: uv sync --inexact --extra report")
pytest.importorskip("vl_convert", reason="needs the extra `report`: uv sync --inexact --extra report")
from jobs.report import dashboard, html, sections
from jobs.report.html import Answered, Choice

pytestmark = pytest.mark.slow
EXTRAS = {"altair", "vl_convert", "xlsxwriter", "psycopg", "prompt_toolkit"}
EVIL = "</script><script>alert(1)</script><!--<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def made(released: str) -> Report:
    newest = releases.last(released)
    return html.gather(engines.reader(), released, newest, html.changes(released, newest))


@pytest.fixture(scope="module")
def page(made: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "page.html"
    file.write_text(html.page(made), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def port(released: str) -> Iterator[int]:
    with dashboard.server(dashboard.Dashboard(engines.reader(), released, 30), 0) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.chromium() as started:
        yield started


def get(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    asked = HTTPConnection("127.0.0.1", port)
    asked.request(method, path, headers=headers)
    answer = asked.getresponse()
    return answer.status, answer.read().decode()


def words(html: str) -> str:
    return " ".join(unescape(re.sub("<[^>]+>", " ", html)).split())


@pytest.mark.parametrize("width", browser.WIDTHS)
def test_the_page_asks_nobody_says_nothing_to_the_console_and_is_usable(
    chromium: Browser, page: Path, width: int
) -> None:
    seen = browser.look(chromium, page.as_uri(), width)
    assert (seen.said, seen.asked) == ([], [page.as_uri()])
    assert seen.page.locator(".chart svg").count() == page.read_text(encoding="utf-8").count("data-chart=")
    assert seen.page.evaluate("document.documentElement.scrollWidth") == width
    seen.page.locator("summary").first.click()
    assert browser.faults(seen.page) == []


@pytest.mark.parametrize("width", browser.WIDTHS)
def test_the_dashboard_asks_only_itself_and_shows_what_is_chosen(chromium: Browser, port: int, width: int) -> None:
    seen = browser.look(chromium, f"http://127.0.0.1:{port}/", width)
    seen.page.select_option("select[name=market]", "2")
    seen.page.fill("input[name=since]", "2022-01-05")
    seen.page.click("button")
    browser.wait_for_charts(seen.page)
    assert seen.page.locator("#revenue figcaption").all_inner_texts() == ["Nigeria (2)"]
    assert seen.page.locator("#totals dd").first.inner_text().startswith("2022-01-05 to")
    assert seen.said == []
    assert {one.split("/")[2] for one in seen.asked} == {f"127.0.0.1:{port}"}
    assert browser.faults(seen.page) == []


def test_its_numbers_are_those_of_the_release(made: Report, page: Path, released: str) -> None:
    asked = "select sum(revenue) as revenue from gold.daily_sales where market = 1"
    revenue = sql.query(engines.reader(), released, asked, made.release.point).arrow()["revenue"][0].as_py()
    assert f"{revenue:,} KES" in words(page.read_text(encoding="utf-8"))
    days = next(one.rows[1] for one in made.answers if one.section.name == "revenue")
    assert sum(row["revenue"] for row in days) == revenue


def test_what_changed_is_said_against_the_release_before(page: Path, released: str) -> None:
    said = words(page.read_text(encoding="utf-8"))
    assert "Against release 1, all markets and days." in said
    assert "gold.daily_sales" in said.partition("Rows by table")[2]
    assert html.changes(released, releases.release(released, 1)) is None


def test_what_is_kept_out_is_counted_by_rule(made: Report, page: Path) -> None:
    assert made.rejected
    text = words(page.read_text(encoding="utf-8"))
    assert {tuple(row) for row in made.rejected} == {("source", "rule", "rows")}
    assert all(f"{row['source']} {row['rule']} {row['rows']}" in text for row in made.rejected)
    assert "silver.order_lines quantity_is_readable 1" in text


def test_no_column_is_about_anybody(made: Report) -> None:
    shown = {name for one in made.answers for rows in one.rows.values() for row in rows for name in row}
    shown |= {name for rows in (made.totals or [], made.scores, made.rejected) for row in rows for name in row}
    assert len(shown) > 20
    tables = graph.load()
    assert shown.isdisjoint(html.OF_ONE.union(*(one.contract.personal for one in tables.values())))
    told = html.of_nobody(tables)
    assert "gold.daily_sales" in told
    assert not told.keys() & {"gold.customer_metrics", "gold.fact_sales", "gold.agents", "gold.delivery_areas"}


def test_a_place_with_few_tasks_is_left_out(made: Report) -> None:
    tasks = [row["tasks"] for one in made.answers if one.section.name == "areas" for row in one.rows[2]]
    assert tasks
    assert min(tasks) >= sections.FEWEST


def test_no_text_of_the_data_becomes_markup(made: Report) -> None:
    answered = next(one for one in made.answers if one.section.name == "products")
    evil = replace(answered, rows={1: [row | {"sku": EVIL} for row in answered.rows[1]]})
    text = html.page(replace(made, answers=[evil]))
    assert EVIL not in text
    assert "<img" not in text.partition("</style>")[2].partition("<script>")[0]


def test_a_choice_of_days_narrows_what_is_of_days(released: str) -> None:
    newest = releases.last(released)
    choice = Choice(1, date(2022, 1, 5), date(2022, 1, 6))
    found = html.gather(engines.reader(), released, newest, None, choice)
    days = {one.section.name: one.rows for one in found.answers}["revenue"]
    assert {row["order_date"] for row in days[1]} == {date(2022, 1, 5), date(2022, 1, 6)}
    assert days.keys() == {1}
    assert words(html.page(found)).count("the choice of days does not narrow this") == 4


def test_a_table_that_the_release_does_not_have_is_said(made: Report, released: str) -> None:
    without = replace(
        made.release,
        tables={name: at for name, at in made.release.tables.items() if "baskets" not in name and "pairs" not in name},
    )
    assert "Not in this release: gold.basket_pairs." in words(
        html.page(html.gather(engines.reader(), released, without, None))
    )


def test_the_dashboard_answers_one_page_to_gets_under_its_own_name(port: int) -> None:
    assert get(port, "/?release=1&market=2")[0] == 200
    assert get(port, "/", Host=f"localhost:{port}")[0] == 200
    assert get(port, "/", Host="elsewhere.example")[0] == 421
    assert get(port, "/../etc/passwd")[0] == 404
    assert [get(port, "/", method)[0] for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS")] == [501] * 5


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("release=9", "There is no release 9."),
        ("market=1 or true", "'1 or true' is no market. Choose one of the form's."),
        ("since=yesterday", "since='yesterday' is no day. Give one such as 2022-01-31."),
        ("since=2022-01-09&until=2022-01-08", "The last day, 2022-01-08, is before the first, 2022-01-09."),
    ],
)
def test_a_choice_that_is_none_is_answered_in_words(port: int, query: str, said: str) -> None:
    status, text = get(port, f"/?{query.replace(' ', '%20')}")
    assert (status, said in text) == (400, True)
    assert get(port, "/?release=1&market=1&since=2022-01-08&until=2022-01-09")[0] == 200


def test_a_port_that_is_taken_is_said(port: int, released: str) -> None:
    taken = dashboard.Dashboard(engines.reader(), released, 30)
    with pytest.raises(LakehouseError, match=r"cannot be used: .* Name another: --port 8124"):
        dashboard.server(taken, port)
    dashboard.server(taken, 0).server_close()


def test_the_command_writes_the_page_of_a_release(released: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        cli.app, ["report", "--lake", released, "--release", "1", "--to", str(tmp_path / "page.html")]
    )
    assert done.exit_code == 0, done.output
    assert "<h1>Report of release 1</h1>" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_lake_without_a_release_has_nothing_to_read(tmp_path: Path, released: str) -> None:
    with pytest.raises(LakehouseError, match=r"There is no release to read\. .* has none yet: `lakehouse publish`"):
        releases.last(str(tmp_path))
    assert releases.last(released).number == 2


def test_a_lacking_extra_is_named_with_its_command(released: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("altair", "jobs.report.charts", "jobs.report.sections", "jobs.report.html"):
        monkeypatch.setitem(sys.modules, name, None)
    done = CliRunner().invoke(cli.app, ["report", "--lake", released])
    assert isinstance(done.exception, LackingExtraError)
    assert str(done.exception).startswith("The report's charts are drawn by Altair, which is not installed.")
    assert str(done.exception).endswith("which is not installed. Install it: `uv sync --inexact --extra report`.")


def test_of_branches_that_nobody_delivered_nothing_is_said(made: Report) -> None:
    assert "branches" in {one.name for one in sections.SECTIONS} - {one.section.name for one in made.answers}


def test_a_release_of_events_alone_has_their_sections_and_none_of_orders(made: Report, released: str) -> None:
    alone = replace(made.release, tables={}, quality={})
    found = html.gather(engines.reader(), released, alone, None, Choice(1))
    assert (found.totals, found.answers) == (None, [])
    rows = [{"step": "web: viewed", "sessions": 4, "of_1000_viewed": 1000}]
    funnel = next(one for one in sections.SECTIONS if one.name == "funnel")
    text = html.page(replace(found, answers=[Answered(funnel, {None: rows})]))
    said = words(text)
    assert "<figcaption>All markets</figcaption>" in text
    assert "Of all markets: events name none, so the choice of one does not narrow this." in said
    assert "In short" not in said


def test_a_run_imports_nothing_that_only_some_need(tmp_path: Path) -> None:
    daily.generate(tmp_path / "landing", lines=20, days=1)
    places = ["--lake", str(tmp_path / "lake"), "--landing", str(tmp_path / "landing")]
    script = f"""if True:
        import sys
        from jobs import cli
        cli.app(["run", "silver.orders", *{places}], standalone_mode=False)
        assert not {EXTRAS} & sys.modules.keys()
    """
    subprocess.run([sys.executable, "-c", script], check=True, cwd=graph.HOME)

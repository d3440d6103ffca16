"""The page says what contracts and the lake say, asks nobody for anything, and nothing in it can break out."""

from __future__ import annotations

import re
import shutil
import subprocess
import textwrap
from base64 import b64encode
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from types import ModuleType
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
import yaml
from deltalake import write_deltalake
from typer.testing import CliRunner

from jobs import cli
from jobs.docs.html import page, shown
from lakehouse.contract import Contract
from lakehouse.delta.tables import progress
from lakehouse.errors import LakehouseError
from lakehouse.graph import Table
from lakehouse.intake.records import ledger
from lakehouse.intake.records.ledger import Delivery, Entry, Ledger
from lakehouse.serving import docs

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2024, 1, 9, 12, tzinfo=UTC)
EVIL = "</script></td><script>alert(1)</script><img src=x onerror=alert(1)>\"'"
ORDERS = """
    owner: tests
    description: One row per order, see conf/markets.yml.
    write: refresh
    grain: [order_id]
    unit: [order_id]
    columns:
      order_id: {type: bigint, meaning: The order}
      order_total: {type: "decimal(18,2)", measured_in: currency, meaning: What the customer pays}
      currency: {type: string, meaning: ISO code}
      customer_note: {type: string, personal: true, meaning: What the customer wrote}
    rules:
      total_is_positive: {check: order_total > 0, severity: warn, why: "There are no credit notes"}
"""
DAYS = """
    owner: tests
    description: One row per day. All of it is in silver.orders.
    write: refresh
    grain: [order_date]
    unit: [order_date]
    columns:
      order_date: {type: date, meaning: The local day}
      revenue: {type: "decimal(18,2)", measured_in: currency, meaning: "Net revenue: what completed orders cost"}
      currency: {type: string, meaning: ISO code}
    checks:
      revenue_is_that_of_the_orders:
        {agrees_with: silver.orders, this: sum(revenue), that: sum(order_total), severity: stop, why: Each counts once}
"""


class Page(HTMLParser):
    """What a browser takes out of the text: elements with their attributes, and what each link leads to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def a_table(tmp_path: Path, name: str, text: str, *inputs: str) -> Table:
    """Its contract as given, and a module that says one thing more than what a row is."""
    path = tmp_path / f"{name}.py"
    path.write_text(f'"""{name}: one row per thing.\n\nNever sum it.\n"""\n')
    module = ModuleType(name)
    module.__file__ = str(path)
    return Table(name, Contract.model_validate(yaml.safe_load(textwrap.dedent(text))), module, inputs, "")


def two_tables(tmp_path: Path, orders: str = ORDERS) -> dict[str, Table]:
    return {
        "silver.orders": a_table(tmp_path, "silver.orders", orders, "conf.markets"),
        "gold.days": a_table(tmp_path, "gold.days", DAYS, "silver.orders"),
    }


def of(tmp_path: Path, tables: dict[str, Table] | None = None) -> str:
    return page(docs.gather(str(tmp_path / "lake"), tables or two_tables(tmp_path)))


def section(text: str, name: str) -> str:
    return text.partition(f'<section id="{name}"')[2].partition("</section>")[0]


def words(html: str) -> str:
    return " ".join(re.sub("<[^>]+>", " ", html.replace("<wbr>", "")).split())


def inside(text: str, element: str) -> str:
    return text.partition(f"<{element}>")[2].partition(f"</{element}>")[0]


def store(tmp_path: Path, name: str, columns: dict[str, pa.Array]) -> None:
    write_deltalake(progress.address(str(tmp_path / "lake"), name), pa.table(columns), mode="append")


def test_a_column_has_its_meaning_its_unit_and_a_place_to_jump_to(tmp_path: Path) -> None:
    row = re.search(r'<tr id="gold\.days\.revenue".*?</tr>', of(tmp_path), re.DOTALL)
    assert row
    assert words(row[0]) == "revenue decimal(18,2) currency Net revenue: what completed orders cost"
    assert 'href="#gold.days.currency"' in row[0]


def test_rules_checks_and_the_modules_remarks_are_said(tmp_path: Path) -> None:
    text = of(tmp_path)
    assert "total_is_positive" in section(text, "silver.orders")
    assert "There are no credit notes" in section(text, "silver.orders")
    assert "sum(revenue) is sum(order_total) of silver.orders" in words(section(text, "gold.days"))
    assert "Never sum it." in section(text, "gold.days")
    assert "one row per thing" not in text


def test_inputs_and_readers_are_named_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    text = of(tmp_path)
    read = Page(text)
    assert "Reads conf.markets Is read by gold.days" in words(section(text, "silver.orders"))
    places = {attributes["id"] for _, attributes in read.elements if "id" in attributes}
    assert {str(link["href"]).removeprefix("#") for link in read.of("a")} <= places
    assert {(line["data-from"], line["data-to"]) for line in read.of("path")} == {
        ("conf.markets", "silver.orders"),
        ("silver.orders", "gold.days"),
    }


def test_nothing_in_data_or_contracts_becomes_markup(tmp_path: Path) -> None:
    orders = ORDERS.replace("ISO code", f"'{EVIL.replace(chr(39), chr(39) * 2)}'").replace("order_total > 0", "1 < 2")
    store(tmp_path, "silver.orders", {"order_id": pa.array([1]), "currency": pa.array([EVIL]), EVIL: pa.array(["x"])})
    harmless, harmed = (
        Page(of(tmp_path / "none", two_tables(tmp_path))),
        Page(of(tmp_path, two_tables(tmp_path, orders))),
    )
    for name in ("script", "img", "style", "meta"):
        assert harmed.of(name) == harmless.of(name)
    assert not [key for _, attributes in harmed.elements for key in attributes if key.startswith("on")]


def test_a_script_in_a_meaning_is_read_as_its_text(tmp_path: Path) -> None:
    meaning = "What <script>alert(1)</script> & `a < b` in silver.orders cost"
    text = of(tmp_path, two_tables(tmp_path, ORDERS.replace("What the customer pays", f'"{meaning}"')))
    assert "<script>alert" not in text
    said = re.search(r'<tr id="silver\.orders\.order_total".*?class="meaning">(.*?)</p>', text, re.DOTALL)
    assert said
    assert said[1] == (
        "What &lt;script&gt;alert(1)&lt;/script&gt; &amp; <code>a &lt; b</code> in "
        '<a href="#silver.orders">silver.orders</a> cost'
    )


def test_the_page_asks_no_other_host_and_runs_only_its_own_script(tmp_path: Path) -> None:
    text = of(tmp_path)
    assert not re.search(r"https?:|url\(|@import|[\"'(=]\s*//", text)
    assert not [attributes for _, attributes in Page(text).elements if {"src", "srcset"} & attributes.keys()]
    hashes = [
        b64encode(sha256(part.encode()).digest()).decode() for part in (inside(text, "script"), inside(text, "style"))
    ]
    policy = "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'".format(*hashes)
    assert Page(text).of("meta")[1]["content"] == policy


def test_freshness_and_exact_example_rows_come_from_the_lake(tmp_path: Path) -> None:
    for total in ("12.50", "0.00"):
        cents = pa.array([Decimal(total)], pa.decimal128(18, 2))
        store(tmp_path, "gold.days", {"order_date": pa.array([date(2024, 1, int(total[0]) + 1)]), "revenue": cents})
    days = words(section(of(tmp_path), "gold.days"))
    assert "Rows 2 Last commit version 1, " in days
    assert "order_date 2024-01-01 2024-01-02" in days
    assert "revenue 0.00 12.50" in days


def test_a_table_is_as_fresh_as_the_newest_file_that_it_is_made_from(tmp_path: Path) -> None:
    source = textwrap.dedent(ORDERS).replace("write: refresh", "write: append").replace("unit: [order_id]", "")
    source += 'source: {files: ["*.csv"], format: csv}\n'
    bronze = {"bronze.orders": a_table(tmp_path, "bronze.orders", source)}
    orders = {"silver.orders": a_table(tmp_path, "silver.orders", ORDERS, "bronze.orders")}
    files = [
        Entry(Delivery("bronze.orders", f"{day}.csv", 1, NOON, str(day), NOON.replace(day=day), {}), 0, "loaded")
        for day in (3, 1, 2)
    ]
    ledger.claim(str(tmp_path / "lake"), Ledger(), files)
    text = of(tmp_path, bronze | orders)
    assert "Newest delivery 2024-01-03 12:00 UTC" in words(section(text, "silver.orders"))


def test_values_that_may_be_about_people_are_not_shown(tmp_path: Path) -> None:
    store(tmp_path, "silver.orders", {"order_id": pa.array([7]), "customer_note": pa.array(["call me, Jane"])})
    text = of(tmp_path)
    assert "Jane" not in text
    assert "about people: customer_note ." in words(text)


def test_the_same_lake_gives_the_same_page(tmp_path: Path) -> None:
    store(tmp_path, "silver.orders", {"order_id": pa.array(range(100, 0, -1))})
    assert of(tmp_path) == of(tmp_path)


def test_a_decimal_is_never_written_with_an_exponent() -> None:
    assert shown(Decimal("0E-8")) == "0.00000000"


COLUMNS = {
    "data_quality": "at run source market measure rule severity checked broken share share_before score note",
    "freshness": "source market newest_delivery_at hours_old newest_file files rows",
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_view_of_what_runs_recorded_has_a_page_with_each_column_and_its_meaning(tmp_path: Path, name: str) -> None:
    text = of(tmp_path)
    rows = dict(re.findall(rf'<tr id="ops\.{name}\.(\w+)"(.*?)</tr>', section(text, f"ops.{name}"), re.DOTALL))
    meanings = {column: words(row.partition('class="meaning">')[2]) for column, row in rows.items()}
    assert " ".join(meanings) == COLUMNS[name]
    assert all(len(meaning) > 12 for meaning in meanings.values())
    assert {link["href"] for link in Page(inside(text, 'nav aria-label="Tables"')).of("a")} >= {f"#ops.{name}"}
    assert f'lakehouse sql "select * from ops.{name}"' in unescape(words(section(text, f"ops.{name}")))


def test_a_view_says_what_a_row_is_what_it_reads_and_its_units(tmp_path: Path) -> None:
    text = of(tmp_path)
    quality, freshness = words(section(text, "ops.data_quality")), words(section(text, "ops.freshness"))
    assert "Data quality: one row per run, source, market, measure and rule" in quality
    assert "Reads ops.quality Delivered rows are measured by market" in quality
    assert "share broken / checked , 0.1 = 10 %; null where nothing was checked" in quality
    assert "Freshness: one row per source and market" in freshness
    assert "Reads ops.files" in freshness
    assert "hours_old Hours from then to the moment of the question" in freshness


@pytest.mark.parametrize(
    ("text", "unsaid"),
    [
        ("-- One row.\nselect\n    a, -- one\n    b\nfrom ops.files", "what b is"),
        ("-- One row.\nselect\n    a as first, c as second -- one\nfrom ops.files", "what first is"),
        ("-- One row.\nselect\n    count(*) -- how many\nfrom ops.files", r"what COUNT\(\*\) is"),
        ("-- One row.\nselect * from ops.files -- all", r"what \* is"),
        ("select\n    a -- one\nfrom ops.files", "what a row is"),
    ],
)
def test_a_view_that_leaves_something_unsaid_is_an_error(tmp_path: Path, text: str, unsaid: str) -> None:
    (tmp_path / "things.sql").write_text(text)
    with pytest.raises(LakehouseError, match=rf"^conf/ops/things\.sql does not say {unsaid}\."):
        docs.view(tmp_path / "things.sql")


@pytest.mark.parametrize("text", ["", "-- One row.\nselect (", "drop table t", "select 1 as a; select 2 as b"])
def test_a_view_is_one_select(tmp_path: Path, text: str) -> None:
    (tmp_path / "things.sql").write_text(text)
    with pytest.raises(LakehouseError, match=r"^conf/ops/things\.sql is (no SQL: .*|not one `select`)"):
        docs.view(tmp_path / "things.sql")


def test_a_view_reads_the_tables_of_its_query_and_not_those_of_its_comments(tmp_path: Path) -> None:
    (tmp_path / "things.sql").write_text(
        "-- One row, see ops.quality.\nwith some as (select a from ops.files)\nselect\n    a -- one\nfrom some\n"
    )
    assert docs.view(tmp_path / "things.sql") == docs.View(
        "ops.things", "One row, see ops.quality.", "", {"a": "one"}, ("ops.files",)
    )


@pytest.mark.slow
def test_without_a_lake_the_command_documents_what_the_contracts_say(tmp_path: Path) -> None:
    file = tmp_path / "all tables.html"
    answer = CliRunner().invoke(cli.app, ["docs", str(file), "--lake", str(tmp_path / "none")])
    assert answer.exit_code == 0, answer.output
    text = file.read_text(encoding="utf-8")
    assert "None of them is in the lake yet." in text
    assert "not there yet" in section(text, "gold.daily_sales")
    assert "Net revenue" in section(text, "gold.daily_sales")
    assert not (tmp_path / "none").exists()


def test_a_file_that_cannot_be_written_is_an_error_on_purpose(tmp_path: Path) -> None:
    with pytest.raises(LakehouseError, match="cannot be written: No such file"):
        docs.write("", tmp_path / "nowhere" / "docs.html")


BROWSERS = ("chromium", "chromium-headless-shell", "google-chrome", "chrome")
needs_a_browser = pytest.mark.skipif(
    not any(map(shutil.which, BROWSERS)), reason=f"needs a browser: one of {', '.join(BROWSERS)}"
)


def asked(tmp_path: Path, question: str) -> tuple[list[str], str]:
    """Where the links that are found lead to, and the page as the browser then has it."""
    (tmp_path / "docs.html").write_text(of(tmp_path), encoding="utf-8")
    browser = next(found for name in BROWSERS if (found := shutil.which(name)))
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    address = f"{(tmp_path / 'docs.html').as_uri()}?q={question.replace(' ', '+')}#silver.orders"
    done = subprocess.run([*command, address], capture_output=True, text=True, check=True, timeout=120)
    return re.findall(r'<a href="(#[^"]*)" id="found-\d+".*?</a>', done.stdout), done.stdout


@pytest.mark.slow
@needs_a_browser
def test_what_is_net_revenue_is_answered_with_its_sentence(tmp_path: Path) -> None:
    links, text = asked(tmp_path, "what is net revenue")
    assert links == ["#gold.days.revenue"]
    assert '<section id="gold.days" data-table="gold.days" data-readers="0" hidden="until-found">' in text


@pytest.mark.slow
@needs_a_browser
@pytest.mark.parametrize(
    ("question", "view"), [("data quality", "data_quality"), ("freshness", "freshness"), ("hours old", "freshness")]
)
def test_a_search_finds_the_views_of_what_runs_recorded(tmp_path: Path, question: str, view: str) -> None:
    links, text = asked(tmp_path, question)
    assert links[0].startswith(f"#ops.{view}")
    assert '<span class="kind">view</span>' in text or question == "hours old"

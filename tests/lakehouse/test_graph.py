"""Inputs and order come from names; a fingerprint changes with what rows depend on, and with nothing else."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from lakehouse import graph
from lakehouse.contract import Contract
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from lakehouse.graph import Table

HOME = Path(__file__).parents[2]
PROMISE: dict[str, Any] = {
    "owner": "tests",
    "description": "one row per order",
    "write": "refresh",
    "grain": ["order_id"],
    "unit": ["order_id"],
    "columns": {"order_id": {"type": "bigint", "meaning": "the order"}},
    "rules": {"ids_count": {"check": "order_id > 0", "severity": "warn", "why": "ids are counted"}},
}
CODE = '''
"""silver.toys: one row per order."""
from lakehouse.transforms import outer

def build(silver_orders, conf_markets):
    """Why."""
    return outer(silver_orders.select("order_id"))
'''
TRANSFORMS = '''
LIMIT = 1

def outer(rows):
    return inner(rows)

def inner(rows):
    """Words."""
    return rows.limit(LIMIT)

def unused(rows):
    return rows
'''


def load(folder: Path, name: str, code: str) -> ModuleType:
    path = folder / f"{name}.py"
    path.write_text(textwrap.dedent(code), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Lab:
    """A table of this code, contract and transforms."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch, self.count = folder, monkeypatch, 0

    def table(self, code: str = CODE, transforms: str = TRANSFORMS, **changed: object) -> Table:
        self.count += 1
        helpers = load(self.folder, f"transforms_{self.count}", transforms)
        self.monkeypatch.setitem(sys.modules, "lakehouse.transforms", helpers)
        promise = Contract.model_validate(PROMISE | changed)
        return graph.table("silver.toys", promise, {}, load(self.folder, f"toys_{self.count}", code))

    def fingerprint(self, code: str = CODE, transforms: str = TRANSFORMS) -> str:
        return self.table(code, transforms).fingerprint

    def fingerprint_of(self, changed: Mapping[str, object]) -> str:
        return self.table(CODE, TRANSFORMS, **changed).fingerprint


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return Lab(tmp_path, monkeypatch)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A project whose contracts may be changed; its modules are this project's."""
    shutil.copytree(HOME / "conf", tmp_path / "conf")
    return tmp_path


# inputs and order


def test_inputs_are_the_names_of_builds_parameters(tables: dict[str, Table]) -> None:
    assert tables["bronze.orders"].inputs == ("landing",)
    assert tables["silver.orders"].inputs == ("silver.order_lines", "conf.markets", "conf.baskets")
    assert tables["silver.orders"].parents == ("silver.order_lines",)


def test_parents_come_before_children(tables: dict[str, Table]) -> None:
    place = {name: index for index, name in enumerate(tables)}
    behind = [
        (one.name, parent) for one in tables.values() for parent in one.parents if place[parent] > place[one.name]
    ]
    assert behind == []


def test_a_table_serves_the_sources_of_whatever_it_goes_into(tables: dict[str, Table]) -> None:
    assert tables["bronze.exchange_rates"].serves == {"bronze.exchange_rates", "bronze.orders"}
    assert tables["gold.agents"].serves == {"bronze.deliveries"}
    assert tables["silver.deliveries"].serves >= {"bronze.deliveries", "bronze.orders"}


def test_selecting_a_table_brings_what_it_is_made_from_in_order_and_no_more(tables: dict[str, Table]) -> None:
    assert list(graph.selected(tables, ["silver.orders"])) == ["bronze.orders", "silver.order_lines", "silver.orders"]


def test_selecting_none_selects_all(tables: dict[str, Table]) -> None:
    assert graph.selected(tables, []) == tables


def test_an_unknown_table_is_an_error_that_names_the_known(tables: dict[str, Table]) -> None:
    with pytest.raises(LakehouseError, match=r"There is no table gold\.slaes\. There are: .*gold\.daily_sales"):
        graph.selected(tables, ["silver.orders", "gold.slaes"])


def test_of_several_tables_of_a_source_exactly_one_accounts_for_its_rows(home: Path) -> None:
    assert [name for name, one in graph.load(home).items() if not one.accounts] == [
        "silver.customer_versions",
        "silver.product_versions",
    ]
    path = home / "conf/silver/customers.yml"
    path.write_text(path.read_text("utf-8").replace("score: ", "# score: "), encoding="utf-8")
    with pytest.raises(LakehouseError, match=r"all read bronze\.customers; exactly one of them must have a `score:`"):
        graph.load(home)


IDENTITY = "identity: {columns: [customer_id], on_change: reject}"
ROW = "- {table: silver.order_lines, rule: identity_is_kept, file: a.csv, why: numbers began anew}"


def test_a_file_that_is_accepted_changes_what_its_table_is_computed_from(home: Path) -> None:
    promise = home / "conf/silver/order_lines.yml"
    promise.write_text(re.sub(r"identity: .*", IDENTITY, promise.read_text(encoding="utf-8")), encoding="utf-8")
    before = graph.load(home)
    (home / "conf/accepted.yml").write_text(ROW, encoding="utf-8")
    now = graph.load(home)
    assert (before["silver.order_lines"].accepted, now["silver.order_lines"].accepted) == ((), ("a.csv",))
    assert {name for name in now if now[name].fingerprint != before[name].fingerprint} == {"silver.order_lines"}


def test_a_contract_without_a_module_says_which_file_to_write(home: Path) -> None:
    shutil.copy(home / "conf/gold/daily_sales.yml", home / "conf/gold/yearly_sales.yml")
    with pytest.raises(LakehouseError, match=r"conf/gold/yearly_sales\.yml has no module gold/yearly_sales\.py"):
        graph.load(home)


def test_an_input_without_a_contract_names_reader_and_input(home: Path) -> None:
    (home / "conf/silver/order_lines.yml").unlink()
    with pytest.raises(
        LakehouseError, match=r"reads silver\.order_lines, which has no contract\. Change (silver|gold)/"
    ):
        graph.load(home)


def test_a_table_written_latest_reads_exactly_one_bronze_table(lab: Lab) -> None:
    with pytest.raises(
        LakehouseError, match=r"silver\.toys is written `latest`, so its build\(\) reads one bronze table"
    ):
        lab.table(write="latest")


def test_a_parameter_for_a_conf_file_that_is_not_there_names_it(home: Path) -> None:
    (home / "conf/markets.yml").unlink()
    with pytest.raises(LakehouseError, match=r"parameter conf_markets, but there is no .*conf/markets\.yml"):
        graph.load(home)


def test_a_conf_files_version_is_its_content(home: Path) -> None:
    path = home / "conf/markets.yml"
    before, rows = graph.conf_file("conf.markets", home)
    path.write_text("# words\n" + path.read_text())
    assert graph.conf_file("conf.markets", home) == (before, rows)
    path.write_text(path.read_text().replace("KES", "USD"))
    after, rows = graph.conf_file("conf.markets", home)
    assert after != before
    assert rows[0]["currency"] == "USD"


@pytest.mark.parametrize("text", ["market: 1", "- {market: 1}\n- {shop: 2}", "- 1", "", "[]"])
def test_a_conf_file_is_a_list_of_like_mappings(home: Path, text: str) -> None:
    (home / "conf/markets.yml").write_text(text)
    with pytest.raises(LakehouseError, match=r"markets\.yml must be a list of mappings that all have the same keys"):
        graph.conf_file("conf.markets", home)


@pytest.mark.parametrize(
    ("rows", "kinds"),
    [
        ("- {rate: 1}\n- {rate: 2.5}", "float, int"),
        ("- {rate: }", "nothing"),
        ("- {rate: 1}\n- {rate: one}", "int, str"),
    ],
)
def test_a_columns_values_in_a_conf_file_are_of_one_type(home: Path, rows: str, kinds: str) -> None:
    (home / "conf/markets.yml").write_text(rows)
    with pytest.raises(LakehouseError, match=rf"all values of rate must be of one type, and are {kinds}\. Quotes"):
        graph.conf_file("conf.markets", home)


def test_facts_of_a_conf_file_hold_from_a_day_until_the_next(home: Path) -> None:
    rows = "- {market: 1, rate: 3, valid_from: 2022-03-01}\n- {market: 1, rate: 1}\n"
    (home / "conf/markets.yml").write_text(
        f"{rows}- {{market: 1, rate: 2, valid_from: 2022-02-01}}\n- {{market: 2, rate: 4}}"
    )
    _, found = graph.conf_file("conf.markets", home)
    assert {(row["rate"], str(row["valid_from"]), str(row["valid_until"])) for row in found} == {
        (1, "None", "2022-02-01"),
        (2, "2022-02-01", "2022-03-01"),
        (3, "2022-03-01", "None"),
        (4, "None", "None"),
    }


@pytest.mark.parametrize("days", [["2022-02-01"], ["", ""], ["", "2022-02-01", "2022-02-01"], ["", "soon"]])
def test_every_day_has_one_row_of_facts(home: Path, days: list[str]) -> None:
    rows = [f"- {{market: 1{f', valid_from: {day}' if day else ''}}}" for day in days]
    (home / "conf/markets.yml").write_text("\n".join([*rows, "- {market: 2}", "- {market: 2, valid_from: 2022-05-01}"]))
    with pytest.raises(LakehouseError, match=r"of market 1 one row must have no valid_from|day is out of range"):
        graph.conf_file("conf.markets", home)


@pytest.mark.parametrize("text", ["- {market: 1, valid_from: 2022-02-30}", "- {market: 1, market: 2}", "- {market: ["])
def test_a_conf_file_that_is_no_yaml_is_named(home: Path, text: str) -> None:
    (home / "conf/markets.yml").write_text(text)
    with pytest.raises(LakehouseError, match=r"conf/markets\.yml is not YAML: "):
        graph.conf_file("conf.markets", home)


def test_a_conf_file_may_leave_a_value_empty(home: Path) -> None:
    (home / "conf/markets.yml").write_text("- {rate: }\n- {rate: 2}")
    assert graph.conf_file("conf.markets", home)[1] == [{"rate": None}, {"rate": 2}]


ACCEPTED = "- {table: silver.judged_rates, rule: RULE, key: KEY, why: it was let go}"
RATE = "{currency: NGN, reporting_currency: USD, rate_date: 2023-06-14}"
OF_AN_EVENT = "- {table: silver.events, rule: event_name_is_known, key: KEY, why: a new step}"


def test_what_is_accepted_is_told_by_its_key_in_any_order(home: Path) -> None:
    (home / "conf/accepted.yml").write_text(ACCEPTED.replace("KEY", RATE).replace("RULE", "rate_is_usual"))
    assert graph.load(home)
    [row] = graph.conf_file("conf.accepted", home)[1]
    assert row["key"] == "currency=NGN, rate_date=2023-06-14, reporting_currency=USD"


def test_an_event_is_accepted_by_its_place_and_is_no_other_definition(home: Path) -> None:
    before = graph.load(home)["silver.events"]
    (home / "conf/accepted.yml").write_text(OF_AN_EVENT.replace("KEY", "{_row: 17, _file: kafka/events/0}"))
    now = graph.load(home)["silver.events"]
    assert now.accepted == ("event_name_is_known kafka/events/0:17-17",)
    assert now.fingerprint == before.fingerprint


def test_nothing_may_be_accepted(home: Path) -> None:
    (home / "conf/accepted.yml").write_text("# nothing\n[]")
    assert graph.conf_file("conf.accepted", home)[1] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ACCEPTED.replace("silver.", "silver_"), r"accepted\.yml: there is no table silver_judged_rates\. Correct"),
        (ACCEPTED, r"accepted\.yml: silver\.judged_rates has no rule RULE\. Correct that row"),
        (
            ACCEPTED.replace("RULE", "rate_is_usual").replace("KEY", "{currency: NGN}"),
            r"a row of silver\.judged_rates is named by currency, rate_date, reporting_currency, not by currency=NGN\.",
        ),
        (
            ACCEPTED.replace("judged_rates", "orders").replace("RULE", "lines_are_no_catalogue"),
            r"of silver\.orders no row is accepted by itself, since its build\(\) has no parameter conf_accepted: ",
        ),
        (
            OF_AN_EVENT.replace("KEY", "{_file: kafka/events/0, _row: 1-5}"),
            r"silver\.events is named by its _row, an offset, and 1-5 is none",
        ),
        (ACCEPTED.replace(", why: it was let go", ""), r"accepted\.yml: 0\.why: is missing"),
        (ACCEPTED.replace("KEY", "7"), r"accepted\.yml: 0\.key: Input should be a valid dictionary"),
        (ACCEPTED.replace(", key: KEY", ""), "0: either `key:`, of columns and their values, or `file:` says what"),
        (ACCEPTED.replace("why", "file: a.csv, why"), "0: either `key:`, of columns and their values, or `file:` says"),
        ("table: silver.judged_rates", r"accepted\.yml: Input should be a valid list"),
        (
            ACCEPTED.replace("key: KEY", "file: a.csv"),
            r"silver\.judged_rates rejects no file by RULE; by identity_is_kept",
        ),
        ("- {table: [", r"accepted\.yml: is not YAML"),
    ],
)
def test_what_is_accepted_must_be_a_row_of_a_tables_rule(home: Path, text: str, words: str) -> None:
    (home / "conf/accepted.yml").write_text(text.replace("KEY", RATE))
    with pytest.raises(LakehouseError, match=words):
        graph.load(home)


# what does not change a fingerprint


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('    """Why."""', '    """Other words."""'),
        ('    """Why."""', ""),
        ('"""silver.toys: one row per order."""', '"""silver.toys: other words."""'),
        ("    return", "    # a comment\n    return"),
        ('outer(silver_orders.select("order_id"))', "outer(\n        silver_orders.select('order_id'),\n    )"),
    ],
)
def test_words_and_formatting_of_code_change_no_fingerprint(lab: Lab, before: str, after: str) -> None:
    assert before in CODE
    assert lab.fingerprint(CODE.replace(before, after)) == lab.fingerprint()


@pytest.mark.parametrize(
    "changed",
    [
        {"owner": "others"},
        {"description": "other words"},
        {"columns": {"order_id": PROMISE["columns"]["order_id"] | {"meaning": "other words"}}},
        {"rules": {"ids_count": PROMISE["rules"]["ids_count"] | {"why": "other words"}}},
    ],
)
def test_words_of_a_contract_change_no_fingerprint(lab: Lab, changed: dict[str, object]) -> None:
    assert lab.fingerprint_of(changed) == lab.fingerprint()


def test_words_of_a_check_change_no_fingerprint_and_its_severity_does(lab: Lab) -> None:
    check = {"unique": ["order_id"], "severity": "warn", "why": "a test"}
    before, words, stop = (
        lab.fingerprint_of({"checks": {"ids_are_unique": check | more}})
        for more in ({}, {"why": "else"}, {"severity": "stop"})
    )
    assert words == before != stop


def test_the_order_of_columns_changes_the_fingerprint_as_it_changes_the_rows_hash(lab: Lab) -> None:
    columns = PROMISE["columns"] | {"market": {"type": "int", "meaning": "where"}}
    turned = dict(reversed(columns.items()))
    assert lab.fingerprint_of({"columns": columns}) != lab.fingerprint_of({"columns": turned})


def test_a_helper_that_is_not_used_and_words_of_one_that_is_change_no_fingerprint(lab: Lab) -> None:
    other = TRANSFORMS.replace("def unused(rows):\n    return rows", "def unused(rows):\n    return rows.limit(2)")
    assert other != TRANSFORMS
    assert lab.fingerprint(transforms=other) == lab.fingerprint()
    assert lab.fingerprint(transforms=TRANSFORMS.replace('"""Words."""', '"""Other words."""')) == lab.fingerprint()


# what changes it


def test_code_changes_the_fingerprint(lab: Lab) -> None:
    assert lab.fingerprint(CODE.replace('"order_id"', '"order_id", "market"')) != lab.fingerprint()


@pytest.mark.parametrize(
    "changed",
    [
        {"rules": {"ids_count": PROMISE["rules"]["ids_count"] | {"check": "order_id > 1"}}},
        {"rules": {}},
        {"checks": {"ids_are_unique": {"unique": ["order_id"], "severity": "warn", "why": "a test"}}},
        {"columns": {"order_id": PROMISE["columns"]["order_id"] | {"type": "int"}}},
        {"partition_by": ["order_id"]},
        {"write": "replace", "unit": []},
    ],
)
def test_what_a_contract_promises_changes_the_fingerprint(lab: Lab, changed: dict[str, object]) -> None:
    assert lab.fingerprint_of(changed) != lab.fingerprint()


@pytest.mark.parametrize(("before", "after"), [("inner(rows)\n", "inner(rows).distinct()\n"), (".limit", ".offset")])
def test_a_used_helper_and_a_helper_of_a_helper_change_the_fingerprint(lab: Lab, before: str, after: str) -> None:
    assert before in TRANSFORMS
    assert lab.fingerprint(transforms=TRANSFORMS.replace(before, after)) != lab.fingerprint()


def test_the_cores_own_number_changes_every_fingerprint(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    before = lab.fingerprint()
    monkeypatch.setattr(graph, "CORE", graph.CORE + 1)
    assert lab.fingerprint() != before


def test_a_constant_that_a_used_helper_reads_changes_the_fingerprint(lab: Lab) -> None:
    assert lab.fingerprint(transforms=TRANSFORMS.replace("LIMIT = 1", "LIMIT = 2")) != lab.fingerprint()


def test_a_helper_under_another_name_changes_the_fingerprint(lab: Lab) -> None:
    code = CODE.replace("import outer", "import outer as other").replace("return outer", "return other")
    transforms = TRANSFORMS.replace("return inner(rows)", "return inner(rows).distinct()")
    assert lab.fingerprint(code, transforms) != lab.fingerprint(code)


def test_another_list_of_blank_spellings_changes_its_readers_fingerprint(home: Path) -> None:
    """Each table written `latest` reads its source's `blank` from the contract of bronze (latest._blanks)."""
    before = graph.load(home)["silver.order_lines"]
    path = home / "conf/bronze/orders.yml"
    assert 'blank: ["", ' in path.read_text()
    path.write_text(path.read_text().replace('blank: ["", ', 'blank: ["", "n/a", '))
    assert graph.load(home)["silver.order_lines"].fingerprint != before.fingerprint


# what a developer gets wrong


@pytest.mark.parametrize("parameter", ["sliver_orders", "orders"])
def test_a_parameter_that_is_no_tables_name_is_refused(lab: Lab, parameter: str) -> None:
    with pytest.raises(LakehouseError, match=parameter.replace("_", ".")):
        lab.table(CODE.replace("silver_orders", parameter))


def test_a_module_without_a_build_is_an_error_on_purpose(lab: Lab) -> None:
    with pytest.raises(LakehouseError, match="build"):
        lab.table("LIMIT = 1\n")


def test_two_tables_that_read_each_other_are_an_error_on_purpose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, other in (("first", "second"), ("second", "first")):
        module = load(tmp_path, f"{name}_of_two", f"def build(gold_{other}):\n    return gold_{other}\n")
        monkeypatch.setitem(sys.modules, f"gold.{name}", module)
        (tmp_path / "conf/gold").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"conf/gold/{name}.yml").write_text(yaml.safe_dump(PROMISE))
    with pytest.raises(LakehouseError, match=r"gold\.first"):
        graph.load(tmp_path)


def test_a_module_that_imports_what_is_not_installed_is_not_called_missing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(home / "conf/gold/daily_sales.yml", home / "conf/gold/needs.yml")
    folder = home / "gold"
    folder.mkdir()
    code = "import a_library_that_nobody_has\n\n\ndef build(silver_orders):\n    return silver_orders\n"
    (folder / "needs.py").write_text(code)
    gold = sys.modules.get("gold") or importlib.import_module("gold")
    monkeypatch.setattr(gold, "__path__", [*gold.__path__, str(folder)])
    needs = graph.load(home)["gold.needs"]
    with pytest.raises(LakehouseError, match=r"gold/needs\.py needs a_library_that_nobody_has, which is not installed"):
        _ = needs.build


@pytest.mark.parametrize(
    ("way", "wrong"),
    [
        ("silver.agents: {through: silver.orders, on: [market]}", "silver.agents is no input"),
        ("silver.customers: {through: silver.agents, on: [market]}", "goes through silver.agents, which is no input"),
        (
            """silver.customers: {through: silver.orders, on: [market]}
  silver.orders: {through: silver.customers, on: [market]}""",
            "silver.customers -> silver.orders -> silver.customers is a circle",
        ),
    ],
)
def test_every_input_must_reach_the_units(home: Path, way: str, wrong: str) -> None:
    path = home / "conf/silver/sales.yml"
    before = "silver.customers: {through: silver.orders, on: [market, customer_id]}"
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, way), encoding="utf-8")
    with pytest.raises(
        LakehouseError, match=rf"silver\.sales: its inputs do not reach its units: .*{re.escape(wrong)}"
    ):
        graph.load(home)

"""What is wrong in conf/ and in table files is told, and is right when it is written as the words say."""

from __future__ import annotations

import importlib
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from lakehouse import conf, contract, graph
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Callable

HOME = Path(__file__).parents[2]
NUMBER = {"type": "int", "meaning": "a number"}
SOURCE = {"files": ["*.csv"], "format": "csv"}
RULE = {"check": "id > 0", "severity": "warn", "why": "ids are counted"}
CHECK = {"severity": "warn", "why": "ids are counted", "unique": ["id"]}
KINDS: dict[str, dict[str, Any]] = {
    "latest": {"unit": ["id"]},
    "refresh": {"unit": ["id"]},
    "replace": {},
    "append": {"source": SOURCE},
    "deduplicate": {
        "columns": {"id": {"type": "string", "meaning": "a name"}, "day": {"type": "date", "meaning": "a day"}},
        "grain": ["_file", "_row"],
        "partition_by": ["day"],
        "deduplicate": {"id": "id", "day": "day", "horizon": "1d"},
    },
}
BY_DAY = {
    "columns": {"id": NUMBER, "day": {"type": "date", "meaning": "a day"}},
    "grain": ["id", "day"],
    "unit": ["id", "day"],
}
SAME = {"agrees_with": "silver.orders", "this": "count(*)", "that": "count(*)", "severity": "stop", "why": "it is so"}
ONCE = KINDS["deduplicate"]["deduplicate"]


def a_promise(write: str, changed: dict[str, Any]) -> dict[str, Any]:
    """A right contract of the kind, changed; None takes a key out."""
    right = {"owner": "tests", "description": "one row per id", "write": write, "grain": ["id"]}
    promise = right | {"columns": {"id": NUMBER, "line": NUMBER}} | KINDS[write] | changed
    return {key: value for key, value in promise.items() if value is not None}


def columns(**changed: dict[str, Any]) -> dict[str, Any]:
    return {"columns": {"id": NUMBER, "line": NUMBER} | changed}


# How the table is written, what is wrong, what is said, and what is right.
CONTRACTS: tuple[tuple[str, dict[str, Any], str, dict[str, Any]], ...] = (
    ("latest", columns(id=NUMBER | {"type": "text"}), "unknown type 'text'; known are", columns()),
    ("latest", columns(id=NUMBER | {"type": "decimal(60,2)"}), "at most 38 digits, and no more decimals", columns()),
    ("latest", columns(Id=NUMBER), "'Id' is not a name in snake_case", columns()),
    ("latest", {"onwer": "tests"}, "onwer: is not a known key; take it out", {}),
    ("latest", {"owner": None}, "owner: is missing", {}),
    ("append", {"source": SOURCE | {"encoding": "utf8000"}}, "is no known encoding; utf-8, utf-16, latin-1", {}),
    ("append", {"source": SOURCE | {"footer": "("}}, "'(' is no pattern: ", {"source": SOURCE | {"footer": "Total.*"}}),
    ("append", {"source": SOURCE | {"footer": ".*"}}, "'.*' fits any line, rows too; say what its lines begin", {}),
    (
        "append",
        {"source": SOURCE | {"format": "json", "footer": "Total.*"}},
        "preamble and footer: go with `format: csv` or `spreadsheet`, whose lines they are",
        {"source": SOURCE | {"footer": "Total.*"}},
    ),
    (
        "append",
        {"source": SOURCE | {"format": "csv", "rows": "data"}},
        "rows: goes with `format: json`, of which it is a part",
        {"source": SOURCE | {"format": "json", "rows": "data"}},
    ),
    (
        "append",
        {"source": SOURCE | {"sheet": "Orders"}},
        "sheet and skip_rows: go with `format: spreadsheet`",
        {"source": SOURCE | {"sheet": "Orders", "format": "spreadsheet"}},
    ),
    (
        "replace",
        {"checks": {"ids": CHECK | {"references": "silver.orders"}}},
        "must be exactly one of: unique, references with key, agrees_with",
        {"checks": {"ids": CHECK}},
    ),
    (
        "refresh",
        {"inputs": {"silver.orders": {"unit": {"id": "id"}, "through": "silver.sales", "on": ["id"]}}},
        "must be either `unit` with SQL for its columns, `days` or both, or `through` another input with `on`",
        {"inputs": {"silver.orders": {"through": "silver.sales", "on": ["id"]}}},
    ),
    (
        "refresh",
        BY_DAY | {"inputs": {"silver.orders": {"days": [1, -1]}}},
        "days: the first of [1, -1] is after the last",
        BY_DAY | {"inputs": {"silver.orders": {"days": [-1, 1]}}},
    ),
    (
        "refresh",
        {"inputs": {"silver.orders": {"days": [-1, 1]}}},
        "inputs.silver.orders.days: the unit must have one column of type date, and has none",
        BY_DAY | {"inputs": {"silver.orders": {"days": [-1, 1]}}},
    ),
    (
        "refresh",
        BY_DAY | {"inputs": {"silver.orders": {"days": [-1, 1]}}, "checks": {"same": SAME}},
        "checks.same: a row of silver.orders belongs to units of several days, so no sums can agree",
        BY_DAY | {"inputs": {"silver.orders": {"days": [0, 0]}}, "checks": {"same": SAME}},
    ),
    ("latest", {"grain": ["id", "shop"]}, "grain: 'shop' is not one of its columns", {"grain": ["id", "line"]}),
    ("latest", {"source": SOURCE}, "source: goes with `write: append`, and is needed there", {}),
    ("latest", {"unit": None}, "unit: goes with `write: latest` and `write: refresh`, and is needed there", {}),
    ("replace", columns(id=NUMBER | {"from": "id"}), "columns.id.from: goes with `write: latest`", columns()),
    (
        "replace",
        {"rules": {"ids": RULE | {"severity": "reject"}}},
        "rules.ids.severity: only `write: latest` and `write: deduplicate` can reject; a later table warns",
        {"rules": {"ids": RULE}},
    ),
    ("deduplicate", {"deduplicate": None}, "deduplicate: goes with `write: deduplicate`, and is needed there", {}),
    (
        "deduplicate",
        {"deduplicate": ONCE | {"day": "id"}},
        "deduplicate.day: 'id' is not one of its columns of type",
        {},
    ),
    ("deduplicate", {"grain": ["id"]}, "grain: of `write: deduplicate` must be [_file, _row], since each row", {}),
    ("deduplicate", {"partition_by": ["id"]}, "partition_by: of `write: deduplicate` must be its `day`, whose", {}),
    ("replace", {"score": "100"}, "score: goes with `write: latest`", {}),
    (
        "latest",
        {"checks": {"ids": CHECK}},
        "checks: go with `write: refresh` and `write: replace`, whose inputs they are compared with",
        {},
    ),
    ("latest", {"document": {"total": "sum(id)"}}, "document.total: must begin with _, since it is not stored", {}),
    ("latest", {"inputs": {"a.b": {"unit": {"id": "id"}}}}, "inputs: goes with `write: refresh`, whose units are", {}),
    (
        "refresh",
        {"inputs": {"silver.orders": {"unit": {"shop": "id"}}}},
        "inputs.silver.orders.unit: shop is not one of the unit's columns",
        {"inputs": {"silver.orders": {"unit": {"id": "id"}}}},
    ),
    (
        "latest",
        {"rules": {"ids": RULE | {"says": "id"}}},
        "rules.ids.says: goes with `write: refresh` and `write: replace`",
        {"rules": {"ids": RULE}},
    ),
    (
        "latest",
        {"full_dump": {"of": ["shop"]}},
        "full_dump.of: 'shop' is no part of the unit",
        {"full_dump": {"of": ["id"]}},
    ),
    (
        "latest",
        {"full_dump": {"of": ["id"], "window": {"column": "id", "days": 2}}},
        "full_dump.window.column: 'id' is not one of its columns of type date",
        {"full_dump": {"of": ["id"]}},
    ),
    (
        "latest",
        columns(line=NUMBER | {"lacking": "keep"}),
        "columns.line.lacking: needs `from:`, and goes with no `required:`, unit or position",
        columns(line=NUMBER | {"from": "line", "lacking": "keep"}),
    ),
    (
        "latest",
        columns(line=NUMBER | {"from": "line", "lacking": "keep"}) | {"grain": ["id", "line"]},
        "columns.lacking: rows of two deliveries are matched by unit and position, its only grain",
        columns(line=NUMBER | {"from": "line", "lacking": "keep"}),
    ),
    (
        "append",
        {"retention": {"bronze": "400"}},
        "'400' is no number of days; write it as 400d",
        {"retention": {"bronze": "400d", "landing": "90d"}},
    ),
    ("replace", {"retention": {"bronze": "1d"}}, "retention: goes with `write: append`, whose rows were delivered", {}),
    ("latest", {"unit": ["line"]}, "unit: must be part of the grain", {"grain": ["id", "line"], "unit": ["line"]}),
    (
        "replace",
        {"published": {"time": "id"}, "partition_by": ["id"]},
        "published: needs `partition_by:`, and a `time` that is one of its columns of type timestamp",
        columns(at=NUMBER | {"type": "timestamp"}) | {"published": {"time": "at"}, "partition_by": ["id"]},
    ),
    ("replace", {"checks": {"ids": CHECK | {"unique": ["shop"]}}}, "checks.ids: shop is not one of its columns", {}),
    (
        "replace",
        {"checks": {"ids": CHECK}, "rules": {"ids": RULE}},
        "checks.ids: is the name of another rule",
        {"checks": {"ids_are_unique": CHECK}, "rules": {"ids": RULE}},
    ),
    (
        "latest",
        {"score": "rows ** 2"},
        "the formula 'rows ** 2' cannot be computed ('rows ** 2' is no part of a formula); it may have numbers",
        {"score": "100 * kept / rows"},
    ),
)


@pytest.mark.parametrize(("write", "wrong", "words", "right"), CONTRACTS, ids=[words for *_, words, _ in CONTRACTS])
def test_a_contract_is_right_when_it_is_written_as_the_words_say(
    tmp_path: Path, write: str, wrong: dict[str, Any], words: str, right: dict[str, Any]
) -> None:
    path = tmp_path / "silver" / "toys.yml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(a_promise(write, wrong)), encoding="utf-8")
    with pytest.raises(LakehouseError, match="These contracts are not right:\n") as refused:
        contract.load(tmp_path)
    assert words in str(refused.value)
    path.write_text(yaml.safe_dump(a_promise(write, right)), encoding="utf-8")
    assert list(contract.load(tmp_path)) == ["silver.toys"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("owner: a\nowner: b", "the key 'owner' stands twice"),
        ("owner: [a", "is not YAML: while parsing"),
        ("owner: 2022-02-30", "day is out of range for month"),
    ],
)
def test_a_contract_that_is_no_yaml_is_named_with_the_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "silver" / "toys.yml"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LakehouseError, match=r"toys\.yml: is not YAML: ") as refused:
        contract.load(tmp_path)
    assert words in str(refused.value)
    path.write_text(yaml.safe_dump(a_promise("latest", {})), encoding="utf-8")
    assert list(contract.load(tmp_path)) == ["silver.toys"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "lake.yml cannot be read: "),
        ("root: [", "lake.yml cannot be read: "),
        ("root: lake", "landing: is missing"),
        ("{root: lake, landing: exports, lnading: x}", "lnading: is not a known key; take it out"),
        ("{root: 1, landing: exports}", "root: must be a text"),
        (
            "{root: lake, landing: exports, retention: {versions: 0d}}",
            "must be days, such as {versions: 7d, releases: 30d}, each from 1d to 400d",
        ),
        ("{root: lake, landing: exports, retention: {releases: 401d}}", "retention: must be days, such as"),
        ("{root: lake, landing: exports, retention: {version: 7d}}", "retention: must be days, such as"),
        ("{root: lake, landing: exports, retention: 7d}", "each from 1d to 400d"),
        ("1", "The settings are not right:"),
        ("{root: lake, landing: exports, releases: 15m}", "releases: must be {at_most_every: 15m}"),
        ("{root: lake, landing: exports, releases: {at_most_evry: 15m}}", "releases.at_most_evry: is not a known key"),
    ],
)
def test_the_settings_are_right_when_they_are_written_as_the_words_say(
    tmp_path: Path, text: str | None, words: str
) -> None:
    if text is not None:
        (tmp_path / "lake.yml").write_text(text, encoding="utf-8")
    with pytest.raises(LakehouseError) as refused:
        conf.settings(tmp_path)
    assert words in str(refused.value)
    text = "{root: lake, landing: exports, releases: {at_most_every: 5m}, retention: {versions: 3d}}"
    (tmp_path / "lake.yml").write_text(text, encoding="utf-8")
    right = conf.settings(tmp_path)
    assert (right.root, right.releases.at_most_every, right.retention) == ("lake", "5m", conf.Retention(3, 30))


class Project:
    """Tables of layer gold and silver and files of conf/ in a folder of their own, as a developer writes them."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def put(self, path: str, text: str) -> None:
        (self.home / path).parent.mkdir(parents=True, exist_ok=True)
        (self.home / path).write_text(textwrap.dedent(text), encoding="utf-8")
        name = path.removesuffix(".py").replace("/", ".")
        sys.modules.pop(name, None)
        importlib.invalidate_caches()

    def table(self, name: str, reads: str, write: str = "replace", **changed: object) -> None:
        path = name.replace(".", "/")
        self.put(f"conf/{path}.yml", yaml.safe_dump(a_promise(write, changed)))
        self.put(f"{path}.py", f"def build({reads}):\n    return 1\n")

    def without(self, path: str) -> None:
        (self.home / path).unlink()
        sys.modules.pop(path.removesuffix(".py").replace("/", "."), None)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """With bronze.toys, silver.toys of it, and gold.toys of that and of conf/shops.yml."""
    for layer in contract.LAYERS:
        (tmp_path / layer).mkdir()
        package = importlib.import_module(layer)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path / layer)])
        for name in ("toys", "others", "more"):
            monkeypatch.delitem(sys.modules, f"{layer}.{name}", raising=False)
    made = Project(tmp_path)
    made.table("bronze.toys", "landing", "append")
    made.table("silver.toys", "bronze_toys", "latest")
    made.table("gold.toys", "silver_toys, conf_shops")
    made.put("conf/shops.yml", "- {shop: 1, city: Nairobi}\n- {shop: 2, city: Lagos}\n")
    return made


def without_a_contract(project: Project) -> None:
    (project.home / "conf/silver/toys.yml").unlink()


def with_its_contract(project: Project) -> None:
    project.table("silver.toys", "bronze_toys", "latest")


def checks_what_it_does_not_read(project: Project) -> None:
    check = {"severity": "warn", "why": "as told", "references": "bronze.toys", "key": ["id"]}
    project.table("gold.toys", "silver_toys", checks={"ids": check})


def reads_what_it_checks(project: Project) -> None:
    check = {"severity": "warn", "why": "as told", "references": "silver.toys", "key": ["id"]}
    project.table("gold.toys", "silver_toys", checks={"ids": check})


def reads_in_a_circle(project: Project) -> None:
    project.table("gold.toys", "gold_others")
    project.table("gold.others", "gold_toys")


def reads_no_circle(project: Project) -> None:
    project.table("gold.others", "silver_toys")


def reads_one_source_twice(project: Project) -> None:
    project.table("silver.others", "bronze_toys", "latest")


def accounts_once(project: Project) -> None:
    project.table("silver.others", "bronze_toys", "latest", score="100")


def reaches_no_unit(project: Project) -> None:
    project.table("gold.toys", "silver_toys", "refresh", inputs={"silver_toys": {"unit": {"id": "id"}}})


def reaches_its_units(project: Project) -> None:
    project.table("gold.toys", "silver_toys", "refresh", inputs={"silver.toys": {"unit": {"id": "id"}}})


def goes_through_no_input(project: Project) -> None:
    project.table("gold.toys", "silver_toys", "refresh", inputs={"silver.toys": {"through": "gold.a", "on": ["id"]}})


def goes_in_a_circle(project: Project) -> None:
    project.table(
        "gold.toys", "silver_toys", "refresh", inputs={"silver.toys": {"through": "silver.toys", "on": ["id"]}}
    )


def reads_what_is_no_table(project: Project) -> None:
    project.table("gold.toys", "sliver_toys")


def reads_a_table(project: Project) -> None:
    project.table("gold.toys", "silver_toys")


def joins_where_it_parses(project: Project) -> None:
    project.table("silver.toys", "bronze_toys, silver_others", "latest")


def joins_in_a_table_of_its_own(project: Project) -> None:
    project.table("silver.toys", "bronze_toys", "latest")
    project.table("silver.more", "silver_toys", "refresh")


def without_a_module(project: Project) -> None:
    project.without("gold/toys.py")


def without_a_build(project: Project) -> None:
    project.put("gold/toys.py", "LIMIT = 1\n")


def without_a_conf_file(project: Project) -> None:
    project.without("conf/shops.yml")


def says(shops: str) -> Callable[[Project], None]:
    return lambda project: project.put("conf/shops.yml", shops)


def accepts(rows: str, write: str = "latest", reads: str = "bronze_toys, conf_accepted") -> Callable[[Project], None]:
    def of_toys(project: Project) -> None:
        project.table("silver.toys", reads, write, rules={"ids": RULE})
        project.put("conf/accepted.yml", rows)

    return of_toys


def dumps(of: str) -> Callable[[Project], None]:
    source = SOURCE | {"files": ["shop_{id:int}/*.csv"]}

    def of_toys(project: Project) -> None:
        project.table("bronze.toys", "landing", "append", source=source)
        project.table(
            "silver.toys", "bronze_toys", "latest", full_dump={"of": [of]}, unit=["id", "line"], grain=["id", "line"]
        )

    return of_toys


def lets_go(**judging: object) -> Callable[[Project], None]:
    """Of what earlier rows are gone, by a table that holds deliveries against those before them."""

    def of_toys(project: Project) -> None:
        project.table("bronze.toys", "landing", "append", source=SOURCE, retention={"bronze": "9d"})
        project.table("silver.toys", "bronze_toys", "latest", **judging)

    return of_toys


def lets_rows_go_that_count(project: Project) -> None:
    lets_go()(project)
    project.table("gold.more", "bronze_toys", "replace")


def lets_nothing_go(project: Project) -> None:
    lets_rows_go_that_count(project)
    project.table("bronze.toys", "landing", "append", source=SOURCE)


def asks(**of_the_other: object) -> Callable[[Project], None]:
    """Two tables are fetched from one host, the first one five times a second."""
    api = {"base_url": "https://toys.example/v1", "paging": {"by": "link"}, "rate": "5/s"}

    def of_toys(project: Project) -> None:
        for name, more in (("bronze.more", {}), ("bronze.toys", of_the_other)):
            project.table(name, "landing", "append", source={"format": "json", "api": api | more})

    return of_toys


WEDDING = "- {table: silver.toys, rule: ids, key: {id: 7}, why: a wedding}"
SHOPS = says("- {shop: '1', rate: 1.0}\n- {shop: '2', rate: 2.5}\n")
PROJECTS: tuple[tuple[Callable[[Project], None], str, Callable[[Project], None]], ...] = (
    (without_a_contract, "gold.toys reads silver.toys, which has no contract. Change gold/toys.py", with_its_contract),
    (checks_what_it_does_not_read, "does not read bronze.toys, so ids cannot check it. Change", reads_what_it_checks),
    (reads_in_a_circle, "These tables read each other in a circle: gold.", reads_no_circle),
    (reads_one_source_twice, "all read bronze.toys; exactly one of them must have a `score:`", accounts_once),
    (reaches_no_unit, "its inputs do not reach its units: silver_toys is no input. Change", reaches_its_units),
    (goes_through_no_input, "silver.toys goes through gold.a, which is no input", reaches_its_units),
    (goes_in_a_circle, "silver.toys -> silver.toys is a circle", reaches_its_units),
    (reads_what_is_no_table, "build() reads sliver.toys, which can be no table. Its parameters are", reads_a_table),
    (joins_where_it_parses, "is written `latest`, so its build() reads one bronze table", joins_in_a_table_of_its_own),
    (without_a_module, "conf/gold/toys.yml has no module gold/toys.py. Write it, with a build().", reads_a_table),
    (without_a_build, "gold/toys.py has no build(). Write it: its parameters are the tables it reads", reads_a_table),
    (without_a_conf_file, "A build() has the parameter conf_shops, but there is no ", SHOPS),
    (says("- {shop: ["), "conf/shops.yml is not YAML: while parsing", SHOPS),
    (says("shop: 1"), "must be a list of mappings that all have the same keys.", SHOPS),
    (says("- {shop: 1, rate: 1}\n- {shop: x, rate: 2}"), "all values of shop must be of one type, and are int", SHOPS),
    (
        dumps("line"),
        "conf/silver/toys.yml: full_dump.of: line does not stand as {line:int} in all paths of its source: shop_{id",
        dumps("id"),
    ),
    (
        lets_go(identity={"columns": ["line"], "on_change": "reject"}),
        "conf/bronze/toys.yml: retention.bronze cannot be, because of silver.toys: `identity:` rejects what is another",
        lets_go(identity={"columns": ["line"]}),
    ),
    (
        lets_rows_go_that_count,
        "because of gold.more: it is not written `latest`, so each row counts, and would be another table once",
        lets_nothing_go,
    ),
    (
        asks(base_url="https://toys.example/v2", rate="60/m", burst=9),
        "more and bronze.toys ask https://toys.example at different rates: 5/s with bursts of 5 and 1/s with bursts of",
        asks(rate="5/s"),
    ),
    (asks(rate="1/s"), "or, where it has a limit of its own for some", asks(rate="1/s", limit="of toys")),
    (
        accepts("- {table: silver.toys, rule: ids, key: {id: 7}}"),
        "0.why: is missing\nIts rows have `table:`, `rule:`, `why:`, and `key:` or `file:`",
        accepts(WEDDING),
    ),
    (
        accepts(WEDDING.replace("key: {id: 7}, ", "")),
        "either `key:`, of columns and their values, or `file:` says what is accepted",
        accepts(WEDDING),
    ),
    (accepts(WEDDING.replace("toys", "tois")), "there is no table silver.tois. Correct that row or", accepts(WEDDING)),
    (accepts(WEDDING.replace("ids", "id")), "silver.toys has no rule id. Correct that row or take it out", accepts("")),
    (
        accepts(WEDDING.replace("id: 7", "line: 7")),
        "a row of silver.toys is named by id, not by line=7. Correct that row",
        accepts(WEDDING),
    ),
    (
        accepts(WEDDING, reads="bronze_toys"),
        "of silver.toys no row is accepted by itself, since its build() has no parameter conf_accepted: deliver it",
        accepts(""),
    ),
    (
        accepts(WEDDING.replace("id: 7", "_file: kafka/toys/0, _row: one"), "deduplicate", "bronze_toys"),
        "a row of silver.toys is named by its _row, an offset, and one is none. Correct that row",
        accepts(WEDDING.replace("id: 7", "_file: kafka/toys/0, _row: 1"), "deduplicate", "bronze_toys"),
    ),
    (
        accepts(WEDDING.replace("key: {id: 7}", "file: a.csv")),
        "silver.toys rejects no file by ids; by identity_is_kept it does where its `identity:` has",
        accepts(WEDDING),
    ),
    (
        says("- {shop: 1, valid_from: 2022-02-01}"),
        "of shop 1 one row must have no valid_from, which holds from the beginning, and others each a day of its own",
        says("- {shop: 1}\n- {shop: 1, valid_from: 2022-02-01}"),
    ),
)


@pytest.mark.parametrize(("wrong", "words", "mended"), PROJECTS, ids=[words for _, words, _ in PROJECTS])
def test_a_project_is_right_when_it_is_changed_as_the_words_say(
    project: Project, wrong: Callable[[Project], None], words: str, mended: Callable[[Project], None]
) -> None:
    assert "gold.toys" in graph.load(project.home)
    wrong(project)
    with pytest.raises(LakehouseError) as refused:
        graph.load(project.home)
    assert words in str(refused.value)
    mended(project)
    assert "gold.toys" in graph.load(project.home)


def test_a_table_that_needs_what_is_not_installed_is_imported_when_it_is(project: Project) -> None:
    project.put("gold/toys.py", "import toys_of_tomorrow\n\n\ndef build(silver_toys):\n    return 1\n")
    with pytest.raises(LakehouseError, match=r"gold/toys\.py needs toys_of_tomorrow, which is not installed\."):
        _ = graph.load(project.home)["gold.toys"].build
    project.put("toys_of_tomorrow.py", "")
    sys.path.insert(0, str(project.home))
    try:
        assert graph.load(project.home)["gold.toys"].build.__name__ == "build"
    finally:
        sys.path.remove(str(project.home))
        del sys.modules["toys_of_tomorrow"]


def test_a_table_that_is_not_there_is_named_with_those_that_are(project: Project) -> None:
    tables = graph.load(project.home)
    with pytest.raises(LakehouseError, match=r"There is no table gold\.tois\. There are: (?P<names>.*)\.$") as refused:
        graph.selected(tables, ["gold.tois"])
    known = str(refused.value).partition("There are: ")[2].removesuffix(".").split(", ")
    assert list(graph.selected(tables, known)) == known == list(tables)

"""A contract that is not right is an error in words: every file and every key that is wrong, all at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lakehouse import conf, contract
from lakehouse.errors import LakehouseError

CONF = Path(__file__).parents[2] / "conf"


def a_promise(**changed: object) -> dict[str, Any]:
    """A right contract of a table written `latest`; None takes a key out."""
    promise = {
        "owner": "tests",
        "description": "one row per line",
        "write": "latest",
        "grain": ["order_id", "line_number"],
        "unit": ["order_id"],
        "columns": {
            "order_id": {"type": "bigint", "from": "order_id", "meaning": "the order"},
            "line_number": {"type": "int", "meaning": "place in the order"},
        },
    } | changed
    return {key: value for key, value in promise.items() if value is not None}


def a_column(**changed: object) -> dict[str, object]:
    return {"type": "int", "meaning": "a number"} | changed


def a_rule(**changed: object) -> dict[str, object]:
    return {"check": "order_id > 0", "severity": "warn", "why": "ids are counted"} | changed


def write(conf: Path, name: str, promise: object) -> Path:
    """As `silver.lines`, into conf/silver/lines.yml; text is written as it is."""
    path = conf / f"{name.replace('.', '/')}.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(promise if isinstance(promise, str) else yaml.safe_dump(promise), encoding="utf-8")
    return path


def complaint(conf: Path, promise: object) -> str:
    """What a user reads about silver.lines, after the name of the file."""
    path = write(conf, "silver.lines", promise)
    with pytest.raises(LakehouseError) as refused:
        contract.load(conf)
    head, _, rest = str(refused.value).partition(f"{path}: ")
    assert head == "These contracts are not right:\n  "
    return rest


def test_all_contracts_of_this_project_load() -> None:
    files = [path for layer in contract.LAYERS for path in (CONF / layer).glob("*.yml")]
    loaded = contract.load(CONF)
    assert set(loaded) == {f"{path.parent.name}.{path.stem}" for path in files}
    assert {"bronze.orders", "silver.order_lines", "gold.daily_sales"} <= set(loaded)


def test_a_right_contract_is_an_object(tmp_path: Path) -> None:
    write(tmp_path, "silver.lines", a_promise())
    lines = contract.load(tmp_path)["silver.lines"]
    assert lines.grain == ("order_id", "line_number")
    assert lines.columns["order_id"].source == "order_id"
    assert not lines.unit_is_one_row


def test_an_unknown_key_is_refused_by_its_name(tmp_path: Path) -> None:
    words = complaint(tmp_path, a_promise(onwer="tests"))
    assert words == "onwer: is not a known key; take it out or correct its spelling"


def test_an_unknown_key_of_a_column_and_of_a_rule_is_named_with_its_place(tmp_path: Path) -> None:
    promise = a_promise(rules={"ids_count": a_rule(wyh="x")})
    promise["columns"]["line_number"]["requried"] = True
    words = complaint(tmp_path, promise)
    assert "columns.line_number.requried: is not a known key" in words
    assert "rules.ids_count.wyh: is not a known key" in words


def test_an_unknown_type_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    columns = {"order_id": a_column(type="varchar"), "line_number": a_column()}
    words = complaint(tmp_path, a_promise(columns=columns))
    assert words.startswith("columns.order_id.type: unknown type 'varchar'; known are boolean, int, bigint, double,")


@pytest.mark.parametrize("key", ["owner", "description", "write", "grain", "columns"])
def test_what_every_contract_needs_is_missed(tmp_path: Path, key: str) -> None:
    assert complaint(tmp_path, a_promise(**{key: None})) == f"{key}: is missing"


def test_a_column_without_a_meaning_and_a_rule_without_a_reason_are_missed(tmp_path: Path) -> None:
    promise = a_promise(rules={"ids_count": {"check": "order_id > 0", "severity": "warn"}})
    promise["columns"]["line_number"] = {"type": "int"}
    words = complaint(tmp_path, promise)
    assert "columns.line_number.meaning: is missing" in words
    assert "rules.ids_count.why: is missing" in words


def test_only_a_table_written_latest_rejects(tmp_path: Path) -> None:
    columns = {"order_id": a_column(), "line_number": a_column()}
    promise = a_promise(write="refresh", columns=columns, rules={"ids_count": a_rule(severity="reject")})
    assert "rules.ids_count.severity: only `write: latest` and `write: deduplicate`" in complaint(tmp_path, promise)
    write(tmp_path, "silver.lines", promise | {"write": "latest"})
    assert contract.load(tmp_path)["silver.lines"].rules["ids_count"].severity == "reject"


def test_only_a_rule_of_a_computed_table_names_its_rows(tmp_path: Path) -> None:
    columns = {"order_id": a_column(), "line_number": a_column()}
    promise = a_promise(write="latest", columns=columns, rules={"ids_count": a_rule(says="order_id")})
    assert "rules.ids_count.says: goes with `write: refresh` and `write: replace`" in complaint(tmp_path, promise)
    write(tmp_path, "silver.lines", promise | {"write": "refresh"})
    assert contract.load(tmp_path)["silver.lines"].rules["ids_count"].says == "order_id"


def test_a_unit_is_a_part_of_the_grain_and_made_of_columns(tmp_path: Path) -> None:
    promise = a_promise(grain=["order_id"], unit=["line_number"])
    assert complaint(tmp_path, promise) == "unit: must be part of the grain"
    assert "unit: 'shop' is not one of its columns" in complaint(tmp_path, a_promise(unit=["shop"]))


@pytest.mark.parametrize("key", ["grain", "partition_by"])
def test_what_names_columns_names_its_own(tmp_path: Path, key: str) -> None:
    assert f"{key}: 'shop' is not one of its columns" in complaint(tmp_path, a_promise(**{key: ["order_id", "shop"]}))


@pytest.mark.parametrize("name", ["Order ID", "orderId", "_order", "order-id"])
def test_column_and_rule_names_are_in_snake_case(tmp_path: Path, name: str) -> None:
    promise = a_promise(rules={name: a_rule()})
    promise["columns"][name] = a_column()
    words = complaint(tmp_path, promise)
    assert words.count(f"{name!r} is not a name in snake_case") == 2


@pytest.mark.parametrize("name", ["2nd", "stück"])
def test_a_delivered_column_is_named_in_any_script_and_one_of_silver_in_snake_case(tmp_path: Path, name: str) -> None:
    columns = {"order_id": a_column(), name: a_column()}
    words = complaint(tmp_path, a_promise(columns=columns, grain=["order_id"], unit=["order_id"]))
    assert f"columns.{name}: is not a name in snake_case" in words
    delivered = {"owner": "tests", "description": "rows", "write": "append", "grain": ["_file"], "columns": columns}
    contract.Contract.model_validate(delivered | {"source": {"files": ["*.csv"], "format": "csv"}})


def test_a_draft_names_what_is_still_to_be_written() -> None:
    columns = {"order_id": {"type": "int", "meaning": "TODO: Order ID"}, "total": {"type": "int", "meaning": "Total"}}
    promise = a_promise(owner="TODO: who", columns=columns, grain=["order_id"], unit=["order_id"])
    assert contract.Contract.model_validate(promise).to_write == ("owner", "columns.order_id.meaning")


def test_position_and_from_go_with_latest(tmp_path: Path) -> None:
    words = complaint(tmp_path, a_promise(write="refresh", position="line_number"))
    assert "position: goes with `write: latest`" in words
    assert "columns.order_id.from: goes with `write: latest`" in words


def test_a_unit_is_needed_where_units_are_written_and_refused_elsewhere(tmp_path: Path) -> None:
    columns = {"order_id": a_column(), "line_number": a_column()}
    for promise in (a_promise(unit=None), a_promise(write="replace", columns=columns)):
        words = "unit: goes with `write: latest` and `write: refresh`, and is needed there"
        assert complaint(tmp_path, promise) == words


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"preamble": -1}, "preamble"),
        ({"preamble": 1001}, "preamble"),
        ({"preamble": "("}, "'(' is no pattern"),
        ({"footer": "Total["}, "'Total[' is no pattern"),
        ({"footer": ".*"}, "'.*' fits any line, rows too; say what its lines begin with, as `Total,.*`"),
        ({"preamble": "[^x]*"}, "'[^x]*' fits any line"),
        ({"format": "json", "footer": "Total.*"}, "preamble and footer: go with `format: csv`"),
        ({"format": "parquet", "preamble": 1}, "preamble and footer: go with `format: csv`"),
        ({"rows": "data"}, "rows: goes with `format: json`, of which it is a part"),
        ({"sheet": "Orders"}, "sheet and skip_rows: go with `format: spreadsheet`"),
        ({"format": "spreadsheet", "sheet": 0}, "sheet"),
    ],
)
def test_what_stands_around_rows_is_lines_or_patterns_of_a_csv(
    tmp_path: Path, source: dict[str, object], words: str
) -> None:
    whole = {"files": ["*.csv"], "format": "csv"} | source
    assert words in complaint(tmp_path, a_promise(write="append", unit=None, source=whole))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({}, "files: is missing; or say by `api:` or `database:` where they are fetched from"),
        ({"api": {}, "database": {}}, "api, database: a table is fetched from one of them"),
        ({"api": {"every": "1y"}}, "'1y' is no span of time; write it as 90s, 15m, 6h or 2d"),
    ],
)
def test_a_source_is_dropped_or_fetched_from_one_place_at_a_rhythm(
    tmp_path: Path, source: dict[str, object], words: str
) -> None:
    assert words in complaint(tmp_path, a_promise(write="append", unit=None, source={"format": "csv"} | source))


def test_the_last_of_a_grain_counts_where_the_grain_is_delivered(tmp_path: Path) -> None:
    words = "repeats: last goes by the grain as it was delivered, of which `position` is no part"
    promise = a_promise(repeats="last", position="line_number")
    assert complaint(tmp_path, promise) == words
    write(tmp_path, "silver.lines", promise | {"position": None})
    assert contract.load(tmp_path)["silver.lines"].repeats == "last"


def test_a_source_goes_with_append(tmp_path: Path) -> None:
    source = {"files": ["*.csv"], "format": "csv"}
    words = "source: goes with `write: append`, and is needed there"
    assert complaint(tmp_path, a_promise(source=source)) == words
    columns = {"order_id": a_column(type="string")}
    append = a_promise(write="append", unit=None, grain=["_file", "_row"], columns=columns)
    assert complaint(tmp_path, append) == words
    write(tmp_path, "silver.lines", append | {"source": source})
    assert contract.load(tmp_path)["silver.lines"].source is not None


def test_what_is_not_yaml_is_named_with_its_place(tmp_path: Path) -> None:
    words = complaint(tmp_path, "owner: [tests\ngrain: x")
    assert words.startswith("is not YAML:")
    assert "line 2, column 6" in words
    assert "\n" not in words


def test_an_empty_file_is_no_contract(tmp_path: Path) -> None:
    assert complaint(tmp_path, "").startswith("Input should be a valid dictionary")


def test_everything_that_is_wrong_in_all_files_is_one_error(tmp_path: Path) -> None:
    write(tmp_path, "gold.right", a_promise())
    columns = {"order_id": a_column(type="text"), "line_number": a_column()}
    lines = write(tmp_path, "silver.lines", a_promise(onwer="x", columns=columns))
    sales = write(tmp_path, "gold.sales", a_promise(owner=None))
    torn = write(tmp_path, "bronze.torn", "{")
    with pytest.raises(LakehouseError) as refused:
        contract.load(tmp_path)
    found = [line.strip().partition(": ")[0] for line in str(refused.value).splitlines()[1:]]
    assert found == [str(torn), str(lines), str(lines), str(sales)]


def test_words_for_people_are_no_part_of_the_definition() -> None:
    promise = a_promise(rules={"ids_count": a_rule()})
    other = a_promise(owner="others", description="other words", rules={"ids_count": a_rule(why="other words")})
    other["columns"]["order_id"]["meaning"] = "other words"
    before, after = (contract.Contract.model_validate(one).definition() for one in (promise, other))
    assert before == after


def test_the_settings_are_as_strict_as_contracts(tmp_path: Path) -> None:
    write(tmp_path, "lake", {"root": "lake", "landnig": "exports"})
    with pytest.raises(LakehouseError) as refused:
        conf.settings(tmp_path)
    path = tmp_path / "lake.yml"
    assert f"{path}: landing: is missing" in str(refused.value)
    assert f"{path}: landnig: is not a known key" in str(refused.value)


@pytest.mark.parametrize("text", ["root: [", None])
def test_settings_that_are_missing_or_not_yaml_are_an_error_on_purpose(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        write(tmp_path, "lake", text)
    with pytest.raises(LakehouseError, match=r"lake\.yml"):
        conf.settings(tmp_path)


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    text = yaml.safe_dump(a_promise(), sort_keys=False)
    assert "order_id" in complaint(tmp_path, text + "  order_id: {type: string, meaning: the second one wins}\n")


@pytest.mark.parametrize("kind", ["decimal(60,2)", "decimal(2,5)"])
def test_a_decimal_that_spark_does_not_know_is_refused(tmp_path: Path, kind: str) -> None:
    columns = {"order_id": a_column(type=kind), "line_number": a_column()}
    assert "columns.order_id.type: " in complaint(tmp_path, a_promise(columns=columns))


def test_a_contract_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "silver.lines", "")
    path.write_bytes(b"owner: \xff")
    with pytest.raises(LakehouseError, match=r"lines\.yml"):
        contract.load(tmp_path)


@pytest.mark.parametrize(("text", "value"), [("on", "on"), ("NO", "NO"), ("yes", "yes"), ("true", True)])
def test_only_true_and_false_are_truths_and_norway_is_a_country(text: str, value: object) -> None:
    assert conf.parse(f"{text}: {text}") == {value: value}


def test_a_way_to_the_units_is_either_sql_or_through_another_input() -> None:
    both = {"unit": {"order_id": "id"}, "through": "silver.orders", "on": ["order_id"]}
    promise = a_promise(write="refresh", inputs={"silver.lines": both})
    promise["columns"] = {name: {"type": "int", "meaning": "a number"} for name in ("order_id", "line_number")}
    with pytest.raises(ValueError, match="either `unit` with SQL"):
        contract.Contract.model_validate(promise)


def test_days_go_by_the_one_date_of_the_unit_and_with_no_sums_that_must_agree() -> None:
    promise = a_promise(write="refresh", grain=["order_id", "order_date"], unit=["order_id", "order_date"])
    promise["inputs"] = {"silver.lines": {"days": [-1, 1]}}
    promise["columns"] = {"order_id": {"type": "int", "meaning": "a number"}}
    with pytest.raises(ValueError, match="must have one column of type date, and has none"):
        contract.Contract.model_validate(promise)
    promise["columns"]["order_date"] = {"type": "date", "meaning": "a day"}
    found = contract.Contract.model_validate(promise)
    assert (found.day, found.reads_other_days) == ("order_date", True)
    sums = {"agrees_with": "silver.lines", "this": "count(*)", "that": "count(*)", "severity": "stop", "why": "it is"}
    with pytest.raises(ValueError, match="belongs to units of several days"):
        contract.Contract.model_validate(promise | {"checks": {"same": sums}})
    with pytest.raises(ValueError, match="is after the last"):
        contract.Contract.model_validate(promise | {"inputs": {"silver.lines": {"days": [1, -1]}}})

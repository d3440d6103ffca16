"""What a draft of a source says of its file, and where it stops."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lakehouse import conf, contract
from lakehouse.conf import HOME
from lakehouse.contract import Contract
from lakehouse.errors import LakehouseError
from lakehouse.scaffold import files, source
from tests.corpus import made
from tests.lakehouse.scaffold import exports

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@pytest.fixture(scope="module")
def contracts() -> Mapping[str, Contract]:
    return contract.load(HOME / "conf")


def drafted(path: Path, **where: str) -> source.Draft:
    return source.draft(path, where.pop("landing", ""), {}, "bronze.web_rows", **where)


def contracts_of(path: Path, text: str | bytes, **where: str) -> str:
    """Both contracts of the draft of a file of this text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    made = drafted(path, **where).files
    return "\n".join(made[f"conf/{layer}/web_rows.yml"] for layer in ("bronze", "silver"))


def test_evidence_stands_where_it_is_judged(tmp_path: Path) -> None:
    made = drafted(exports.german(tmp_path)).files
    for words in (
        "encoding: windows-1252  # it is no UTF-8: its first word that is no UTF-8 reads 'Größe' so",
        'blank: ["", "k.A."]',
        '"stückzahl": {type: string',
    ):
        assert words in made["conf/bronze/web_rows.yml"]
    for words in (
        "# 1 of 25 rows is no date, and rejected: row 25 '31.02.2024'",
        "# guessed: digits, but '00001' would lose its zeros as a number",
        "# found: 13 values of bestellung_nr in 25 different rows",
        "# the same in all rows of a document: einzelpreis, bestelldatum, bezahlt",
        '  stueckzahl: {type: int, from: "stückzahl"',
        'gesamt_is_stueckzahl_times_einzelpreis: {check: "gesamt = stueckzahl * einzelpreis"',
    ):
        assert words in made["conf/silver/web_rows.yml"]
    assert 'written_number("gesamt", 18, 2, ",").alias("gesamt"),' in made["silver/web_rows.py"]


def test_a_page_of_an_api_has_its_rows_in_its_only_array_of_objects(tmp_path: Path) -> None:
    rows = [{"id": number, "tags": ["a"]} for number in range(3)]
    page = json.dumps({"next": None, "found": {"data": rows, "by": [1]}})
    said = contracts_of(tmp_path / "page.json", page)
    assert 'rows: "found.data"  # where' in said
    assert "  id: {type: string, meaning" in said
    for others in (f"{json.dumps(rows[0])}\n{page}", json.dumps({"data": rows, "errors": rows})):
        assert "rows:" not in contracts_of(tmp_path / "page.json", others)


def test_facts_that_stand_on_a_documents_first_row_are_told(tmp_path: Path) -> None:
    made = drafted(exports.shop(tmp_path)).files["conf/silver/web_rows.yml"]
    assert "# on the first row of a document alone: email, created_at, total" in made
    assert "unit: [name]" in made
    assert "position: line_number" in made


def test_no_draft_repeats_what_may_be_about_a_person(tmp_path: Path) -> None:
    made = "\n".join(
        [*drafted(exports.shop(tmp_path)).files.values(), *drafted(exports.people(tmp_path)).files.values()]
    )
    assert "example.com" not in made
    assert "Anytown" not in made
    agents = "".join(f"{number},{('Ada', 'Bo')[number % 2]}\n" for number in range(9))
    assert "Ada" not in contracts_of(tmp_path / "a.csv", f"id,agent\n{agents}")
    assert "agent: {type: string, personal: true, " in contracts_of(tmp_path / "a.csv", f"id,agent\n{agents}")


def test_lines_before_the_header_and_rows_of_the_wrong_width_are_told(tmp_path: Path) -> None:
    text = "Report of March\n\nid,day\n1,2024-03-01\n2,2024-03-02\n3,2024-03-03,x\n"
    made = contracts_of(tmp_path / "a.csv", text)
    assert "preamble: 2  # lines before the header" in made
    assert "# 1 of 3 rows rejected by row_is_too_long: row 3" in made


def test_what_a_file_says_ends_no_comment_and_no_text(tmp_path: Path) -> None:
    contracts_of(tmp_path / "a.csv", 'id,"a"": ""b"\n1,"x\ny: {z"\n2,"x\ny: {z"\n3,soon\n')
    made = drafted(tmp_path / "a.csv").files["conf/silver/web_rows.yml"]
    assert Contract.model_validate(conf.parse(made)).columns["a_b"].meaning == 'TODO: a": "b'


def test_a_file_in_a_markets_folder_is_of_that_market(tmp_path: Path) -> None:
    path = tmp_path / "market_1" / "2022-01-05" / "Market 1 Returns.csv"
    made = contracts_of(path, "id,market\n1,EU\n2,EU\n", landing=str(tmp_path))
    assert '- "market_{market:int}/**/{date}/**/*Returns*.csv"' in made
    assert "unit: [market, id]" in made
    assert "  market_delivered: {type: string" in made


@pytest.mark.parametrize("name", ["Orders", "orders", "silver.orders", "bronze.Orders", "bronze.a b", "bronze.class"])
def test_a_name_is_of_small_letters_and_of_its_layer(tmp_path: Path, name: str) -> None:
    with pytest.raises(LakehouseError, match=f"{name!r} can be no table's name: it is bronze, a point, and at most 48"):
        source.draft(exports.shop(tmp_path), "", {}, name)
    assert source.draft(exports.shop(tmp_path), "", {}, "bronze.web_orders_2").silver == "silver.web_orders_2"


def test_a_name_that_nobody_gives_is_the_files(tmp_path: Path) -> None:
    path = exports.shop(tmp_path).rename(tmp_path / "Umsätze Übersee 2024-01-05.csv")
    assert source.draft(path, "", {}).bronze == "bronze.umsaetze_uebersee"


def test_nothing_that_is_there_is_written_over(tmp_path: Path) -> None:
    made = drafted(exports.shop(tmp_path)).files
    (tmp_path / "silver").mkdir()
    (tmp_path / "silver" / "web_rows.py").write_text("mine", encoding="utf-8")
    with pytest.raises(
        LakehouseError, match=r"^silver/web_rows.py is there, and nothing is written over what somebody"
    ):
        files.write(tmp_path, made)
    assert not (tmp_path / "conf").exists()
    (tmp_path / "silver" / "web_rows.py").rename(tmp_path / "mine.py")
    assert len(files.write(tmp_path, made)) == len(made) == 6


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read: No such file or directory. Name a file of rows."),
        ("", "has no rows, so it says nothing of its columns. Name a file with rows."),
        ("id,day\n", "has no rows, so it says nothing"),
        ("[]", "has no rows, so it says nothing"),
        ("%PDF-1.7", "is a PDF"),
        ("id,ID\n1,2\n", "has two columns that both fold to id"),
    ],
)
def test_a_file_is_read_where_a_run_could_read_it(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "a.csv"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(LakehouseError, match=words):
        drafted(path)
    path.write_text("id,day\n1,2024-03-01\n", encoding="utf-8")
    assert drafted(path).files


def test_a_file_that_another_source_takes_is_none_of_a_new_one(
    tmp_path: Path, contracts: Mapping[str, Contract]
) -> None:
    path = tmp_path / "market_1" / "2022-01-05" / "Orders.csv"
    path.parent.mkdir(parents=True)
    path.write_text("id,day\n1,2022-01-05\n", encoding="utf-8")
    with pytest.raises(LakehouseError, match="already, and rows that two sources load count twice"):
        source.draft(path, str(tmp_path), contracts)
    (tmp_path / "returned").mkdir()
    path = path.rename(tmp_path / "returned" / "Orders.csv")
    assert source.draft(path, str(tmp_path), contracts, "bronze.returned").files


@pytest.mark.slow
def test_a_file_whose_cells_have_types_is_drafted_with_its_format(tmp_path: Path) -> None:
    text = "id,day\n1,2024-03-01\n2,2024-03-02\n3,2024-03-03\n"
    assert "format: parquet\n" in contracts_of(tmp_path / "a.parquet", made.parquet(text))
    for lacking in ("python_calamine", "openpyxl"):
        pytest.importorskip(lacking, reason="workbooks are read by the extra [sources], and made by the group readers")
    drawn = contracts_of(tmp_path / "a.xlsx", made.xlsx(f"Report\n\n{text}"))
    assert "format: spreadsheet\n  preamble: 2  # lines before the header" in drawn
    assert "day: {type: date" in drawn

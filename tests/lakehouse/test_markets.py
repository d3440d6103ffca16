"""Facts of a market by which its texts are read are right, or the file that says them is told of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lakehouse import graph, markets
from lakehouse.errors import LakehouseError
from lakehouse.transforms import NEVER_TWICE, WRITE_ALIKE
from tests.regions import GERMANY, MARKETS, UNSAID

if TYPE_CHECKING:
    from pathlib import Path

WRONG = {
    "decimal_sign is one of '.', ',', not ';'": 'decimal_sign: ";"',
    f"date_format is one of {', '.join(map(repr, markets.CAN_BE[markets.DATE_FORMAT]))}, not 'd.M.yy'": (
        "date_format: d.M.yy"
    ),
    "with group_sign '.' it has a decimal_sign of its own; say it": 'group_sign: ".", decimal_sign: "."',
    "with group_sign ',' it has a decimal_sign of its own; say it": 'group_sign: ","',
    "there is no time zone Africa/Narobi; they are named as Africa/Nairobi": "time_zone: Africa/Narobi",
    "there is no time zone ../etc/passwd; they are named as Africa/Nairobi": "time_zone: ../etc/passwd",
}
RIGHT = '{market: 1, decimal_sign: ",", group_sign: ".", date_format: dd.MM.yyyy, time_zone: Africa/Nairobi}'


@pytest.mark.parametrize("said", WRONG)
def test_how_a_market_writes_is_right_when_it_is_written_as_the_words_say(tmp_path: Path, said: str) -> None:
    (tmp_path / "conf").mkdir()
    path = tmp_path / "conf/markets.yml"
    path.write_text(f"- {{market: 1, {WRONG[said]}}}\n")
    with pytest.raises(LakehouseError) as error:
        graph.conf_file(markets.NAME, tmp_path)
    assert str(error.value) == f"How markets write is not right:\n  {path}: market 1: {said}"
    path.write_text(f"- {RIGHT}\n")
    assert graph.conf_file(markets.NAME, tmp_path)[1][0][markets.DATE_FORMAT] == "dd.MM.yyyy"


def test_steps_that_no_market_needs_are_marked() -> None:
    here = graph.conf_file(markets.NAME)[1]
    assert [row.keys() - here[0].keys() for row in markets.marked(here)] == [{WRITE_ALIKE, NEVER_TWICE}] * 2
    for market, marks in {GERMANY: set(), UNSAID: {NEVER_TWICE}}.items():
        rows = [*here, *(row for row in MARKETS if row["market"] == market)]
        assert markets.marked(rows)[0].keys() - here[0].keys() == marks

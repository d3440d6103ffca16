"""An API as a contract describes it: what is wrong is said in words, and no word is a secret."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakehouse import contract
from lakehouse.errors import LakehouseError

HOW_TO = Path(__file__).parents[4] / "docs" / "how-to" / "api.md"
CANARY = "c4nary-of-a-secret"
API: dict[str, Any] = {
    "base_url": "https://api.example.com/v1",
    "auth": {"bearer": "SALES_API_KEY"},
    "paging": {"by": "cursor", "parameter": "cursor", "next": "next_cursor"},
    "window": {"since": "start_date", "until": "end_date", "first": "2024-01-01"},
}


def load(folder: Path, api: dict[str, Any]) -> contract.Source:
    columns = {"sale_id": {"type": "string", "meaning": "the sale"}}
    promise = {"owner": "tests", "description": "one row per sale", "write": "append", "grain": ["_file", "_row"]}
    path = folder / "bronze" / "sold.yml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(promise | {"columns": columns, "source": {"format": "json", "api": api}}))
    found = contract.load(folder)["bronze.sold"].source
    assert found is not None
    return found


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"auth": {"bearer": CANARY}}, "bearer: must be the name of an environment variable, as SALES_API_KEY, or a file"),
    ({"auth": {"header": "X-API-Key"}}, "auth: must be exactly one of: bearer, header with key, token_url with"),
    ({"auth": {}}, "auth: must be exactly one of: bearer, header with key, token_url with client_id and client_secret"),
    ({"base_url": f"https://me:{CANARY}@api.example.com"}, "must be an address such as https://api.example.com/v1"),
    ({"base_url": f"https://api.example.com?key={CANARY}"}, "must be an address such as https://api.example.com/v1"),
    ({"base_url": "http://api.example.com"}, "must begin with https: by http a key goes to api.example.com for all"),
    ({"rate": "5"}, "rate: '5' is no rate; write it as 5/s, 300/m or 10000/d"),
    ({"paging": {"by": "cursor", "parameter": "cursor"}}, "by: cursor goes with parameter, and next or header; keyset"),
    ({"paging": {"by": "keyset", "parameter": "after"}}, "keyset with parameter and column; page and offset with"),
    ({"paging": {"by": "link", "column": "id"}}, "page and offset with parameter; link alone or with next"),
    ({"window": {"since": "since", "until": "until"}}, "first: is needed with `until`: the day with which its data"),
    ({"window": {"since": "since", "at_most": "7d"}}, "at_most: goes with `until`, without which a window cannot end"),
]


@pytest.mark.parametrize(("wrong", "words"), WRONG)
def test_an_api_that_is_described_wrongly_is_said_in_words(tmp_path: Path, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(LakehouseError) as refused:
        load(tmp_path, API | wrong)
    assert words in str(refused.value)
    assert CANARY not in str(refused.value)
    assert load(tmp_path, API).api is not None


@pytest.mark.parametrize(("said", "rate"), [("5/s", 5.0), ("300/m", 5.0), ("3600/h", 1.0), ("86400/d", 1.0)])
def test_a_rate_is_a_seconds(tmp_path: Path, said: str, rate: float) -> None:
    api = load(tmp_path, API | {"rate": said, "patience": "90s"}).api
    assert api is not None
    assert (api.rate, api.patience) == (rate, timedelta(seconds=90))


def test_the_example_of_the_docs_is_a_contract(tmp_path: Path) -> None:
    fence = HOW_TO.read_text(encoding="utf-8").split("```yaml")[1].split("```")[0]
    source = yaml.safe_load(fence)["source"]
    found = load(tmp_path, source.pop("api"))
    assert found.api is not None
    assert found.api.window is not None
    assert found.api.named_by == "SALES_API_URL"

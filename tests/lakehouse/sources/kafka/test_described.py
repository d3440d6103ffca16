from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from lakehouse import contract
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "c4nary-of-a-secret"
KAFKA: dict[str, Any] = {"topic": "events", "servers": "KAFKA_SERVERS"}
SOURCE: dict[str, Any] = {"format": "json", "kafka": KAFKA}


def load(folder: Path, source: dict[str, Any]) -> contract.Source:
    columns = {"sku": {"type": "string", "meaning": "the product"}}
    promise = {"owner": "tests", "description": "one row per event", "write": "append", "grain": ["_file", "_row"]}
    path = folder / "bronze" / "seen.yml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(promise | {"columns": columns, "source": source}))
    found = contract.load(folder)["bronze.seen"].source
    assert found is not None
    return found


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"files": ["*.json"]}, "files: not beside `kafka:`, whose messages are no files"),
    ({"format": "csv"}, "format: of `kafka:` must be json, which its messages are"),
    ({"kafka": KAFKA | {"topic": "a b"}}, "'a b' is no name of a topic: letters, digits, point, _ and -"),
    ({"kafka": KAFKA | {"servers": f"me:{CANARY}@b:9092"}}, "must be the name of an environment variable that ends in"),
    ({"kafka": KAFKA | {"start": "noon"}}, "'noon' is no start; write earliest, latest, or a time as 2026-01-31T00"),
    (
        {"kafka": KAFKA | {"lost": [{"partition": 0, "first": 5, "next": 5, "why": "gone"}]}},
        "next: is the offset behind the last that is lost, so more than `first`",
    ),
]


@pytest.mark.parametrize(("wrong", "words"), WRONG)
def test_a_topic_that_is_described_wrongly_is_said_in_words(tmp_path: Path, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(LakehouseError) as refused:
        load(tmp_path, SOURCE | wrong)
    assert words in str(refused.value)
    assert CANARY not in str(refused.value)
    assert load(tmp_path, SOURCE).kafka is not None


def test_a_topic_is_read_from_a_time_on(tmp_path: Path) -> None:
    kafka = load(tmp_path, SOURCE | {"kafka": KAFKA | {"start": "2026-01-31T00:00:00"}}).kafka
    assert kafka is not None
    assert (kafka.start, kafka.prefix) == (datetime(2026, 1, 31, tzinfo=UTC), "KAFKA_")

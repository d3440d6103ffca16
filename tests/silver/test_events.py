"""What becomes of a message: a row of silver.events, a row of its quarantine with the rules it breaks, or neither."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from lakehouse.errors import LakehouseError
from lakehouse.serving import quarantine
from tests.events import SILVER, Events, an_event

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.native.engine import Native
    from lakehouse.graph import Table

NOWHERE = "neither"
WRONG_TIME = ["event_datetime_is_readable"]
Verdict = dict[str, Any] | list[str] | str
VERDICTS: dict[str, tuple[bytes | None, Verdict]] = {
    "a right event is typed": (
        an_event(product_name="Shoe", sku="S-1"),
        {"event_name": "view", "user_id": "u1", "platform": "web", "product_name": "Shoe", "sku": "S-1"},
    ),
    "a field that is not there is null": (
        b'{"event_datetime": "2026-11-10T12:00:00Z"}',
        dict.fromkeys(["event_id", "event_name", "user_id", "platform", "product_name", "sku"]),
    ),
    "a field that is null is null": (an_event(user_id=None), {"user_id": None}),
    "blanks are no value": (an_event(user_id=" ", sku="-", platform="null"), {"user_id": None, "platform": None}),
    "a number may name a user": (an_event(user_id=42), {"user_id": "42"}),
    "a field that nobody knows is left out": (an_event(more={"deep": [1]}), {"event_name": "view"}),
    "a product may be called so": (an_event(product_name="[new] Shoe"), {"product_name": "[new] Shoe"}),
    "an instant is one of UTC": (an_event("2026-11-10T01:00:00+02:00"), {"event_date": date(2026, 11, 9)}),
    "a blank may stand for T": (an_event("2026-11-10 11:00:00.5Z"), {"event_date": date(2026, 11, 10)}),
    "an hour of 30 days ago counts": (an_event("2026-10-11T12:00:00Z"), {"event_date": date(2026, 10, 11)}),
    "a clock may be fast": (an_event("2026-11-10T12:15:00Z"), {"event_date": date(2026, 11, 10)}),
    "a time before that is wrong": (an_event("2026-10-11T11:59:59Z"), ["event_datetime_is_possible"]),
    "a time to come is wrong": (an_event("2026-11-10T12:15:01Z"), ["event_datetime_is_possible"]),
    "the year 1 is wrong": (an_event("0001-01-01T00:00:00Z"), ["event_datetime_is_possible"]),
    "a time without a zone is none": (an_event("2026-11-10T12:00:00"), WRONG_TIME),
    "a time to the minute is none": (an_event("2026-11-10T12:00Z"), WRONG_TIME),
    "a day is no time": (an_event("2026-11-10"), WRONG_TIME),
    "a day that there is not": (an_event("2026-02-30T12:00:00Z"), WRONG_TIME),
    "a number of seconds is no time": (an_event(event_datetime=1_794_312_000), WRONG_TIME),
    "a list is no time": (an_event(event_datetime=["2026-11-10T12:00:00Z"]), WRONG_TIME),
    "an event has a time": (an_event(event_datetime=None), ["event_datetime_is_present"]),
    "an event that nobody knows": (an_event(event_name="buy"), ["event_name_is_known"]),
    "names are small": (an_event(event_name="View"), ["event_name_is_known"]),
    "a number is no event": (an_event(event_name=7), ["event_name_is_known"]),
    "an object is no user": (an_event(user_id={"id": 1}), ["fields_are_values"]),
    "a list is no product's code": (an_event(sku=["S-1"]), ["fields_are_values"]),
    "an empty object": (b"{}", ["event_datetime_is_present"]),
    "a message without a value": (None, NOWHERE),
    "an empty message": (b"", ["object_is_not_json"]),
    "half an object": (an_event()[:-2], ["object_is_not_json"]),
    "a list of events": (b"[" + an_event() + b"]", ["element_is_no_object"]),
    "a text": (b'"view"', ["element_is_no_object"]),
    "no text at all": (b'{"event_name": "\xff"}', ["row_has_invalid_bytes"]),
    "a key that stands twice": (b'{"sku": "a", "sku": "b"}', ["object_repeats_a_key"]),
    "no number of JSON": (b'{"sku": NaN}', ["object_is_not_json"]),
}


@pytest.fixture(scope="module")
def lake(engine: Native, tmp_path_factory: pytest.TempPathFactory) -> Events:
    made = Events(tmp_path_factory.mktemp("events"), engine)
    # None repeats another's id, which is told by the tests of repeats.
    values = [
        value.replace(b'"e1"', b'"e%d"' % n) if value else value for n, (value, _) in enumerate(VERDICTS.values())
    ]
    made.arrive(*values)
    made.run()
    return made


@pytest.fixture(scope="module")
def verdicts(lake: Events, tables: dict[str, Table]) -> dict[str, Verdict]:
    columns = tuple(tables[SILVER].contract.columns)
    kept: dict[int, Verdict] = {
        row[0]: dict(zip(columns, row[1:], strict=True)) for row in lake.rows(SILVER, "_row", *columns)
    }
    wrong: dict[int, Verdict] = {row: rules for (_, row), rules in lake.rejected().items()}
    assert not kept.keys() & wrong.keys()
    found = kept | wrong
    return {sentence: found.get(place, NOWHERE) for place, sentence in enumerate(VERDICTS)}


@pytest.mark.parametrize("sentence", VERDICTS)
def test_a_message_is_an_event_or_stands_in_quarantine(verdicts: dict[str, Verdict], sentence: str) -> None:
    found, wanted = verdicts[sentence], VERDICTS[sentence][1]
    assert found == (found | wanted if isinstance(wanted, dict) and isinstance(found, dict) else wanted)


def test_every_rule_is_broken_by_some_message(lake: Events, tables: dict[str, Table]) -> None:
    broken = {rule for rules in lake.rejected().values() for rule in rules}
    rejecting = {name for name, rule in tables[SILVER].contract.rules.items() if rule.severity == "reject"}
    assert rejecting | {"event_datetime_is_readable", "event_datetime_is_present"} <= broken


def test_quarantine_has_what_was_sent(lake: Events) -> None:
    sent = dict(lake.rows(f"{SILVER}__rejected", "_row", "_value"))
    place = [*VERDICTS].index("no text at all")
    assert bytes(sent[place]) == VERDICTS["no text at all"][0]


def test_nobody_delivers_messages_again_as_files(lake: Events, tmp_path: Path) -> None:
    with pytest.raises(LakehouseError, match=r"which nobody delivers again as files. Let their sender send them again"):
        quarantine.export(lake.lake.root, lake.tables[SILVER], tmp_path / "fixed.csv")

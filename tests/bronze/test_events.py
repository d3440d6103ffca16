from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from lakehouse.delta.files import feed
from lakehouse.delta.tables import progress
from lakehouse.delta.tables.progress import Offsets
from lakehouse.delta.tables.types import arrow_schema
from lakehouse.intake.rows import messages
from lakehouse.proof import verify
from lakehouse.recovery import retention
from lakehouse.writes import append
from lakehouse.writes.lake import Lake
from tests.events import append_round

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engines.native.engine import Native
    from lakehouse.graph import Table
    from lakehouse.proof.sides import How

TABLE = "bronze.events"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
AN_EVENT = b'{"event_id": "a", "event_datetime": "2026-01-31T11:59:58Z", "event_name": "view", "user_id": 7}'
GIVEN: dict[str, list[object]] = {"partition": [0, 1], "offset": [3, 0], "time": [NOON] * 2, "key": [b"7", None]}
MESSAGES = pa.table(
    GIVEN | {"value": [AN_EVENT, b"broken"], "headers": ['{"trace": "x"}', None]},
    arrow_schema(dict(messages.OF_A_MESSAGE)),
)


def test_a_round_is_a_commit_that_says_up_to_where_it_goes(
    engine: Native, tables: dict[str, Table], tmp_path: Path
) -> None:
    lake, topic = Lake(str(tmp_path)), ("events", "kCcTKJEeTIG")
    first = append.Round(*topic, (Offsets(0, 3, 4), Offsets(1, 0, 1)), NOON)
    then = append.Round(*topic, (Offsets(0, 4, 9),), NOON)  # of which none was committed
    append_round(lake, engine, tables[TABLE], first, MESSAGES, "first")
    version = append_round(lake, engine, tables[TABLE], then, MESSAGES.slice(0, 0), "then")
    state = lake.state(TABLE)
    assert state
    assert state.progress
    assert state.progress.offsets == (Offsets(0, 3, 9), Offsets(1, 0, 1))
    rows = feed.read(lake.address(TABLE), version).to_pylist()
    assert [(one["_file"], one["_row"], one["_value"], one["_problem"]) for one in rows] == [
        ("kafka/events/0", 3, AN_EVENT, None),
        ("kafka/events/1", 0, b"broken", "object_is_not_json"),
    ]
    assert [rows[0][name] for name in ("event_name", "user_id", "platform", "_time", "_ingested_at")] == [
        "view", "7", None, NOON, NOON,
    ]  # fmt: skip


def test_messages_leave_bronze_by_their_age_the_first_ones_first(
    engine: Native, tables: dict[str, Table], tmp_path: Path
) -> None:
    """So that the first that is left says from where on bronze is whole; the table goes on from its end."""
    lake, table, now = Lake(str(tmp_path)), tables[TABLE], datetime.now(UTC)
    for offset, days in ((3, 9), (4, 8), (5, 3), (6, 9)):  # the last by a clock that went back
        rows = MESSAGES.slice(0, 1).set_column(1, "offset", pa.array([offset], pa.int64()))
        taken = append.Round("events", "an-id", (Offsets(0, offset, offset + 1),), now - timedelta(days=days))
        append_round(lake, engine, table, taken, rows, "run")
    before = lake.state(TABLE)
    assert before
    (told,) = retention.remove(lake.root, str(tmp_path), {TABLE: table}, {}, lambda: engine, dry_run=True)
    assert (told.rows, told.deliveries, lake.state(TABLE)) == (2, 2, before)
    assert retention.remove(lake.root, str(tmp_path), {TABLE: table}, {}, lambda: engine) == [told]
    after = lake.state(TABLE)
    assert after
    assert after.progress == replace(before.progress, base=before.version)  # type: ignore[type-var]  # it has one
    assert not progress.moved(lake.address(TABLE), before.version, after.version)
    assert [one["_row"] for one in feed.read(lake.address(TABLE), after.version).to_pylist()] == [5, 6]
    assert retention.remove(lake.root, str(tmp_path), {TABLE: table}, {}, lambda: engine) == []


@pytest.mark.slow
@pytest.mark.parametrize("how", ["whole", "since", "sample"])
def test_verify_reads_the_messages_again_that_stand_beside_what_was_read(
    engine: Native, tables: dict[str, Table], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: How
) -> None:
    lake, table, read = Lake(str(tmp_path)), tables[TABLE], messages.parsed
    taken = append.Round("events", "an-id", (Offsets(0, 3, 4), Offsets(1, 0, 1)), NOON)
    append_round(lake, engine, table, taken, MESSAGES, "right")
    (right,) = verify.verify(engine.name, lake, str(tmp_path), tables, [table], verify.Scope(how))
    monkeypatch.setattr(messages, "parsed", lambda *given: (read(*given)[0], *read(*given)[2:0:-1]))
    append_round(lake, engine, table, taken, MESSAGES, "wrong")
    monkeypatch.undo()
    (wrong,) = verify.verify(engine.name, lake, str(tmp_path), tables, [table], verify.Scope(how))
    assert [(one.reason, one.differing) for one in (right, wrong)] == [("", 0), ("", 1)]

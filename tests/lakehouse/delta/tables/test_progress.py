"""What a table's commits say it includes: which commits can be trusted, and which of them moved its rows."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from arro3.core import Array, DataType, Table
from deltalake import CommitProperties, DeltaTable, write_deltalake

from lakehouse.delta.commits import ops
from lakehouse.delta.tables import progress
from lakehouse.delta.tables.progress import Input, Progress
from lakehouse.errors import LakehouseError
from tests.logs import a_note, commit, deleted, rows, schema

if TYPE_CHECKING:
    from pathlib import Path

MAINTENANCE = ["OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES", "UNSET TBLPROPERTIES"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "orders"


def state(table: Path) -> progress.State:
    found = progress.state(str(table))
    assert found is not None
    return found


def moved(table: Path, since: int, now: int) -> bool:
    return progress.moved(str(table), since, now)


# what is written down


def test_progress_comes_back_as_it_was_written() -> None:
    note = a_note(41, {"silver.lines": Input(7, "one", 3), "conf.markets": Input("abc"), "ops/files": Input(-1)})
    assert Progress.from_json(note.to_json()) == note
    assert "\n" not in note.to_json()


@pytest.mark.parametrize("text", [None, "", "by hand", "{", "[1]", "1", "null", '{"airflow": {}}'])
def test_what_somebody_else_noted_is_no_progress(text: str | None) -> None:
    assert Progress.from_json(text) is None


@pytest.mark.parametrize("text", ['{"lakehouse": 5}', '{"lakehouse": {}}', '{"lakehouse": {"table": "silver.orders"}}'])
def test_a_note_without_its_parts_is_no_progress(text: str) -> None:
    assert Progress.from_json(text) is None


def test_a_note_says_its_format_who_computed_it_and_its_quarantine() -> None:
    note = replace(a_note(), engine="native 0.7.2", rejected=Input(3, "one"))
    stored = json.loads(note.to_json())["lakehouse"]
    assert (stored["format"], stored["engine"]) == (2, "native 0.7.2")
    assert stored["rejected"] == {"version": 3, "id": "one", "batch": None}
    assert Progress.from_json(note.to_json()) == note


def test_a_note_of_the_first_format_is_still_read() -> None:
    """It had no number, no engine and no quarantine."""
    first = {"table": "silver.orders", "run": "monday", "fingerprint": "definition", "base": 4}
    inputs = {"silver.lines": {"version": 7, "id": "one", "batch": 3}}
    note = Progress.from_json(json.dumps({"lakehouse": first | {"inputs": inputs}}))
    assert note == replace(a_note(4, {"silver.lines": Input(7, "one", 3)}), format=1)
    assert (note.engine, note.rejected) == ("", None)


def test_what_is_not_known_of_a_note_is_left_out() -> None:
    text = a_note(4, {"silver.lines": Input(7)}).to_json().replace('"base"', '"since": 1, "base"')
    text = text.replace('"batch"', '"day": 2, "batch"')
    assert Progress.from_json(text) == a_note(4, {"silver.lines": Input(7)})


def test_a_note_of_a_later_format_is_refused_in_words() -> None:
    words = r"silver\.orders was written by a later lakehouse \(its notes have format 3, this one knows 2\)\. Use that"
    with pytest.raises(LakehouseError, match=words):
        Progress.from_json(a_note().to_json().replace('"format":2', '"format":3'))


# where a table stands


def test_a_table_that_is_not_there_has_no_state(tmp_path: Path) -> None:
    assert progress.state(str(tmp_path / "nowhere")) is None
    assert ops.query(str(tmp_path / "nowhere"), "select * from t") == []


def test_the_newest_note_is_the_tables_progress(table: Path) -> None:
    commit(table, rows(), note=a_note(-1, run="monday"), table_id="seven")
    commit(table, rows(), note=a_note(0, run="tuesday"))
    assert state(table) == progress.State("seven", 1, a_note(0, run="tuesday"))


def test_an_older_version_has_the_progress_that_it_had(table: Path) -> None:
    commit(table, rows(), note=a_note(-1, run="monday"))
    commit(table, rows(data_change=False), operation="OPTIMIZE")
    commit(table, rows(), note=a_note(1, run="tuesday"))
    commit(table, rows(), operation="DELETE")
    *found, foreign, beyond = [progress.state(str(table), version) for version in range(5)]
    assert [one.progress.run for one in found if one and one.progress] == ["monday", "monday", "tuesday"]
    assert foreign == progress.State("one", 3, None, "somebody else's DELETE made version 3")
    assert beyond is None


@pytest.mark.parametrize("operation", MAINTENANCE)
def test_maintenance_after_the_note_is_walked_over(table: Path, operation: str) -> None:
    commit(table, rows(), note=a_note(-1))
    commit(table, rows(data_change=False), operation=operation)
    assert state(table) == progress.State("one", 1, a_note(-1))


def test_maintenance_that_inherited_a_note_is_its_progress(table: Path) -> None:
    commit(table, rows(), note=a_note(-1))
    commit(table, rows(data_change=False), operation="OPTIMIZE", note=a_note(-1))
    assert state(table).progress == a_note(-1)


def test_a_quarantine_is_ahead_only_by_turns_of_its_table(table: Path) -> None:
    def is_ahead(before: Input | None) -> bool:
        return progress.never_landed(str(table), "silver.orders", before, state(table))

    commit(table, rows(), note=a_note(-1))
    (table / "part-True.parquet").write_bytes(b"a row")
    named = Input(0, "one")
    assert (is_ahead(named), is_ahead(None)) == (False, True)
    commit(table, rows(data_change=False), operation="OPTIMIZE", note=a_note(-1))
    assert not is_ahead(named)
    commit(table, rows(path="more.parquet"), note=a_note(0))
    assert (is_ahead(named), is_ahead(Input(0, "another"))) == (True, False)
    commit(table, rows(path="theirs.parquet"))
    assert not is_ahead(named)


@pytest.mark.parametrize("operation", ["WRITE", "MERGE", "DELETE", "RESTORE", "ADD COLUMNS"])
def test_a_foreign_commit_makes_a_table_doubtful(table: Path, operation: str) -> None:
    commit(table, rows(), note=a_note(-1))
    commit(table, rows(path="theirs.parquet"), operation=operation)
    commit(table, operation="VACUUM END")
    assert state(table) == progress.State("one", 2, None, f"somebody else's {operation} made version 1")


@pytest.mark.parametrize("times", [1, 2])
def test_a_restore_of_a_version_of_ours_has_its_note(table: Path, times: int) -> None:
    commit(table, rows(), note=a_note(-1, run="monday"))
    commit(table, rows(path="more.parquet"), note=a_note(0, run="tuesday"))
    commit(table, deleted(), operation="DELETE")
    commit(table, rows(), operation="RESTORE")
    tuesday = progress.State("one", 3, a_note(0, run="tuesday"))
    assert state(table) == tuesday
    for _ in range(times):
        commit(table, deleted(path="more.parquet"), operation="RESTORE")
    assert state(table) == replace(tuesday, version=3 + times, progress=a_note(-1, run="monday"))


def test_a_restore_of_what_somebody_else_wrote_is_not_trusted(table: Path) -> None:
    commit(table, rows(), note=a_note(-1))
    commit(table, rows(path="theirs.parquet"), operation="WRITE")
    commit(table, deleted(path="theirs.parquet"), operation="RESTORE")
    commit(table, rows(path="theirs.parquet"), operation="RESTORE")
    assert state(table) == progress.State("one", 3, None, "somebody else's WRITE made version 1")


@pytest.mark.parametrize("operation", ["CHANGE COLUMN", "UPDATE TABLE METADATA", "SET TBLPROPERTIES", "anything"])
def test_somebody_elses_comment_or_property_is_harmless(table: Path, operation: str) -> None:
    commit(table, rows(), note=a_note(-1))
    commit(table, schema(comment="theirs"), operation=operation)
    assert state(table) == progress.State("one", 1, a_note(-1))
    assert not moved(table, 0, 1)
    commit(table, rows(path="more.parquet"), note=a_note(0))
    assert state(table).progress == a_note(0)


def test_a_foreign_note_makes_a_table_doubtful(table: Path) -> None:
    commit(table, rows(), note=a_note(-1))
    commit(table, rows(), note="by hand")
    assert state(table).doubt == "somebody else's WRITE made version 1"


def test_a_foreign_commit_between_reading_and_writing_makes_a_table_doubtful(table: Path) -> None:
    commit(table, rows(), note=a_note(-1))
    commit(table, rows(), operation="DELETE")
    commit(table, rows(), note=a_note(0, run="tuesday"))
    assert state(table) == progress.State("one", 2, None, "version 1 came between reading and writing version 2")


def test_another_runs_commit_between_reading_and_writing_makes_a_table_doubtful(table: Path) -> None:
    commit(table, rows(), note=a_note(-1))
    commit(table, rows(), note=a_note(0, run="one of two"))
    commit(table, rows(), note=a_note(0, run="two of two"))
    assert state(table).doubt == "version 1 came between reading and writing version 2"


def test_what_the_writer_had_read_is_not_between(table: Path) -> None:
    commit(table, rows(), operation="DELETE")
    commit(table, rows(), note=a_note(0))
    assert state(table).progress == a_note(0)


def test_maintenance_between_reading_and_writing_is_tolerated(table: Path) -> None:
    commit(table, rows(), note=a_note(-1))
    commit(table, rows(data_change=False), operation="OPTIMIZE")
    commit(table, rows(), note=a_note(0, run="tuesday"))
    assert state(table).progress == a_note(0, run="tuesday")


def test_earlier_commits_of_the_same_run_are_tolerated(table: Path) -> None:
    commit(table, rows(), note=a_note(-1))
    commit(table, deleted(), operation="MERGE", note=a_note(0, run="tuesday"))
    commit(table, rows(), note=a_note(0, run="tuesday"))
    assert state(table).progress == a_note(0, run="tuesday")


def test_a_deletion_that_carries_the_progress_from_before_is_tolerated(table: Path) -> None:
    """As lake.replace_units stamps it where units of many rows are gone: the old inputs first, the new last."""
    commit(table, rows(), note=a_note(-1, run="monday"))
    commit(table, deleted(), operation="MERGE", note=a_note(0, run="tuesday"))
    commit(table, rows(), note=a_note(0, run="tuesday"))
    assert state(table).progress == a_note(0, run="tuesday")


def test_commits_that_say_nothing_at_all_make_a_table_doubtful(table: Path) -> None:
    commit(table, operation="SET TBLPROPERTIES")
    commit(table, operation="VACUUM END")
    assert state(table) == progress.State("one", 1, None, "none of its commits says what it includes")


def test_a_real_tables_note_outlives_a_checkpoint_and_optimize(table: Path) -> None:
    for base in (-1, 0):
        numbers = Table.from_pydict({"n": Array([1, 2], DataType.int64())})
        noted = CommitProperties(custom_metadata={"userMetadata": a_note(base).to_json()})
        write_deltalake(str(table), numbers, mode="append", commit_properties=noted)
    DeltaTable(str(table)).create_checkpoint()
    DeltaTable(str(table)).optimize.compact()
    assert state(table).version == 2
    assert state(table).progress == a_note(0)
    assert (moved(table, 0, 1), moved(table, 1, 2)) == (True, False)
    assert progress.rows(str(table), 0) == 2
    assert progress.rows(str(table), 2) == 4


def test_a_table_was_written_when_more_than_maintenance_was_done_last(table: Path) -> None:
    assert progress.written_at(str(table)) is None
    commit(table, rows(), note=a_note(-1))
    written = progress.written_at(str(table))
    for _ in range(20):
        commit(table, rows(data_change=False), operation="OPTIMIZE", note=a_note(-1))
    assert progress.written_at(str(table)) == written == datetime.fromtimestamp(1_700_000_000, UTC)


# what moved


def test_nothing_after_the_version_that_was_read_is_no_move(table: Path) -> None:
    commit(table, rows(), note=a_note(-1))
    assert not moved(table, 0, 0)


@pytest.mark.parametrize("operation", MAINTENANCE)
def test_maintenance_moves_nothing(table: Path, operation: str) -> None:
    commit(table, rows())
    commit(table, rows(data_change=False), schema(), operation=operation)
    assert not moved(table, 0, 1)


def test_a_commit_of_progress_alone_moves_nothing(table: Path) -> None:
    commit(table, rows(), note=a_note(-1))
    commit(table, {"txn": {"appId": "bronze.orders/7", "version": 1}}, note=a_note(0))
    assert not moved(table, 0, 1)


@pytest.mark.parametrize("operation", ["WRITE", "MERGE", "DELETE", "RESTORE", "OPTIMIZE"])
@pytest.mark.parametrize("action", [rows(), deleted()])
def test_changed_data_moves_whatever_the_operation(table: Path, operation: str, action: dict[str, object]) -> None:
    commit(table, rows())
    commit(table, action, operation=operation)
    assert moved(table, 0, 1)


def test_a_new_schema_moves(table: Path) -> None:
    commit(table, rows())
    commit(table, schema(column="m"), operation="ADD COLUMNS")
    assert moved(table, 0, 1)


def test_one_commit_that_moves_is_enough(table: Path) -> None:
    commit(table, rows())
    commit(table, rows())
    commit(table, rows(data_change=False), operation="OPTIMIZE")
    assert moved(table, 0, 2)
    assert not moved(table, 1, 2)


def test_a_commit_that_is_gone_counts_as_a_move(table: Path) -> None:
    commit(table, rows())
    commit(table, rows(data_change=False), operation="OPTIMIZE")
    (table / "_delta_log" / f"{1:020}.json").unlink()
    assert moved(table, 0, 1)


@pytest.mark.parametrize("maintenance", [0, 3, 40])
def test_progress_is_found_behind_few_commits_and_behind_many(table: Path, maintenance: int) -> None:
    for version in range(30):
        commit(table, rows(), note=a_note(version - 1, run=f"day {version}"))
    for _ in range(maintenance):
        commit(table, operation="OPTIMIZE")
    assert state(table).progress == a_note(28, run="day 29")


def test_a_foreign_commit_long_ago_between_reading_and_writing_is_still_seen(table: Path) -> None:
    commit(table, rows(), note=a_note(-1, run="monday"))
    commit(table, rows(), operation="WRITE")
    for _ in range(30):
        commit(table, operation="OPTIMIZE")
    commit(table, rows(), note=a_note(0, run="tuesday"))
    assert state(table).doubt == "version 1 came between reading and writing version 32"

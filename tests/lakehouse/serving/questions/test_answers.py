"""An answer over a release is computed once, and one that hangs on more is computed each time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lakehouse import engines
from lakehouse.delta.tables import log, progress
from lakehouse.engines import NATIVE, spelling
from lakehouse.recovery.releases import Release
from lakehouse.serving.questions import allowed, answers

if TYPE_CHECKING:
    from pathlib import Path

SUM = "select sum(n) as total from gold.things"
BY_CHANCE_OR_TIME = {
    "curdate", "current_date", "current_timestamp", "localtimestamp", "now", "rand", "shuffle", "unix_timestamp",
    "uuid",
}  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAKEHOUSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "answers"


@pytest.fixture
def release(tmp_path: Path) -> Release:
    address = progress.address(str(tmp_path), "gold.things")
    write_deltalake(address, pa.table({"n": [1, 2, 3]}))
    write_deltalake(address, pa.table({"n": [4]}), mode="append")
    found = log.snapshot(address)
    assert found
    at = {"gold.things": 0}
    return Release(1, datetime(2022, 1, 1, tzinfo=UTC), "", "", "", at, {}, {}, {"gold.things": found.id})


def ask(root: Path, statement: str, of: Release | None, spelled: str = "texts") -> list[Any]:
    return [
        tuple(row) if spelled != "objects" else row for row in answers.ask(NATIVE, str(root), statement, spelled, of)[1]
    ]


def test_an_answer_over_a_release_is_given_again_without_an_engine(
    tmp_path: Path, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = [ask(tmp_path, SUM, release, spelled) for spelled in answers.SPELLED]
    assert first == [[("6",)], [("6",)], ['{"total": 6}']]
    monkeypatch.setattr(engines, "reader", None)
    assert [ask(tmp_path, f"{SUM} ;", release, spelled) for spelled in answers.SPELLED] == first
    assert answers.ask(NATIVE, str(tmp_path), SUM, "texts", release)[0] == ["total"]


def test_another_release_has_other_answers_and_no_release_is_never_kept(tmp_path: Path, release: Release) -> None:
    assert ask(tmp_path, SUM, release) == [("6",)]
    assert ask(tmp_path, SUM, replace(release, tables={"gold.things": 1})) == [("10",)]
    assert ask(tmp_path, SUM, None) == [("10",)]
    write_deltalake(progress.address(str(tmp_path), "gold.things"), pa.table({"n": [5]}), mode="append")
    assert ask(tmp_path, SUM, None) == [("15",)]


def test_what_hangs_on_more_than_the_release_is_not_kept(tmp_path: Path, release: Release, cache: Path) -> None:
    for name in sorted(BY_CHANCE_OR_TIME):
        assert name in allowed.HARMLESS | spelling.FUNCTIONS.keys()
        assert not answers.is_kept(f"select {name}() as x from gold.things")
    of_more = ["cast('now' as timestamp)", "n from gold.things version as of 1", "n from ops.files", "CURRENT_DATE"]
    assert not [one for one in of_more if answers.is_kept(f"select {one}")]
    assert not answers.is_kept("describe history gold.things")
    assert ask(tmp_path, "select uuid() as x from gold.things limit 1", release)
    assert not cache.exists()


def test_a_large_answer_is_whole_and_not_kept(
    tmp_path: Path, release: Release, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "MOST", 8)
    assert sorted(ask(tmp_path, "select n from gold.things", release)) == [("1",), ("2",), ("3",)]
    assert not cache.exists()


def test_the_oldest_make_room_and_a_damaged_one_is_computed_again(
    tmp_path: Path, release: Release, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(tmp_path, SUM, release)
    (kept,) = cache.iterdir()
    assert (cache.stat().st_mode & 0o777, kept.stat().st_mode & 0o777) == (0o700, 0o600)
    kept.write_text("[")
    assert ask(tmp_path, SUM, release) == [("6",)]
    monkeypatch.setattr(answers, "MOST_IN_ALL", kept.stat().st_size)
    ask(tmp_path, SUM.replace("total", "other"), release)
    assert len([*cache.iterdir()]) == 1
    assert not kept.exists()

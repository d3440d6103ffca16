"""A plain reader of the published files sees no row twice, and each closed hour as the table had it, at any moment."""

from __future__ import annotations

import io
import json
import random
import shutil
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from types import ModuleType
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest
from pyarrow import dataset
from rich.console import Console

from jobs.recovery import maintained
from jobs.runs import plain
from lakehouse.contract import Contract
from lakehouse.delta.commits import committer
from lakehouse.delta.commits.committer import Target
from lakehouse.delta.files import feed
from lakehouse.delta.tables import log
from lakehouse.errors import LakehouseError
from lakehouse.graph import Table
from lakehouse.serving.plain_parquet import files, generations, plans
from lakehouse.store import storage
from tests.events import NOON, Events, an_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lakehouse.engines.native.engine import Native

BEGIN = datetime(2026, 3, 1, 22, tzinfo=UTC)
ALWAYS = datetime.max.replace(tzinfo=UTC)
COMMITTED = 2  # writes: the plan's row, and its commit
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SCHEMA = pa.schema(
    {"id": pa.int64(), "name": pa.string(), "happened_at": pa.timestamp("us", "UTC"), "happened_on": pa.date32()}
)
CONTRACT: dict[str, Any] = {
    "owner": "us",
    "description": "Things that happened.",
    "write": "replace",
    "grain": ["id"],
    "partition_by": ["happened_on"],
    "published": {"time": "happened_at"},
    "columns": {
        "id": {"type": "bigint", "meaning": "which"},
        "name": {"type": "string", "personal": False, "meaning": "what"},
        "happened_at": {"type": "timestamp", "meaning": "when"},
        "happened_on": {"type": "date", "meaning": "on which UTC day"},
    },
}


class KilledError(BaseException):
    """As SIGKILL: nobody handles it."""


def table(**changes: Any) -> Table:  # noqa: ANN401  what a contract says
    return Table("silver.things", Contract.model_validate(CONTRACT | changes), ModuleType("things"), (), "1")


@dataclass
class Lake:
    """`add` rows, take some away, let time pass, and `bring` the files; every change of the files is looked at."""

    root: str
    now: datetime = BEGIN + HOUR
    number: int = 0
    looked: int = 0
    made: Table = field(default_factory=table)

    @property
    def address(self) -> str:
        return f"{self.root}/silver/things"

    @property
    def target(self) -> Target:
        return Target(self.address, SCHEMA, partition_by=("happened_on",))

    @property
    def version(self) -> int:
        found = log.snapshot(self.address)
        return found.version if found else -1

    def rows(self, *ats: datetime) -> pa.Table:
        numbers = range(self.number, self.number + len(ats))
        self.number += len(ats)
        return pa.table([numbers, [f"n{one}" for one in numbers], ats, [one.date() for one in ats]], schema=SCHEMA)

    def add(self, *ats: datetime) -> None:
        committer.append(self.target, self.version, self.rows(*ats), None)

    def take_away(self, number: int) -> None:
        gone = feed.read(self.address).select(["id"]).filter(pa.compute.field("id") == number)
        committer.replace_units(self.target, self.version, ["id"], SCHEMA.empty_table(), gone, None)

    def compact(self) -> None:
        now = log.snapshot(self.address)
        assert now
        for group in ([*now.files.values()],) if len(now.files) > 1 else ():
            by_day = Counter(one["partitionValues"]["happened_on"] for one in group)
            (day, _), *_ = by_day.most_common(1)
            old = [one for one in group if one["partitionValues"]["happened_on"] == day]
            rows = pa.concat_tables([feed.live(self.address, one, SCHEMA, SCHEMA.names) for one in old])
            new = [one | {"dataChange": False} for one in _written(self.address, rows)]
            committer.optimize(self.address, now.version, old, new, None)

    def bring(self, mortal: int = 0, look: Callable[[], None] | None = None) -> files.Done | None:
        """Killed before that write, where it is not 0; after each write readers look."""
        with writes(look or self.look, mortal):
            is_due = plans.is_due(self.root, self.made, self.now)
            done = files.bring(self.root, self.made, self.now)
            assert is_due == (done is not None)
            return done

    def current(self) -> dict[str, Any]:
        try:
            return json.loads(storage.read_bytes(f"{self.root}/published/things_parquet", "CURRENT"))  # type: ignore[no-any-return]
        except storage.MissingFileError:
            return {}

    def folder(self) -> str:
        return f"{self.root}/published/things_parquet/{self.current()['generation']}"

    def look(self) -> None:
        """Plain readers see no row twice, and of hours that are said to be closed all that the version said had."""
        said = self.current()
        if not said:
            return
        self.looked += 1
        paths = [one.path for one in storage.list_files(self.folder()) if one.path.endswith(".parquet")]
        seen = _of_arrow(self.folder(), paths)
        assert len(seen) == len(set(seen))
        if paths and not storage.is_s3(self.root):
            assert sorted(_of_duckdb(self.folder())) == sorted(seen)
        until = datetime.fromisoformat(said["closed_until"])
        then, now = self.closed(said["source_version"], until), self.closed(None, ALWAYS)
        assert set(seen) <= set(now) | set(then)
        whole = [path for path in paths if int(path.split("-")[-2]) <= said["source_version"]]
        assert sorted(_of_arrow(self.folder(), whole, until)) == sorted(then)

    def closed(self, version: int | None, until: datetime) -> list[tuple[int, str]]:
        rows = feed.read(self.address, version).to_pylist()
        return [(one["id"], one["name"]) for one in rows if one["happened_at"] < until]

    def files(self) -> dict[str, bytes]:
        root = Path(self.root, "published")
        return {str(one.relative_to(root)): one.read_bytes() for one in root.rglob("*") if one.is_file()}


def _written(address: str, rows: pa.Table) -> list[Any]:
    from lakehouse.delta.files import parquet  # noqa: PLC0415

    return parquet.write(address, rows, ("happened_on",))


def _of_arrow(folder: str, paths: list[str], until: datetime = ALWAYS) -> list[tuple[int, str]]:
    if not paths:
        return []
    if storage.is_s3(folder):
        store, inside = storage._arrow_s3(), folder.removeprefix("s3://")  # noqa: SLF001
        found = dataset.dataset([f"{inside}/{one}" for one in paths], filesystem=store, partitioning="hive")
    else:
        found = dataset.dataset([f"{folder}/{one}" for one in paths], partitioning="hive")
    rows = found.to_table().to_pylist()
    assert all(str(one["happened_at"].date()) == str(one["happened_on"]) for one in rows)
    return [(one["id"], one["name"]) for one in rows if one["happened_at"] < until]


def _of_duckdb(folder: str) -> list[tuple[int, str]]:
    asked = f"select id, name from read_parquet('{folder}/*/*.parquet', hive_partitioning = true)"
    return duckdb.connect().execute(asked).fetchall()


@contextmanager
def writes(look: Callable[[], None], mortal: int) -> Iterator[None]:
    """Each write of the store is followed by a look, and that of the number is never done."""
    with pytest.MonkeyPatch.context() as patch:
        count = iter(range(1, 10_000))

        def mortally(write: Callable[..., Any]) -> Callable[..., Any]:
            def attempt(*arguments: Any) -> Any:  # noqa: ANN401
                if next(count) == mortal:
                    raise KilledError
                answer = write(*arguments)
                look()
                return answer

            return attempt

        for name in ("put", "put_if_absent", "replace"):
            patch.setattr(storage, name, mortally(getattr(storage, name)))
        yield


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@pytest.mark.slow
def test_an_hour_is_there_ten_minutes_after_its_end_and_late_rows_are_further_files(lake: Lake) -> None:
    lake.add(BEGIN, BEGIN + 59 * MINUTE, BEGIN + HOUR)
    lake.now = BEGIN + HOUR + 9 * MINUTE
    done = lake.bring()
    assert (done and done.rows) == 0
    lake.now += MINUTE
    assert lake.bring() is not None
    assert lake.bring() is None
    before = lake.files()
    assert [one for one in before if "Z" not in one and one.endswith(".parquet")] == [
        "things_parquet/v1/happened_on=2026-03-01/20260301T22-0000000000-00000.parquet"
    ]
    lake.add(BEGIN + MINUTE, BEGIN + 2 * HOUR)
    assert lake.bring() is None
    lake.now += HOUR
    assert lake.bring() is not None
    after = lake.files()
    assert {name: after[name] for name in before if not name.endswith("CURRENT")}.items() <= before.items()
    assert sorted(after.keys() - before.keys()) == [
        "things_parquet/v1/happened_on=2026-03-01/20260301T22-0000000001-00000.parquet",
        "things_parquet/v1/happened_on=2026-03-01/20260301T23-0000000001-00000.parquet",
    ]
    said = {"generation": "v1", "closed_until": "2026-03-02T00:00:00Z", "source_version": 1}
    assert lake.current() == said


@pytest.mark.slow
@pytest.mark.parametrize("anew", [False, True], ids=["further files", "a new generation"])
def test_killed_before_any_write_the_next_run_puts_the_same_files(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, anew: bool
) -> None:
    monkeypatch.setattr(files, "MOST", 2)
    lake.add(*[BEGIN + number * 30 * MINUTE for number in range(6)])
    lake.now = BEGIN + 2 * HOUR + 10 * MINUTE
    lake.bring()
    lake.add(BEGIN, BEGIN + MINUTE, BEGIN + 2 * MINUTE)
    if anew:
        lake.take_away(0)
    lake.now += HOUR
    begun = shutil.copytree(lake.root, tmp_path / "begun")
    lake.bring()
    expected = lake.files()
    for point in range(1, 100):
        shutil.rmtree(lake.root)
        shutil.copytree(begun, lake.root)
        log.forget(lake.address)
        log.forget(f"{lake.root}/ops/things_parquet")
        try:
            lake.bring(point, lambda: None)
            break
        except KilledError:
            lake.look()
        lake.add(BEGIN + 3 * MINUTE)  # what comes meanwhile is no part of what was planned
        lake.bring(0, lambda: None)
        assert (lake.files() == expected) == (point > COMMITTED)
        lake.look()
    assert point > 5


@pytest.mark.slow
def test_rows_that_leave_a_closed_hour_and_other_columns_make_a_new_generation(lake: Lake) -> None:
    lake.add(BEGIN, BEGIN + MINUTE, BEGIN + HOUR)
    lake.now = BEGIN + HOUR + 10 * MINUTE
    lake.bring()
    lake.take_away(2)  # of an open hour
    lake.now += HOUR
    lake.bring()
    assert lake.current()["generation"] == "v1"
    first = lake.files()
    lake.take_away(0)
    lake.now += HOUR
    done = lake.bring()
    assert done
    assert (done.plan.why, lake.current()["generation"]) == ("1 rows of closed hours left or changed", "v2")
    assert {name: one for name, one in lake.files().items() if "/v1/" in name} == {
        name: one for name, one in first.items() if "/v1/" in name
    }
    lake.now += HOUR
    columns = {name: said for name, said in CONTRACT["columns"].items() if name != "name"}
    lake.made = table(columns=columns)
    done = files.bring(lake.root, lake.made, lake.now)
    assert done
    assert done.plan.why == "its columns, or what its hours or folders go by, are others"
    assert lake.current()["generation"] == "v3"
    assert "name" not in dataset.dataset(lake.folder()).schema.names


@pytest.mark.slow
def test_an_older_generation_goes_once_its_readers_had_some_days_to_leave_it(lake: Lake) -> None:
    def left(before: datetime) -> set[str]:
        generations.let_go(lake.root, lake.made, before)
        return storage.list_folders(f"{lake.root}/published/things_parquet")

    lake.add(BEGIN, BEGIN + MINUTE)
    lake.now = BEGIN + HOUR + 10 * MINUTE
    lake.bring()
    assert left(ALWAYS) == {"v1"}
    lake.take_away(0)
    lake.now += HOUR
    lake.bring()
    assert left(ALWAYS) == {"v1", "v2"}  # no plan says that the newer one was whole before it
    lake.add(BEGIN)
    lake.now += HOUR
    lake.bring()
    assert left(lake.now) == {"v1", "v2"}
    console = Console(file=io.StringIO(), width=200)
    for dry_run in (True, False):
        maintained.generations(console, lake.root, [lake.made], 7, dry_run=dry_run)
        assert left(BEGIN) == ({"v1", "v2"} if dry_run else {"v2"})
    says = "1 file of v1 (795 bytes) {} deleted: CURRENT has named a newer one for 7 days"
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert [says.format(one) in told for one in ("would be", "was")] == [True, True]
    lake.look()


@pytest.mark.slow
def test_a_table_made_anew_or_written_whole_makes_a_new_generation(lake: Lake) -> None:
    lake.add(BEGIN)
    lake.now = BEGIN + HOUR + 10 * MINUTE
    lake.bring()
    committer.overwrite(lake.target, lake.version, lake.rows(BEGIN, BEGIN), None)
    lake.now += HOUR
    done = lake.bring()
    assert done
    assert (done.plan.why, lake.current()["generation"]) == ("version 1 wrote the table anew", "v2")
    shutil.rmtree(lake.address)
    lake.add(BEGIN)
    lake.now += HOUR
    done = files.bring(lake.root, lake.made, lake.now)
    assert done
    assert (done.plan.why, lake.current()["generation"]) == ("the table was made anew", "v3")
    shutil.rmtree(lake.address)
    shutil.rmtree(f"{lake.root}/ops")
    for address in (lake.address, f"{lake.root}/ops/things_parquet"):
        log.forget(address)
    lake.add(BEGIN)
    files.bring(lake.root, lake.made, lake.now)
    assert lake.current()["generation"] == "v4"  # no plan is known, and a folder is not written into again
    lake.look()


def test_what_cannot_be_read_any_more_is_written_whole_and_a_strange_current_is_said(lake: Lake) -> None:
    lake.add(BEGIN)
    lake.now = BEGIN + HOUR + 10 * MINUTE
    lake.bring()
    before = {*Path(lake.address).rglob("part-*")}
    lake.add(BEGIN + MINUTE)
    (of_one,) = {*Path(lake.address).rglob("part-*")} - before
    lake.compact()
    of_one.unlink()  # as maintenance does a week later
    lake.now += HOUR
    current = Path(lake.root, "published", "things_parquet", "CURRENT")
    current.write_text("v1")
    with pytest.raises(LakehouseError, match=r"CURRENT is no JSON: somebody else wrote it\. Delete it, and it is writ"):
        lake.bring()
    current.unlink()
    done = files.bring(lake.root, lake.made, lake.now)
    assert done
    assert "The changes of" in done.plan.why
    assert lake.current()["generation"] == "v2"


@pytest.mark.slow
def test_events_are_there_by_hours_and_another_rule_that_changes_any_makes_a_new_generation(
    engine: Native, tmp_path: Path
) -> None:
    events, before = Events(tmp_path, engine), [an_event(), an_event("2026-11-10T12:59:59Z", event_id="e2")]
    late, another = an_event("2026-11-10T12:00:01Z", event_id="late"), an_event(event_name="scroll", event_id="e4")
    assert published(events, 13, *before, an_event("2026-11-10T13:00:00Z", event_id="e3")) == (1, ["e1", "e2"])
    assert published(events, 14, late, *before, another) == (1, ["e1", "e2", "e3", "late"])
    events.allow("view", "click")  # which changes no row of a closed hour
    assert published(events, 15, an_event("2026-11-10T15:00:00Z", event_id="e5")) == (1, ["e1", "e2", "e3", "late"])
    events.allow("view", "scroll")
    every = ["e1", "e2", "e3", "e4", "e5", "late"]
    assert published(events, 16, why="its definition changed") == (2, every)
    assert published(events, 17, an_event(event_id="later")) == (2, [*every, "later"])
    events.allow("scroll")
    assert published(events, 18) == (3, ["e4"])


def published(events: Events, hour: int, *some: bytes, why: str = "") -> tuple[int, list[str]]:
    events.arrive(*some, at=NOON.replace(hour=hour))
    events.run()
    done = files.bring(events.lake.root, events.tables["silver.events"], NOON.replace(hour=hour, minute=10))
    assert done
    assert why in done.plan.why
    folder = f"{done.place}/v{done.plan.generation}"
    return done.plan.generation, sorted(dataset.dataset(folder).to_table()["event_id"].to_pylist())


# Of all that is said, of a visitor whom nobody knows, and about no product.
SAMPLE = (
    {"event_datetime": "2026-11-09T22:20:31Z", "event_name": "view", "user_id": "u-1001", "platform": "web",
     "product_name": "Flour 2 kg", "sku": "FL-2"},
    {"event_datetime": "2026-11-10T09:15:04.250Z", "event_name": "click", "platform": "ios",
     "product_name": "Flour 2 kg", "sku": "FL-2"},
    {"event_datetime": "2026-11-10T09:16:00Z", "event_name": "purchase", "user_id": "u-1002", "platform": "android"},
)  # fmt: skip


@pytest.mark.slow
def test_three_sample_events_are_typed_rows_of_plain_parquet_by_day(engine: Native, tmp_path: Path) -> None:
    """A view, a click and a purchase as they are sent, and as readers of nothing else find them."""
    events = Events(tmp_path, engine)
    events.arrive(*(json.dumps(one).encode() for one in SAMPLE))
    events.run()
    done = files.bring(events.lake.root, events.tables["silver.events"], NOON)
    assert done
    folder, names = f"{done.place}/v1", [*SAMPLE[0], "event_date"]
    assert {one.parent.name for one in Path(folder).rglob("*.parquet")} == {
        "event_date=2026-11-09", "event_date=2026-11-10",
    }  # fmt: skip
    ats = [datetime.fromisoformat(one["event_datetime"]) for one in SAMPLE]
    cells = [tuple(one.get(name) for name in names[1:-1]) for one in SAMPLE]
    expected = [(at, *some, str(at.date())) for at, some in zip(ats, cells, strict=True)]
    by_arrow = dataset.dataset(folder, partitioning="hive").to_table().sort_by("event_datetime").select(names)
    assert [tuple(one.values()) for one in by_arrow.to_pylist()] == expected
    asked = f"select {', '.join(names[:-1])}, event_date::text from read_parquet('{folder}/*/*.parquet') order by 1"
    assert duckdb.connect().execute(asked).fetchall() == expected


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, pytest.param(range(3, 40), marks=pytest.mark.long)])
def test_after_random_histories_with_kills_readers_have_seen_each_closed_hour_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int | range
) -> None:
    monkeypatch.setattr(files, "MOST", 5)
    for one in [seed] if isinstance(seed, int) else seed:
        chance = random.Random(one)  # noqa: S311  repeated by seed
        lake = Lake(str(tmp_path / str(one)))
        lake.add(BEGIN)
        for _ in range(12):
            history_step(lake, chance)
        lake.now += HOUR
        lake.bring()
        lake.look()
        assert lake.looked > 2


def history_step(lake: Lake, chance: random.Random) -> None:
    match chance.choice(["add"] * 4 + ["compact", "take away", "wait", "bring", "bring", "bring", "killed", "killed"]):
        case "add":
            ats = [
                lake.now - chance.random() * chance.choice([10 * MINUTE, 5 * HOUR]) for _ in range(chance.randint(1, 9))
            ]
            lake.add(*ats)
        case "compact":
            lake.compact()
        case "take away" if chance.random() < 0.5:
            lake.take_away(chance.randrange(lake.number))
        case "wait":
            lake.now += chance.random() * 3 * HOUR
        case "bring":
            lake.now += chance.random() * HOUR
            lake.bring()
        case "killed":
            lake.now += HOUR
            try:
                lake.bring(chance.randint(1, 12))
            except KilledError:
                lake.look()


def test_a_store_that_does_not_say_what_it_took_is_said_and_the_next_run_goes_on(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.add(BEGIN)
    lake.now = BEGIN + HOUR + 10 * MINUTE
    answer = storage.put_if_absent
    with monkeypatch.context() as patch:
        patch.setattr(storage, "LIMIT", -1)
        patch.setattr(
            storage, "put_if_absent", lambda root, *what: answer(root, *what) if "published" not in root else None
        )
        with pytest.raises(
            LakehouseError, match=r"The store did not say whether .*00000\.parquet was written\. Start the"
        ):
            files.bring(lake.root, lake.made, lake.now)
    lake.bring()
    assert lake.current()["closed_until"] == "2026-03-01T23:00:00Z"


@pytest.mark.slow
def test_what_is_to_stop_stops_between_two_files_and_the_next_run_finishes_its_plan_first(lake: Lake) -> None:
    lake.add(BEGIN, BEGIN + HOUR)
    lake.now = BEGIN + 2 * HOUR + 10 * MINUTE
    stopping = Event()
    for _ in range(2):
        with writes(lambda: stopping.set() if lake.files() else None, 0):
            assert files.bring(lake.root, lake.made, lake.now, stopping) is None
        lake.now += HOUR
    assert len(lake.files()) == 1
    lake.add(BEGIN)
    stopping.clear()
    assert lake.bring() is not None
    lake.look()
    assert [lake.current()[one] for one in ("source_version", "closed_until")] == [1, "2026-03-02T02:00:00Z"]


def test_rounds_do_not_wait_for_files_and_say_afterwards_what_was_written(lake: Lake) -> None:
    lake.add(BEGIN)
    console, beside, tables = Console(file=io.StringIO(), width=200), plain.Beside(), {lake.made.name: lake.made}
    beside.look(console, lake.root, tables, Event())
    beside.end(console)
    assert "published/things_parquet v1: 1 row in 1 file" in console.file.getvalue()  # type: ignore[attr-defined]
    Path(lake.root, "published", "things_parquet", "CURRENT").write_text("v1")
    again = plain.Beside()
    again.look(console, lake.root, tables, Event())
    again.end(console)
    with pytest.raises(LakehouseError, match="CURRENT is no JSON"):
        again.look(console, lake.root, tables, Event())


@pytest.mark.slow
@pytest.mark.usefixtures("as_writer")
def test_files_on_s3_are_put_where_none_are() -> None:
    lake = Lake("s3://lakehouse/plain")
    lake.add(BEGIN, BEGIN + HOUR)
    lake.now = BEGIN + HOUR + 10 * MINUTE
    lake.bring()
    lake.add(BEGIN, BEGIN + HOUR)
    lake.now += HOUR
    with pytest.raises(KilledError):
        lake.bring(4)
    lake.bring()
    lake.look()
    assert lake.current()["source_version"] == 1

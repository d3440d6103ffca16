"""What a source has lands page by page: each object whole, a killed fetch gone on with, a window listed at its end."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from lakehouse.described.terms import Fetched
from lakehouse.errors import LakehouseError
from lakehouse.intake.deliveries import fetched
from lakehouse.intake.deliveries import landing as find
from lakehouse.intake.records.ledger import Ledger
from lakehouse.sources import due, fetch
from lakehouse.sources.windows import SourceError, Window
from lakehouse.store import storage
from tests.lakehouse.intake.deliveries.test_windows import SOURCES
from tests.lakehouse.sources.pages import Listed
from tests.toy import Toy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from lakehouse.graph import Table
    from lakehouse.sources.windows import Landed, Page

TABLE, BODIES = "bronze.sales", [b'[{"id": 1}]', b'[{"id": 2}]', b'[{"id": 3}]']


def names(landing: str) -> list[str]:
    return sorted(file.path.rpartition(f"{fetched.folder_of(TABLE)}/")[2] for file in storage.list_files(landing))


def fetch_it(
    landing: object,
    source: Listed,
    definition: str = "one",
    since: datetime | None = None,
    until: datetime | None = None,
) -> fetch.Fetched:
    return fetch.fetch(str(landing), TABLE, source, definition, since, until)


def test_a_fetch_lands_its_pages_and_last_the_list_of_them(tmp_path: Path) -> None:
    landed = fetch_it(tmp_path, Listed(BODIES, facts={"upper": 3}))
    (path,) = fetched.windows(str(tmp_path), TABLE)
    assert (landed.windows, landed.pages, landed.rows, landed.bytes) == (1, 3, 3, 33)
    assert sorted(one.name for one in (tmp_path / path).iterdir()) == [
        *(f"{n:06}.json" for n in range(3)),
        "_complete.json",
    ]
    whole, _ = fetched.complete(str(tmp_path), path)
    assert ([one.name for one in whole.parts], whole.facts) == ([f"{n:06}.json" for n in range(3)], {"upper": 3})
    fetch_it(tmp_path, again := Listed(BODIES))
    assert [(one.started_at, one.facts["upper"]) for one in again.done] == [(fetched.started_at(path), 3)]


CHANGED = [body.replace(b"}", b', "is_new": true}') for body in BODIES]


class Killed(BaseException):
    """As SIGKILL: nothing in the process goes on."""


@pytest.mark.slow
def test_a_fetch_that_is_killed_at_any_put_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = storage.put_if_absent
    for number in range(2 * len(BODIES) + 1):
        landing, left = tmp_path / str(number), [number]

        def killed(root: str, path: str, content: bytes, left: list[int] = left) -> bool | None:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return put(root, path, content)

        monkeypatch.setattr(storage, "put_if_absent", killed)
        with pytest.raises(Killed):
            fetch_it(landing, Listed(BODIES))
        monkeypatch.setattr(storage, "put_if_absent", put)
        fetch_it(landing, second := Listed(CHANGED))
        begun = number // 2  # pages with their state
        assert second.asked == [f"{n:06}.json" for n in range(begun, len(BODIES))]
        path = max(fetched.windows(str(landing), TABLE))
        whole, _ = fetched.complete(str(landing), path)
        pages = [fetched.checked(str(landing), path, one) for one in whole.parts]
        assert [(landing / one).read_bytes() for one in pages] == [*BODIES[:begun], *CHANGED[begun:]]


def test_what_was_begun_by_another_definition_or_days_ago_is_begun_anew(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="asleep"):
        fetch_it(tmp_path, Listed(BODIES, error=(2, SourceError("It is asleep."))))
    (open_one,) = fetched.windows(str(tmp_path), TABLE)
    fetch_it(tmp_path, other := Listed(BODIES), definition="two")
    assert len(other.asked) == 3
    old = tmp_path / fetched.folder(TABLE, datetime.now(UTC) - timedelta(days=2))
    shutil.copytree(tmp_path / open_one, old)
    fetch_it(tmp_path, Listed(BODIES), definition="two")
    assert not old.exists()
    assert (tmp_path / open_one).exists()


def test_of_two_fetches_of_one_window_one_goes_on_and_the_other_is_told(tmp_path: Path) -> None:
    class Overtaken(Listed):
        def pages(self, window: Window, landed: Sequence[Landed]) -> Iterator[Page]:
            for page in super().pages(window, landed):
                if page.name == "000001.json":
                    storage.put(
                        str(tmp_path), f"{fetched.folder(TABLE, window.started_at)}/{page.name}", b"of the other"
                    )
                yield page

    with pytest.raises(SourceError, match="was put by another fetch of the same window, which goes on with it"):
        fetch_it(tmp_path, Overtaken(BODIES))
    (path,) = fetched.windows(str(tmp_path), TABLE)
    assert (tmp_path / path / "000001.json").read_bytes() == b"of the other"


def test_a_page_that_a_store_did_not_take_is_put_by_the_next_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as ill:
        ill.setattr(storage, "put_if_absent", lambda *_: None)
        with pytest.raises(
            SourceError, match=r"The store did not take .*000000.json. Fetch again: it goes on at this page"
        ):
            fetch_it(tmp_path, Listed(BODIES))
    assert fetch_it(tmp_path, Listed(BODIES)).windows == 1


def test_a_window_that_no_fetch_wrote_is_named_and_then_deleted(tmp_path: Path) -> None:
    fetch_it(tmp_path, Listed(BODIES))
    (path,) = fetched.windows(str(tmp_path), TABLE)
    (tmp_path / path / "_complete.json").write_text("{}")
    with pytest.raises(SourceError, match=f"{path} has a _complete.json that no fetch wrote. Delete its folder"):
        fetch_it(tmp_path, Listed(BODIES))
    shutil.rmtree(tmp_path / path)
    assert fetch_it(tmp_path, Listed(BODIES)).windows == 1


def test_what_is_fetched_from_nowhere_is_said_with_what_is(tables: Mapping[str, Table]) -> None:
    known = {**tables, "bronze.sales": a_fetched(tables)}
    with pytest.raises(LakehouseError, match=r"bronze.orders is fetched from nowhere: .* Fetched are: .*bronze.sales"):
        due.chosen(known, ["sales", "bronze.orders"])
    assert due.chosen(known, ["sales"]) == due.chosen(known, ["bronze.sales"]) == [known["bronze.sales"]]


def test_of_several_passes_over_a_window_the_pages_count_that_its_facts_name(tmp_path: Path) -> None:
    fetch_it(tmp_path, Listed(BODIES, facts={"pages": ["000001.json", "000002.json"]}))
    (path,) = fetched.windows(str(tmp_path), TABLE)
    assert [one.name for one in fetched.complete(str(tmp_path), path)[0].parts] == ["000001.json", "000002.json"]


def test_a_window_that_was_asked_for_and_broke_off_is_not_fetched_twice(tmp_path: Path) -> None:
    asked = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    with pytest.raises(SourceError):
        fetch_it(tmp_path, Listed(BODIES, error=(1, SourceError("It is asleep."))), "one", *asked)
    fetch_it(tmp_path, again := Listed(BODIES), "one", *asked)
    assert again.asked == ["000001.json", "000002.json"]
    (done,) = fetch.Done(str(tmp_path), [*fetched.windows(str(tmp_path), TABLE)])
    assert (done.since, done.until) == asked


class Described(Fetched):
    """Whatever is fetched: where it is stands in the environment."""

    @property
    def named_by(self) -> str:
        return "SALES_API_URL"


def a_fetched(tables: Mapping[str, Table], name: str = "bronze.sales") -> Table:
    table = tables["bronze.orders"]
    assert table.contract.source is not None
    source = table.contract.source.model_copy(update={"api": Described()})
    return replace(table, name=name, contract=table.contract.model_copy(update={"source": source}))


def test_a_source_is_due_at_its_rhythm_and_rests_while_nothing_says_where_it_is(
    tmp_path: Path, tables: Mapping[str, Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    landing, table, now = str(tmp_path), a_fetched(tables), datetime.now(UTC)
    monkeypatch.delenv("SALES_API_URL", raising=False)
    assert due.due(landing, table).rests
    monkeypatch.setenv("SALES_API_URL", "https://sales.example")
    assert due.due(landing, table).why == "was never fetched"
    with pytest.raises(SourceError):
        fetch.fetch(landing, table.name, Listed(BODIES, error=(1, SourceError("It is asleep."))), "one")
    assert due.due(landing, table).why == "its last fetch is not done"
    fetch.fetch(landing, table.name, Listed(BODIES[:1]), "one")
    looks = [due.due(landing, table, now + timedelta(minutes=minutes)).is_due for minutes in (1, 59, 61)]
    assert looks == [False, False, True]


def test_a_source_that_cannot_be_fetched_stops_no_other(
    tmp_path: Path, tables: Mapping[str, Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [a_fetched(tables, name) for name in ("bronze.sales", "bronze.stock")]
    sources = {"bronze.sales": Listed(BODIES, error=(1, SourceError("It is asleep."))), "bronze.stock": Listed(BODIES)}
    monkeypatch.setattr(due, "source_of", lambda table: sources[table.name])
    outcomes = [*due.fetch_all(str(tmp_path), both)]
    assert [(one.landed.windows, one.landed.pages, one.problem) for one in outcomes] == [
        (0, 1, "It is asleep."),
        (1, 3, ""),
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("as_writer")
def test_a_bucket_gets_what_a_folder_gets(tmp_path: Path) -> None:
    landing = "s3://lakehouse/fetched_pages"
    with pytest.raises(SourceError):
        fetch_it(landing, Listed(BODIES, error=(2, SourceError("It is asleep."))))
    fetch_it(landing, second := Listed(BODIES, facts={"upper": 3}))
    (path,) = fetched.windows(landing, TABLE)
    assert second.asked[0] == "000002.json"
    assert sorted(file.path for file in storage.list_files(f"{landing}/{path}")) == [
        *(f"{n:06}.json" for n in range(3)),
        "_complete.json",
    ]
    tables = Toy(tmp_path, None, {TABLE: SOURCES[TABLE]}).tables().values()  # type: ignore[arg-type]  # no engine
    (one,) = find.find(landing, tables, Ledger()).entries
    assert (one.status, one.delivery.path, one.delivery.records) == ("claimed", path, 3)
    assert find.find(landing, tables, Ledger(entries=(one,))).entries == ()
    storage.put(landing, "market_1/orders.csv", b"a")
    storage.put(landing, "a.csv", b"a")
    assert sorted(file.path for file in storage.list_files(landing, fetched.FOLDER)) == ["a.csv", "market_1/orders.csv"]

"""Trouble of each kind, made on purpose: one notice of it by each route, with words that help, and one when over."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
import yaml
from rich.console import Console

from jobs.monitoring import alerted
from jobs.runs import fetched
from lakehouse import conf
from lakehouse.alerts import record
from lakehouse.alerts.record import LastRun, Record
from lakehouse.alerts.rules import Kind, load
from lakehouse.errors import LakehouseError
from lakehouse.recovery import releases
from lakehouse.runs import topics
from lakehouse.runs.run import Run
from lakehouse.runs.topics import Lag
from tests.toy import SOURCES, Toy

pytest.importorskip("apprise", reason="needs the extra `ops`: uv sync --inexact --extra ops")

from tests.told import ROUTES, Told, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lakehouse.engines.native.engine import Native

pytestmark = pytest.mark.slow
NOW, LATER = time.time(), 7_200
WHOLE = ("1,A,2,10.00", "2,A,1,10.00", "3,B,1,5.00", "4,B,1,5.00")
# What is wrong by any measure is told of only where a case asks for it.
LIMITS: dict[str, Any] = {"reject_share": 1, "score": 0, "disk_free": 0, "released_within": "365d"}
OF_LINES = """position: line_number
        score: 100 * (1 - rejected / rows)
        rules:
          price_is_small: {check: price < 100, severity: warn, why: a test}
          quantity_is_positive: {check: quantity > 0, severity: reject, why: a test}
"""
OF_ORDERS = """        rules:
          units_are_few: {check: units < 100, severity: stop, why: a test}
        columns:
"""
PROMISES = {
    "bronze.orders": ("source: {", "source: {fresh_within_hours: 48, volume_between: [0.4, 2.5], volume_rows: 1, "),
    "silver.order_lines": ("position: line_number\n", OF_LINES),
    "silver.orders": ("        columns:\n", OF_ORDERS),
}


def promising(fresh_within: int = 48) -> dict[str, tuple[str, str]]:
    """The toy's tables, with the promises that are broken here."""
    found = dict(SOURCES)
    for name, (before, after) in PROMISES.items():
        text, code = found[name]
        assert before in text
        found[name] = (text.replace(before, after.replace("48", str(fresh_within)), 1), code)
    return found


@dataclass
class Watched:
    """A lake whose runs tell people, as `lakehouse run` does."""

    toy: Toy
    told: Told
    home: Path
    limits: dict[str, Any] = field(default_factory=dict)
    conditions: dict[str, Any] = field(default_factory=dict)
    messages: Console = field(default_factory=lambda: Console(quiet=True))

    def write(self, **more: object) -> None:
        routes = {name: {"url": f"TO_{name.upper()}"} for name in ROUTES}
        said = {"routes": routes, "limits": LIMITS | self.limits, "conditions": self.conditions, **more}
        (self.home / "conf" / "alerts.yml").write_text(yaml.safe_dump(said), encoding="utf-8")

    def deliver(self, name: str, *rows: str, later: int = 0) -> Path:
        self.toy.clock = int(NOW) + later
        return self.toy.deliver(name, *rows)

    def run(self, *, publish: bool = True) -> None:
        """As the command does, whether it fails or not."""
        where = (self.toy.lake.root, str(self.toy.landing), self.toy.engine.name)
        try:
            with alerted.after(self.messages, *where) as watch:
                tables = self.toy.tables()
                watch.run = one = Run(*where[:2], tables, engine=self.toy.engine)
                watch.not_fetched, watch.wanted = fetched.first(self.messages, one.landing, tables), tables
                watch.found = one.execute(tables).found
                if publish:
                    releases.publish(one.root, tables)
        except LakehouseError:
            pass

    def look(self) -> None:
        """As `lakehouse alerts` does from cron."""
        one = Run(self.toy.lake.root, str(self.toy.landing), self.toy.tables(), engine=self.toy.engine.name)
        alerted.look(one, load(self.home / "conf"), dry_run=False)

    def record(self) -> Record:
        return Record(self.toy.lake.root, is_there=record.is_there(self.toy.lake.root))


@pytest.fixture(scope="module")
def people() -> Iterator[Told]:
    with told() as one:
        yield one


@pytest.fixture(scope="module")
def well(engine: Native, tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """Three deliveries as usual, each released."""
    toy = Toy(tmp_path_factory.mktemp("well") / "toy", engine, promising())
    for day in (3, 2, 1):
        toy.clock = int(NOW) - day * LATER
        toy.deliver(f"{day}.csv", *(f"{day}{row}" for row in WHOLE))
        toy.run()
        releases.publish(toy.lake.root, toy.tables())
    return toy


@pytest.fixture
def watched(
    well: Toy, people: Told, engine: Native, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Watched]:
    """A copy of that lake, after a run that found nothing wrong."""
    toy = replace(well.copied(tmp_path / "toy"), engine=engine)
    (tmp_path / "home" / "conf").mkdir(parents=True)
    shutil.copy(conf.HOME / "conf" / "lake.yml", tmp_path / "home" / "conf")
    monkeypatch.setattr(conf, "HOME", tmp_path / "home")
    monkeypatch.setenv("LAKEHOUSE_CACHE", str(tmp_path / "cache"))
    for name, value in people.addresses.items():
        monkeypatch.setenv(name, value)
    people.deaf.clear()
    one = Watched(toy, people, tmp_path / "home")
    one.write()
    one.run()
    assert people.taken() == {name: [] for name in ROUTES}
    yield one
    people.taken()


@dataclass(frozen=True)
class Trouble:
    """How it is `made` and `mended`; the notice has a title and these words; `limits` and `conditions` of its own."""

    made: Callable[[Watched], object]
    mended: Callable[[Watched], object]
    title: str
    words: tuple[str, ...]
    limits: dict[str, Any] = field(default_factory=dict)
    conditions: dict[str, Any] = field(default_factory=dict)


def delivering(*rows: str, **how: Any) -> Callable[[Watched], None]:  # noqa: ANN401
    """A newer file of orders, and a run."""

    def deliver(one: Watched) -> None:
        one.deliver(how.get("name", "next.csv"), *rows, later=how.get("later", 1))
        one.run()

    return deliver


def unpublished(one: Watched) -> None:
    one.deliver("next.csv", *WHOLE, later=1)
    one.run(publish=False)
    time.sleep(1.1)
    one.look()


def gone(one: Watched) -> None:
    Path(one.toy.lake.root).rename(one.toy.folder / "elsewhere")
    one.look()


def back(one: Watched) -> None:
    (one.toy.folder / "elsewhere").rename(one.toy.lake.root)
    one.look()


def never(one: Watched) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=30)
    one.record().ended(LastRun(long_ago, succeeded_at=long_ago), None, is_told=True)
    one.look()


def from_an_api(address: str) -> Callable[[Watched], None]:
    """A source that is fetched first, where there is none; or one that rests, since nothing says where it is."""
    api = f"""source:
          api:
            base_url: {address}
            paging: {{by: link}}
            patience: 1s
          format: json
        """
    fetched_one = SOURCES["bronze.orders"][0].replace('market_{market:int}/{date}/*.csv", "', "")
    begin, end = fetched_one.index("source: {"), fetched_one.index("columns:")

    def run(one: Watched) -> None:
        text = fetched_one[:begin] + api.strip() + "\n        " + fetched_one[end:]
        one.toy.sources["bronze.sales"] = (text, SOURCES["bronze.orders"][1])
        one.run()

    return run


def late(promised: int, **how: int) -> Callable[[Watched], None]:
    def run(one: Watched) -> None:
        one.toy.sources = promising(promised)
        if how:
            one.deliver("fresh.csv", *WHOLE, **how)
        one.run()

    return run


def waiting(*lags: Lag) -> Callable[[Watched], None]:
    """Of a broker that says so."""

    class Offer:
        topic = type("Topic", (), {"name": "events"})

    def look(one: Watched) -> None:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(topics, "offers", lambda *_: {"bronze.orders": Offer()})
            patched.setattr(topics, "lag", lambda *_: lags)
            one.look()

    return look


def limited(**limits: object) -> Callable[[Watched], None]:
    def look(one: Watched) -> None:
        one.limits = limits
        one.write()
        one.look()

    return look


def broken_file(one: Watched) -> None:
    one.deliver("broken.csv", *WHOLE, later=1).write_text("price,price\n1,2\n", encoding="utf-8")
    one.run()


def taken_away(one: Watched) -> None:
    (one.toy.landing / "market_1" / "broken.csv").unlink()
    one.run()


TODAY = datetime.now(UTC) - timedelta(hours=1)
TROUBLE: dict[Kind, Trouble] = {
    "lake_unreachable": Trouble(gone, back, "lake", ("does not exist", "The last run that succeeded ended")),
    "never_started": Trouble(
        never, lambda one: one.run(), "run", ("No run has ended for 30 h.", "within 26 h (run_within)", "cron")
    ),
    "run_failed": Trouble(
        delivering("1,A,200,10.00", *WHOLE[1:]),
        delivering(*WHOLE, name="mended.csv", later=2),
        "silver.orders",
        ("units_are_few: 1 of", "It stays as it was.", "The last run that succeeded ended"),
    ),
    "source_not_fetched": Trouble(
        from_an_api("http://127.0.0.1:9"),
        from_an_api("NOWHERE"),
        "bronze.sales",
        ("was not fetched whole: ", "lakehouse fetch sales --dry-run"),
    ),
    "file_not_taken": Trouble(
        broken_file, taken_away, "market_1/broken.csv", ("cannot be read:", "Deliver it again", "lakehouse plan")
    ),
    "source_late": Trouble(
        late(1), late(1, later=0), "bronze.orders/1", ("hours old.", "1 hours are promised", "ops.freshness")
    ),
    "volume": Trouble(
        delivering(*(f"{n},A,1,1.00" for n in range(40))),
        delivering(*WHOLE, name="usual.csv", later=2),
        "bronze.orders/1",
        ("market_1/next.csv has 40 rows, 10.00 times the usual 4", "whether the export is whole"),
    ),
    "reject_share": Trouble(
        delivering("1,A,0,10.00", *WHOLE[1:]),
        delivering(*WHOLE, name="mended.csv", later=2),
        "silver.order_lines/1",
        ("quantity_is_positive 1 of 4 (25.0%)", "At most 20.0%", "Usual is: quantity_is_positive 0.0%"),
        limits={"reject_share": 0.2},
    ),
    "score": Trouble(
        delivering("1,A,0,10.00", *WHOLE[1:]),
        delivering(*WHOLE, name="mended.csv", later=2),
        "silver.order_lines/1",
        ("The score of its last deliveries is 75.0.", "At least 90 is wanted", "Usual is 100.0"),
        limits={"score": 90},
    ),
    "check": Trouble(
        delivering("1,A,2,1000.00", *WHOLE[1:]),
        delivering(*WHOLE, name="mended.csv", later=2),
        "silver.order_lines/1/price_is_small",
        (
            "1 of 4 do not hold it (25.0%). a test.",
            "Usual is 0.0%",
            "from ops.quality where table_name = 'silver.order_lines'",
        ),
    ),
    "lag": Trouble(
        waiting(Lag("bronze.orders", 0, 5, 70, 0, TODAY), Lag("bronze.orders", 1, 5, 7, 0, TODAY)),
        waiting(Lag("bronze.orders", 0, 75, 0, 0)),
        "bronze.orders/events",
        ("77 offsets wait, the oldest message for ", "At most 15 min is wanted"),
    ),
    "not_released": Trouble(
        unpublished,
        lambda one: one.run(),
        "release",
        ("is in no release: nobody has published since", "Readers still have release 3."),
        limits={"released_within": "1s"},
    ),
    "disk": Trouble(limited(disk_free=1.0), limited(disk_free=0.0), "", ("GiB are free", "lakehouse maintain")),
    "sql": Trouble(
        delivering("1,A,20,10.00", *WHOLE[1:]),
        delivering(*WHOLE, name="mended.csv", later=2),
        "few_units",
        ("Units are many. It finds 1 row: market 1, units ", "lakehouse sql 'select market, units from gold.totals"),
        conditions={
            "few_units": {"sql": "select market, units from gold.totals where units > 25", "why": "Units are many"}
        },
    ),
}


def test_there_is_trouble_of_each_kind() -> None:
    assert [*TROUBLE] == [*get_args(Kind)]


@pytest.mark.parametrize("kind", TROUBLE)
def test_each_kind_of_trouble_is_told_once_by_each_route_and_once_when_it_is_over(kind: Kind, watched: Watched) -> None:
    trouble = TROUBLE[kind]
    watched.limits, watched.conditions = trouble.limits, trouble.conditions
    watched.write()
    trouble.made(watched)
    trouble.made(watched) if kind == "lag" else watched.look()
    told = watched.told.taken()
    assert {name: len(notices) for name, notices in told.items()} == dict.fromkeys(ROUTES, 1), told
    for notice in told.values():
        text = notice[0].replace("&#x27;", "'").replace("&quot;", '"').replace("&gt;", ">")
        title = f"[lakehouse] {kind.replace('_', ' ')}: {trouble.title}"
        assert text.removeprefix("<b>").startswith(title), text
        assert all(words in text for words in (*trouble.words, "To do: ", "To look: lakehouse ", "Lake: ")), text
    trouble.mended(watched)
    trouble.mended(watched) if kind == "lag" else watched.look()
    over = watched.told.taken()
    assert {name: len(notices) for name, notices in over.items()} == dict.fromkeys(ROUTES, 1), over
    assert all(f"over: {kind.replace('_', ' ')}: {trouble.title}" in one for (one,) in over.values())

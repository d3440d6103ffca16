"""`lakehouse demo --events`: a day of users' traffic through a Kafka broker, in parts, and the funnel after each."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from jobs import printed
from jobs.places import engine_name
from jobs.recovery import published
from jobs.runs import plain, ran
from jobs.samples import events
from jobs.serving import kept_out
from lakehouse import engines, graph
from lakehouse.errors import LackingExtraError, LakehouseError
from lakehouse.runs.run import Run
from lakehouse.serving.questions import sql
from lakehouse.sources import broker
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from jobs.samples.events import Message, Truth
    from lakehouse.graph import Table

FOLDER = graph.HOME / ".lake" / "demo_events"
SOURCE, EVENTS = "bronze.events", "silver.events"
SESSIONS, PARTITIONS, PARTS = 2_000, 4, (6, 12, 18, 30)  # hours of the day; the last one has what comes late
LONGEST = 60.0  # seconds, until all messages are taken
STEPS = ("views", "clicks", "purchases")
COUNTED = (
    "count_if(event_name = 'view') as views, count_if(event_name = 'click') as clicks, "
    "count_if(event_name = 'purchase') as purchases"
)
MOST_VIEWED = (
    "select product_name, sum(sessions_viewed) as sessions_viewed, sum(sessions_clicked) as sessions_clicked, "
    "sum(sessions_purchased) as sessions_purchased from gold.product_conversion group by product_name "
    "order by sessions_viewed desc, product_name limit 5"
)
OF_SESSIONS = ("sessions", "sessions_viewed", "sessions_clicked", "sessions_purchased")
QUESTIONS = {
    "By platform: the law is that 30 % of views are clicked, and 25 % of clicks become purchases": (
        EVENTS,
        f"select platform, {COUNTED} from silver.events group by platform order by platform",  # noqa: S608  our own
    ),
    "From step to step within a session": (
        "gold.funnel",
        f"select platform, {', '.join(OF_SESSIONS)}, click_share, purchase_share from gold.funnel order by platform",  # noqa: S608  as above
    ),
    "Who came": (
        "gold.active_users",
        "select period, period_start, active_users, new_users, returning_users from gold.active_users order by 1, 2",
    ),
    "What was looked at most, and how often it was bought": (
        "gold.product_conversion",
        MOST_VIEWED,
    ),
}


@contextmanager
def opened(messages: Console, folder: Path) -> Iterator[str]:
    """The address of a new broker, for which KAFKA_SERVERS stands as long as the block runs; it ends with it."""
    before = os.environ.get("KAFKA_SERVERS")
    at = broker.start(folder, messages.print).address
    os.environ["KAFKA_SERVERS"] = at
    try:
        yield at
    finally:
        os.environ.pop("KAFKA_SERVERS")
        os.environ.update({"KAFKA_SERVERS": before} if before else {})
        broker.stop(folder)


def send(address: str, topic: str, some: Sequence[Message]) -> None:
    """Each message with its time, to the partition of its key."""
    producer = _clients().Producer({"bootstrap.servers": address, "linger.ms": 5})
    for one in some:
        producer.produce(topic, one.value, one.key, timestamp=int(one.sent_at.timestamp() * 1000))
        producer.poll(0)
    if left := producer.flush(LONGEST):
        raise LakehouseError(
            f"Kafka's broker at {address} did not take {left:,} messages within {LONGEST:g} s. See its log, kafka.log "
            f"in {FOLDER}, and start again."
        )


def make(address: str, topic: str) -> None:
    clients = _clients()
    asked = clients.admin.AdminClient({"bootstrap.servers": address})
    asked.create_topics([clients.admin.NewTopic(topic, PARTITIONS, 1)])[topic].result()


def _clients() -> Any:  # noqa: ANN401  a module without types
    try:
        import confluent_kafka.admin  # noqa: PLC0415
    except ImportError as error:
        raise LackingExtraError("Kafka is spoken to by confluent-kafka", "kafka") from error
    return confluent_kafka


def demo(messages: Console) -> None:
    """A lake of these events alone, in .lake/demo_events; its broker is started and ended."""
    _clients()
    shutil.rmtree(FOLDER, ignore_errors=True)
    lake, landing = FOLDER / "tables", FOLDER / "landing"
    landing.mkdir(parents=True)
    tables = _of_events(graph.load())
    topic = _topic(tables)
    day = datetime.now(UTC).date() - timedelta(days=1)
    made = events.generate(day, sessions=SESSIONS)
    engine: Any = engine_name(None)
    with opened(messages, FOLDER / "kafka") as address:
        make(address, topic)
        midnight, begin, grown = datetime(day.year, day.month, day.day, tzinfo=UTC), 0, list[tuple[str, ...]]()
        for number, hour in enumerate(PARTS, start=1):
            part = [one for one in made.messages if begin <= (one.sent_at - midnight) / timedelta(hours=1) < hour]
            until = f"{hour:02}:00" if hour < PARTS[-1] else "the last late one"
            messages.rule(f"{number}. {day}, until {until}: {len(part):,} messages")
            send(address, topic, part)
            run = Run(str(lake), str(landing), tables, engine=engine)
            with ran.run(messages, run, tables) as say:
                report = run.execute(tables, say)
            ran.summary(messages, report)
            published.after(messages, run, report)
            engine, begin = run.engine, hour
            grown.append((until, f"{len(part):,}", *_counted(str(lake))))
            messages.print("\n[bold]The funnel so far[/]")
            printed.grid(("until", "messages", *STEPS), grown, messages)
    plain.after(messages, str(lake), tables)
    _answers(messages, str(lake), tables, made.truth)


def _topic(tables: Mapping[str, Table]) -> str:
    source = tables[SOURCE].contract.source
    return source.kafka.topic if source and source.kafka else ""


def _of_events(known: dict[str, Table]) -> dict[str, Table]:
    """What is made of events alone."""
    above = {name: {one for one in graph.selected(known, [name]) if one.startswith("bronze.")} for name in known}
    return {name: one for name, one in known.items() if above[name] == {SOURCE}}


def _counted(lake: str) -> tuple[str, ...]:
    reader = engines.reader(engine_name(None))
    (row,) = sql.query(reader, lake, f"select {COUNTED} from silver.events").texts()  # noqa: S608  our own columns
    return tuple(f"{int(one or 0):,}" for one in row)


def _answers(messages: Console, lake: str, tables: Mapping[str, Table], truth: Truth) -> None:
    messages.rule(f"{len(PARTS) + 1}. What is there")
    messages.print(
        f"Sent were {truth.messages:,} messages: {truth.events.total():,} events ({truth.late:,} of them late), "
        f"{truth.again:,} that said one again, and {truth.broken.total():,} that say none."
    )
    reader = engines.reader(engine_name(None))
    messages.print(f"{EVENTS} has {sum(int(one.replace(',', '')) for one in _counted(lake)):,} events.")
    for title, (table, question) in QUESTIONS.items():
        if table in tables:
            messages.print(f"\n[bold]{title}[/]")
            answer = sql.query(reader, lake, question)
            printed.grid(answer.columns, answer.texts(), messages)
    messages.print("\n[bold]What is in quarantine, and why[/]")
    kept_out.rejected(messages, storage.normalise(lake), tables[EVENTS], 1, str(FOLDER / "landing"))
    messages.rule("What next")
    messages.print(f"This lake is a local folder. To ask it from this shell:\n  export LAKEHOUSE_ROOT={lake}")
    messages.print("  lakehouse status")
    messages.print(f'  lakehouse sql "describe table {EVENTS}"')
    messages.print("  lakehouse kafka start    [dim]# a broker of your own to send to: docs/how-to/kafka.md[/]")

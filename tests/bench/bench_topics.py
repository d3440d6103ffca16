"""A topic's backlog into bronze: `python -m tests.bench.bench_topics FOLDER [megabytes]`. A broker is started below it.

JSON of about 300 bytes in 4 partitions, the producer stopped. Seconds are the clock's, and this process's alone.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from lakehouse import engines
from lakehouse.sources import broker as kafka
from tests.lakehouse.sources.kafka.sent import Taker, Topic

NAMES, PLATFORMS = ("view", "click", "purchase"), ("web", "ios", "android")


def an_event(number: int) -> bytes:
    said = {
        "event_id": f"{number:032x}",
        "event_datetime": f"2026-11-29T10:{number // 60 % 60:02}:{number % 60:02}.{number % 1000:03}Z",
        "event_name": NAMES[number % 3],
        "user_id": number % 100_000,
        "platform": PLATFORMS[number // 7 % 3],
        "product_name": f"Product number {number % 5000} of brand {number % 37}",
        "sku": f"SKU-{number % 5000:06}",
        "page": f"/shop/category/{number % 20}/item/{number % 5000}",
        "session": f"{number // 9:016x}",
    }
    return json.dumps(said).encode()


def main(folder: Path, megabytes: int) -> None:
    broker = kafka.start(folder / "kafka")
    os.environ["KAFKA_SERVERS"] = broker.address
    topic, sent, size = Topic(broker.address, partitions=4).make(), 0, 0
    events = [an_event(number) for number in range(50_000)]
    while size < megabytes * 10**6:
        topic.send(*events)
        sent, size = sent + len(events), size + sum(map(len, events))
    print(f"{sent:,} messages of {size / sent:.0f} bytes")  # noqa: T201
    taker = Taker(folder, topic.name, engines.start(engines.NATIVE, long=True), {"megabytes": 64})
    begin, busy, report = time.monotonic(), time.process_time(), taker.run()
    while report.is_behind:
        report = taker.run()
    seconds, busy = time.monotonic() - begin, time.process_time() - busy
    own = f"{size / busy / 1e6:.1f} MB a second of this process's CPU ({busy:.1f} s)"
    print(f"{size / seconds / 1e6:.1f} MB/s; {own}")  # noqa: T201
    kafka.stop(folder / "kafka")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 200)

"""Never more than rate x t + burst requests in any time t, by the server's own clock and of all processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest

from jobs.demo.sales_api import SalesAPI
from lakehouse.sources.api.rate import Bucket
from lakehouse.sources.windows import SourceError
from tests.selling import KEY, LINES, ONCE, Shop, lines, read

if TYPE_CHECKING:
    from pathlib import Path

HOST = "https://api.example.com"


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    return Bucket(tmp_path / "rates" / "level.json", HOST, rate=10, burst=2)


def test_beyond_the_burst_requests_come_at_the_rate(bucket: Bucket) -> None:
    begun = time.monotonic()
    for _ in range(5):
        with bucket.request(1, 5):
            pass
    assert time.monotonic() - begun >= 0.3


def test_a_request_weighs_in_full_until_it_is_answered(bucket: Bucket) -> None:
    """The server may see it at the very end, when others have run off since long."""
    with bucket.request(1, 1), bucket.request(1, 1), pytest.raises(SourceError, match=f"{HOST} lets nobody ask for 0"):
        bucket.request(1, 0.25).__enter__()


def test_the_request_of_a_process_that_died_weighs_as_one_that_was_answered(bucket: Bucket) -> None:
    died = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    bucket.close(0)
    level = json.loads(bucket.file.read_text())
    bucket.file.write_text(json.dumps(level | {"sent": {"a": [int(died.stdout), level["at"] + 60]}, "answered": 1}))
    with bucket.request(1, 5):
        assert time.monotonic() - level["at"] > 0.05


@pytest.mark.parametrize("text", ['{"at": 1', '{"at": 1e18, "closed_until": 2e18}'])
def test_what_another_start_of_the_machine_left_counts_as_a_full_bucket(bucket: Bucket, text: str) -> None:
    bucket.file.parent.mkdir()
    bucket.file.write_text(text)
    begun = time.monotonic()
    with bucket.request(1, 5):
        assert time.monotonic() - begun > 0.05


@pytest.mark.slow
def test_the_server_never_counts_more_than_the_rate_and_the_burst(shop: Shop) -> None:
    shop.api = SalesAPI(LINES, KEY, rate=100, burst=4)
    source = shop.source(rate="100/s", burst=4, query={"limit": 2})
    with ThreadPoolExecutor(3) as several:
        assert all(lines(source, pages) == ONCE for pages in several.map(read, [source] * 3))
    assert shop.api.fullest <= 4
    assert {one.status for one in shop.api.asked} == {200}


def test_what_was_sent_by_a_lower_rate_runs_off_by_that_for_all(bucket: Bucket) -> None:
    """As where two variables name one host, or a script asks beside `lakehouse fetch`."""
    slow, fast = (Bucket(bucket.file, HOST, rate, 1) for rate in (0.1, 1000))
    with slow.request(1, 1):
        pass
    with pytest.raises(SourceError, match=f"{HOST} lets nobody ask for 10 more seconds"):
        fast.request(1, 1).__enter__()


def test_contracts_share_what_a_host_allows_but_for_a_limit_of_its_own(shop: Shop) -> None:
    source = partial(shop.source, rate="1/h", burst=1, query={"limit": 500})
    assert read(source())
    assert read(source(limit="of stock"))
    with pytest.raises(SourceError, match=r"lets nobody ask for 3,[56]"):
        read(source())
    assert len(shop.api.asked) == 2


ASKING = """
import sys
from jobs.demo.sales_api import PATH
from tests.selling import Shop, read
read(Shop(sys.argv[1]).source(rate="50/s", burst=3, query={"limit": 2}))
"""


@pytest.mark.slow
def test_processes_share_what_the_server_allows(shop: Shop) -> None:
    shop.api = SalesAPI(LINES, KEY, rate=50, burst=3)
    begun = [subprocess.Popen([sys.executable, "-c", ASKING, shop.url], env=os.environ) for _ in range(3)]
    assert [one.wait(60) for one in begun] == [0, 0, 0]
    assert shop.api.fullest <= 3
    assert {one.status for one in shop.api.asked} == {200}


@pytest.mark.long
def test_a_hundred_thousand_sales_take_little_longer_than_the_rate_allows(shop: Shop) -> None:
    sales = [{**LINES[0], "line_id": f"{number:06}-1"} for number in range(100_000)]
    shop.api = SalesAPI(sales, KEY, rate=50, burst=5)
    source, begun = shop.source(rate="50/s", burst=5, query={"limit": 100}, patience="10m"), time.monotonic()
    pages = read(source)
    took = time.monotonic() - begun
    assert (len(pages), len(lines(source, pages))) == (1000, 100_000)
    assert {one.status for one in shop.api.asked} == {200}
    assert shop.api.fullest <= 5
    assert took <= 1.3 * 1000 / 50, f"{took:.1f} s"

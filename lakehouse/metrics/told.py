"""Numbers as Prometheus takes them: from a server that it scrapes, or a file that node_exporter reads for it."""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest, start_http_server, write_to_textfile
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from lakehouse.errors import LakehouseError, refusal
from lakehouse.metrics.measured import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from prometheus_client import Metric

    from lakehouse.metrics.measured import Looked

KEPT = 5.0  # seconds that numbers are kept at least
SHARE = 10  # of the time, that looking takes at most one part
ENDING = ".prom"  # of the files that node_exporter reads
EXAMPLE = "127.0.0.1:9108"


class Kept(Collector):
    """What a look finds, for all who ask meanwhile: the slower it is, the longer it is kept."""

    def __init__(self, look: Callable[[], Looked]) -> None:
        self._look, self._lock = look, Lock()
        self._until, self._families = 0.0, list["Metric"]()

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            begun = time.monotonic()
            if begun >= self._until:
                self._families = families(self._look())
                now = time.monotonic()
                self._until = now + max(KEPT, (SHARE - 1) * (now - begun))
            found = self._families
        yield from found


def families(looked: Looked) -> list[Metric]:
    """In the order of FAMILIES, those of which there is a number."""
    found = dict[str, "Metric"]()
    for name, (words, labels) in FAMILIES.items():
        kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
        found[name] = kind(name, words, labels=labels)
    for one in looked.samples:
        found[one.name].add_metric(one.labels, one.value)  # type: ignore[attr-defined]
    return [one for one in found.values() if one.samples]


def registry(look: Callable[[], Looked]) -> CollectorRegistry:
    one = CollectorRegistry(auto_describe=False)
    one.register(Kept(look))
    return one


def text(look: Callable[[], Looked]) -> str:
    """As a scrape answers it."""
    return generate_latest(registry(look)).decode()


def serve(listen: str, look: Callable[[], Looked]) -> str:
    """Answer scrapes in a thread from now on; the address. Raises LakehouseError where that is none, or is taken."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004  the last port
        raise LakehouseError(f"{listen!r} is no address to listen at. Give a host and a port, such as {EXAMPLE}.")
    try:
        server, _ = start_http_server(int(port), host.strip("[]"), registry(look))
    except OSError as error:
        why = refusal(error) or f"{error.strerror}."
        raise LakehouseError(f"{listen} cannot be listened at: {why} Name another: --listen 127.0.0.1:9109.") from error
    return f"http://{host}:{server.server_port}/metrics"


def write(path: Path, look: Callable[[], Looked]) -> None:
    """The whole file or none: what is half written has another name, which nobody reads.

    Raises LakehouseError where node_exporter would not read it, or it cannot be written.
    """
    if path.suffix != ENDING:
        raise LakehouseError(f"{path} must end in {ENDING}: node_exporter reads no other files.")
    try:
        write_to_textfile(str(path), registry(look))
    except OSError as error:
        why = refusal(error) or f"{error.strerror}. Make its folder, or name another."
        raise LakehouseError(f"{path} cannot be written: {why}") from error

"""Kafka in the house, for the demo and tests: the real broker from Maven's jars, started on loopback.

Beside the data folder stands its state (`.lake/kafka` and `.lake/kafka.json`): address and pid. It asks nobody who he
is.
"""

from __future__ import annotations

import base64
import os
import socket
import struct
import subprocess
import tempfile
import uuid
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.conf import HOME
from lakehouse.engines.spark import jvm
from lakehouse.errors import LakehouseError
from lakehouse.store import service
from lakehouse.store.cache import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VERSION = "3.9.2"
LOCK = Path(__file__).with_name("broker.lock")  # its jars with their digests, by `group:name:version`
FOLDER = HOME / ".lake" / "kafka"
STARTS_WITHIN = 90  # seconds; 3 to 7 on an idle machine
SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "auto.create.topics.enable": "false",
}
LOGGING = """log4j.rootLogger=WARN, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d{ISO8601} %p %m (%c)%n
"""


@dataclass(frozen=True)
class Broker:
    """A running broker; `pid` 0 in the state file means that it was stopped."""

    address: str  # host:port, as clients' bootstrap.servers
    controller: str
    pid: int
    folder: Path

    def arguments(self) -> list[str]:
        """By these its process is told from another one that got the same pid after a restart of the machine."""
        return ["kafka.Kafka", str(self.folder / "server.properties")]


def program(say: Callable[[str], None] = print) -> Path:
    """The folder of the jars, the broker's and its tools', fetched at the first call.

    LakehouseError where there is no Java, no network or no room.
    """
    jvm.check_java("Kafka's broker")
    folder = cache_folder() / "kafka" / VERSION
    folder.parent.mkdir(parents=True, exist_ok=True)
    with service.alone(folder.parent):  # several tests may want it at once
        if not folder.exists():
            _fetch(folder, say)
    return folder


def _fetch(folder: Path, say: Callable[[str], None]) -> None:
    digests = {of: digest for digest, of in (line.split() for line in LOCK.read_text(encoding="utf-8").splitlines())}
    say(f"Fetching Kafka {VERSION} ({len(digests)} jars, 44 MB, once) into {folder}")
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        made = Path(scratch, "made")
        made.mkdir()
        for jar in jvm.fetched(Path(jvm.java()), digests, "jar", Path(scratch)):
            jar.rename(made / jar.name)
        made.rename(folder)


def tool(name: str, *, options: tuple[str, ...] = (), say: Callable[[str], None] = print) -> list[str]:
    """The command of a class of the jars, to which its arguments are added: org.apache.kafka.tools.ConsoleConsumer."""
    return [jvm.java(), *options, "-cp", f"{program(say)}/*", name]


def start(
    folder: Path = FOLDER, say: Callable[[str], None] = print, settings: Mapping[str, str] | None = None
) -> Broker:
    """The folder's broker, started if need be. It outlives this process; its port and topics stay.

    `settings` are lines of server.properties beside our own.
    """
    jars, folder = program(say), folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with service.alone(folder):
        broker = status(folder)
        if broker is None or not _ready(broker):  # one that was killed a moment ago still runs
            broker = _launch(jars, folder, settings or {})
            _ready(broker)
    if not _answers(broker):
        log = service.beside(folder, ".log")
        raise LakehouseError(
            f"Kafka's broker does not answer at {broker.address}: {_last(log.read_text(errors='replace'))}\nThe rest "
            f"is in {log}. If its data are damaged, delete {folder}: its topics go with it."
        )
    return broker


def _ready(broker: Broker) -> bool:
    """Whether it still runs, once it answers or the time is over."""
    service.within(STARTS_WITHIN, lambda: _answers(broker) or not _is_running(broker))
    return _is_running(broker)


def stop(folder: Path = FOLDER) -> bool:
    """Whether there was a broker of this folder to be stopped; nothing else is ever ended."""
    broker = status(folder)
    if broker is None:
        return False
    service.end(broker.pid, broker.arguments())
    service.remember(broker.folder, asdict(replace(broker, pid=0)))
    return True


def status(folder: Path = FOLDER) -> Broker | None:
    """The broker of this folder while its process runs (no request). LakehouseError when its state cannot be read."""
    known = _recall(folder.resolve())
    return known if known and _is_running(known) else None


def _launch(jars: Path, folder: Path, settings: Mapping[str, str]) -> Broker:
    known = _recall(folder) or Broker("", "", 0, folder)
    ports = [service.free_port(one.rpartition(":")[2]) for one in (known.address, known.controller)]
    broker = replace(known, address=f"127.0.0.1:{ports[0]}", controller=f"127.0.0.1:{ports[1]}")
    own = SETTINGS | {
        "controller.quorum.voters": f"1@{broker.controller}",
        "listeners": f"PLAINTEXT://{broker.address},CONTROLLER://{broker.controller}",
        "advertised.listeners": f"PLAINTEXT://{broker.address}",
        "log.dirs": str(folder / "data"),
    }
    of_broker, of_log = folder / "server.properties", folder / "log4j.properties"
    of_broker.write_text("".join(f"{name}={value}\n" for name, value in (own | dict(settings)).items()))
    of_log.write_text(LOGGING)
    options = [f"-Dlog4j.configuration=file:{of_log}"]
    program = [jvm.java(), *options, "-Xms128m", "-Xmx512m", "-cp", f"{jars}/*"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "KAFKA_"))}
    if not (folder / "data" / "meta.properties").exists():
        _format([jvm.java(), *options, "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*"], of_broker)
    pid = service.launch(program, broker.arguments(), environment, service.beside(folder, ".log"))
    broker = replace(broker, pid=pid)
    service.remember(folder, asdict(broker))
    return broker


def _format(java: list[str], of_broker: Path) -> None:
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[:22]
    command = [
        *java,
        "kafka.tools.StorageTool",
        "format",
        "--ignore-formatted",
        f"--cluster-id={cluster}",
        "-c",
        str(of_broker),
    ]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LakehouseError(
            f"Kafka's broker cannot use {of_broker.parent}: {_last(done.stderr or done.stdout)} Check the settings, "
            "and the room on the disk."
        )


def _last(words: str) -> str:
    """The last that Java said, without where in its code."""
    return " ".join(one.strip() for one in words.splitlines() if not one.startswith("\tat "))[-500:]


METADATA, OF_ALL_BROKERS = 3, struct.pack(">i", 0)  # of Kafka's protocol: a request's number; of no topics


def _answers(broker: Broker) -> bool:
    """It names itself among its brokers: from then on it takes topics and messages."""
    host, _, port = broker.address.partition(":")
    request = struct.pack(">hhih", METADATA, 1, 0, -1) + OF_ALL_BROKERS
    try:
        with socket.create_connection((host, int(port)), timeout=2) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = connection.recv(12, socket.MSG_WAITALL)
    except OSError:
        return False
    return len(answer) == 12 and struct.unpack(">iii", answer)[2] > 0  # noqa: PLR2004  its length, number, brokers


def _is_running(broker: Broker) -> bool:
    return service.is_running(broker.pid, broker.arguments())


def _recall(folder: Path) -> Broker | None:
    try:
        state = service.recall(folder)
        if state is None:
            return None
        return Broker(state["address"], state["controller"], int(state["pid"]), folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LakehouseError(
            f"{service.beside(folder, '.json')} cannot be read ({type(error).__name__}), so the address of Kafka's "
            f"broker is unknown. End one that still runs on {folder}, then delete the file: its topics stay."
        ) from error

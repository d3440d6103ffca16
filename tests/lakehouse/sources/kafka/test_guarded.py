"""Brokers that want encryption, a login and rights: both engines read them, and a refusal says what to correct."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("confluent_kafka", reason="needs the extra `kafka`: uv sync --inexact --extra kafka")

from confluent_kafka import ConsumerGroupTopicPartitions, admin
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from lakehouse.delta.tables.progress import Offsets
from lakehouse.described.kafka import Kafka
from lakehouse.engines.spark import jvm
from lakehouse.errors import LakehouseError
from lakehouse.runs import topics
from lakehouse.sources import broker as kafka
from lakehouse.sources.kafka import clients
from lakehouse.sources.kafka.consume import Reader
from lakehouse.store import service
from tests.lakehouse.sources.kafka.sent import EVENTS, Taker, Topic, as_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lakehouse.engines.native.engine import Native
    from lakehouse.sources.kafka.topics import Offer

pytestmark = pytest.mark.kafka
HOME = Path(__file__).parents[4]
PASSWORD, WRONG = "c4nary-of-a-password", "c4nary-that-is-wrong"
GROUP = "those-who-tell"
SECURITY = "org.apache.kafka.common.security"
# What of the topic, and whether of the group, an account may use; others may do all.
LOGS_IN, LOOKS, READS, TELLS = "logs-in", "looks", "reads", "tells"
ALLOWED = {LOGS_IN: (), LOOKS: (AclOperation.DESCRIBE,), READS: (AclOperation.READ,), TELLS: (AclOperation.READ,)}
# Of each kind who may read, by which of the two listeners; the certificate of the brokers stands for users' too.
LOGIN = {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_USERNAME": "me", "SASL_PASSWORD": PASSWORD}
PLAIN, SCRAM, CERTIFICATE = "a password", "a password that is never sent", "a certificate"
WAYS = {
    PLAIN: ("guarded", LOGIN | {"SASL_MECHANISM": "PLAIN", "SASL_USERNAME": READS}),
    SCRAM: ("guarded", LOGIN | {"SASL_MECHANISM": "SCRAM-SHA-256"}),
    CERTIFICATE: (
        "certified",
        {"SECURITY_PROTOCOL": "SSL", "SSL_CERTIFICATE_LOCATION": "brokers.pem", "SSL_KEY_LOCATION": "brokers.key"},
    ),
}

# A line from outside for each run, and how the settings are to be wrong when Spark gets them; it says what went wrong.
BY_SPARK = """
import json, os, sys
from dataclasses import replace
from pathlib import Path
from lakehouse.engines.spark import topics
from lakehouse.errors import LakehouseError
from tests.lakehouse.sources.kafka.sent import EVENTS, Taker

read = topics.read
for line in sys.stdin:
    folder, topic, environment, wrong = json.loads(line)
    os.environ |= environment
    for name in [one for one in os.environ if one.startswith("KAFKA_") and one not in environment]:
        del os.environ[name]
    topics.read = lambda spark, asked, tasks: read(spark, replace(asked, settings=asked.settings | wrong), tasks)
    try:
        Taker(Path(folder), topic, "spark").run()
        print("read")
    except LakehouseError as error:
        print(" ".join(str(error).split()))
"""


@dataclass(frozen=True)
class Guarded:
    """A topic of two messages, and by listener the address at which its broker asks who reads it."""

    folder: Path
    topic: Topic
    listeners: Mapping[str, str]

    def environment(self, way: str, other: Mapping[str, str | None] | None = None) -> dict[str, str]:
        """For this way of reading it, but for what is said otherwise; None is not said."""
        listener, said = WAYS[way]
        settings = {"SSL_CA_LOCATION": "brokers.pem"} | said | dict(other or {})
        values = {name: value for name, value in settings.items() if value is not None}
        files = {name: str(self.folder / value) for name, value in values.items() if name.endswith("_LOCATION")}
        known = {"SERVERS": self.listeners[listener]} | values | files
        return {f"KAFKA_{name}": value for name, value in known.items()}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    try:
        jvm.check_java("Kafka's broker")
    except LakehouseError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("guarded")
    for name in ("brokers", "others"):
        certify(folder, name)
    plain, controller, guarded, certified = (f"127.0.0.1:{service.free_port()}" for _ in range(4))
    service.remember(folder / "kafka", {"address": plain, "controller": controller, "pid": 0})
    known = " ".join(f'user_{one}="{PASSWORD}"' for one in ALLOWED)
    ours = f"PLAINTEXT://{plain},GUARDED://{guarded},CERTIFIED://{certified}"
    settings = {
        "listeners": f"{ours},CONTROLLER://{controller}",
        "advertised.listeners": ours,
        "listener.security.protocol.map": ("PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,GUARDED:SASL_SSL,CERTIFIED:SSL"),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "store.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "brokers.pem"),
        "listener.name.certified.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
        "listener.name.guarded.plain.sasl.jaas.config": f"{SECURITY}.plain.PlainLoginModule required {known};",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS;User:me;User:CN=tests",
        "listener.name.guarded.scram-sha-256.sasl.jaas.config": f"{SECURITY}.scram.ScramLoginModule required;",
    }
    (folder / "store.pem").write_text("".join((folder / f"brokers.{one}").read_text() for one in ("key", "pem")))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")  # as the fixture `broker`
        kafka.start(folder / "kafka", say=lambda _: None, settings=settings)
    topic = Topic(plain).make()
    topic.send(b'{"user_id": 7}', b"broken")
    asking, how = topic.admin, admin.ScramCredentialInfo(admin.ScramMechanism.SCRAM_SHA_256, 4096)  # type: ignore[attr-defined]
    me = admin.UserScramCredentialUpsertion("me", how, PASSWORD.encode())  # type: ignore[attr-defined]
    asking.alter_user_scram_credentials([me])["me"].result()
    for user, can in ALLOWED.items():
        grant(topic, user, *can)
    grant(topic, TELLS, AclOperation.READ, of=(ResourceType.GROUP, GROUP))
    yield Guarded(folder, topic, {"guarded": guarded, "certified": certified})
    kafka.stop(folder / "kafka")


def grant(topic: Topic, user: str, *can: AclOperation, of: tuple[ResourceType, str] | None = None) -> None:
    """Of the topic, or of something else, whose kind and name these are."""
    where = (*(of or (ResourceType.TOPIC, topic.name)), ResourcePatternType.LITERAL, f"User:{user}", "*")
    asking = topic.admin
    for one in can:
        (done,) = asking.create_acls([AclBinding(*where, one, AclPermissionType.ALLOW)]).values()
        done.result()
        while not asking.describe_acls(AclBindingFilter(*where, one, AclPermissionType.ALLOW)).result():
            time.sleep(0.01)  # the broker hears of it a moment later


def certify(folder: Path, name: str) -> None:
    """A certificate of 127.0.0.1 that vouches for itself, and its key."""
    how = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-subj", "/CN=tests"]
    how += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem"]
    subprocess.run(["openssl", "req", "-x509", *how], check=True, capture_output=True)  # noqa: S607


@contextmanager
def said_by(environment: Mapping[str, str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        for variable, value in environment.items():
            patched.setenv(variable, value)
        yield


AT_LOGIN = r"\. Check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM\."
CLOSED = r"names: they close every connection\. Check KAFKA_SECURITY_PROTOCOL: they may want encryption \(SSL\), a"
# By what is said otherwise, or not at all. The client says one refusal now of the handshake, with advice, now of the
# connection, without: what is expected is in both.
REFUSED: dict[str, list[tuple[dict[str, str | None], str]]] = {
    PLAIN: [
        ({"SASL_PASSWORD": WRONG}, "Invalid username or password" + AT_LOGIN),
        ({"SASL_PASSWORD": None}, r"password must be set\. Check that they run, and KAFKA_SECURITY_PROTOCOL"),
        (
            {"SSL_CA_LOCATION": "others.pem"},
            r"certificate verify failed.*\. Check KAFKA_SSL_CA_LOCATION, whether it is SSL that",
        ),
        ({"SECURITY_PROTOCOL": "SSL"}, CLOSED),
        (dict.fromkeys([*LOGIN, "SASL_MECHANISM", "SSL_CA_LOCATION"]), CLOSED),
    ],
    SCRAM: [({"SASL_PASSWORD": WRONG}, "invalid credentials with SASL mechanism SCRAM-SHA-256" + AT_LOGIN)],
    CERTIFICATE: [
        (
            {"SSL_CERTIFICATE_LOCATION": None, "SSL_KEY_LOCATION": None},
            r"alert bad certificate.*, and where they ask for a certificate of one's own, KAFKA_SSL_CERTIFICATE_LOC",
        ),
        (
            {"SSL_KEY_LOCATION": "nobodys.key"},
            r"KAFKA_SSL_KEY_LOCATION names .*/nobodys\.key, and there is no file that can be read\. Correct it\.",
        ),
    ],
}


def test_brokers_that_refuse_say_why_at_once_and_are_read_when_that_is_corrected(
    guarded: Guarded,
    engine: Native,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Long before the client would give up, which says no more than that it did; no log has the password."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(clients, "REFUSES_FOR", 0.2)
    said = []
    for way in WAYS:
        taker = Taker(tmp_path / way.replace(" ", "-"), guarded.topic.name, engine)
        for other, words in REFUSED[way]:
            with said_by(guarded.environment(way, other)), pytest.raises(LakehouseError, match=words) as refused:
                taker.run()
            said.append(str(refused.value))
        with said_by(guarded.environment(way)):
            taker.run()
        assert taker.taken() == as_rows(guarded.topic.committed)
    assert "Timed out" not in " ".join(said)
    assert "c4nary" not in " ".join([*said, caplog.text])
    assert not any(b"c4nary" in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


def test_an_account_that_may_not_read_the_topic_is_told_what_to_grant(
    guarded: Guarded, engine: Native, tmp_path: Path
) -> None:
    """By the plan, whether it is there or not; and by the first message, where the right was taken away meanwhile."""
    for user, topic in ((LOGS_IN, "none"), (LOGS_IN, guarded.topic.name), (LOOKS, guarded.topic.name)):
        taker = Taker(tmp_path, topic, engine)
        words = rf"do not let this account read topic {topic}\. Grant it that \(`kafka-acls.sh --add --allow-principal"
        with said_by(guarded.environment(PLAIN, {"SASL_USERNAME": user})):
            with pytest.raises(LakehouseError, match=words):
                offered(taker)
            with pytest.raises(LakehouseError, match=words):
                taker.run()
    reader = Reader(Kafka(topic=topic, servers="KAFKA_SERVERS"), GROUP, "", [], goes_on=False)
    with said_by(guarded.environment(PLAIN, {"SASL_USERNAME": LOOKS})):
        with closing(reader), pytest.raises(LakehouseError, match=words):
            reader.read([Offsets(0, 0, 1)])
        grant(guarded.topic, LOOKS, AclOperation.READ)
        taker.run()
    assert taker.taken() == as_rows(guarded.topic.committed)


def offered(taker: Taker) -> Offer:
    said = topics.offers(taker.root, [taker.table])[EVENTS]
    if isinstance(said, LakehouseError):
        raise said
    return said


def test_an_account_that_may_not_use_the_group_reads_all_the_same(
    guarded: Guarded, engine: Native, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It waits for nothing: the brokers' own answer is in the log, and not that none came."""
    caplog.set_level(logging.INFO)
    for user, told in ((READS, set()), (TELLS, {(0, 1), (1, 1)})):
        taker = Taker(tmp_path / user, guarded.topic.name, engine, {"group": GROUP})
        with said_by(guarded.environment(PLAIN, {"SASL_USERNAME": user})):
            assert all(one.since for one in topics.lag(taker.table, offered(taker)))
            taker.run()
        assert taker.taken() == as_rows(guarded.topic.committed)
        assert caplog.text.count(f"group {GROUP} was not told") == caplog.text.count("Group authorization failed") == 1
        asked = guarded.topic.admin
        found = asked.list_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP)])[GROUP].result()
        assert {(one.partition, one.offset) for one in found.topic_partitions} == told


@pytest.mark.long
@pytest.mark.spark
def test_spark_reads_guarded_brokers_by_its_own_source_and_no_log_of_it_has_the_password(
    guarded: Guarded, tmp_path: Path
) -> None:
    """All that Java says is looked at; a login that changes between the driver's look and Spark's is said in words."""
    takers = {way: Taker(tmp_path / way.replace(" ", "-"), guarded.topic.name, "native") for way in WAYS}
    plain, others = guarded.environment(PLAIN), str(guarded.folder / "others.pem")
    wrong = [(PLAIN, plain, {"sasl.password": WRONG}), (PLAIN, plain, {"ssl.ca.location": others})]
    runs = [*wrong, *((way, guarded.environment(way), {}) for way in WAYS)]
    lines = [json.dumps([str(takers[way].folder), guarded.topic.name, *said]) for way, *said in runs]
    facts = {"LAKEHOUSE_MASTER": "local[2]", "LAKEHOUSE_DRIVER_MEMORY": "700m", "LAKEHOUSE_LOG": "info"}
    done = subprocess.run(
        [sys.executable, "-c", BY_SPARK], cwd=HOME, env=os.environ | facts, input="\n".join(lines),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    words = "the topic's brokers and Spark's Java do not take each other"
    told = done.stdout.splitlines()
    assert [words in one or one for one in told] == [True, True, *["read"] * len(WAYS)]
    assert all(one.taken() == as_rows(guarded.topic.committed) for one in takers.values())
    assert "kafka.clients" in done.stderr  # so it did speak of its settings
    assert "c4nary" not in done.stdout + done.stderr
    assert not any(b"c4nary" in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())

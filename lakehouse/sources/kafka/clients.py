"""How brokers are reached: where they are and who we are stands in the environment, in the words of librdkafka.

Of a contract's `servers: KAFKA_SERVERS`, KAFKA_SASL_MECHANISM is librdkafka's `sasl.mechanism`. No error shows a value.
"""

from __future__ import annotations

import logging
import os
import re
import time
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

from lakehouse.sources.windows import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Future

    from confluent_kafka import Consumer, KafkaError
    from confluent_kafka.admin import AdminClient

    from lakehouse.described.kafka import Kafka

# What may be said of security; what it is else, the lake needs as it is.
SECURITY = (
    "security.protocol",
    "sasl.mechanism",
    "sasl.username",
    "sasl.password",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.endpoint.identification.algorithm",
)
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")  # by a name and a password
SECRET = ("sasl.password", "ssl.key.password")
ANSWERS_WITHIN = 30.0  # seconds
REFUSES_FOR = 2.0  # seconds, until it is believed: brokers that start or end may close a connection
FOR_A_MOMENT = ("LEADER_NOT_AVAILABLE", "NOT_LEADER_FOR_PARTITION")  # a topic was just made, or its broker ended
AT_RUNNING = "that they run, and {0}SECURITY_PROTOCOL and the variables beside it"
AT_PROTOCOL = "{0}SECURITY_PROTOCOL: they may want encryption (SSL), a login (SASL_PLAINTEXT), or both (SASL_SSL)"
AT_LOGIN = "{0}SASL_USERNAME, {0}SASL_PASSWORD and {0}SASL_MECHANISM"
AT_CERTIFICATES = (
    "{0}SSL_CA_LOCATION, whether it is SSL that they speak ({0}SECURITY_PROTOCOL), and where they ask for a "
    "certificate of one's own, {0}SSL_CERTIFICATE_LOCATION"
)
WHILE = re.compile(r" \(after \d+ms in state .*\)$")
T = TypeVar("T")
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Heard:
    """What was wrong last, and what to look at; by AT_RUNNING it may pass by itself, else the brokers refuse us."""

    words: str
    check: str = AT_RUNNING
    since: float = field(default_factory=time.monotonic)


_HEARD: dict[str, Heard] = {}  # by what names the brokers


def is_set(kafka: Kafka) -> bool:
    """Whether somebody said where its brokers are."""
    return bool(os.environ.get(kafka.servers))


def settings(kafka: Kafka, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """For a client of librdkafka. Raises SourceError for a variable of security that it does not know."""
    said = os.environ if environment is None else environment
    names = {f"{kafka.prefix}{one.replace('.', '_').upper()}": one for one in SECURITY}
    begun = re.compile(rf"{kafka.prefix}(SECURITY|SASL|SSL)_")
    if unknown := sorted(name for name in said if begun.match(name) and name not in names):
        raise SourceError(
            f"The environment variable {unknown[0]} says nothing that is known of {kafka.topic}'s security. Known are: "
            f"{', '.join(names)}."
        )
    found = {key: said[name] for name, key in names.items() if said.get(name)}
    is_asked = found.get("security.protocol", "").upper().startswith("SASL_")
    if is_asked and found.get("sasl.mechanism") not in MECHANISMS:
        raise SourceError(
            f"{kafka.prefix}SASL_MECHANISM names no way by which {kafka.topic} is read. Known are: "
            f"{', '.join(MECHANISMS)}."
        )
    for name, key in names.items():
        if key.endswith(".location") and key in found and not os.access(found[key], os.R_OK):
            raise SourceError(f"{name} names {found[key]}, and there is no file that can be read. Correct it.")
    return {"bootstrap.servers": said.get(kafka.servers, ""), **found}


def admin(kafka: Kafka) -> AdminClient:
    from confluent_kafka.admin import AdminClient  # noqa: PLC0415

    _HEARD.pop(kafka.servers, None)
    with _in_words(kafka):
        return AdminClient(_quiet(kafka, settings(kafka)))


def consumer(kafka: Kafka, group: str, **how: object) -> Consumer:
    """One that reads what was committed, from where it is told to, and forgets where it was."""
    from confluent_kafka import Consumer  # noqa: PLC0415

    of_ours: dict[str, object] = {
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
    }
    with _in_words(kafka):
        return Consumer(_quiet(kafka, {**settings(kafka), **of_ours, **how}))


def _quiet(kafka: Kafka, said: Mapping[str, Any]) -> dict[str, Any]:
    """What was wrong last is remembered. Lines of librdkafka, hundreds while brokers are away, are for debugging."""

    def hear(error: KafkaError) -> None:
        known, new = _HEARD.get(kafka.servers), _heard(error)
        if known is None or error.name() != "_ALL_BROKERS_DOWN":  # which says no more than what was wrong with each
            begun = known.since if known and known.check == new.check else new.since
            _HEARD[kafka.servers] = Heard(new.words, new.check, begun)
        LOG.info("%s", error)

    lines = SimpleNamespace(log=lambda _, *line: LOG.debug(*line))  # by their level Python would print them by itself
    return {**said, "logger": lines, "error_cb": hear}


def _heard(error: KafkaError) -> Heard:
    words = WHILE.sub("", error.str())
    if error.name() == "_ALL_BROKERS_DOWN":  # and not a word of any: each took the connection, and ended it
        return Heard("they close every connection", AT_PROTOCOL)
    if error.name() == "_AUTHENTICATION":
        return Heard(words, AT_LOGIN)
    return Heard(words, AT_CERTIFICATES if error.name() == "_SSL" or "SSL" in words else AT_RUNNING)


def answered(kafka: Kafka, asked: AdminClient, answer: Future[T]) -> T:
    """Waited for. Raises SourceError where the brokers do nothing but refuse us, and KafkaException."""
    while not wait([answer], 0.1).done:
        asked.poll(0)  # by it the client says why it has no connection
        heard = _HEARD.get(kafka.servers)
        if heard and heard.check != AT_RUNNING and time.monotonic() - heard.since > REFUSES_FOR:
            raise failed(kafka)
    return answer.result()


def patiently(kafka: Kafka, ask: Callable[[], T]) -> T:
    """What the brokers answer; again while a partition has no leader. Raises SourceError where they do not."""
    from confluent_kafka import KafkaError, KafkaException  # noqa: PLC0415

    passing = {getattr(KafkaError, name) for name in FOR_A_MOMENT}
    until = time.monotonic() + ANSWERS_WITHIN
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in passing or time.monotonic() > until:
                raise failed(kafka, error) from None
        time.sleep(0.1)


@contextmanager
def _in_words(kafka: Kafka) -> Iterator[None]:
    from confluent_kafka import KafkaException  # noqa: PLC0415

    try:
        yield
    except KafkaException as error:
        raise failed(kafka, error) from None


def failed(kafka: Kafka, error: Exception | None = None) -> SourceError:
    """What the brokers of the topic, or the client, could not do, with what to look at."""
    from confluent_kafka import KafkaError  # noqa: PLC0415

    said = error.args[0] if error and error.args else error
    if isinstance(said, KafkaError) and said.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        return SourceError(
            f"The brokers that {kafka.servers} names have no topic {kafka.topic}, or do not show it to this account. "
            "Make it there, or correct `topic:` in its table's contract."
        )
    if isinstance(said, KafkaError) and said.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        return refused(kafka)
    heard = _HEARD.pop(kafka.servers, None)
    causes = [said.str() if isinstance(said, KafkaError) else str(said or ""), heard.words if heard else ""]
    words = "; ".join(filter(None, causes))
    for secret in SECRET:  # librdkafka names a wrong setting's value
        if value := os.environ.get(f"{kafka.prefix}{secret.replace('.', '_').upper()}"):
            words = words.replace(value, "***")
    check = (heard.check if heard else AT_RUNNING).format(kafka.prefix)
    return SourceError(
        f"Topic {kafka.topic} cannot be read from the brokers that {kafka.servers} names: {words.rstrip('.')}. Check "
        f"{check}."
    )


def refused(kafka: Kafka) -> SourceError:
    """That the account may not read the topic; of one that is not there brokers say the same."""
    return SourceError(
        f"The brokers that {kafka.servers} names do not let this account read topic {kafka.topic}. Grant it that "
        f"(`kafka-acls.sh --add --allow-principal User:NAME --operation Read --topic {kafka.topic}`), or correct "
        "`topic:` in its table's contract."
    )

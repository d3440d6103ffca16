"""How brokers are reached: where they are and who we are stands in the environment, in the words of librdkafka.

Of a contract's `servers: KAFKA_SERVERS`, KAFKA_SASL_MECHANISM is librdkafka's `sasl.mechanism`. No error shows a value.
"""

from __future__ import annotations

import logging
import os
import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from lakehouse.sources.windows import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

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
FOR_A_MOMENT = ("LEADER_NOT_AVAILABLE", "NOT_LEADER_FOR_PARTITION")  # a topic was just made, or its broker ended
T = TypeVar("T")
_HEARD: dict[str, str] = {}  # by what names the brokers, what was wrong last
LOG = logging.getLogger(__name__)


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
    return {"bootstrap.servers": said.get(kafka.servers, ""), **found}


def admin(kafka: Kafka) -> AdminClient:
    from confluent_kafka.admin import AdminClient  # noqa: PLC0415

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
    """The own lines of librdkafka, which would stand between ours, go to our log; what was wrong last is remembered."""

    def hear(error: KafkaError) -> None:
        _HEARD[kafka.servers] = error.str()
        LOG.info("%s", error)

    return {**said, "logger": LOG, "error_cb": hear}


def patiently(kafka: Kafka, asked: AdminClient, ask: Callable[[], T]) -> T:
    """What the brokers answer a client; again while a partition has no leader. Raises SourceError where they do not."""
    from confluent_kafka import KafkaError, KafkaException  # noqa: PLC0415

    passing = {getattr(KafkaError, name) for name in FOR_A_MOMENT}
    until = time.monotonic() + ANSWERS_WITHIN
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in passing or time.monotonic() > until:
                asked.poll(0)  # by it the client says why it has no connection
                raise failed(kafka, error) from None
        time.sleep(0.1)


@contextmanager
def _in_words(kafka: Kafka) -> Iterator[None]:
    from confluent_kafka import KafkaException  # noqa: PLC0415

    try:
        yield
    except KafkaException as error:
        raise failed(kafka, error) from None


def failed(kafka: Kafka, error: Exception) -> SourceError:
    """What the brokers of the topic, or the client, could not do, with what to look at."""
    from confluent_kafka import KafkaError  # noqa: PLC0415

    said = error.args[0] if error.args else error
    if isinstance(said, KafkaError) and said.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        return SourceError(
            f"The brokers that {kafka.servers} names have no topic {kafka.topic}, or do not show it to this account. "
            "Make it there, or correct `topic:` in its table's contract."
        )
    words = said.str() if hasattr(said, "str") else str(said)
    if heard := _HEARD.pop(kafka.servers, ""):
        words = f"{words} ({heard})"
    for secret in SECRET:  # librdkafka names a wrong setting's value
        if value := os.environ.get(f"{kafka.prefix}{secret.replace('.', '_').upper()}"):
            words = words.replace(value, "***")
    return SourceError(
        f"Topic {kafka.topic} cannot be read from the brokers that {kafka.servers} names: {words.rstrip('.')}. Check "
        f"that they run, and {kafka.prefix}SECURITY_PROTOCOL and the variables beside it."
    )

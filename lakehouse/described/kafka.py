"""`source: {kafka: ...}`: how messages of a Kafka topic are taken."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from lakehouse.described.terms import Span, Strict

SERVERS = re.compile(r"([A-Z][A-Z0-9_]*_)SERVERS")
TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


def _named(text: str) -> str:
    if not SERVERS.fullmatch(text):
        raise ValueError(
            "must be the name of an environment variable that ends in _SERVERS, as KAFKA_SERVERS; what comes before "
            "SERVERS begins the names of those for security, as KAFKA_SASL_PASSWORD"
        )
    return text


def _topic(text: str) -> str:
    if not TOPIC.fullmatch(text):
        raise ValueError(f"{text!r} is no name of a topic: letters, digits, point, _ and -")
    return text


def _start(said: object) -> object:
    if said in ("earliest", "latest") or isinstance(said, datetime):
        return said
    try:
        at = datetime.fromisoformat(str(said))
    except ValueError:
        raise ValueError(
            f"{said!r} is no start; write earliest, latest, or a time as 2026-01-31T00:00:00+00:00"
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


class Lost(Strict):
    """Offsets of a partition, from `first` to before `next`, that the topic lost before they were read."""

    partition: Annotated[int, Field(ge=0)]
    first: Annotated[int, Field(ge=0)]
    next: Annotated[int, Field(ge=1)]
    why: Annotated[str, Field(min_length=3)]

    @model_validator(mode="after")
    def _is_some(self) -> Lost:
        if self.next <= self.first:
            raise ValueError("next: is the offset behind the last that is lost, so more than `first`")
        return self


class MadeAnew(Strict):
    """The `topic_id` of a topic that took another's name: its offsets begin again, and it is read by `start`."""

    topic_id: Annotated[str, Field(min_length=1)]
    why: Annotated[str, Field(min_length=3)]


class Kafka(Strict):
    """A topic of JSON objects. `servers`: the environment variable that says where its brokers are; unset, it rests.

    `start`: where a table that is new begins. A round takes at most `megabytes` and is given up after `patience`; a
    transaction that stays open longer than `open_transaction` is warned of. `lost` and `made_anew`: what somebody knows
    to be gone, which is an error until it stands here. `group`: by what name lag tools see how far it is.
    """

    topic: Annotated[str, AfterValidator(_topic)]
    servers: Annotated[str, AfterValidator(_named)]
    start: Annotated[Literal["earliest", "latest"] | datetime, BeforeValidator(_start)] = "earliest"
    megabytes: Annotated[int, Field(ge=1, le=1024)] = 128
    patience: Span = timedelta(minutes=2)
    open_transaction: Span = timedelta(minutes=5)
    group: str = ""
    lost: tuple[Lost, ...] = ()
    made_anew: tuple[MadeAnew, ...] = ()

    @property
    def prefix(self) -> str:
        """What the names of the environment's variables for it begin with, as KAFKA_."""
        return self.servers.removesuffix("SERVERS")

"""Kafka as Spark reads it: exact ranges of offsets, by its workers, which reach the brokers as this process does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.engines.protocol import Planned

OF_A_TASK = 50_000  # offsets: what is fewer is not worth another file of a commit
MIB = 1 << 20
SECURITY = "org.apache.kafka.common.security"
LOGINS = {
    "PLAIN": f"{SECURITY}.plain.PlainLoginModule",
    "SCRAM-SHA-256": f"{SECURITY}.scram.ScramLoginModule",
    "SCRAM-SHA-512": f"{SECURITY}.scram.ScramLoginModule",
}
# librdkafka names files in PEM; Java is given what they hold, since workers need not have them.
FILES = {
    "ssl.ca.location": "ssl.truststore.certificates",
    "ssl.certificate.location": "ssl.keystore.certificate.chain",
    "ssl.key.location": "ssl.keystore.key",
}
OF_PKCS8 = re.compile("-----BEGIN (ENCRYPTED )?PRIVATE KEY-----")
FETCHING = {
    "isolation.level": "read_committed",
    # Each time that messages are asked for, Spark asks for the topic's ends too: of 500, its default, that is slow.
    "max.poll.records": 20_000,
    "max.partition.fetch.bytes": 4 * MIB,  # a larger message comes all the same
    "fetch.max.wait.ms": 100,
}


def read(spark: SparkSession, asked: Planned, parallelism: int) -> DataFrame:
    """See protocol.Engine.sent."""
    offsets = sum(one.next - one.first for one in asked.ranges)
    tasks = 1 + offsets // OF_A_TASK
    begin, end = ({asked.topic: {str(one.partition): one[place] for one in asked.ranges}} for place in (1, 2))
    how = {
        "assign": json.dumps({asked.topic: [one.partition for one in asked.ranges]}),
        "startingOffsets": json.dumps(begin),
        "endingOffsets": json.dumps(end),
        "includeHeaders": "true",
        "failOnDataLoss": "true",
        "minPartitions": str(min(tasks, parallelism)),
        "groupIdPrefix": asked.group,
        "kafkaConsumer.pollTimeoutMs": str(int(asked.patience * 1000)),
    }
    settings = {f"kafka.{name}": str(value) for name, value in (of_java(asked.settings) | FETCHING).items()}
    sent = spark.read.format("kafka").options(**how).options(**settings).load()
    time = F.expr("if(timestampType < 0, null, timestamp)").alias("time")
    return sent.select("partition", "offset", time, "key", "value", "headers").coalesce(tasks)


def of_java(said: Mapping[str, str]) -> dict[str, object]:
    """Settings of librdkafka as those of Java's client. Raises LakehouseError for a key that Java cannot read."""
    found: dict[str, object] = {}
    for name, value in said.items():
        if name in FILES:
            found[FILES[name]] = _pem(name, value)
        elif name == "security.protocol":
            found[name] = value.upper()
        elif name == "ssl.endpoint.identification.algorithm":
            found[name] = "" if value.lower() == "none" else value
        elif name not in {"sasl.username", "sasl.password"}:
            found[name] = value
    for store, of in (("ssl.truststore", "certificates"), ("ssl.keystore", "key")):
        if f"{store}.{of}" in found:
            found[f"{store}.type"] = "PEM"
    if (mechanism := said.get("sasl.mechanism")) and said.get("security.protocol", "").upper().startswith("SASL_"):
        who = {name: _quoted(said.get(f"sasl.{name}", "")) for name in ("username", "password")}
        login = " ".join(f'{name}="{value}"' for name, value in who.items())
        found["sasl.jaas.config"] = f"{LOGINS[mechanism]} required {login};"
    return found


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _pem(name: str, path: str) -> str:
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    if name == "ssl.key.location" and not OF_PKCS8.search(text):
        raise LakehouseError(
            f"{path}, the key for Kafka's brokers, is not as Spark reads one, which is PKCS #8 in PEM. Make one of it, "
            f"and name that: openssl pkcs8 -topk8 -in {path} -out {path}.pk8"
        )
    return text

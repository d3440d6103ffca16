from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from lakehouse.delta.tables.progress import Offsets
from lakehouse.engines.protocol import Planned
from lakehouse.engines.spark.topics import of_java
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = r'c4nary "of" a\secret'  # noqa: S105


@pytest.mark.slow
def test_security_is_said_to_java_as_it_is_known_there(tmp_path: Path) -> None:
    """A key that only librdkafka reads is made one for both by the command that the words name."""
    key = tmp_path / "key.pem"
    made = ["openssl", "genrsa", "-traditional", "-out", str(key), "2048"]
    subprocess.run(made, check=True, capture_output=True)
    said = {"security.protocol": "sasl_ssl", "sasl.mechanism": "PLAIN", "sasl.username": "me"}
    said |= {"ssl.endpoint.identification.algorithm": "none", "ssl.key.location": str(key)}
    said |= {"sasl.password": PASSWORD, "ssl.key.password": PASSWORD}
    with pytest.raises(LakehouseError, match=r"is not as Spark reads one, which is PKCS #8 in PEM") as refused:
        of_java(said)
    command = str(refused.value).rpartition("name that: ")[2].split()
    subprocess.run([*command, "-passout", f"pass:{PASSWORD}"], check=True, capture_output=True)
    found = of_java(said | {"ssl.key.location": command[-1]})
    assert str(found.pop("ssl.keystore.key")).startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    login = r'username="me" password="c4nary \"of\" a\\secret";'
    assert found == {
        "security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "ssl.endpoint.identification.algorithm": "",
        "ssl.key.password": PASSWORD, "ssl.keystore.type": "PEM",
        "sasl.jaas.config": f"org.apache.kafka.common.security.plain.PlainLoginModule required {login}",
    }  # fmt: skip
    assert "c4nary" not in repr(Planned("events", (Offsets(0, 0, 1),), said, "tests", 1.0))

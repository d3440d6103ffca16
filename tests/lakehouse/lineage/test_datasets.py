"""What catalogs call it all, as OpenLineage's spec/Naming.md says: of one store, broker or database one namespace."""

from __future__ import annotations

import pytest

from lakehouse import graph
from lakehouse.lineage import datasets

WHERE = {
    "KAFKA_SERVERS": "broker-1.example:9093, broker-2.example:9093",
    "LAKEHOUSE_SHOP_DATABASE": "postgresql+psycopg://me:secret@db.example/shop",
    "SALES_API_URL": "https://me:secret@api.example:8443/v1/",
}
OF_SOURCES = {
    "bronze.stores": [],
    "bronze.events": [("kafka://broker-1.example:9093", "events")],
    "bronze.merchants": [("postgres://db.example:5432", "shop.public.merchants")],
    "bronze.api_sales": [("https://api.example:8443", "v1/sales")],
}


@pytest.mark.parametrize("name", OF_SOURCES)
def test_a_source_is_named_by_where_it_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In S3 by the bucket and the key; without who asks, and with what."""
    for variable, value in WHERE.items():
        monkeypatch.setenv(variable, value)
    table = graph.load()[name]
    assert table.contract.source is not None
    found = datasets.of_input("s3://lake/tables", "s3://exports/shop/", table, datasets.LANDING)
    files = [("s3://exports", f"shop/{pattern}") for pattern in table.contract.source.files]
    assert [tuple(one) for one in found] == files + OF_SOURCES[name]


@pytest.mark.parametrize(
    ("servers", "namespace"),
    [
        ("broker.example", "kafka://broker.example:9092"),
        ("SASL_SSL://broker.example:9093", "kafka://broker.example:9093"),
        ("[::1]:9093", "kafka://[::1]:9093"),
    ],
)
def test_a_broker_is_named_as_it_is_reached(servers: str, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_SERVERS", servers)
    (found,) = datasets.of_input("s3://lake", "s3://exports", graph.load()["bronze.events"], datasets.LANDING)
    assert found == (namespace, "events")


def test_a_table_is_named_by_its_key_in_the_bucket() -> None:
    assert datasets.of_table("s3://lake/tables", "silver.orders") == ("s3://lake", "tables/silver/orders")
    assert datasets.of_table("/data/lake", "silver.orders") == ("file", "/data/lake/silver/orders")

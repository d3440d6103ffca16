"""silver.merchants: one row per merchant of the list, as the newest right delivery says."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.transforms import exact_decimal, facts_of_today, spelled_alike, with_market


def build(bronze_merchants: DataFrame, conf_markets: DataFrame) -> DataFrame:
    merchants = with_market(bronze_merchants)
    merchants = spelled_alike(merchants, conf_markets, numbers=["commission_share"])
    currency = facts_of_today(conf_markets, F.col("currency").alias("_currency"))
    return merchants.join(currency, on="market", how="left").select(
        "market",
        "merchant_id",
        "merchant_name",
        exact_decimal("commission_share", 9, 6).alias("commission_share"),
        "_are_numbers_certain",
        "_currency",
        "_source",
    )

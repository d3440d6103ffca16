"""gold.customer_metrics: one row per customer of silver.customers or of an order.

Most customers never ordered: an inner join would lose 87 % of them.
"""

from pyspark.sql import DataFrame

from lakehouse.transforms import TEN_MEASURES, classic_ten, facts_of_today

CUSTOMER = ["market", "customer_id"]
COUNTS = ["order_count", "total_quantity_ordered", "distinct_products"]


def build(
    silver_customers: DataFrame,
    silver_orders: DataFrame,
    silver_order_lines: DataFrame,
    silver_deliveries: DataFrame,
    conf_markets: DataFrame,
) -> DataFrame:
    customers = silver_customers.select(*CUSTOMER).unionByName(silver_orders.select(*CUSTOMER)).distinct()
    completed = silver_orders.where("order_status = 'COMPLETED'")
    measures = classic_ten(completed, silver_order_lines, silver_deliveries, by=CUSTOMER)
    both = customers.join(measures, on=CUSTOMER, how="left").na.fill(0, subset=COUNTS)
    currencies = facts_of_today(conf_markets, "currency")
    return both.join(currencies, on="market", how="left").select(*CUSTOMER, "currency", *TEN_MEASURES)

-- One row per market and pair of products that stand together in enough of the market's completed orders.
WITH larger_orders AS (
    SELECT market, order_id
    FROM sold_lines
    INNER JOIN baskets USING (market)
    WHERE is_completed
    GROUP BY ALL
    HAVING count(*) > any_value(largest_basket)
),

baskets_of_orders AS (
    SELECT DISTINCT market, order_id, sku
    FROM sold_lines
    ANTI JOIN larger_orders USING (market, order_id)
    WHERE is_completed AND sku IS NOT NULL
),

market_totals AS (
    SELECT market, count(DISTINCT order_id) AS market_orders
    FROM baskets_of_orders
    GROUP BY market
),

products AS (
    SELECT market, sku, count(*) AS orders
    FROM baskets_of_orders
    GROUP BY market, sku
),

pairs AS (
    SELECT one.market, one.sku, other.sku AS other_sku, count(*) AS orders_together
    FROM baskets_of_orders AS one
    INNER JOIN baskets_of_orders AS other
        ON one.market = other.market AND one.order_id = other.order_id AND one.sku < other.sku
    GROUP BY ALL
)

SELECT
    pairs.market,
    pairs.sku,
    pairs.other_sku,
    orders_together,
    one.orders AS orders_with_sku,
    other.orders AS orders_with_other,
    market_orders,
    ratio6(orders_together, market_orders) AS support,
    ratio6(orders_together, one.orders) AS confidence,
    ratio6(orders_together, other.orders) AS reverse_confidence,
    ratio6(orders_together * market_orders, one.orders * other.orders) AS lift,
    minimum_support,
    (SELECT count(*) FROM larger_orders WHERE larger_orders.market = pairs.market) AS larger_orders
FROM pairs
INNER JOIN market_totals USING (market)
INNER JOIN products AS one ON one.market = pairs.market AND one.sku = pairs.sku
INNER JOIN products AS other ON other.market = pairs.market AND other.sku = pairs.other_sku
INNER JOIN baskets ON baskets.market = pairs.market
-- exact: a share is not below the least one where its parts, multiplied out, are not
WHERE orders_together::HUGEINT * 1000000 >= (minimum_support * 1000000)::HUGEINT * market_orders
    AND orders_together >= minimum_orders
ORDER BY ALL;

-- One row per customer who earned or redeemed points on an order, or has a balance other than 0.
WITH order_points AS (
    SELECT
        market,
        customer_id,
        coalesce(sum(earned_points), 0)::BIGINT AS earned_points,
        coalesce(sum(redeemed_points) FILTER (order_status = 'COMPLETED'), 0)::BIGINT AS redeemed_points,
        coalesce(sum(redeemed_points) FILTER (order_status <> 'COMPLETED'), 0)::BIGINT AS redeemed_on_other_orders
    FROM orders
    GROUP BY market, customer_id
),

points AS (
    SELECT
        market,
        customer_id,
        coalesce(earned_points, 0) AS earned_points,
        coalesce(redeemed_points, 0) AS redeemed_points,
        coalesce(redeemed_on_other_orders, 0) AS redeemed_on_other_orders,
        loyalty_points AS balance
    FROM order_points
    FULL JOIN customers USING (market, customer_id)
)

SELECT
    market,
    customer_id,
    currency,
    earned_points,
    redeemed_points,
    redeemed_on_other_orders,
    (redeemed_points * point_value)::DECIMAL(18, 2) AS redeemed_value,
    balance,
    share(redeemed_points, earned_points) AS redeemed_share
FROM points
INNER JOIN markets USING (market)
WHERE earned_points <> 0 OR redeemed_points <> 0 OR redeemed_on_other_orders <> 0 OR balance <> 0
ORDER BY market, customer_id;

-- One row per customer who is blocked now, with what is known of his orders.
SELECT
    customers.market,
    customers.customer_id,
    created_at AS registered_at,
    count(order_id) AS orders,
    count(order_id) FILTER (order_status = 'COMPLETED') AS completed_orders,
    count(order_id) FILTER (order_status NOT IN ('COMPLETED', 'CANCELLED')) AS open_orders,
    markets.currency,
    coalesce(sum(order_total) FILTER (order_status = 'COMPLETED'), 0)::DECIMAL(18, 2) AS revenue,
    coalesce(sum(order_total) FILTER (order_status NOT IN ('COMPLETED', 'CANCELLED')), 0)::DECIMAL(18, 2) AS open_value,
    max(order_date) AS last_order_date
FROM customers
INNER JOIN markets USING (market)
LEFT JOIN orders USING (market, customer_id)
WHERE is_blocked
GROUP BY customers.market, customers.customer_id, created_at, markets.currency
ORDER BY customers.market, customers.customer_id;

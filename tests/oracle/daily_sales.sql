-- One row per market and local calendar day with at least one order.
SELECT
    market,
    ordered_local::DATE AS order_date,
    count(*) AS orders,
    count(*) FILTER (order_status = 'COMPLETED') AS completed_orders,
    coalesce(sum(order_total) FILTER (order_status = 'COMPLETED'), 0)::DECIMAL(18, 2) AS revenue,
    sum(order_total)::DECIMAL(18, 2) AS placed_value,
    sum(lines)::BIGINT AS lines,
    sum(quantity)::BIGINT AS units
FROM orders
GROUP BY ALL
ORDER BY ALL;

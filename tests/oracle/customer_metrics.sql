-- One row per market and customer of the customers file or of an order. Only completed orders count.
WITH known_customers AS (
    SELECT market, customer_id FROM customers
    UNION
    SELECT market, customer_id FROM orders WHERE customer_id IS NOT NULL
),

order_distances AS (
    SELECT market, order_id, sum(distance_m)::BIGINT AS distance_m
    FROM tasks
    WHERE task_type = 'Delivery'
    GROUP BY market, order_id
),

completed AS (
    SELECT orders.*, order_distances.distance_m
    FROM orders
    LEFT JOIN order_distances USING (market, order_id)
    WHERE order_status = 'COMPLETED'
),

order_sums AS (
    SELECT
        market,
        customer_id,
        sum(order_total)::DECIMAL(18, 2) AS total_order_amount,
        max(order_total) AS highest_order_amount,
        min(order_total) AS lowest_order_amount,
        count(*) AS order_count,
        sum(quantity)::BIGINT AS total_quantity_ordered,
        sum(distance_m)::BIGINT AS distance_m,
        count(distance_m) AS orders_with_distance,
        min(ordered_at) AS first_order_at,
        max(ordered_at) AS last_order_at
    FROM completed
    GROUP BY market, customer_id
),

products AS (
    SELECT completed.market, completed.customer_id, count(DISTINCT sku) AS distinct_products
    FROM completed
    INNER JOIN order_lines USING (market, order_id)
    GROUP BY completed.market, completed.customer_id
)

SELECT
    market,
    customer_id,
    markets.currency,
    total_order_amount,
    average_amount(total_order_amount, order_count) AS average_order_amount,
    highest_order_amount,
    lowest_order_amount,
    coalesce(order_count, 0) AS order_count,
    coalesce(total_quantity_ordered, 0) AS total_quantity_ordered,
    average(total_quantity_ordered, order_count) AS average_quantity_per_order,
    (distance_m::DECIMAL(15, 0) * 0.001::DECIMAL(4, 3))::DECIMAL(18, 3) AS total_delivery_distance_km,
    -- metres x 10 are ten-thousandths of a kilometre
    CASE WHEN orders_with_distance > 0 THEN ten_thousandths(half_up(distance_m * 10, orders_with_distance)) END
        AS average_delivery_distance_km,
    coalesce(distinct_products, 0) AS distinct_products,
    first_order_at,
    last_order_at
FROM known_customers
INNER JOIN markets USING (market)
LEFT JOIN order_sums USING (market, customer_id)
LEFT JOIN products USING (market, customer_id)
ORDER BY market, customer_id;

-- One row per customer and window of 10 local days, from 1970-01-01, with an order of his. Only completed orders count.
WITH order_distances AS (
    SELECT market, order_id, sum(distance_m)::BIGINT AS distance_m
    FROM tasks
    WHERE task_type = 'Delivery'
    GROUP BY market, order_id
),

placed AS (
    SELECT
        orders.*,
        order_distances.distance_m,
        order_date - ((order_date - DATE '1970-01-01') % 10 + 10)::INTEGER % 10 AS window_start
    FROM orders
    LEFT JOIN order_distances USING (market, order_id)
),

order_sums AS (
    SELECT
        market,
        customer_id,
        window_start,
        sum(order_total)::DECIMAL(18, 2) AS total_order_amount,
        max(order_total) AS highest_order_amount,
        min(order_total) AS lowest_order_amount,
        count(*) AS order_count,
        sum(quantity)::BIGINT AS total_quantity_ordered,
        sum(distance_m)::BIGINT AS distance_m,
        count(distance_m) AS orders_with_distance,
        min(ordered_at) AS first_order_at,
        max(ordered_at) AS last_order_at
    FROM placed
    WHERE order_status = 'COMPLETED'
    GROUP BY market, customer_id, window_start
),

products AS (
    SELECT placed.market, placed.customer_id, window_start, count(DISTINCT sku) AS distinct_products
    FROM placed
    INNER JOIN order_lines USING (market, order_id)
    WHERE placed.order_status = 'COMPLETED'
    GROUP BY placed.market, placed.customer_id, window_start
)

SELECT
    market,
    customer_id,
    window_start,
    window_start + 9 AS window_end,
    currency,
    total_order_amount,
    average_amount(total_order_amount, order_count) AS average_order_amount,
    highest_order_amount,
    lowest_order_amount,
    coalesce(order_count, 0) AS order_count,
    coalesce(total_quantity_ordered, 0) AS total_quantity_ordered,
    average(total_quantity_ordered, order_count) AS average_quantity_per_order,
    (distance_m::DECIMAL(15, 0) * 0.001::DECIMAL(4, 3))::DECIMAL(18, 3) AS total_delivery_distance_km,
    -- metres x 10 are ten-thousandths of a kilometre
    ten_thousandths(half_up(distance_m * 10, nullif(orders_with_distance, 0))) AS average_delivery_distance_km,
    coalesce(distinct_products, 0) AS distinct_products,
    first_order_at,
    last_order_at
FROM (SELECT DISTINCT market, customer_id, window_start, currency FROM placed) AS windows
LEFT JOIN order_sums USING (market, customer_id, window_start)
LEFT JOIN products USING (market, customer_id, window_start)
ORDER BY market, customer_id, window_start;

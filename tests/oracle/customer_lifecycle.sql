-- One row per market and customer of the customers file or of an order: does he still order, by his own rhythm?
WITH known_customers AS (
    SELECT market, customer_id FROM customers
    UNION
    SELECT market, customer_id FROM orders
),

last_days AS (
    SELECT market, max(order_date) AS as_of
    FROM orders
    GROUP BY market
),

order_sums AS (
    SELECT
        market,
        customer_id,
        min(order_date) AS first_order_date,
        max(order_date) AS last_order_date,
        min(ordered_at) AS first_ordered_at,
        count(*) AS orders
    FROM orders
    GROUP BY market, customer_id
),

measured AS (
    SELECT
        market,
        customer_id,
        as_of,
        created_at AS registered_at,
        first_order_date,
        last_order_date,
        coalesce(orders, 0) AS orders,
        -- an hour has 3,600 million microseconds
        hundredths(half_up((epoch_us(first_ordered_at) - epoch_us(created_at))::HUGEINT * 100, 3600000000))
            AS hours_to_first_order,
        average(last_order_date - first_order_date, orders - 1) AS average_days_between_orders,
        (as_of - last_order_date)::INTEGER AS days_since_last_order
    FROM known_customers
    LEFT JOIN customers USING (market, customer_id)
    LEFT JOIN order_sums USING (market, customer_id)
    LEFT JOIN last_days USING (market)
)

SELECT
    *,
    CASE
        WHEN orders = 0 THEN 'never_ordered'
        WHEN orders = 1 THEN 'one_order'
        WHEN days_since_last_order <= 2 * greatest(average_days_between_orders, 1::DECIMAL(18, 4)) THEN 'active'
        WHEN days_since_last_order <= 4 * greatest(average_days_between_orders, 1::DECIMAL(18, 4)) THEN 'lapsing'
        ELSE 'lost'
    END AS lifecycle
FROM measured
ORDER BY market, customer_id;

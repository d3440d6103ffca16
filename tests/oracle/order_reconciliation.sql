-- One row per order: its total against its lines, points and surcharge, and against what its delivery says.
WITH lines AS (
    SELECT market, order_id, sum(line_total)::DECIMAL(18, 2) AS lines_total
    FROM order_lines
    GROUP BY market, order_id
),

deliveries AS (
    SELECT
        market,
        order_id,
        count(*) AS delivery_tasks,
        arg_max(subtotal, task_id) FILTER (subtotal IS NOT NULL) AS delivered_subtotal
    FROM full_tasks
    WHERE task_type = 'Delivery'
    GROUP BY market, order_id
),

expected AS (
    SELECT
        orders.*,
        lines_total,
        (coalesce(redeemed_points, 0)::DECIMAL(15, 0) * point_value)::DECIMAL(18, 2) AS points_value,
        (lines_total - points_value)::DECIMAL(18, 2) AS lines_less_points,
        CASE WHEN payment_method = 'Pay Later' THEN lines_less_points::DECIMAL(15, 2) * pay_later_rate ELSE 0 END
            ::DECIMAL(18, 4) AS surcharge,
        coalesce(delivery_tasks, 0) AS delivery_tasks,
        delivered_subtotal
    FROM orders
    INNER JOIN markets USING (market)
    INNER JOIN lines USING (market, order_id)
    LEFT JOIN deliveries USING (market, order_id)
)

SELECT
    market,
    order_id,
    order_date,
    order_status,
    currency,
    order_total,
    sub_total,
    lines_total,
    points_value,
    surcharge,
    (lines_less_points + surcharge)::DECIMAL(18, 4) AS expected_total,
    (order_total - expected_total)::DECIMAL(18, 4) AS total_difference,
    (sub_total - lines_total)::DECIMAL(18, 2) AS lines_difference,
    delivery_tasks,
    delivered_subtotal,
    (delivered_subtotal - lines_less_points)::DECIMAL(18, 2) AS delivery_difference,
    CASE
        WHEN lines_difference <> 0 THEN 'lines'
        WHEN abs(total_difference) > 0.01 THEN 'total'
        WHEN delivery_difference <> 0 THEN 'delivery'
        WHEN order_status = 'COMPLETED' AND delivery_tasks = 0 THEN 'no delivery'
        ELSE 'none'
    END AS difference_kind
FROM expected
ORDER BY market, order_id;

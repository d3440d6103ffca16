-- One row per market, local day, payment method of the order and what its delivery's payment note means.
WITH notes AS (
    SELECT market, order_id, lower(trim(payment_type)) AS note
    FROM full_tasks
    WHERE task_type = 'Delivery' AND trim(payment_type) <> ''
    QUALIFY task_id = max(task_id) OVER (PARTITION BY market, order_id)
),

paid AS (
    SELECT
        orders.*,
        CASE WHEN notes.note IS NULL THEN 'not said' ELSE coalesce(payment_notes.paid_by, 'other') END AS paid_by,
        order_total - (sub_total - coalesce(redeemed_points, 0) * point_value) AS surcharge
    FROM orders
    INNER JOIN markets USING (market)
    LEFT JOIN notes USING (market, order_id)
    LEFT JOIN payment_notes USING (note)
)

SELECT
    market,
    order_date,
    coalesce(payment_method, '(none)') AS payment_method,
    paid_by,
    currency,
    count(*) AS orders,
    count(*) FILTER (order_status = 'COMPLETED') AS completed_orders,
    sum(order_total)::DECIMAL(18, 2) AS placed_value,
    coalesce(sum(order_total) FILTER (order_status = 'COMPLETED'), 0)::DECIMAL(18, 2) AS revenue,
    coalesce(
        sum(surcharge) FILTER (order_status = 'COMPLETED' AND paid.payment_method = 'Pay Later'), 0
    )::DECIMAL(18, 2) AS pay_later_surcharge
FROM paid
GROUP BY ALL
ORDER BY ALL;

-- One row per market and local day with at least one order: what became of the day's orders, as of the market's last such day.
WITH days AS (
    SELECT
        market,
        order_date,
        currency,
        count(*) AS orders,
        count(*) FILTER (order_status = 'COMPLETED') AS completed_orders,
        count(*) FILTER (order_status = 'CANCELLED') AS cancelled_orders,
        count(*) FILTER (order_status NOT IN ('COMPLETED', 'CANCELLED')) AS open_orders,
        coalesce(sum(order_total) FILTER (order_status = 'CANCELLED'), 0)::DECIMAL(18, 2) AS cancelled_value,
        coalesce(sum(order_total) FILTER (order_status NOT IN ('COMPLETED', 'CANCELLED')), 0)::DECIMAL(18, 2)
            AS open_value
    FROM orders
    GROUP BY market, order_date, currency
),

aged AS (
    SELECT
        *,
        max(order_date) OVER (PARTITION BY market) AS as_of,
        (max(order_date) OVER (PARTITION BY market) - order_date)::INTEGER AS age_days
    FROM days
)

SELECT
    market,
    order_date,
    as_of,
    age_days,
    CASE
        WHEN age_days <= 1 THEN '0-1'
        WHEN age_days <= 3 THEN '2-3'
        WHEN age_days <= 7 THEN '4-7'
        WHEN age_days <= 30 THEN '8-30'
        ELSE 'over 30'
    END AS age_class,
    currency,
    orders,
    completed_orders,
    cancelled_orders,
    open_orders,
    share(completed_orders, orders) AS completed_share,
    share(cancelled_orders, orders) AS cancelled_share,
    cancelled_value,
    open_value
FROM aged
ORDER BY market, order_date;

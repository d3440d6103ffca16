-- One row per market and local calendar day with at least one order.
WITH days AS (
    SELECT
        market,
        order_date,
        currency,
        sum(orders)::BIGINT AS orders,
        sum(completed_orders)::BIGINT AS completed_orders,
        sum(cancelled_orders)::BIGINT AS cancelled_orders,
        sum(open_orders)::BIGINT AS open_orders,
        sum(lines)::BIGINT AS lines,
        sum(units)::BIGINT AS units,
        sum(completed_units)::BIGINT AS completed_units,
        sum(revenue)::DECIMAL(18, 2) AS revenue,
        sum(gross_revenue)::DECIMAL(18, 2) AS gross_revenue,
        sum(points_value)::DECIMAL(18, 2) AS points_value,
        sum(pay_later_surcharge)::DECIMAL(18, 2) AS pay_later_surcharge,
        sum(placed_value)::DECIMAL(18, 2) AS placed_value,
        sum(cancelled_value)::DECIMAL(18, 2) AS cancelled_value,
        sum(open_value)::DECIMAL(18, 2) AS open_value,
        sum(new_revenue)::DECIMAL(18, 2) AS new_revenue,
        sum(repeat_revenue)::DECIMAL(18, 2) AS repeat_revenue
    FROM order_measures
    GROUP BY market, order_date, currency
)

SELECT *, average_amount(revenue, completed_orders) AS average_order_value
FROM days
ORDER BY market, order_date;

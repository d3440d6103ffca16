-- One row per market, weekday (1 = Monday) and local hour in which an order was ever placed.
WITH hours AS (
    SELECT
        market,
        isodow(order_date)::INTEGER AS weekday,
        order_hour,
        currency,
        count(DISTINCT order_date) AS days,
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
    GROUP BY market, weekday, order_hour, currency
)

SELECT
    *,
    average(orders, days) AS orders_per_day,
    average_amount(revenue, completed_orders) AS average_order_value
FROM hours
ORDER BY market, weekday, order_hour;

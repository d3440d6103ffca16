-- One row per market and ISO week of local days, from its first to its last week with an order, without gaps.
WITH dated AS (
    SELECT *, order_date - (isodow(order_date)::INTEGER - 1) AS week_start
    FROM order_measures
),

first_and_last AS (
    SELECT market, min(week_start) AS first_week, max(week_start) AS last_week
    FROM dated
    GROUP BY market
),

all_weeks AS (
    SELECT market, first_week + 7 * unnest(range((last_week - first_week) // 7 + 1))::INTEGER AS week_start
    FROM first_and_last
),

weeks AS (
    SELECT
        market,
        week_start,
        count(DISTINCT order_date) AS days_with_orders,
        coalesce(sum(orders), 0)::BIGINT AS orders,
        coalesce(sum(completed_orders), 0)::BIGINT AS completed_orders,
        coalesce(sum(cancelled_orders), 0)::BIGINT AS cancelled_orders,
        coalesce(sum(open_orders), 0)::BIGINT AS open_orders,
        coalesce(sum(lines), 0)::BIGINT AS lines,
        coalesce(sum(units), 0)::BIGINT AS units,
        coalesce(sum(completed_units), 0)::BIGINT AS completed_units,
        coalesce(sum(revenue), 0)::DECIMAL(18, 2) AS revenue,
        coalesce(sum(gross_revenue), 0)::DECIMAL(18, 2) AS gross_revenue,
        coalesce(sum(points_value), 0)::DECIMAL(18, 2) AS points_value,
        coalesce(sum(pay_later_surcharge), 0)::DECIMAL(18, 2) AS pay_later_surcharge,
        coalesce(sum(placed_value), 0)::DECIMAL(18, 2) AS placed_value,
        coalesce(sum(cancelled_value), 0)::DECIMAL(18, 2) AS cancelled_value,
        coalesce(sum(open_value), 0)::DECIMAL(18, 2) AS open_value,
        coalesce(sum(new_revenue), 0)::DECIMAL(18, 2) AS new_revenue,
        coalesce(sum(repeat_revenue), 0)::DECIMAL(18, 2) AS repeat_revenue
    FROM all_weeks
    LEFT JOIN dated USING (market, week_start)
    GROUP BY market, week_start
),

compared AS (
    SELECT
        *,
        lag(revenue) OVER by_week AS previous_revenue,
        sum(revenue) OVER (by_week ROWS BETWEEN 3 PRECEDING AND CURRENT ROW) AS four_week_revenue,
        row_number() OVER by_week AS week_number,
        sum(revenue) OVER (PARTITION BY market, year(week_start) ORDER BY week_start)::DECIMAL(18, 2) AS year_to_date
    FROM weeks
    WINDOW by_week AS (PARTITION BY market ORDER BY week_start)
)

SELECT
    compared.* EXCLUDE (four_week_revenue, week_number),
    currency,
    average_amount(revenue, completed_orders) AS average_order_value,
    (revenue - previous_revenue)::DECIMAL(18, 2) AS revenue_change,
    share(cents(revenue - previous_revenue), cents(previous_revenue)) AS revenue_change_share,
    CASE WHEN week_number >= 4 THEN average_amount(four_week_revenue, 4) END AS four_week_mean
FROM compared
INNER JOIN markets USING (market)
ORDER BY market, week_start;

-- One row per market and ISO week of local days, from its first to its last week with an order, without gaps.
WITH dated AS (
    SELECT *, order_date - (isodow(order_date)::INTEGER - 1) AS week_start
    FROM order_measures
),

first_and_last AS (
    SELECT
        market,
        min(week_start) AS first_week,
        max(week_start) AS last_week,
        min(order_date) AS first_day,
        max(order_date) AS last_day
    FROM dated
    GROUP BY market
),

all_weeks AS (
    SELECT market, first_week + 7 * unnest(range((last_week - first_week) // 7 + 1))::INTEGER AS week_start
    FROM first_and_last
),

whole_weeks AS (
    SELECT market, week_start, first_day <= week_start AND last_day >= week_start + 6 AS is_whole_week
    FROM all_weeks
    INNER JOIN first_and_last USING (market)
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
        bool_and(is_whole_week) OVER (by_week ROWS BETWEEN 3 PRECEDING AND CURRENT ROW)
        AND row_number() OVER by_week >= 4 AS are_four_whole,
        is_whole_week AND lag(is_whole_week) OVER by_week AS is_comparable
    FROM weeks
    INNER JOIN whole_weeks USING (market, week_start)
    WINDOW by_week AS (PARTITION BY market ORDER BY week_start)
)

SELECT
    compared.* EXCLUDE (four_week_revenue, are_four_whole, is_comparable),
    currency,
    average_amount(revenue, completed_orders) AS average_order_value,
    CASE WHEN is_comparable THEN (revenue - previous_revenue)::DECIMAL(18, 2) END AS revenue_change,
    CASE
        WHEN is_comparable THEN share(cents(revenue - previous_revenue), cents(previous_revenue))
    END AS revenue_change_share,
    CASE WHEN are_four_whole THEN average_amount(four_week_revenue, 4) END AS four_week_mean,
    coalesce((
        SELECT sum(day.revenue)
        FROM dated AS day
        WHERE
            day.market = compared.market
            AND day.order_date BETWEEN date_trunc('year', compared.week_start + 6) AND compared.week_start + 6
    ), 0)::DECIMAL(18, 2) AS year_to_date
FROM compared
INNER JOIN markets USING (market)
ORDER BY market, week_start;

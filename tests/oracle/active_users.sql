-- One row per day, week and month with a known user: how many different ones, and how many for the first time.
WITH periods AS (
    SELECT
        user_id,
        event_date,
        min(event_date) OVER (PARTITION BY user_id) AS first_date,
        unnest(['day', 'week', 'month']) AS period
    FROM events
    WHERE user_id IS NOT NULL
),

starts AS (
    SELECT *, date_trunc(period, event_date)::DATE AS period_start, date_trunc(period, first_date)::DATE AS first_start
    FROM periods
)

SELECT
    period,
    period_start,
    count(DISTINCT user_id) AS active_users,
    count(DISTINCT user_id) FILTER (first_start = period_start) AS new_users,
    count(DISTINCT user_id) FILTER (first_start < period_start) AS returning_users
FROM starts
GROUP BY period, period_start
ORDER BY period, period_start;

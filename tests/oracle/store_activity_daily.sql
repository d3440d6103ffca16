-- One row per day until the last on which an install begins or ends: stores by whether they had the app the day before and after.
WITH states AS (
    SELECT
        day,
        goes_on,
        day = min(day) OVER stores AS is_first,
        day - lag(day) OVER stores IS DISTINCT FROM 1 AS is_begin,
        lead(day) OVER stores - day IS DISTINCT FROM 1 AS is_end
    FROM store_days
    WINDOW stores AS (PARTITION BY store_id ORDER BY day)
),

published AS (
    SELECT
        first_date AS day,
        count(*) FILTER (is_now) AS published_active,
        count(*) FILTER (NOT is_now) AS published_new,
        count(end_type) AS published_uninstall
    FROM delivered_installs
    GROUP BY first_date
),

days AS (
    SELECT unnest(range(min(first_date), max(coalesce(last_date, first_date)) + 1, INTERVAL 1 DAY))::DATE AS day
    FROM delivered_installs
)

SELECT
    days.day AS activity_date,
    count(states.day) AS active_stores,
    count(*) FILTER (is_first) AS new_stores,
    count(*) FILTER (is_begin AND NOT is_first) AS reactivated_stores,
    count(*) FILTER (is_end AND NOT goes_on) AS churned_stores,
    coalesce(any_value(published_active), 0) AS published_active,
    coalesce(any_value(published_new), 0) AS published_new,
    coalesce(any_value(published_uninstall), 0) AS published_uninstall
FROM days
LEFT JOIN states ON days.day = states.day
LEFT JOIN published ON days.day = published.day
GROUP BY days.day
ORDER BY days.day;

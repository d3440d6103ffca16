-- One row per store: its days with the app, counted one by one; beside it the first and the last day as published.
WITH firsts AS (
    SELECT
        *,
        day - lag(day) OVER (PARTITION BY store_id ORDER BY day) IS DISTINCT FROM 1 AS is_first
    FROM store_days
)

SELECT
    store_id,
    as_of,
    min(day) AS first_installed_date,
    CASE WHEN NOT bool_or(goes_on) THEN max(day) END AS last_installed_date,
    bool_or(goes_on) AS is_installed,
    count(*) FILTER (is_first) AS installs,
    count(*) AS lifespan_days,
    max(day) - min(day) + 1 - count(*) AS away_days,
    min(day) AS published_from_date,
    coalesce(last_installed_date, published_as_of) AS published_until_date,
    (published_until_date - published_from_date)::INTEGER AS published_lifespan_days
FROM firsts
CROSS JOIN last_known_day
CROSS JOIN store_facts
GROUP BY store_id, as_of, published_as_of
ORDER BY store_id;

-- One row per session and product: its events in the session, and how far they went.
WITH steps AS (
    SELECT
        clicked.user_id,
        clicked.platform,
        clicked.started_at,
        clicked.sku,
        clicked.micros,
        bool_or(other.event_name = 'view' AND other.micros <= clicked.micros) AS is_clicked,
        bool_or(other.event_name = 'purchase' AND other.micros >= clicked.micros) AS is_purchased
    FROM session_events AS clicked
    INNER JOIN session_events AS other USING (user_id, platform, started_at, sku)
    WHERE clicked.event_name = 'click'
    GROUP BY clicked.user_id, clicked.platform, clicked.started_at, clicked.sku, clicked.micros
),

ways AS (
    SELECT
        user_id,
        platform,
        started_at,
        sku,
        bool_or(is_clicked) AS is_clicked,
        bool_or(is_clicked AND is_purchased) AS is_purchased,
        bool_or(is_purchased) AS is_purchased_after_click
    FROM steps
    GROUP BY user_id, platform, started_at, sku
)

SELECT
    user_id,
    platform,
    session_date,
    started_at,
    sku,
    max(product_name) AS product_name,
    count(*) FILTER (event_name = 'view') AS views,
    count(*) FILTER (event_name = 'click') AS clicks,
    count(*) FILTER (event_name = 'purchase') AS purchases,
    coalesce(any_value(is_clicked), FALSE) AS is_clicked,
    coalesce(any_value(is_purchased), FALSE) AS is_purchased,
    coalesce(any_value(is_purchased_after_click), FALSE) AS is_purchased_after_click
FROM session_events
LEFT JOIN ways USING (user_id, platform, started_at, sku)
WHERE sku IS NOT NULL
GROUP BY user_id, platform, session_date, started_at, sku
ORDER BY user_id, platform, session_date, started_at, sku;

-- One row per session: what it holds, what came first and last, and how far it went.
WITH ends AS (
    SELECT
        user_id,
        platform,
        started_at,
        first({'sku': sku, 'name': product_name} ORDER BY micros, step, sku NULLS FIRST, product_name NULLS FIRST) AS entry,
        last({'sku': sku, 'name': product_name} ORDER BY micros, step, sku NULLS FIRST, product_name NULLS FIRST) AS exit
    FROM session_events
    GROUP BY user_id, platform, started_at
),

steps AS (
    SELECT DISTINCT
        clicked.user_id,
        clicked.platform,
        clicked.started_at,
        EXISTS (
            FROM session_events AS viewed
            WHERE
                (viewed.user_id, viewed.platform, viewed.started_at) = (clicked.user_id, clicked.platform, clicked.started_at)
                AND viewed.event_name = 'view' AND viewed.micros <= clicked.micros
        ) AS is_clicked,
        EXISTS (
            FROM session_events AS bought
            WHERE
                (bought.user_id, bought.platform, bought.started_at) = (clicked.user_id, clicked.platform, clicked.started_at)
                AND bought.event_name = 'purchase' AND bought.micros >= clicked.micros
        ) AS is_purchased
    FROM session_events AS clicked
    WHERE clicked.event_name = 'click'
),

ways AS (
    SELECT
        user_id,
        platform,
        started_at,
        bool_or(is_clicked) AS is_clicked,
        bool_or(is_clicked AND is_purchased) AS is_purchased,
        bool_or(is_purchased) AS is_purchased_after_click
    FROM steps
    GROUP BY user_id, platform, started_at
),

sessions AS (
    SELECT
        user_id,
        platform,
        session_date,
        started_at,
        max(event_datetime) AS ended_at,
        count(*) AS events,
        count(*) FILTER (event_name = 'view') AS views,
        count(*) FILTER (event_name = 'click') AS clicks,
        count(*) FILTER (event_name = 'purchase') AS purchases
    FROM session_events
    GROUP BY user_id, platform, session_date, started_at
)

SELECT
    md5(concat_ws('|', epoch_us(started_at), length(platform), platform, user_id)) AS session_id,
    user_id,
    platform,
    session_date,
    started_at,
    ended_at,
    ((epoch_us(ended_at) - epoch_us(started_at)) // 1000000)::INTEGER AS seconds,
    events,
    views,
    clicks,
    purchases,
    entry.sku AS entry_sku,
    entry.name AS entry_product_name,
    exit.sku AS exit_sku,
    exit.name AS exit_product_name,
    coalesce(is_clicked, FALSE) AS is_clicked,
    coalesce(is_purchased, FALSE) AS is_purchased,
    coalesce(is_purchased_after_click, FALSE) AS is_purchased_after_click
FROM sessions
LEFT JOIN ends USING (user_id, platform, started_at)
LEFT JOIN ways USING (user_id, platform, started_at)
ORDER BY user_id, platform, session_date, started_at;

-- One row per day, platform and product: how many sessions and users went from a view to a click to a purchase, in order.
WITH steps AS (
    SELECT user_id, platform, sku, session_date, started_at, event_name, micros, product_name
    FROM session_events
    WHERE TRUE AND sku IS NOT NULL
),

-- a click after a view, and a purchase after that, as far apart as the limit allows
followed AS (
    SELECT DISTINCT
        viewed.user_id, viewed.platform, viewed.sku,
        viewed.session_date,
        viewed.started_at,
        clicked.started_at = viewed.started_at AS is_clicked,
        bought.micros IS NOT NULL AS is_bought,
        is_clicked AND coalesce(bought.started_at = viewed.started_at, FALSE) AS is_purchased
    FROM (FROM steps WHERE event_name = 'view') AS viewed
    CROSS JOIN limits
    INNER JOIN (FROM steps WHERE event_name = 'click') AS clicked
        ON
            clicked.user_id = viewed.user_id AND clicked.platform = viewed.platform AND clicked.sku = viewed.sku
            AND clicked.micros >= viewed.micros AND clicked.session_date - viewed.session_date <= funnel_days
    LEFT JOIN (FROM steps WHERE event_name = 'purchase') AS bought
        ON
            bought.user_id = viewed.user_id AND bought.platform = viewed.platform AND bought.sku = viewed.sku
            AND bought.micros >= clicked.micros AND bought.session_date - viewed.session_date <= funnel_days
),

counts AS (
    SELECT
        session_date, platform, sku,
        count(DISTINCT (user_id, started_at)) FILTER (is_clicked) AS sessions_clicked,
        count(DISTINCT (user_id, started_at)) FILTER (is_purchased) AS sessions_purchased,
        count(DISTINCT user_id) FILTER (is_clicked) AS users_clicked,
        count(DISTINCT user_id) FILTER (is_purchased) AS users_purchased,
        count(DISTINCT user_id) AS users_clicked_within_days,
        count(DISTINCT user_id) FILTER (is_bought) AS users_purchased_within_days
    FROM followed
    GROUP BY session_date, platform, sku
),

days AS (
    SELECT
        session_date, platform, sku,
        max(product_name) AS product_name,
        count(DISTINCT (user_id, started_at)) AS sessions,
        count(DISTINCT (user_id, started_at)) FILTER (event_name = 'view') AS sessions_viewed,
        count(DISTINCT user_id) AS users,
        count(DISTINCT user_id) FILTER (event_name = 'view') AS users_viewed
    FROM steps
    GROUP BY session_date, platform, sku
)

SELECT
    session_date AS conversion_date,
    platform,
    sku,
    product_name,
    sessions,
    sessions_viewed,
    coalesce(sessions_clicked, 0) AS sessions_clicked,
    coalesce(sessions_purchased, 0) AS sessions_purchased,
    share(coalesce(sessions_purchased, 0), sessions_viewed) AS purchase_share,
    users,
    users_viewed,
    coalesce(users_clicked, 0) AS users_clicked,
    coalesce(users_purchased, 0) AS users_purchased,
    coalesce(users_clicked_within_days, 0) AS users_clicked_within_days,
    coalesce(users_purchased_within_days, 0) AS users_purchased_within_days
FROM days
LEFT JOIN counts USING (session_date, platform, sku)
ORDER BY conversion_date, platform, sku;

-- One row per purchase of a known user: the first and the last view or click before it, of its day and the days before.
WITH purchases AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY user_id, micros ORDER BY sku NULLS FIRST, product_name NULLS FIRST, platform NULLS FIRST
        )::INTEGER AS purchase_number
    FROM events
    WHERE event_name = 'purchase' AND user_id IS NOT NULL
),

touches AS (
    SELECT
        user_id,
        event_date,
        micros,
        {'time': event_datetime, 'platform': platform, 'sku': sku, 'name': product_name} AS touch,
        row_number() OVER (
            PARTITION BY user_id ORDER BY micros, platform NULLS FIRST, sku NULLS FIRST, product_name NULLS FIRST
        ) AS place
    FROM events
    WHERE event_name IN ('view', 'click')
),

found AS (
    SELECT
        user_id,
        purchases.micros,
        purchase_number,
        arg_min(touch, place) AS earliest,
        arg_max(touch, place) AS latest
    FROM purchases
    CROSS JOIN limits
    INNER JOIN touches USING (user_id)
    WHERE touches.micros <= purchases.micros AND purchases.event_date - touches.event_date <= touch_days
    GROUP BY user_id, purchases.micros, purchase_number
)

SELECT
    user_id,
    event_datetime AS purchased_at,
    purchase_number,
    event_date AS purchase_date,
    platform,
    sku,
    product_name,
    earliest.time AS first_touch_at,
    earliest.platform AS first_touch_platform,
    earliest.sku AS first_touch_sku,
    earliest.name AS first_touch_product_name,
    latest.time AS last_touch_at,
    latest.platform AS last_touch_platform,
    latest.sku AS last_touch_sku,
    latest.name AS last_touch_product_name
FROM purchases
LEFT JOIN found USING (user_id, micros, purchase_number)
ORDER BY user_id, purchased_at, purchase_number;

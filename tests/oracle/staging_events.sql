-- User events as they are in silver.events, each with the session that it belongs to, where its user is known.
CREATE OR REPLACE TABLE limits AS
SELECT
    cell(header, cells, 'gap_minutes')::BIGINT * 60000000 AS gap,
    cell(header, cells, 'longest_hours')::BIGINT * 3600000000 AS longest,
    cell(header, cells, 'funnel_days')::INTEGER AS funnel_days,
    cell(header, cells, 'touch_days')::INTEGER AS touch_days
FROM raw_rows
WHERE kind = 'events';

CREATE OR REPLACE TABLE events AS
SELECT
    cell(header, cells, 'event_datetime')::TIMESTAMP AS event_datetime,
    event_datetime::DATE AS event_date,
    cell(header, cells, 'event_name') AS event_name,
    cell(header, cells, 'user_id') AS user_id,
    cell(header, cells, 'platform') AS platform,
    cell(header, cells, 'product_name') AS product_name,
    cell(header, cells, 'sku') AS sku,
    -- of one instant a view is before a click before a purchase
    CASE event_name WHEN 'view' THEN 0 WHEN 'click' THEN 1 ELSE 2 END AS step,
    epoch_us(event_datetime) AS micros
FROM raw_rows
WHERE kind = 'user_events';

CREATE OR REPLACE TABLE session_events AS
WITH known AS (
    SELECT * REPLACE (coalesce(platform, 'unknown') AS platform)
    FROM events
    WHERE user_id IS NOT NULL
),

pauses AS (
    SELECT
        *,
        CASE WHEN micros - lag(micros) OVER (PARTITION BY user_id, platform ORDER BY micros) <= gap THEN 0 ELSE 1 END AS pause
    FROM known
    CROSS JOIN limits
),

chains AS (
    SELECT
        *,
        -- with those of the same instant, of which any may be the one behind the pause
        sum(pause) OVER (PARTITION BY user_id, platform ORDER BY micros) AS chain
    FROM pauses
),

pieces AS (
    SELECT
        *,
        min(micros) OVER (PARTITION BY user_id, platform, chain) AS chain_at,
        CASE
            WHEN chain_at <= epoch_us(event_date - INTERVAL 1 DAY) + gap THEN epoch_us(event_date::TIMESTAMP)
            ELSE chain_at
        END AS piece_at
    FROM chains
)

SELECT
    * EXCLUDE (pause, chain, chain_at, piece_at, gap, longest, funnel_days, touch_days),
    min(event_datetime) OVER (PARTITION BY user_id, platform, piece_at, (micros - piece_at) // longest) AS started_at,
    started_at::DATE AS session_date
FROM pieces;

-- One row per branch, topic and local day on which a conversation was opened or resolved.
WITH events AS (
    SELECT market, branch_id, topic, opened_date AS event_date, NULL::DECIMAL(18, 2) AS hours
    FROM conversations
    UNION ALL
    SELECT
        market,
        branch_id,
        topic,
        resolved_date,
        -- 36 seconds are a hundredth of an hour
        hundredths(half_up(date_sub('microsecond', opened_at, resolved_at), 36000000))
    FROM conversations
    WHERE resolved_at IS NOT NULL
),

ranked AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY market, branch_id, event_date, topic ORDER BY hours NULLS LAST) AS k,
        count(hours) OVER (PARTITION BY market, branch_id, event_date, topic) AS n
    FROM events
)

SELECT
    market,
    branch_id,
    branch_name,
    event_date,
    topic,
    count(*) FILTER (hours IS NULL) AS opened,
    count(hours) AS resolved,
    min(hours) FILTER (k * 100 >= n * 50) AS p50_hours,
    min(hours) FILTER (k * 100 >= n * 90) AS p90_hours,
    max(hours) AS longest_hours
FROM ranked
LEFT JOIN branches USING (market, branch_id)
GROUP BY market, branch_id, branch_name, event_date, topic
ORDER BY market, branch_id, event_date, topic;

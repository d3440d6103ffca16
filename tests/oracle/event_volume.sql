-- One row per minute, name and platform of events, of known users and others.
SELECT
    event_date,
    date_trunc('minute', event_datetime) AS event_minute,
    coalesce(event_name, 'unknown') AS event_name,
    coalesce(platform, 'unknown') AS platform,
    count(*) AS events,
    count(*) FILTER (user_id IS NULL) AS events_without_user
FROM events
GROUP BY ALL
ORDER BY event_date, event_minute, event_name, platform;

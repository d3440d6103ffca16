-- One row per market and grid cell of a hundredth of a degree with an item; without coordinates the cell is `unknown`.
WITH cells AS (
    SELECT
        market,
        task_id,
        task_status,
        amount,
        latitude BETWEEN -90 AND 90 AND longitude BETWEEN -180 AND 180 AS on_earth,
        CASE WHEN on_earth THEN floor(latitude * 100)::BIGINT END AS south_hundredths,
        CASE WHEN on_earth THEN floor(longitude * 100)::BIGINT END AS west_hundredths
    FROM delivery_items
),

sums AS (
    SELECT
        market,
        CASE
            WHEN on_earth THEN south_hundredths || ':' || west_hundredths
            WHEN NOT on_earth THEN 'not on earth'
            ELSE 'unknown'
        END AS cell,
        hundredths(south_hundredths)::DECIMAL(9, 2) AS south,
        hundredths(west_hundredths)::DECIMAL(9, 2) AS west,
        count(DISTINCT task_id) AS tasks,
        count(DISTINCT task_id) FILTER (task_status = 'Completed') AS completed_tasks,
        count(*) AS items,
        coalesce(sum(amount), 0)::DECIMAL(18, 2) AS amount
    FROM cells
    GROUP BY ALL
)

SELECT
    sums.market,
    cell,
    sums.south,
    sums.west,
    CASE
        WHEN cell = 'not on earth' THEN false
        ELSE sums.south BETWEEN areas.south AND areas.north AND sums.west BETWEEN areas.west AND areas.east
    END AS is_plausible,
    tasks,
    completed_tasks,
    items,
    amount
FROM sums
LEFT JOIN areas USING (market)
ORDER BY ALL;

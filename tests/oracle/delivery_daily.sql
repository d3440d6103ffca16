-- One row per market and local day of the order, `no order` for tasks of no known one: what became of the tasks.
WITH fates AS (
    SELECT
        *,
        CASE
            WHEN task_status = 'Completed' THEN 'succeeded'
            WHEN task_status = 'Failed' THEN 'failed'
            WHEN task_status IN ('Cancelled', 'Declined') THEN 'cancelled'
            WHEN task_status = 'Unassigned' THEN 'unassigned'
            WHEN task_status IN ('Assigned', 'Accepted', 'In Transit') THEN 'under way'
            ELSE 'unknown'
        END AS fate,
        CASE
            WHEN order_status = 'COMPLETED' THEN fate = 'succeeded'
            WHEN order_status = 'CANCELLED' THEN fate IN ('failed', 'cancelled')
            WHEN order_status IS NOT NULL THEN fate IN ('unassigned', 'under way')
        END AS agrees
    FROM dated_tasks
)

SELECT
    market,
    day,
    order_date,
    count(*) AS tasks,
    count(*) FILTER (fate = 'succeeded') AS completed_tasks,
    count(*) FILTER (fate = 'failed') AS failed_tasks,
    count(*) FILTER (fate = 'cancelled') AS cancelled_tasks,
    count(*) FILTER (fate = 'unassigned') AS unassigned_tasks,
    count(*) FILTER (fate = 'under way') AS under_way_tasks,
    share(completed_tasks, completed_tasks + failed_tasks) AS success_share,
    count(*) FILTER (agrees) AS agrees_with_order,
    count(*) FILTER (NOT agrees) AS disagrees_with_order
FROM fates
GROUP BY market, day, order_date
ORDER BY market, day;

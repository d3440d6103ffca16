-- One row per market and month of the order: minutes of completed deliveries. Percentiles are values that occur.
WITH completed AS (
    SELECT
        market,
        year_month,
        minutes,
        -- the k-th smallest known is the first that at least 100 k / n per cent do not exceed
        row_number() OVER (PARTITION BY market, year_month ORDER BY minutes NULLS LAST) AS k,
        count(minutes) OVER (PARTITION BY market, year_month) AS n
    FROM dated_tasks
    WHERE task_type = 'Delivery' AND task_status = 'Completed'
)

SELECT
    market,
    year_month,
    count(*) AS tasks,
    count(minutes) AS tasks_with_minutes,
    tasks - tasks_with_minutes AS tasks_without_minutes,
    average_amount(sum(minutes), tasks_with_minutes) AS average_minutes,
    min(minutes) FILTER (k * 100 >= n * 50) AS p50_minutes,
    min(minutes) FILTER (k * 100 >= n * 90) AS p90_minutes,
    min(minutes) FILTER (k * 100 >= n * 99) AS p99_minutes,
    max(minutes) AS longest_minutes
FROM completed
GROUP BY market, year_month
ORDER BY market, year_month;

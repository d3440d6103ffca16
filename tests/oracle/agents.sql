-- One row per market and rider who was given a task. An unknown value is in no sum and no average.
WITH sums AS (
    SELECT
        market,
        agent_id,
        arg_max(agent_name, task_id) FILTER (agent_name IS NOT NULL) AS agent_name,
        count(*) AS tasks,
        count(*) FILTER (task_status = 'Completed') AS completed_tasks,
        count(*) FILTER (task_status = 'Failed') AS failed_tasks,
        count(minutes) AS tasks_with_minutes,
        sum(minutes)::DECIMAL(18, 2) AS minutes,
        count(distance_m) AS tasks_with_distance,
        sum(distance_m)::BIGINT AS distance_m,
        count(rating) AS ratings,
        sum(rating)::BIGINT AS stars
    FROM full_tasks
    WHERE agent_id IS NOT NULL
    GROUP BY market, agent_id
)

SELECT
    market,
    agent_id,
    agent_name,
    tasks,
    completed_tasks,
    failed_tasks,
    tasks_with_minutes,
    tasks - tasks_with_minutes AS tasks_without_minutes,
    minutes,
    average_amount(minutes, tasks_with_minutes) AS average_minutes,
    tasks_with_distance,
    tasks - tasks_with_distance AS tasks_without_distance,
    (distance_m::DECIMAL(15, 0) * 0.001::DECIMAL(4, 3))::DECIMAL(18, 3) AS distance_km,
    average(distance_m, tasks_with_distance * 1000) AS average_distance_km,
    ratings,
    tasks - ratings AS tasks_without_rating,
    average(stars, ratings) AS average_rating
FROM sums
ORDER BY market, agent_id;

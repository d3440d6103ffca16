-- Stores and their histories, from raw_rows. What is no JSON does not count: such a store stays as it was delivered before.
CREATE OR REPLACE TABLE store_facts AS
SELECT
    cell(header, cells, 'utc_offset')::INTERVAL AS utc_offset,
    cell(header, cells, 'currency') AS currency,
    cell(header, cells, 'published_as_of')::DATE AS published_as_of
FROM raw_rows
WHERE kind = 'stores';

CREATE OR REPLACE TABLE store_histories AS
SELECT
    cell(header, cells, 'store_id') AS store_id,
    cell(header, cells, 'installHistory') AS installs,
    cell(header, cells, 'subscriptionHistory') AS subscriptions
FROM raw_rows
WHERE kind = 'store_exports' AND json_valid(installs) AND json_valid(subscriptions)
QUALIFY row_number() OVER (PARTITION BY store_id ORDER BY file_number DESC, row_number DESC) = 1;

-- One row per delivered interval, by days.
CREATE OR REPLACE TABLE delivered_installs AS
SELECT
    store_id,
    (install ->> 'fromDate')::DATE AS first_date,
    (install ->> 'toDate')::DATE AS last_date,
    (install ->> 'toNow')::BOOLEAN AS is_now,
    install ->> 'endType' AS end_type
FROM (SELECT store_id, unnest(installs::JSON[]) AS install FROM store_histories);

-- One row per subscription. An interval goes on with one of the same plan and price that began before and reached it.
CREATE OR REPLACE TABLE store_subscriptions AS
WITH delivered AS (
    SELECT
        store_id,
        subscription ->> 'planName' AS plan_name,
        (subscription ->> 'price')::DECIMAL(18, 2) AS price,
        (subscription ->> 'fromDate')::TIMESTAMP AS started_local,
        coalesce((subscription ->> 'toDate')::TIMESTAMP, 'infinity') AS ended_local
    FROM (SELECT store_id, unnest(subscriptions::JSON[]) AS subscription FROM store_histories)
),

begins AS (
    SELECT *
    FROM delivered
    WHERE NOT EXISTS (
        SELECT 1
        FROM delivered AS earlier
        WHERE (earlier.store_id, earlier.plan_name, earlier.price) = (delivered.store_id, delivered.plan_name, delivered.price)
            AND earlier.started_local < delivered.started_local
            AND earlier.ended_local >= delivered.started_local
    )
),

-- each delivered interval belongs to the last begin that is not after its own
joined AS (
    SELECT
        delivered.store_id,
        delivered.plan_name,
        delivered.price,
        max(begins.started_local) AS started_local,
        delivered.ended_local
    FROM delivered
    INNER JOIN begins
        ON (begins.store_id, begins.plan_name, begins.price) = (delivered.store_id, delivered.plan_name, delivered.price)
        AND begins.started_local <= delivered.started_local
    GROUP BY delivered.store_id, delivered.plan_name, delivered.price, delivered.started_local, delivered.ended_local
)

SELECT
    *,
    row_number() OVER (PARTITION BY store_id ORDER BY started_local, plan_name, price) AS subscription_number
FROM (
    SELECT store_id, plan_name, price, started_local, nullif(max(ended_local), 'infinity') AS ended_local
    FROM joined
    GROUP BY store_id, plan_name, price, started_local
);

-- The last day of which any history knows.
CREATE OR REPLACE TABLE last_known_day AS
SELECT max(day) AS as_of
FROM (
    SELECT coalesce(last_date, first_date) AS day FROM delivered_installs
    UNION ALL
    SELECT coalesce(ended_local, started_local)::DATE AS day FROM store_subscriptions
);

-- One row per store and day with the app, until that day; what goes on is there tomorrow too.
CREATE OR REPLACE TABLE store_days AS
SELECT store_id, day, bool_or(last_date IS NULL) AS goes_on
FROM (
    SELECT
        store_id,
        last_date,
        unnest(range(first_date, coalesce(last_date, as_of) + 1, INTERVAL 1 DAY))::DATE AS day
    FROM delivered_installs
    CROSS JOIN last_known_day
)
GROUP BY store_id, day;

-- One row per day until the last on which a subscription begins or ends; who is active is asked of each day anew.
WITH subscriptions AS (
    SELECT
        *,
        started_local::DATE AS started_date,
        ended_local::DATE AS ended_date,
        microsecond(ended_local) % 1000000 <> 0 AS is_provisional,
        cents(price) * 100 AS steps,
        ended_date - started_date + 1 AS term
    FROM store_subscriptions
),

parts AS (
    SELECT
        started_date + day::INTEGER AS day,
        sum(steps * (day + 1) // term - steps * day // term) AS steps
    FROM (SELECT *, unnest(range(term)) AS day FROM subscriptions WHERE ended_date IS NOT NULL)
    GROUP BY ALL
),

days AS (
    SELECT unnest(range(min(started_date), max(coalesce(ended_date, started_date)) + 1, INTERVAL 1 DAY))::DATE AS day
    FROM subscriptions
)

SELECT
    days.day AS revenue_date,
    currency,
    count(*) FILTER (started_date = days.day) AS new_subscriptions,
    count(*) FILTER (ended_date = days.day) AS ended_subscriptions,
    count(*) FILTER (ended_date = days.day AND is_provisional) AS provisional_ends,
    count(*) FILTER (coalesce(ended_date, 'infinity') > days.day) AS active_subscriptions,
    coalesce(sum(price) FILTER (started_date = days.day), 0)::DECIMAL(18, 2) AS cash_revenue,
    ten_thousandths(coalesce(any_value(parts.steps), 0))::DECIMAL(18, 4) AS accrued_revenue,
    coalesce(sum(price) FILTER (coalesce(ended_date, 'infinity') > days.day), 0)::DECIMAL(18, 2) AS mrr,
    (mrr * 12)::DECIMAL(20, 2) AS arr,
    coalesce(sum(price) FILTER (started_date = days.day AND subscription_number = 1), 0)::DECIMAL(18, 2) AS published_revenue
FROM days
CROSS JOIN store_facts
LEFT JOIN subscriptions ON started_date <= days.day
LEFT JOIN parts ON parts.day = days.day
GROUP BY days.day, currency
ORDER BY days.day;

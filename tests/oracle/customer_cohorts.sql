-- One row per market, cohort (local month of the first completed order) and age in months, without gaps.
WITH completed AS (
    SELECT
        *,
        (12 * (year(order_date) - year(cohort_month)) + month(order_date) - month(cohort_month))::INTEGER AS age_months
    FROM customer_orders
    WHERE order_status = 'COMPLETED'
),

cohorts AS (
    SELECT market, cohort_month, currency, count(DISTINCT customer_id) AS cohort_customers, max(age_months) AS last_age
    FROM completed
    GROUP BY market, cohort_month, currency
),

ages AS (
    SELECT * EXCLUDE (last_age), unnest(range(last_age + 1))::INTEGER AS age_months
    FROM cohorts
),

months AS (
    SELECT
        market,
        cohort_month,
        age_months,
        count(DISTINCT customer_id) AS active_customers,
        count(*) AS completed_orders,
        sum(order_total)::DECIMAL(18, 2) AS revenue
    FROM completed
    GROUP BY market, cohort_month, age_months
)

SELECT
    market,
    cohort_month,
    age_months,
    currency,
    cohort_customers,
    coalesce(active_customers, 0) AS active_customers,
    coalesce(completed_orders, 0) AS completed_orders,
    coalesce(revenue, 0)::DECIMAL(18, 2) AS revenue,
    share(coalesce(active_customers, 0), cohort_customers) AS retention
FROM ages
LEFT JOIN months USING (market, cohort_month, age_months)
ORDER BY market, cohort_month, age_months;

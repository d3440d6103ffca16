-- One row per market, cohort and age in months, without gaps: what the cohort has been worth by then.
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

-- every completed order counts at its own age and at all later ones
worth AS (
    SELECT
        ages.market,
        ages.cohort_month,
        ages.age_months,
        ages.currency,
        ages.cohort_customers,
        count(*) AS cumulative_completed_orders,
        sum(completed.order_total)::DECIMAL(18, 2) AS cumulative_revenue,
        sum(completed.line_margin)::DECIMAL(18, 2) AS cumulative_margin
    FROM ages
    INNER JOIN completed
        ON completed.market = ages.market
        AND completed.cohort_month = ages.cohort_month
        AND completed.age_months <= ages.age_months
    GROUP BY ALL
)

SELECT
    *,
    average_amount(cumulative_revenue, cohort_customers) AS revenue_per_customer,
    average_amount(cumulative_margin, cohort_customers) AS margin_per_customer
FROM worth
ORDER BY market, cohort_month, age_months;

-- One row per market and local calendar day with an order, converted where a rate was delivered.
WITH sums AS (
    SELECT
        market,
        currency,
        order_date,
        count(*) AS orders,
        count(*) FILTER (order_status = 'COMPLETED') AS completed_orders,
        count(*) FILTER (order_status = 'CANCELLED') AS cancelled_orders,
        count(DISTINCT customer_id) AS customers,
        sum(quantity)::BIGINT AS units,
        coalesce(sum(order_total) FILTER (order_status = 'COMPLETED'), 0)::DECIMAL(18, 2) AS revenue
    FROM orders
    GROUP BY ALL
),

rated AS (
    SELECT
        sums.*,
        country,
        time_zone,
        reporting.reporting_currency,
        CASE WHEN sums.currency = reporting.reporting_currency THEN 1 ELSE exchange_rates.rate END
            ::DECIMAL(18, 12) AS rate
    FROM sums
    INNER JOIN markets USING (market)
    CROSS JOIN reporting
    LEFT JOIN exchange_rates
        ON exchange_rates.currency = sums.currency
        AND exchange_rates.reporting_currency = reporting.reporting_currency
        AND exchange_rates.rate_date = sums.order_date
)

SELECT
    market,
    currency,
    order_date,
    country,
    time_zone,
    orders,
    completed_orders,
    cancelled_orders,
    orders - completed_orders - cancelled_orders AS open_orders,
    customers,
    units,
    revenue,
    average_amount(revenue, completed_orders) AS average_order_value,
    reporting_currency,
    rate,
    rate IS NULL AS is_rate_missing,
    -- a rate has twelve decimals
    hundredths(half_up(
        cents(revenue)::HUGEINT * (rate::DECIMAL(24, 12) * 1000000000000::DECIMAL(13, 0))::HUGEINT, 1000000000000::HUGEINT
    ))::DECIMAL(28, 2) AS reporting_revenue,
    average_amount(reporting_revenue, completed_orders) AS reporting_average_order_value
FROM rated
ORDER BY market, currency, order_date;

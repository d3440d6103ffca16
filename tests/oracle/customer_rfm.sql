-- One row per customer with at least one completed order, scored among these of his market as of its last order date.
WITH last_days AS (
    SELECT market, max(order_date) AS as_of
    FROM orders
    GROUP BY market
),

measured AS (
    SELECT
        market,
        customer_id,
        as_of,
        currency,
        (as_of - max(order_date))::INTEGER AS recency_days,
        count(*) AS frequency,
        sum(order_total)::DECIMAL(18, 2) AS revenue
    FROM orders
    INNER JOIN last_days USING (market)
    WHERE order_status = 'COMPLETED'
    GROUP BY market, customer_id, as_of, currency
),

-- rank() - 1 customers are strictly before
scored AS (
    SELECT
        *,
        (1 + 5 * (rank() OVER (PARTITION BY market ORDER BY recency_days DESC) - 1) // customers)::INTEGER
            AS recency_score,
        (1 + 5 * (rank() OVER (PARTITION BY market ORDER BY frequency) - 1) // customers)::INTEGER AS frequency_score,
        (1 + 5 * (rank() OVER (PARTITION BY market ORDER BY revenue) - 1) // customers)::INTEGER AS revenue_score
    FROM (SELECT *, count(*) OVER (PARTITION BY market) AS customers FROM measured) AS counted
)

SELECT
    * EXCLUDE (customers),
    CASE
        WHEN recency_score >= 4 AND frequency_score >= 4 THEN 'champions'
        WHEN recency_score >= 3 AND frequency_score >= 4 THEN 'loyal'
        WHEN recency_score <= 2 AND frequency_score >= 4 THEN 'cannot_lose'
        WHEN recency_score >= 4 AND frequency_score >= 2 THEN 'potential_loyalists'
        WHEN recency_score >= 4 THEN 'new'
        WHEN recency_score = 3 AND frequency_score >= 2 THEN 'need_attention'
        WHEN recency_score = 3 THEN 'promising'
        WHEN frequency_score = 3 THEN 'at_risk'
        WHEN recency_score = 2 THEN 'hibernating'
        ELSE 'lost'
    END AS segment
FROM scored
ORDER BY market, customer_id;

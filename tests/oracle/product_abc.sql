-- One row per market and product with gross revenue: rank, share, and in which part of the revenue it begins.
WITH sums AS (
    SELECT market, product AS sku, currency, sum(line_total)::DECIMAL(18, 2) AS gross_revenue
    FROM sold_lines
    WHERE is_completed
    GROUP BY ALL
    HAVING gross_revenue > 0
),

ranked AS (
    SELECT
        *,
        row_number() OVER best_first AS revenue_rank,
        sum(cents(gross_revenue)) OVER (best_first ROWS UNBOUNDED PRECEDING) AS up_to_here,
        sum(cents(gross_revenue)) OVER (PARTITION BY market) AS of_market
    FROM sums
    WINDOW best_first AS (PARTITION BY market ORDER BY gross_revenue DESC, sku)
)

SELECT
    market,
    sku,
    revenue_rank,
    currency,
    gross_revenue,
    ratio6(cents(gross_revenue), of_market) AS revenue_share,
    ratio6(up_to_here, of_market) AS cumulative_share,
    CASE
        WHEN (up_to_here - cents(gross_revenue)) * 100 < of_market * 80 THEN 'A'
        WHEN (up_to_here - cents(gross_revenue)) * 100 < of_market * 95 THEN 'B'
        ELSE 'C'
    END AS abc_class
FROM ranked
ORDER BY market, sku;

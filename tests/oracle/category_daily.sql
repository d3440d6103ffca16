-- One row per market, local day and product category with at least one line.
WITH sums AS (
    SELECT
        market,
        order_date,
        coalesce(category_name, '(none)') AS category_name,
        currency,
        count(*) AS lines,
        sum(quantity)::BIGINT AS units,
        count(DISTINCT order_id) FILTER (is_completed) AS completed_orders,
        coalesce(sum(quantity) FILTER (is_completed), 0)::BIGINT AS completed_units,
        coalesce(sum(line_total) FILTER (is_completed), 0)::DECIMAL(18, 2) AS gross_revenue,
        coalesce(sum(line_margin) FILTER (is_completed), 0)::DECIMAL(18, 2) AS margin
    FROM sold_lines
    GROUP BY ALL
)

SELECT
    *,
    share(cents(gross_revenue), sum(cents(gross_revenue)) OVER (PARTITION BY market, order_date)) AS gross_revenue_share
FROM sums
ORDER BY market, order_date, category_name;

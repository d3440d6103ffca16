-- One row per market and product that was ever ordered: sales over completed orders, prices over all lines.
WITH named AS (
    SELECT market, product, category_name
    FROM sold_lines
    WHERE category_name IS NOT NULL
    WINDOW newest_first AS (PARTITION BY market, product ORDER BY ordered_at DESC, order_id DESC, line_number DESC)
    QUALIFY 1 = row_number() OVER newest_first
),

priced AS (
    SELECT
        market,
        product,
        first_value(unit_price) OVER oldest_first AS first_price,
        first_value(unit_price) OVER newest_first AS last_price
    FROM sold_lines
    WINDOW
        oldest_first AS (PARTITION BY market, product ORDER BY ordered_at, order_id, line_number),
        newest_first AS (PARTITION BY market, product ORDER BY ordered_at DESC, order_id DESC, line_number DESC)
    QUALIFY 1 = row_number() OVER oldest_first
),

sums AS (
    SELECT
        market,
        product,
        currency,
        count(DISTINCT order_id) AS orders,
        count(DISTINCT order_id) FILTER (is_completed) AS completed_orders,
        count(DISTINCT customer_id) FILTER (is_completed) AS customers,
        coalesce(sum(quantity) FILTER (is_completed), 0)::BIGINT AS completed_units,
        coalesce(sum(line_total) FILTER (is_completed), 0)::DECIMAL(18, 2) AS gross_revenue,
        coalesce(sum(line_cost) FILTER (is_completed), 0)::DECIMAL(18, 2) AS cost,
        coalesce(sum(line_margin) FILTER (is_completed), 0)::DECIMAL(18, 2) AS margin,
        coalesce(sum(line_total) FILTER (is_completed AND line_cost IS NOT NULL), 0)::DECIMAL(18, 2) AS costed_total,
        count(*) FILTER (is_completed AND line_cost IS NULL) AS lines_without_cost,
        min(unit_price) AS lowest_price,
        max(unit_price) AS highest_price,
        min(ordered_at) FILTER (is_completed) AS first_sold_at,
        max(ordered_at) FILTER (is_completed) AS last_sold_at
    FROM sold_lines
    GROUP BY market, product, currency
)

SELECT
    market,
    product AS sku,
    category_name,
    currency,
    orders,
    completed_orders,
    customers,
    completed_units,
    gross_revenue,
    cost,
    margin,
    share(cents(margin), cents(costed_total)) AS margin_share,
    lines_without_cost,
    first_price,
    last_price,
    lowest_price,
    highest_price,
    first_sold_at,
    last_sold_at
FROM sums
INNER JOIN priced USING (market, product)
LEFT JOIN named USING (market, product)
ORDER BY market, sku;

-- One row per line on which a product's unit price differs from that of the product's line before.
WITH lines AS (
    SELECT
        *,
        lag(unit_price) OVER (PARTITION BY market, sku ORDER BY ordered_at, order_id, line_number) AS previous_price
    FROM sold_lines
    WHERE sku IS NOT NULL
)

SELECT
    market,
    sku,
    order_id,
    line_number::INTEGER AS line_number,
    ordered_at AS changed_at,
    order_date,
    currency,
    previous_price,
    unit_price AS price,
    (unit_price - previous_price)::DECIMAL(18, 2) AS price_change,
    share(cents(unit_price - previous_price), cents(previous_price)) AS price_change_share,
    row_number() OVER (PARTITION BY market, sku ORDER BY ordered_at, order_id, line_number) AS change_number
FROM lines
WHERE unit_price <> previous_price
ORDER BY market, sku, order_id, line_number;

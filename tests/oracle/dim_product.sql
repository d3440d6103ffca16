-- One row per market and product that was ever ordered, as its newest lines say.
SELECT
    md5(concat(market, '|', product)) AS product_key,
    market,
    product AS sku,
    arg_max(category_name, row(ordered_at, order_id, line_number)) FILTER (category_name IS NOT NULL) AS category_name,
    currency,
    arg_max(unit_price, row(ordered_at, order_id, line_number)) AS last_price
FROM sold_lines
GROUP BY market, product, currency
ORDER BY market, sku;

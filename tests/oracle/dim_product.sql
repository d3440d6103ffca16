-- One row per market, product and state: of the product master, and of all that was ever ordered, as its newest lines say.
WITH ordered AS (
    SELECT
        market,
        product AS sku,
        arg_max(category_name, row(ordered_at, order_id, line_number)) FILTER (category_name IS NOT NULL) AS ordered_category,
        arg_max(unit_price, row(ordered_at, order_id, line_number)) FILTER (taken_from = 'exports') AS last_price
    FROM all_lines
    GROUP BY market, product
)

SELECT
    coalesce(product_key, md5(concat(market, '|', sku))) AS product_key,
    market,
    sku,
    ordered.sku IS NOT NULL AS is_ordered,
    product_states.sku IS NOT NULL AS is_listed,
    product_name,
    coalesce(category_name, ordered_category) AS category_name,
    currency,
    list_price,
    last_price,
    valid_from,
    valid_to,
    valid_to IS NULL AS is_current,
    coalesce(version, 1)::INTEGER AS version
FROM product_states
FULL JOIN ordered USING (market, sku)
INNER JOIN markets USING (market)
ORDER BY market, sku, version;

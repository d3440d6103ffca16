-- One row per order line, with the keys of its day, the states of its product and its customer at that time.
SELECT
    md5(concat(all_lines.market, '|', order_id, '|', line_number)) AS sales_key,
    strftime(order_date, '%Y%m%d')::INTEGER AS date_key,
    coalesce(product_key, md5(concat(all_lines.market, '|', product))) AS product_key,
    customer_key,
    all_lines.market,
    order_id,
    line_number::INTEGER AS line_number,
    taken_from,
    order_status,
    is_completed,
    payment_method,
    all_lines.currency,
    quantity::INTEGER AS quantity,
    unit_price,
    line_total,
    line_cost,
    line_margin::DECIMAL(18, 2) AS line_margin
FROM all_lines
-- `true` where the end is open
LEFT JOIN customer_states
    ON customer_states.market = all_lines.market
    AND customer_states.customer_id = all_lines.customer_id
    AND coalesce(ordered_at >= customer_states.valid_from, true)
    AND coalesce(ordered_at < customer_states.valid_to, true)
LEFT JOIN product_states
    ON product_states.market = all_lines.market
    AND product_states.sku = all_lines.sku
    AND coalesce(ordered_at >= product_states.valid_from, true)
    AND coalesce(ordered_at < product_states.valid_to, true)
ORDER BY all_lines.market, order_id, line_number;

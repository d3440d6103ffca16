-- One row per order line, with the keys of its day, its product and its customer's state at that time.
SELECT
    md5(concat(sold_lines.market, '|', order_id, '|', line_number)) AS sales_key,
    strftime(order_date, '%Y%m%d')::INTEGER AS date_key,
    md5(concat(sold_lines.market, '|', product)) AS product_key,
    customer_key,
    sold_lines.market,
    order_id,
    line_number::INTEGER AS line_number,
    order_status,
    is_completed,
    payment_method,
    currency,
    quantity::INTEGER AS quantity,
    unit_price,
    line_total,
    line_cost,
    line_margin::DECIMAL(18, 2) AS line_margin
FROM sold_lines
LEFT JOIN customer_states
    ON customer_states.market = sold_lines.market
    AND customer_states.customer_id = sold_lines.customer_id
    -- `true` where the end is open
    AND coalesce(ordered_at >= valid_from, true)
    AND coalesce(ordered_at < valid_to, true)
ORDER BY sold_lines.market, order_id, line_number;

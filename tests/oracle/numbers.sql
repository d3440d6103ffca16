-- The "numbers to meet", one row per market.
SELECT
    market,
    (SELECT count(*) FROM customers c WHERE c.market = m.market) AS customers,
    (SELECT count(*) FROM documents d WHERE d.market = m.market AND kind = 'orders') AS order_rows,
    (SELECT count(*) FROM order_lines l WHERE l.market = m.market) AS order_rows_after_duplicates,
    (SELECT count(*) FROM orders o WHERE o.market = m.market) AS orders,
    (SELECT count(*) FROM orders o WHERE o.market = m.market AND order_status = 'COMPLETED') AS completed_orders,
    (SELECT sum(order_total) FROM orders o WHERE o.market = m.market AND order_status = 'COMPLETED') AS completed_total,
    (SELECT sum(order_total) FROM orders o WHERE o.market = m.market) AS order_total,
    (SELECT count(*) FROM documents d WHERE d.market = m.market AND kind = 'deliveries') AS delivery_rows,
    (SELECT count(*) FROM tasks t WHERE t.market = m.market) AS tasks
FROM markets AS m
ORDER BY market;

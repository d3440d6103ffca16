-- One row per merchant of completed and other orders, and of the newest delivery of the list of merchants.
WITH sold AS (
    SELECT
        market,
        merchant_id,
        count(*) AS orders,
        count(*) FILTER (order_status = 'COMPLETED') AS completed_orders,
        coalesce(sum(order_total) FILTER (order_status = 'COMPLETED'), 0)::DECIMAL(18, 2) AS revenue,
        (sum(commission) FILTER (order_status = 'COMPLETED'))::DECIMAL(18, 2) AS commission
    FROM orders
    WHERE merchant_id IS NOT NULL
    GROUP BY market, merchant_id
)

SELECT
    market,
    merchant_id,
    merchant_name,
    listed.merchant_id IS NOT NULL AS is_listed,
    currency,
    coalesce(orders, 0) AS orders,
    coalesce(completed_orders, 0) AS completed_orders,
    coalesce(revenue, 0)::DECIMAL(18, 2) AS revenue,
    commission,
    commission_share,
    -- a millionth of a cent is a whole number
    hundredths(half_up(cents(coalesce(revenue, 0))::HUGEINT * (commission_share * 1000000)::BIGINT, 1000000)) AS commission_due
FROM sold
FULL JOIN merchants AS listed USING (market, merchant_id)
INNER JOIN markets USING (market)
ORDER BY market, merchant_id;

-- Sales of the API, and with the exports' orders all that was sold: an order that both have is the exports'.
-- The lines of a sale are those of its newest delivery, each as its last row says.
CREATE OR REPLACE TABLE api_lines AS
WITH said AS (
    SELECT
        cell(header, cells, 'market')::INTEGER AS market,
        cell(header, cells, 'sale_id')::BIGINT AS order_id,
        cell(header, cells, 'line')::INTEGER AS line_number,
        cell(header, cells, 'customer_id')::BIGINT AS customer_id,
        cell(header, cells, 'sku') AS sku,
        cell(header, cells, 'status') AS order_status,
        cell(header, cells, 'currency') AS currency,
        cell(header, cells, 'quantity')::INTEGER AS quantity,
        cell(header, cells, 'unit_price')::DECIMAL(18, 2) AS unit_price,
        cell(header, cells, 'total_price')::DECIMAL(18, 2) AS line_total,
        replace(cell(header, cells, 'sold_at'), 'Z', '')::TIMESTAMP AS ordered_at,
        file_number,
        row_number
    FROM raw_rows
    WHERE kind = 'api_sales'
    QUALIFY file_number = max(file_number) OVER (PARTITION BY market, order_id)
),

counting AS (
    SELECT *
    FROM said
    QUALIFY row_number = max(row_number) OVER (PARTITION BY market, order_id, line_number)
)

SELECT
    counting.* EXCLUDE (file_number, row_number),
    coalesce(sku, '(none)') AS product,
    order_status = 'COMPLETED' AS is_completed,
    (ordered_at + markets.utc_offset)::DATE AS order_date
FROM counting
INNER JOIN markets USING (market);

CREATE OR REPLACE TABLE all_lines AS
SELECT 'exports' AS taken_from, * FROM sold_lines
UNION ALL BY NAME
SELECT 'api' AS taken_from, * FROM api_lines ANTI JOIN orders USING (market, order_id);

INSERT INTO customer_states BY NAME
SELECT DISTINCT
    market,
    customer_id,
    false AS is_known,
    1 AS version,
    true AS is_current,
    md5(concat(market, '|', customer_id, '|first')) AS customer_key
FROM all_lines
ANTI JOIN customer_states USING (market, customer_id);

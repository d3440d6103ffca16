-- The exports as typed tables, from raw_rows: one row per row of a file, every cell the exact text of the file.
-- raw_rows(kind, market, file_number, row_number, header varchar[], cells varchar[]), where a higher file_number is a newer delivery.

CREATE OR REPLACE MACRO cell(header, cells, name) AS nullif(nullif(nullif(cells[list_position(header, name)], ''), '-'), 'null');

-- numerator / denominator as a whole number, halves away from zero, never through a float: DuckDB's `/` on decimals is one.
CREATE OR REPLACE MACRO half_up(numerator, denominator) AS
    sign(numerator) * ((2 * abs(numerator) + denominator) // (2 * denominator));
CREATE OR REPLACE MACRO ten_thousandths(units) AS CAST(units::DECIMAL(18, 0) * 0.0001::DECIMAL(5, 4) AS DECIMAL(18, 4));

CREATE OR REPLACE TABLE markets AS
SELECT * FROM (VALUES (1, INTERVAL 3 HOUR), (2, INTERVAL 1 HOUR)) AS m (market, utc_offset);

CREATE OR REPLACE TABLE documents AS
SELECT
    kind,
    market,
    file_number,
    row_number,
    header,
    cells,
    cell(header, cells, CASE kind
        WHEN 'orders' THEN 'Order ID'
        WHEN 'deliveries' THEN 'Task_ID'
        WHEN 'customers' THEN 'Customer ID'
    END)::BIGINT AS document_id
FROM raw_rows
QUALIFY file_number = max(file_number) OVER (PARTITION BY kind, market, document_id);

-- One row per order line. An exactly repeated row of an order is a true duplicate.
CREATE OR REPLACE TABLE order_lines AS
SELECT
    market,
    document_id AS order_id,
    row_number,
    cell(header, cells, 'SKU') AS sku,
    cell(header, cells, 'Quantity')::BIGINT AS quantity,
    cell(header, cells, 'Customer ID')::BIGINT AS customer_id,
    cell(header, cells, 'Order Status') AS order_status,
    cell(header, cells, 'Order Total')::DECIMAL(18, 2) AS order_total,
    rtrim(cell(header, cells, 'Order Time'), 'Z')::TIMESTAMP AS ordered_local
FROM documents
WHERE kind = 'orders'
QUALIFY row_number = min(row_number) OVER (PARTITION BY market, document_id, cells);

-- One row per order: header values are repeated on its lines, so they are taken from the first.
CREATE OR REPLACE TABLE orders AS
SELECT
    market,
    order_id,
    arg_min(customer_id, row_number) AS customer_id,
    arg_min(order_status, row_number) AS order_status,
    arg_min(order_total, row_number) AS order_total,
    arg_min(ordered_local, row_number) AS ordered_local,
    count(*) AS lines,
    sum(quantity)::BIGINT AS quantity
FROM order_lines
GROUP BY market, order_id;

-- One row per task: the distance is the task's, repeated on its items. 0 is unknown.
CREATE OR REPLACE TABLE tasks AS
SELECT
    market,
    document_id AS task_id,
    nullif(regexp_extract(any_value(cell(header, cells, 'Order_ID')), '^YR-(\d+),0$', 1), '')::BIGINT AS order_id,
    any_value(cell(header, cells, 'Task_Type')) AS task_type,
    nullif(max(cell(header, cells, 'Distance(m)')::BIGINT), 0) AS distance_m,
    count(*) AS items
FROM documents
WHERE kind = 'deliveries'
GROUP BY market, document_id;

CREATE OR REPLACE TABLE customers AS
SELECT DISTINCT market, document_id AS customer_id
FROM documents
WHERE kind = 'customers';

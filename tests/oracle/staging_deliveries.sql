-- Delivery items, full tasks, sold lines and customers' states as typed tables, from those of staging.sql.

-- numerator / denominator to six decimals, of whole numbers; null for a denominator of 0 or null.
CREATE OR REPLACE MACRO millionths(units) AS CAST(units::DECIMAL(18, 0) * 0.000001::DECIMAL(7, 6) AS DECIMAL(18, 6));
CREATE OR REPLACE MACRO ratio6(numerator, denominator) AS
    millionths(half_up(numerator::HUGEINT * 1000000, nullif(denominator, 0)));

-- `KSh 120.00` as 120.00: the sign stands before, with or without a space.
CREATE OR REPLACE MACRO money(text) AS nullif(regexp_extract(text, '-?[0-9]+(\.[0-9]+)?$'), '')::DECIMAL(18, 2);

-- One row per item: exactly repeated ones are items too. 0 is unknown in distance, minutes and rating.
CREATE OR REPLACE TABLE delivery_items AS
SELECT
    market,
    document_id AS task_id,
    row_number,
    nullif(regexp_extract(cell(header, cells, 'Order_ID'), '^YR-(\d+),0$', 1), '')::BIGINT AS order_id,
    cell(header, cells, 'Agent_ID')::BIGINT AS agent_id,
    cell(header, cells, 'Agent_Name') AS agent_name,
    cell(header, cells, 'Task_Type') AS task_type,
    cell(header, cells, 'Task_Status') AS task_status,
    nullif(cell(header, cells, 'Distance(m)')::BIGINT, 0) AS distance_m,
    nullif(cell(header, cells, 'Total_Time_Taken(min)')::DECIMAL(18, 2), 0) AS minutes,
    nullif(cell(header, cells, 'Rating')::INTEGER, 0) AS rating,
    money(cell(header, cells, 'Task_Details_AMOUNT')) AS amount,
    money(cell(header, cells, 'Discount')) AS discount,
    money(cell(header, cells, 'Subtotal')) AS subtotal,
    cell(header, cells, 'Payment_Type') AS payment_type,
    cell(header, cells, 'Latitude')::DOUBLE AS latitude,
    cell(header, cells, 'Longitude')::DOUBLE AS longitude
FROM documents
WHERE kind = 'deliveries';

-- One row per task, as its last row says: the task's amounts and payment stand only there, its other facts on every row.
CREATE OR REPLACE TABLE full_tasks AS
SELECT * EXCLUDE (row_number, amount, latitude, longitude)
FROM delivery_items
QUALIFY row_number = max(row_number) OVER (PARTITION BY market, task_id);

-- One row per task with the day and the status of its order, if any export holds the order.
CREATE OR REPLACE TABLE dated_tasks AS
SELECT
    full_tasks.*,
    orders.order_status,
    orders.order_date,
    coalesce(strftime(orders.order_date, '%Y-%m-%d'), 'no order') AS day,
    coalesce(strftime(orders.order_date, '%Y-%m'), 'no order') AS year_month
FROM full_tasks
LEFT JOIN orders USING (market, order_id);

-- One row per order line, with what its order says of status, payment, customer and time.
CREATE OR REPLACE TABLE sold_lines AS
SELECT
    market,
    order_id,
    order_lines.line_number,
    orders.customer_id,
    order_lines.sku,
    coalesce(order_lines.sku, '(none)') AS product,
    order_lines.category_name,
    orders.order_status,
    coalesce(orders.order_status = 'COMPLETED', false) AS is_completed,
    orders.payment_method,
    orders.currency,
    order_lines.quantity,
    order_lines.unit_price,
    order_lines.line_total,
    order_lines.line_cost,
    order_lines.line_total - order_lines.line_cost AS line_margin,
    orders.ordered_at,
    orders.order_date
FROM order_lines
INNER JOIN orders USING (market, order_id);

-- One row per customer and state, from all deliveries: a delivery that says the same as the one before begins no new state.
-- Of several deliveries of one instant the newest counts. A customer whom no delivery holds has one state, without attributes.
CREATE OR REPLACE TABLE customer_states AS
WITH said AS (
    SELECT
        market,
        cell(header, cells, 'Customer ID')::BIGINT AS customer_id,
        delivered_at,
        cell(header, cells, 'Last Used Platform') AS last_used_platform,
        cell(header, cells, 'Language') AS language,
        cell(header, cells, 'Is Blocked')::BOOLEAN AS is_blocked,
        coalesce(cell(header, cells, 'Number of employees'), cell(header, cells, 'Number of Employees'))::BIGINT
            AS number_of_employees
    FROM raw_rows
    WHERE kind = 'customers'
    QUALIFY 1 = row_number() OVER (
        PARTITION BY market, customer_id, delivered_at ORDER BY file_number DESC, row_number DESC
    )
),

changes AS (
    SELECT *
    FROM said
    WINDOW by_delivery AS (PARTITION BY market, customer_id ORDER BY delivered_at)
    QUALIFY
        row_number() OVER by_delivery = 1
        OR last_used_platform IS DISTINCT FROM lag(last_used_platform) OVER by_delivery
        OR language IS DISTINCT FROM lag(language) OVER by_delivery
        OR is_blocked IS DISTINCT FROM lag(is_blocked) OVER by_delivery
        OR number_of_employees IS DISTINCT FROM lag(number_of_employees) OVER by_delivery
),

-- a first state has no beginning and a last one no end
known AS (
    SELECT
        * EXCLUDE (delivered_at),
        true AS is_known,
        CASE WHEN row_number() OVER by_delivery > 1 THEN delivered_at END AS valid_from,
        lead(delivered_at) OVER by_delivery AS valid_to,
        row_number() OVER by_delivery::INTEGER AS version
    FROM changes
    WINDOW by_delivery AS (PARTITION BY market, customer_id ORDER BY delivered_at)
),

all_states AS (
    SELECT * FROM known
    UNION ALL BY NAME
    SELECT DISTINCT market, customer_id, false AS is_known, 1 AS version
    FROM orders
    ANTI JOIN known USING (market, customer_id)
    WHERE customer_id IS NOT NULL
)

SELECT
    *,
    valid_to IS NULL AS is_current,
    md5(concat(market, '|', customer_id, '|', coalesce(epoch_us(valid_from)::VARCHAR, 'first'))) AS customer_key
FROM all_states;

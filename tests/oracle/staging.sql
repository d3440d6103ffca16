-- The exports as typed tables, from raw_rows: one row per row of a file, every cell the exact text of the file.
-- raw_rows(kind, market, file_number, delivered_at, row_number, header varchar[], cells varchar[]), where a higher file_number is a
-- newer delivery.
-- conf/<kind>.yml and the exchange rates are rows like any other; they belong to no market, or name it in a cell.

CREATE OR REPLACE MACRO cell(header, cells, name) AS nullif(nullif(nullif(cells[list_position(header, name)], ''), '-'), 'null');

-- numerator / denominator as a whole number, halves away from zero, never through a float: DuckDB's `/` on decimals is one.
CREATE OR REPLACE MACRO half_up(numerator, denominator) AS
    sign(numerator) * ((2 * abs(numerator) + denominator) // (2 * denominator));
CREATE OR REPLACE MACRO ten_thousandths(units) AS CAST(units::DECIMAL(20, 0) * 0.0001::DECIMAL(5, 4) AS DECIMAL(20, 4));
CREATE OR REPLACE MACRO hundredths(units) AS CAST(units::DECIMAL(18, 0) * 0.01::DECIMAL(3, 2) AS DECIMAL(18, 2));

-- An amount as a whole number of cents, a sum too.
CREATE OR REPLACE MACRO cents(amount) AS (amount::DECIMAL(18, 2) * 100::DECIMAL(3, 0))::BIGINT;

-- numerator / denominator to four decimals, of whole numbers; null for a denominator of 0 or null.
CREATE OR REPLACE MACRO average(numerator, denominator) AS
    ten_thousandths(half_up(numerator::HUGEINT * 10000, nullif(denominator, 0)));
-- The same as a share, which contracts have narrower.
CREATE OR REPLACE MACRO share(numerator, denominator) AS average(numerator, denominator)::DECIMAL(18, 4);
-- The same of an amount and a whole number.
CREATE OR REPLACE MACRO average_amount(amount, denominator) AS
    ten_thousandths(half_up(cents(amount)::HUGEINT * 100, nullif(denominator, 0)));

CREATE OR REPLACE TABLE markets AS
SELECT
    cell(header, cells, 'market')::INTEGER AS market,
    cell(header, cells, 'country') AS country,
    cell(header, cells, 'time_zone') AS time_zone,
    cell(header, cells, 'utc_offset')::INTERVAL AS utc_offset,
    cell(header, cells, 'currency') AS currency,
    cell(header, cells, 'currency_sign') AS currency_sign,
    cell(header, cells, 'point_value')::DECIMAL(18, 2) AS point_value,
    cell(header, cells, 'points_per')::INTEGER AS points_per,
    cell(header, cells, 'pay_later_rate')::DECIMAL(5, 4) AS pay_later_rate
FROM raw_rows
WHERE kind = 'markets';

-- The box of each market in which coordinates are plausible.
CREATE OR REPLACE TABLE areas AS
SELECT
    cell(header, cells, 'market')::INTEGER AS market,
    cell(header, cells, 'south')::DECIMAL(18, 7) AS south,
    cell(header, cells, 'west')::DECIMAL(18, 7) AS west,
    cell(header, cells, 'north')::DECIMAL(18, 7) AS north,
    cell(header, cells, 'east')::DECIMAL(18, 7) AS east
FROM raw_rows
WHERE kind = 'areas';

CREATE OR REPLACE TABLE baskets AS
SELECT
    cell(header, cells, 'market')::INTEGER AS market,
    cell(header, cells, 'minimum_support')::DECIMAL(18, 6) AS minimum_support,
    cell(header, cells, 'minimum_orders')::BIGINT AS minimum_orders,
    cell(header, cells, 'largest_basket')::BIGINT AS largest_basket
FROM raw_rows
WHERE kind = 'baskets';

CREATE OR REPLACE TABLE payment_notes AS
SELECT
    cell(header, cells, 'note') AS note,
    cell(header, cells, 'paid_by') AS paid_by
FROM raw_rows
WHERE kind = 'payment_notes';

CREATE OR REPLACE TABLE reporting AS
SELECT cell(header, cells, 'reporting_currency') AS reporting_currency
FROM raw_rows
WHERE kind = 'reporting';

-- One row per pair of currencies and day; of several rows the newest delivery's last.
CREATE OR REPLACE TABLE exchange_rates AS
SELECT
    cell(header, cells, 'currency') AS currency,
    cell(header, cells, 'reporting_currency') AS reporting_currency,
    cell(header, cells, 'rate_date')::DATE AS rate_date,
    cell(header, cells, 'rate')::DECIMAL(18, 12) AS rate
FROM raw_rows
WHERE kind = 'exchange_rates'
QUALIFY row_number() OVER (
    PARTITION BY currency, reporting_currency, rate_date ORDER BY file_number DESC, row_number DESC
) = 1;

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
WHERE kind IN ('orders', 'deliveries', 'customers')
QUALIFY file_number = max(file_number) OVER (PARTITION BY kind, market, document_id);

-- One row per order line. An exactly repeated row of an order is a true duplicate.
CREATE OR REPLACE TABLE order_lines AS
WITH distinct_rows AS (
    SELECT *
    FROM documents
    WHERE kind = 'orders'
    QUALIFY row_number = min(row_number) OVER (PARTITION BY market, document_id, cells)
)

SELECT
    market,
    document_id AS order_id,
    (row_number() OVER (PARTITION BY market, document_id ORDER BY row_number))::INTEGER AS line_number,
    row_number,
    -- the line's own
    nullif(trim(cell(header, cells, 'SKU')), '') AS sku,
    nullif(trim(cell(header, cells, 'Category Name')), '') AS category_name,
    cell(header, cells, 'Quantity')::BIGINT AS quantity,
    cell(header, cells, 'Unit Price')::DECIMAL(18, 2) AS unit_price,
    cell(header, cells, 'Cost Price')::DECIMAL(18, 2) AS unit_cost,
    cell(header, cells, 'Total Price')::DECIMAL(18, 2) AS line_total,
    cell(header, cells, 'Total Cost Price')::DECIMAL(18, 2) AS line_cost,
    -- the order's, repeated on its lines
    cell(header, cells, 'Customer ID')::BIGINT AS customer_id,
    cell(header, cells, 'Merchant ID') AS merchant_id,
    cell(header, cells, 'Order Status') AS order_status,
    cell(header, cells, 'Payment Method') AS payment_method,
    cell(header, cells, 'Order Total')::DECIMAL(18, 2) AS order_total,
    cell(header, cells, 'Sub Total')::DECIMAL(18, 2) AS sub_total,
    cell(header, cells, 'Commission Amount')::DECIMAL(18, 2) AS commission,
    cell(header, cells, 'Redeemed Loyalty Points')::BIGINT AS redeemed_points,
    cell(header, cells, 'Consumed Loyalty Points')::BIGINT AS earned_points,
    rtrim(cell(header, cells, 'Order Time'), 'Z')::TIMESTAMP AS ordered_local
FROM distinct_rows;

-- One row per order: header values are repeated on its lines, so they are taken from the first.
CREATE OR REPLACE TABLE orders AS
WITH line_sums AS (
    SELECT
        market,
        order_id,
        count(*) AS lines,
        sum(quantity)::BIGINT AS units,
        coalesce(sum(line_total - line_cost), 0)::DECIMAL(18, 2) AS line_margin
    FROM order_lines
    GROUP BY market, order_id
)

SELECT
    market,
    order_id,
    customer_id,
    merchant_id,
    order_status,
    payment_method,
    currency,
    order_total,
    sub_total,
    commission,
    redeemed_points,
    earned_points,
    lines,
    units AS quantity,
    line_margin,
    ordered_local,
    ordered_local - utc_offset AS ordered_at,
    ordered_local::DATE AS order_date,
    hour(ordered_local)::INTEGER AS order_hour
FROM order_lines
INNER JOIN line_sums USING (market, order_id)
INNER JOIN markets USING (market)
WHERE line_number = 1;

-- One row per order, with its place in its customer's life.
CREATE OR REPLACE TABLE customer_orders AS
SELECT
    *,
    row_number() OVER (PARTITION BY market, customer_id ORDER BY ordered_at, order_id) AS order_number,
    CASE WHEN order_status = 'COMPLETED' THEN
        row_number() OVER (PARTITION BY market, customer_id, order_status ORDER BY ordered_at, order_id)
    END AS completed_number,
    date_trunc('month', min(order_date) FILTER (order_status = 'COMPLETED') OVER (PARTITION BY market, customer_id))::DATE
        AS cohort_month
FROM orders;

-- One row per order: what it adds to each sum of the sales tables, which are nothing but sums over it.
CREATE OR REPLACE TABLE order_measures AS
SELECT
    market,
    order_date,
    order_hour,
    customer_orders.currency,
    order_status = 'COMPLETED' AS is_completed,
    order_status = 'CANCELLED' AS is_cancelled,
    (coalesce(redeemed_points, 0) * point_value)::DECIMAL(18, 2) AS redeemed_value,
    -- counts
    1 AS orders,
    is_completed::INTEGER AS completed_orders,
    is_cancelled::INTEGER AS cancelled_orders,
    (NOT is_completed AND NOT is_cancelled)::INTEGER AS open_orders,
    lines,
    quantity AS units,
    CASE WHEN is_completed THEN quantity ELSE 0 END AS completed_units,
    -- amounts
    CASE WHEN is_completed THEN order_total ELSE 0 END AS revenue,
    CASE WHEN is_completed THEN sub_total ELSE 0 END AS gross_revenue,
    CASE WHEN is_completed THEN redeemed_value ELSE 0 END AS points_value,
    CASE WHEN is_completed AND payment_method = 'Pay Later' THEN order_total - (sub_total - redeemed_value) ELSE 0 END
        AS pay_later_surcharge,
    order_total AS placed_value,
    CASE WHEN is_cancelled THEN order_total ELSE 0 END AS cancelled_value,
    CASE WHEN NOT is_completed AND NOT is_cancelled THEN order_total ELSE 0 END AS open_value,
    CASE WHEN completed_number = 1 THEN order_total ELSE 0 END AS new_revenue,
    CASE WHEN completed_number > 1 THEN order_total ELSE 0 END AS repeat_revenue
FROM customer_orders
INNER JOIN markets USING (market);

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

-- One row per customer; of several rows of the newest delivery the last.
CREATE OR REPLACE TABLE customers AS
SELECT
    market,
    document_id AS customer_id,
    cell(header, cells, 'Last Used Platform') AS last_used_platform,
    cell(header, cells, 'Language') AS language,
    cell(header, cells, 'Is Blocked')::BOOLEAN AS is_blocked,
    cell(header, cells, 'Outstanding Amount')::DECIMAL(18, 2) AS outstanding_amount,
    cell(header, cells, 'Loyalty Points')::BIGINT AS loyalty_points,
    coalesce(cell(header, cells, 'Number of employees'), cell(header, cells, 'Number of Employees'))::BIGINT
        AS number_of_employees,
    rtrim(cell(header, cells, 'Created At'), 'Z')::TIMESTAMP AS created_at
FROM documents
WHERE kind = 'customers'
QUALIFY row_number() OVER (PARTITION BY market, document_id ORDER BY row_number DESC) = 1;

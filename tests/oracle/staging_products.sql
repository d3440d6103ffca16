-- The list of merchants, and the product master with each product's states.
-- One row per product and day of delivery; of several of a day the newest counts.
CREATE OR REPLACE TABLE product_versions AS
SELECT
    cell(header, cells, 'market')::INTEGER AS market,
    cell(header, cells, 'sku') AS sku,
    delivered_at,
    cell(header, cells, 'product_name') AS product_name,
    cell(header, cells, 'category_name') AS category_name,
    cell(header, cells, 'list_price')::DECIMAL(18, 2) AS list_price
FROM raw_rows
WHERE kind = 'products'
QUALIFY 1 = row_number() OVER (PARTITION BY market, sku, delivered_at ORDER BY file_number DESC, row_number DESC);

-- A version that says the same as the one before begins no state; a first state has no beginning and a last one no end.
CREATE OR REPLACE TABLE product_states AS
WITH changes AS (
    SELECT *
    FROM product_versions
    WINDOW by_delivery AS (PARTITION BY market, sku ORDER BY delivered_at)
    QUALIFY
        row_number() OVER by_delivery = 1
        OR product_name IS DISTINCT FROM lag(product_name) OVER by_delivery
        OR category_name IS DISTINCT FROM lag(category_name) OVER by_delivery
        OR list_price IS DISTINCT FROM lag(list_price) OVER by_delivery
),

numbered AS (
    SELECT
        * EXCLUDE (delivered_at),
        CASE WHEN row_number() OVER by_delivery > 1 THEN delivered_at END AS valid_from,
        lead(delivered_at) OVER by_delivery AS valid_to,
        row_number() OVER by_delivery::INTEGER AS version
    FROM changes
    WINDOW by_delivery AS (PARTITION BY market, sku ORDER BY delivered_at)
)

SELECT
    *,
    md5(concat_ws('|', market, sku, epoch_us(valid_from))) AS product_key
FROM numbered;

-- One row per merchant; of several rows the newest delivery's last.
CREATE OR REPLACE TABLE merchants AS
SELECT
    cell(header, cells, 'market')::INTEGER AS market,
    cell(header, cells, 'merchant_id') AS merchant_id,
    cell(header, cells, 'merchant_name') AS merchant_name,
    cell(header, cells, 'commission_share')::DECIMAL(9, 6) AS commission_share
FROM raw_rows
WHERE kind = 'merchants'
QUALIFY row_number() OVER (PARTITION BY market, merchant_id ORDER BY file_number DESC, row_number DESC) = 1;

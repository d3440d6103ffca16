-- Branches, their receipts, conversations and counts of stock as typed tables, from raw_rows; of each document the newest delivery.
-- `2022-01-03T13:05:46+03:00` in UTC: a cast to TIMESTAMP reads over the distance from it.
CREATE OR REPLACE MACRO instant(text) AS
    left(text, 19)::TIMESTAMP - (substr(text, 20, 3)::BIGINT * 60 + (substr(text, 20, 1) || right(text, 2))::BIGINT) * INTERVAL 1 MINUTE;

CREATE OR REPLACE TABLE branch_documents AS
SELECT
    kind,
    market,
    file_number,
    row_number,
    header,
    cells,
    CASE kind
        WHEN 'branches' THEN cell(header, cells, 'Branch ID')
        WHEN 'branch_transactions' THEN concat_ws('/', cell(header, cells, 'Branch ID'), cell(header, cells, 'Transaction ID'))
        WHEN 'conversations' THEN cell(header, cells, 'Conversation ID')
        WHEN 'stock' THEN
            concat_ws('/', cell(header, cells, 'Branch ID'), cell(header, cells, 'SKU'), cell(header, cells, 'Counted On'))
    END AS document
FROM raw_rows
WHERE kind IN ('branches', 'branch_transactions', 'conversations', 'stock')
QUALIFY file_number = max(file_number) OVER (PARTITION BY kind, market, document);

-- One row per branch: of its names the one changed last, of those the last in the list.
CREATE OR REPLACE TABLE branches AS
SELECT
    market,
    document::BIGINT AS branch_id,
    trim(cell(header, cells, 'Branch Name')) AS branch_name,
    cell(header, cells, 'City') AS city,
    cell(header, cells, 'Opened On')::DATE AS opened_on,
    cell(header, cells, 'Closed On')::DATE AS closed_on
FROM branch_documents
WHERE kind = 'branches'
QUALIFY row_number() OVER (
    PARTITION BY market, document
    ORDER BY instant(cell(header, cells, 'Updated At')) DESC NULLS LAST, row_number DESC
) = 1;

-- One row per line of a receipt; an exactly repeated one is a duplicate.
CREATE OR REPLACE TABLE branch_lines AS
SELECT
    market,
    currency,
    cell(header, cells, 'Branch ID')::BIGINT AS branch_id,
    cell(header, cells, 'Transaction ID')::BIGINT AS transaction_id,
    cell(header, cells, 'Customer ID')::BIGINT AS customer_id,
    cell(header, cells, 'SKU') AS sku,
    cell(header, cells, 'Quantity')::BIGINT AS quantity,
    cell(header, cells, 'Line Total')::DECIMAL(18, 2) AS line_total,
    (instant(cell(header, cells, 'Sold At')) + utc_offset)::DATE AS sale_date,
    date_trunc('month', sale_date)::DATE AS sale_month
FROM branch_documents
INNER JOIN markets USING (market)
WHERE kind = 'branch_transactions'
QUALIFY row_number = min(row_number) OVER (PARTITION BY market, document, cells);

CREATE OR REPLACE TABLE conversations AS
SELECT
    market,
    document::BIGINT AS conversation_id,
    cell(header, cells, 'Branch ID')::BIGINT AS branch_id,
    coalesce(lower(cell(header, cells, 'Topic')), '(none)') AS topic,
    instant(cell(header, cells, 'Opened At')) AS opened_at,
    instant(cell(header, cells, 'Resolved At')) AS resolved_at,
    (opened_at + utc_offset)::DATE AS opened_date,
    (resolved_at + utc_offset)::DATE AS resolved_date
FROM branch_documents
INNER JOIN markets USING (market)
WHERE kind = 'conversations'
QUALIFY row_number() OVER (PARTITION BY market, document ORDER BY row_number DESC) = 1;

CREATE OR REPLACE TABLE stock_counts AS
SELECT
    market,
    cell(header, cells, 'Branch ID')::BIGINT AS branch_id,
    cell(header, cells, 'SKU') AS sku,
    cell(header, cells, 'Counted On')::DATE AS counted_on,
    cell(header, cells, 'On Hand')::INTEGER AS on_hand
FROM branch_documents
WHERE kind = 'stock';

CREATE OR REPLACE TABLE stock_bounds AS
SELECT
    cell(header, cells, 'needed_days')::BIGINT AS needed_days,
    cell(header, cells, 'spare_days')::BIGINT AS spare_days
FROM raw_rows
WHERE kind = 'stock_cover';

-- One row per branch and product that was counted or sold lately: how long it lasts, and what could be moved.
WITH newest AS (
    SELECT market, max(day) AS as_of_date
    FROM (SELECT market, counted_on AS day FROM stock_counts UNION ALL SELECT market, sale_date FROM branch_lines) AS days
    GROUP BY market
),

sales AS (
    SELECT market, branch_id, sku, sum(quantity)::BIGINT AS units_sold
    FROM branch_lines
    INNER JOIN newest USING (market)
    WHERE as_of_date - sale_date < 28
    GROUP BY market, branch_id, sku
),

stock AS (
    SELECT
        market,
        branch_id,
        sku,
        max(counted_on) AS counted_on,
        arg_max(on_hand, counted_on) AS on_hand,
        count(*) FILTER (as_of_date - counted_on < 28) AS counts,
        count(*) FILTER (as_of_date - counted_on < 28 AND on_hand <= 0) AS stock_outs
    FROM stock_counts
    INNER JOIN newest USING (market)
    GROUP BY market, branch_id, sku
),

sides AS (
    SELECT
        market,
        branch_id,
        branch_name,
        sku,
        as_of_date,
        coalesce(units_sold, 0) AS units_sold,
        coalesce(counts, 0) AS counts,
        coalesce(stock_outs, 0) AS stock_outs,
        counted_on,
        on_hand,
        half_up(on_hand::HUGEINT * 280, units_sold) AS tenths_of_days,
        CASE WHEN closed_on <= as_of_date THEN 0 ELSE coalesce(units_sold, 0) END AS still_sold,
        greatest(coalesce((still_sold * needed_days + 27) // 28 - on_hand, 0), 0)::BIGINT AS missing_units,
        greatest(coalesce(on_hand - (still_sold * spare_days + 27) // 28, 0), 0)::BIGINT AS spare_units
    FROM stock
    FULL JOIN sales USING (market, branch_id, sku)
    INNER JOIN newest USING (market)
    LEFT JOIN branches USING (market, branch_id)
    CROSS JOIN stock_bounds
),

-- every unit by itself: the n-th that is short meets the n-th that can be spared
short AS (
    SELECT market, sku, branch_id, row_number() OVER (PARTITION BY market, sku ORDER BY tenths_of_days, branch_id) AS n
    FROM (SELECT *, unnest(range(missing_units)) FROM sides) AS units
),

spare AS (
    SELECT market, sku, branch_id, row_number() OVER (PARTITION BY market, sku ORDER BY spare_units DESC, branch_id) AS n
    FROM (SELECT *, unnest(range(spare_units)) FROM sides) AS units
),

met AS (
    SELECT market, sku, short.branch_id AS to_branch_id, spare.branch_id AS from_branch_id
    FROM short
    INNER JOIN spare USING (market, sku, n)
)

SELECT
    market,
    branch_id,
    branch_name,
    sku,
    as_of_date,
    units_sold,
    counts,
    stock_outs,
    counted_on,
    on_hand,
    (tenths_of_days::DECIMAL(18, 0) * 0.1::DECIMAL(2, 1))::DECIMAL(18, 1) AS days_of_cover,
    on_hand <= 0 AS is_out_of_stock,
    missing_units,
    spare_units,
    (SELECT count(*) FROM met WHERE met.market = s.market AND met.sku = s.sku AND to_branch_id = s.branch_id)
        AS units_to_receive,
    (SELECT count(*) FROM met WHERE met.market = s.market AND met.sku = s.sku AND from_branch_id = s.branch_id)
        AS units_to_send
FROM sides AS s
ORDER BY market, branch_id, sku;

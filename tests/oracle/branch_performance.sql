-- One row per branch and month from opening to closing: sales, place in the market, and who stands out.
WITH spans AS (
    SELECT market, currency, min(sale_month) AS first_month, max(sale_month) AS last_month
    FROM branch_lines
    GROUP BY market, currency
),

months AS (
    SELECT market, currency, unnest(generate_series(first_month, last_month, INTERVAL 1 MONTH))::DATE AS sale_month
    FROM spans
),

every_branch AS (
    SELECT
        market,
        branch_id,
        branch_name,
        city,
        branch_name IS NOT NULL AS is_listed,
        -- an unlisted one is there from its first to its last sale
        CASE WHEN is_listed THEN least(coalesce(opened_on, DATE '0001-01-01'), first_sale) ELSE first_sale END AS since,
        CASE WHEN is_listed THEN greatest(coalesce(closed_on, DATE '9999-12-31'), last_sale) ELSE last_sale END AS until
    FROM branches
    FULL JOIN (
        SELECT market, branch_id, min(sale_date) AS first_sale, max(sale_date) AS last_sale
        FROM branch_lines
        GROUP BY market, branch_id
    ) AS sold USING (market, branch_id)
),

sales AS (
    SELECT
        market,
        branch_id,
        sale_month,
        sum(line_total) AS revenue,
        count(DISTINCT transaction_id) AS transactions,
        count(DISTINCT customer_id) AS customers,
        count(DISTINCT sku) AS products_sold,
        sum(quantity) AS units_sold
    FROM branch_lines
    GROUP BY market, branch_id, sale_month
),

performance AS (
    SELECT
        market,
        branch_id,
        sale_month,
        branch_name,
        city,
        is_listed,
        currency,
        coalesce(revenue, 0)::DECIMAL(18, 2) AS revenue,
        coalesce(transactions, 0) AS transactions,
        coalesce(customers, 0) AS customers,
        coalesce(products_sold, 0) AS products_sold,
        coalesce(units_sold, 0)::BIGINT AS units_sold
    FROM every_branch
    INNER JOIN months USING (market)
    LEFT JOIN sales USING (market, branch_id, sale_month)
    WHERE sale_month BETWEEN date_trunc('month', since) AND until
),

placed AS (
    SELECT
        one.*,
        (
            SELECT count(*) FILTER (other.units_sold <= one.units_sold) * 10 <= count(*)
            FROM performance AS other
            WHERE other.market = one.market AND other.sale_month = one.sale_month AND other.is_listed
        ) AND one.is_listed AS is_in_lowest_tenth,
        (
            SELECT quantile_disc(other.customers, 0.5) < one.customers
                AND quantile_disc(other.transactions, 0.5) > one.transactions
            FROM performance AS other
            WHERE other.market = one.market AND other.sale_month = one.sale_month AND other.is_listed
        ) AND one.is_listed AS has_many_customers_and_few_transactions
    FROM performance AS one
)

SELECT
    market,
    branch_id,
    sale_month,
    branch_name,
    city,
    is_listed,
    currency,
    revenue,
    rank() OVER (PARTITION BY market, sale_month ORDER BY revenue DESC) AS revenue_rank,
    share(cents(revenue), sum(cents(revenue)) OVER (PARTITION BY market, sale_month)) AS revenue_share,
    transactions,
    average_amount(revenue, transactions) AS average_transaction,
    customers,
    products_sold,
    units_sold,
    has_many_customers_and_few_transactions,
    is_in_lowest_tenth,
    count_if(is_in_lowest_tenth) OVER (
        PARTITION BY market, branch_id ORDER BY sale_month RANGE BETWEEN INTERVAL 2 MONTH PRECEDING AND CURRENT ROW
    ) = 3 AS is_in_lowest_tenth_for_three_months
FROM placed
ORDER BY market, branch_id, sale_month;

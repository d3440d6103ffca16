-- Where do tills charge another price than the branch's list says? Each sale is held against the list's price of its day;
-- what no list has a price of is not told of. `too_much` is below 0 where too little was charged.
with priced as (
    select sales.market, sales.branch_id, sales.sku, sales.currency, sales.sale_date, sales.quantity, sales.unit_price,
        max_by(prices.list_price, prices.valid_from) as list_price
    from silver.branch_transactions as sales
    join silver.branch_prices as prices
        on prices.market = sales.market and prices.branch_id = sales.branch_id and prices.sku = sales.sku
        and prices.valid_from <= sales.sale_date
    group by sales.market, sales.branch_id, sales.transaction_id, sales.line_number, sales.sku, sales.currency,
        sales.sale_date, sales.quantity, sales.unit_price
)

select priced.market, priced.branch_id, branches.branch_name, priced.sku, priced.list_price,
    priced.unit_price as charged, sum(priced.quantity) as units,
    sum(priced.quantity * (priced.unit_price - priced.list_price)) as too_much, priced.currency,
    min(priced.sale_date) as first_date, max(priced.sale_date) as last_date
from priced
left join silver.branches as branches on branches.market = priced.market and branches.branch_id = priced.branch_id
where priced.unit_price <> priced.list_price
group by priced.market, priced.branch_id, branches.branch_name, priced.sku, priced.list_price, priced.unit_price,
    priced.currency
order by priced.market, priced.branch_id, priced.sku, first_date;

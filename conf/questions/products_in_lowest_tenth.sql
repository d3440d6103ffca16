-- Which products sold the fewest units in each of the last three months? Over all branches of a market; at most a tenth of
-- its products sold no more in the month, so that among fewer than ten products none is. The last month may not be over.
with sales as (
    select market, sku, date_sub(sale_date, dayofmonth(sale_date) - 1) as sale_month, sum(quantity) as units_sold
    from silver.branch_transactions
    group by market, sku, date_sub(sale_date, dayofmonth(sale_date) - 1)
),

months as (
    select market, sale_month, row_number() over (partition by market order by sale_month desc) as months_ago
    from (select distinct market, sale_month from sales) as every_month
),

products as (
    select months.market, months.sale_month, every_product.sku, coalesce(sales.units_sold, 0) as units_sold
    from months
    join (select distinct market, sku from sales) as every_product on every_product.market = months.market
    left join sales
        on sales.market = months.market and sales.sale_month = months.sale_month and sales.sku = every_product.sku
    where months.months_ago <= 3
),

placed as (
    select *,
        count(*) over (partition by market, sale_month) as products,
        rank() over (partition by market, sale_month order by units_sold desc) as place
    from products
)

select market, sku, sum(units_sold) as units_sold, substr(cast(min(sale_month) as string), 1, 7) as first_month,
    substr(cast(max(sale_month) as string), 1, 7) as last_month
from placed
where (products + 1 - place) * 10 <= products
group by market, sku
having count(*) = 3
order by market, sku;

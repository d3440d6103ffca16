-- What runs out first? Products that are out of stock, or last less than a week at the pace of the last 28 days.
select market, branch_id, branch_name, sku, on_hand, counted_on, units_sold, days_of_cover, stock_outs, missing_units,
    units_to_receive
from gold.stock_cover
where is_out_of_stock or days_of_cover < 7
order by market, days_of_cover nulls last, branch_id, sku;

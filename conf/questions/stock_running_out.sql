-- What runs out first? Products that are out of stock, or last less than a week at the pace of the last 28 days, in branches
-- that are open. Below those whose days are known stand those that nobody bought: perhaps since there were none.
select cover.market, cover.branch_id, coalesce(cover.branch_name, '(in no list)') as branch_name, cover.sku,
    cover.on_hand, cover.counted_on, cover.units_sold as sold_in_28_days, cover.days_of_cover, cover.stock_outs,
    cover.missing_units, cover.units_to_receive
from gold.stock_cover as cover
left join silver.branches as branches
    on branches.market = cover.market and branches.branch_id = cover.branch_id
where (cover.is_out_of_stock or cover.days_of_cover < 7) and coalesce(branches.closed_on > cover.as_of_date, true)
order by cover.market, cover.days_of_cover nulls last, cover.missing_units desc, cover.branch_id, cover.sku;

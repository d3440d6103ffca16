-- What should be moved where? Each row is one transport, as gold.stock_cover shares out what is spare and what is short:
-- both sides stand in their order one behind the other, and what lies side by side is moved.
with givers as (
    select market, sku, branch_id, branch_name, units_to_send as units,
        sum(units_to_send) over (partition by market, sku order by spare_units desc, branch_id
            rows between unbounded preceding and current row) as up_to
    from gold.stock_cover
    where units_to_send > 0
),

takers as (
    select market, sku, branch_id, branch_name, units_to_receive as units,
        sum(units_to_receive) over (partition by market, sku order by days_of_cover, branch_id
            rows between unbounded preceding and current row) as up_to
    from gold.stock_cover
    where units_to_receive > 0
)

select givers.market, givers.sku, givers.branch_id as from_branch_id, givers.branch_name as from_branch,
    takers.branch_id as to_branch_id, takers.branch_name as to_branch,
    least(givers.up_to, takers.up_to) - greatest(givers.up_to - givers.units, takers.up_to - takers.units) as units
from givers
join takers
    on takers.market = givers.market and takers.sku = givers.sku
    and takers.up_to - takers.units < givers.up_to and givers.up_to - givers.units < takers.up_to
order by givers.market, givers.sku, from_branch_id, to_branch_id;

-- Which branches have several names, and which of them counts? A row for each name in the newest list.
select branches.market, branches.branch_id, branches.branch_name as counts, names.branch_name as called,
    names.updated_at
from silver.branches as branches
join silver.branch_names as names on names.market = branches.market and names.branch_id = branches.branch_id
where branches.names > 1
order by branches.market, branches.branch_id, names.updated_at desc, names.name_number desc;

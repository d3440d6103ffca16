-- Which branches sell most, and how large is their part? Of each market's newest month, which may not be over.
select market, substr(cast(sale_month as string), 1, 7) as sale_month, revenue_rank, branch_id,
    coalesce(branch_name, '(in no list)') as branch_name, revenue, currency, revenue_share, transactions, customers
from (select *, max(sale_month) over (partition by market) as newest_month from gold.branch_performance) as months
where sale_month = newest_month
order by market, revenue_rank, branch_id;

-- Which branches sell most, and how large is their part? Of each market's newest month, which may not be over.
select market, sale_month, revenue_rank, branch_id, branch_name, revenue, currency, revenue_share, transactions, customers
from (select *, max(sale_month) over (partition by market) as newest_month from gold.branch_performance) as months
where sale_month = newest_month
order by market, revenue_rank, branch_id;

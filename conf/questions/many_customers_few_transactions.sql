-- Where do many people come, but only once? More customers than the median branch and fewer receipts; in how many months.
select market, branch_id, branch_name, count(*) as months,
    substr(cast(max(sale_month) as string), 1, 7) as last_month,
    sum(transactions) as transactions, max(customers) as most_customers_of_a_month
from gold.branch_performance
where has_many_customers_and_few_transactions
group by market, branch_id, branch_name
order by market, months desc, branch_id;

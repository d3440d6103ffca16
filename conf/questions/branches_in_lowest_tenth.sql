-- Which branches sold the fewest units for three months in a row? A row for the last of each such three months.
select market, branch_id, branch_name, substr(cast(sale_month as string), 1, 7) as third_month,
    units_sold, products_sold, revenue, currency
from gold.branch_performance
where is_in_lowest_tenth_for_three_months
order by market, branch_id, third_month;

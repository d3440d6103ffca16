-- Which customers do branches describe differently, and whose word counts? A row for each branch whose word is another than
-- the one that counts: the one changed last, of those changed at one time the one of the lower branch number.
with words as (
    select market, customer_id, branch_id, segment, updated_at,
        row_number() over (partition by market, customer_id order by updated_at desc nulls last, branch_id) as place
    from silver.branch_customers
)

select words.market, words.customer_id, words.branch_id, branches.branch_name, words.segment as described_as,
    words.updated_at, counting.segment as counts, counting.branch_id as says_branch_id
from words
join words as counting
    on counting.market = words.market and counting.customer_id = words.customer_id and counting.place = 1
left join silver.branches as branches on branches.market = words.market and branches.branch_id = words.branch_id
where words.segment <> counting.segment
order by words.market, words.customer_id, words.branch_id;

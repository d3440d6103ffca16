-- Where do customers wait longest? Hours to resolution by branch, of what was resolved on the market's last 28 days. Where
-- few were resolved one slow answer is enough: see `resolved`.
with newest as (select market, max(event_date) as newest_date from gold.conversation_daily group by market),

placed as (
    select events.market, events.branch_id, events.hours_to_resolution as hours,
        row_number() over (partition by events.market, events.branch_id order by events.hours_to_resolution) as place,
        count(*) over (partition by events.market, events.branch_id) as resolved
    from silver.conversation_events as events
    join newest on newest.market = events.market
    where events.event = 'resolved' and events.event_date > date_sub(newest.newest_date, 28)
)

select placed.market, placed.branch_id, branches.branch_name, max(placed.resolved) as resolved,
    min(case when placed.place * 100 >= placed.resolved * 50 then placed.hours end) as p50_hours,
    min(case when placed.place * 100 >= placed.resolved * 90 then placed.hours end) as p90_hours
from placed
left join silver.branches as branches on branches.market = placed.market and branches.branch_id = placed.branch_id
group by placed.market, placed.branch_id, branches.branch_name
order by placed.market, p90_hours desc, placed.branch_id;

-- What do customers ask, and what stays open? Over all days; whoever answers nothing looks fast, so see what is open first.
select market, topic, sum(opened) as opened, sum(resolved) as resolved, sum(opened) - sum(resolved) as still_open,
    max(longest_hours) as longest_hours
from gold.conversation_daily
group by market, topic
order by market, still_open desc, topic;

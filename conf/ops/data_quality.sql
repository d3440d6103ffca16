-- One row per run and thing that was measured: a rule of delivered rows, the sums and the score of a source, each by market; a check of a computed
-- table, for all of its markets. `source` is the table whose rows were checked. `share` of what was checked is wrong, `share_before` in the
-- measurement before; `score` from 0 to 100.
select
    at,
    run,
    table_name as source,
    market,
    measure,
    name as rule,
    severity,
    checked,
    broken,
    share,
    lag(share) over (partition by table_name, market, measure, name order by at) as share_before,
    case when measure = 'score' then value end as score,
    note
from ops.quality
where measure in ('rule', 'check', 'score', 'reconciliation')

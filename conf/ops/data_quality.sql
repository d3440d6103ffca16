-- Data quality: one row per run, source, market, measure and rule, with how many of the rows that the run judged or
-- computed were wrong.
--
-- Delivered rows are measured by market: each rule, whether the sums close, and the score. Rules and checks of a
-- computed table are measured for all of its markets together. What was not measured in a run has no row of it.
--
-- Two shares are of different rows. Of delivered rows a run measures those that are new to it, or all where it builds
-- the table anew. Of a computed table it measures the units that it computed: all in the first build, in later runs
-- those that a change reached. So a share that falls after the first build does not say that old rows were corrected.
select
    at, -- When the run began, UTC
    run, -- The run, as in `ops.runs`
    table_name as source, -- The table whose rows were checked
    market, -- The market of the delivered rows; null where all markets are measured together
    measure, -- `rule` (of one row), `check` (of the table against itself or its inputs), `reconciliation` (no row was lost or invented), or `score`
    name as rule, -- The name of the rule or check, as in the contract of the table, of the sum, or `score`
    severity, -- What happens where something is wrong: `reject` (the rows are not let in), `warn`, or `stop` (nothing is written); null for a score
    checked, -- Rows that were checked; groups, where a check compares sums; rows that came in, where sums or a score were measured
    broken, -- How many of them are wrong; by how many rows a sum does not close; null for a score
    share, -- `broken` / `checked`, 0.1 = 10 %; null where nothing was checked, and for a score
    lag(share) over (partition by table_name, market, measure, name order by at) as share_before, -- The share in the measurement before, of the rows of that run, 0.1 = 10 %; null in the first
    case when measure = 'score' then value end as score, -- Points from 0 to 100, by the formula in the contract of the table; null for all that is no score
    note -- Of a check, one that is wrong; of a sum or a score, its numbers; may be empty
from ops.quality
where measure in ('rule', 'check', 'score', 'reconciliation')

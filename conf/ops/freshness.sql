-- Freshness: one row per source and market, with its newest delivery and how old that is now. A source without markets
-- has one row, in which the market is null.
select
    table_name as source, -- The bronze table that the files were loaded into
    cast(get_json_object(parts, '$.market') as int) as market, -- The market that the path of the file names
    max(as_of) as newest_delivery_at, -- When the newest file was delivered, UTC: when it was written, where that was on its day, else the day's start
    greatest(round((unix_timestamp(current_timestamp()) - unix_timestamp(max(as_of))) / 3600, 1), 0) as hours_old, -- Hours from then to the moment of the question, to one decimal
    max_by(path, struct(as_of, modified_at, path)) as newest_file, -- Its path in landing
    count(*) as files, -- Files that were loaded, each version of one counted; empty ones too
    sum(rows) as rows -- Rows of these files in bronze
from (
    select *, case when abs(unix_timestamp(modified_at) - unix_timestamp(delivered_at) - 43200) <= 93600 then modified_at else delivered_at end as as_of
    from ops.files
)
where status in ('loaded', 'empty')
group by table_name, cast(get_json_object(parts, '$.market') as int)

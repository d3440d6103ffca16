-- Freshness: one row per source and market, with its newest delivery and how old that is now. A source without markets
-- has one row, in which the market is null.
select
    table_name as source, -- The bronze table that the files were loaded into
    cast(get_json_object(parts, '$.market') as int) as market, -- The market that the path of the file names
    max(delivered_at) as newest_delivery_at, -- When the newest file was delivered, UTC: the start of the day that its path names, else when it was last written
    round((unix_timestamp(current_timestamp()) - unix_timestamp(max(delivered_at))) / 3600, 1) as hours_old, -- Hours from then to the moment of the question, to one decimal
    max_by(path, struct(delivered_at, modified_at, path)) as newest_file, -- Its path in landing
    count(*) as files, -- Files that were loaded, each version of one counted; empty ones too
    sum(rows) as rows -- Rows of these files in bronze
from ops.files
where status in ('loaded', 'empty')
group by table_name, cast(get_json_object(parts, '$.market') as int)

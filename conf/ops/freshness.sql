-- One row per source and market: its newest delivery, and how old that is now. A source without a market has one row, with null.
select
    table_name as source,
    cast(get_json_object(parts, '$.market') as int) as market,
    max(delivered_at) as newest_delivery_at,
    round((unix_timestamp(current_timestamp()) - unix_timestamp(max(delivered_at))) / 3600, 1) as hours_old,
    max_by(path, struct(delivered_at, modified_at, path)) as newest_file,
    count(*) as files,
    sum(rows) as rows
from ops.files
where status in ('loaded', 'empty')
group by table_name, cast(get_json_object(parts, '$.market') as int)

-- One row per calendar day of every year in which a market sold anything.
WITH days AS (
    SELECT
        unnest(generate_series(make_date(year, 1, 1), make_date(year, 12, 31), INTERVAL 1 DAY))::DATE AS calendar_date
    FROM (SELECT DISTINCT year(order_date) AS year FROM all_lines)
)

SELECT
    strftime(calendar_date, '%Y%m%d')::INTEGER AS date_key,
    calendar_date,
    year(calendar_date)::INTEGER AS year,
    quarter(calendar_date)::INTEGER AS quarter,
    month(calendar_date)::INTEGER AS month,
    date_trunc('month', calendar_date)::DATE AS month_start,
    isoyear(calendar_date)::INTEGER AS iso_year,
    weekofyear(calendar_date)::INTEGER AS iso_week,
    calendar_date - (isodow(calendar_date) - 1)::INTEGER AS week_start,
    isodow(calendar_date)::INTEGER AS weekday,
    isodow(calendar_date) >= 6 AS is_weekend
FROM days
ORDER BY date_key;

"""What the report asks, section by section: a statement over gold that adds up, a sentence about it, and its chart.

No statement names who somebody is, or gives a row of a single customer, order or task: a page is passed on more freely
than a lake is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobs.report import charts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobs.report.charts import Rows

FEWEST = 5  # tasks of a cell that is shown: fewer may tell where somebody lives
MOST_CELLS, MOST_NAMES = 1500, 12

TOTALS = """
    select market, min(currency) as currency, min(order_date) as first_day, max(order_date) as last_day,
        sum(orders) as orders, sum(completed_orders) as completed_orders, sum(units) as units,
        sum(revenue) as revenue, sum(new_revenue) as new_revenue
    from gold.daily_sales where {market} and {days} group by market order by market
"""


@dataclass(frozen=True)
class Section:
    """`statement`: with places for `{market}` and `{days}`, conditions over rows; its first column is the market.

    That is null where rows are of no market, as events, which no choice of one narrows (`has_markets`). `draw` makes a
    chart of a market's rows, in its currency; `units` say by column what it is measured in. `is_dated`: whether its
    rows are of days, so that a choice of days can narrow it. `is_optional`: whether a release without its tables has no
    such section, instead of one that says so.
    """

    name: str
    title: str
    caption: str
    statement: str
    draw: Callable[[Rows, str], Any]
    units: Mapping[str, str]
    is_dated: bool = True
    is_optional: bool = False
    has_markets: bool = True

    def asked(self, market: str, days: str) -> str:
        return self.statement.format(market=market, days=days)


MONEY = "{currency}"
SECTIONS = (
    Section(
        "revenue",
        "Revenue by day",
        "Order totals of completed orders, by the market's local day, in the market's own currency. Currencies are "
        "never added. The last day may not be over.",
        """
        select market, order_date, revenue, orders, completed_orders from gold.daily_sales
        where {market} and {days} order by market, order_date
        """,
        lambda rows, currency: charts.over_days(rows, "revenue", f"revenue, {currency}"),
        {"revenue": MONEY},
    ),
    Section(
        "new_and_repeat",
        "New and repeat customers",
        "Revenue by week, from Monday: each customer's first completed order in the delivered exports is new, all "
        "later ones are repeat. The first and the last week may not be whole.",
        """
        select market, to_date(date_trunc('week', order_date)) as week, sum(new_revenue) as new_revenue,
            sum(repeat_revenue) as repeat_revenue
        from gold.daily_sales where {market} and {days} group by 1, 2 order by 1, 2
        """,
        lambda rows, currency: charts.stacked(
            rows,
            "week",
            {"repeat_revenue": "repeat", "new_revenue": "new"},
            (charts.BLUE, charts.VERMILLION),
            f"revenue, {currency}",
        ),
        {"new_revenue": MONEY, "repeat_revenue": MONEY},
    ),
    Section(
        "cohorts",
        "Who comes back",
        "A cohort is the customers who completed their first order in one month. The share of them that completed an "
        "order so many calendar months later; it is 100 % in the month itself. The newest month may not be over.",
        """
        select market, substring(cast(cohort_month as string), 1, 7) as cohort_month, age_months, retention,
            active_customers, cohort_customers
        from gold.customer_cohorts where {market} order by 1, 2, 3
        """,
        lambda rows, _: charts.heat(rows),
        {"retention": "share, 0.1 = 10 %"},
        is_dated=False,
    ),
    Section(
        "products",
        "Products",
        f"The {MOST_NAMES} products with the largest gross revenue: line totals of completed orders, before redeemed "
        "points and surcharges. The margin is over lines whose cost is known.",
        f"""
        select market, sku, category_name, gross_revenue, margin, completed_units from (
            select *, row_number() over (partition by market order by gross_revenue desc, sku) as place
            from gold.products where {{market}} and gross_revenue > 0
        ) where place <= {MOST_NAMES} order by market, place
        """,  # noqa: S608  a number
        lambda rows, currency: charts.bars(rows, "sku", "gross_revenue", f"gross revenue, {currency}"),
        {"gross_revenue": MONEY, "margin": MONEY, "completed_units": "units"},
        is_dated=False,
    ),
    Section(
        "categories",
        "Categories",
        f"Gross revenue of the {MOST_NAMES} largest product categories; lines without a category are (none).",
        f"""
        select market, category_name, gross_revenue, margin, completed_units from (
            select market, category_name, sum(gross_revenue) as gross_revenue, sum(margin) as margin,
                sum(completed_units) as completed_units,
                row_number() over (partition by market order by sum(gross_revenue) desc, category_name) as place
            from gold.category_daily where {{market}} and {{days}} group by market, category_name
        ) where place <= {MOST_NAMES} order by market, place
        """,  # noqa: S608  a number
        lambda rows, currency: charts.bars(rows, "category_name", "gross_revenue", f"gross revenue, {currency}"),
        {"gross_revenue": MONEY, "margin": MONEY, "completed_units": "units"},
    ),
    Section(
        "baskets",
        "Bought together",
        f"The {MOST_NAMES} pairs of products that stand together in most completed orders. Lift is how many times as "
        "often as by chance, which the dashed line is. Which pairs are frequent enough, conf/baskets.yml says.",
        f"""
        select market, concat(sku, ' + ', other_sku) as pair, orders_together, lift, support from (
            select *, row_number() over (partition by market order by orders_together desc, sku, other_sku) as place
            from gold.basket_pairs where {{market}}
        ) where place <= {MOST_NAMES} order by market, place
        """,  # noqa: S608  a number
        lambda rows, _: charts.against_chance(rows),
        {"lift": "1 = by chance", "support": "share of orders, 0.1 = 10 %", "orders_together": "orders"},
        is_dated=False,
    ),
    Section(
        "deliveries",
        "Deliveries",
        "What became of delivery and pick-up tasks, by the week of their order, from Monday. Tasks whose order no "
        "export holds are on no day, and not shown.",
        """
        select market, to_date(date_trunc('week', order_date)) as week, sum(completed_tasks) as completed,
            sum(failed_tasks) as failed, sum(cancelled_tasks) as cancelled,
            sum(unassigned_tasks) + sum(under_way_tasks) as open
        from gold.delivery_daily where {market} and order_date is not null and {days} group by 1, 2 order by 1, 2
        """,
        lambda rows, _: charts.stacked(
            rows,
            "week",
            {name: name for name in ("completed", "failed", "cancelled", "open")},
            (charts.BLUE, charts.VERMILLION, charts.GREY, charts.GREEN),
            "tasks",
        ),
        dict.fromkeys(("completed", "failed", "cancelled", "open"), "tasks"),
    ),
    Section(
        "areas",
        "Where deliveries go",
        "Tasks by cells of a hundredth of a degree, about 1.1 km; a task counts in each cell in which it has an item. "
        f"Cells with fewer than {FEWEST} tasks are left out, since they might tell where somebody lives.",
        f"""
        select market, south, west, tasks, completed_tasks from (
            select *, row_number() over (partition by market order by tasks desc, cell) as place
            from gold.delivery_areas where {{market}} and is_plausible and tasks >= {FEWEST}
        ) where place <= {MOST_CELLS} order by market, place
        """,  # noqa: S608  numbers
        lambda rows, _: charts.grid(rows),
        {"south": "degrees", "west": "degrees", "tasks": "tasks", "completed_tasks": "tasks"},
        is_dated=False,
    ),
    Section(
        "reconciliation",
        "Orders that agree with their documents",
        "Each order's total is compared with its lines, its points, its surcharge and what its delivery says. Kinds of "
        "difference: lines, total, delivery, no delivery (of a completed order), none.",
        """
        select market, difference_kind, count(*) as orders from gold.order_reconciliation
        where {market} and {days} group by 1, 2 order by 1, 3 desc, 2
        """,
        lambda rows, _: charts.bars(rows, "difference_kind", "orders", "orders"),
        {"orders": "orders"},
    ),
    Section(
        "branches",
        "Branches",
        f"The {MOST_NAMES} branches with the largest revenue of the newest month, which may not be over: line totals "
        "of their receipts. Orders are not in it.",
        f"""
        select market, concat(coalesce(branch_name, 'not listed'), ' (', branch_id, ')') as branch,
            substr(cast(sale_month as string), 1, 7) as month, revenue, revenue_share, transactions, units_sold
        from (
            select *, max(sale_month) over (partition by market) as newest_month
            from gold.branch_performance where {{market}}
        ) where sale_month = newest_month and revenue_rank <= {MOST_NAMES} order by market, revenue_rank, branch_id
        """,  # noqa: S608  a number
        lambda rows, currency: charts.bars(rows, "branch", "revenue", f"revenue, {currency}"),
        {"revenue": MONEY, "revenue_share": "share, 0.1 = 10 %", "transactions": "receipts", "units_sold": "units"},
        is_dated=False,
        is_optional=True,
    ),
    Section(
        "funnel",
        "From view to purchase",
        "Sessions of known users with a view, and of these how many had a click after it and a purchase after that, of "
        "any product, by platform. A session is of the UTC day on which it began.",
        """
        with platforms as (
            select platform, sum(sessions_viewed) as viewed, sum(sessions_clicked) as clicked,
                sum(sessions_purchased) as purchased
            from (select *, funnel_date as order_date from gold.funnel) where {days} group by platform
        ), steps as (
            select platform, viewed, 1 as place, 'viewed' as step, viewed as sessions from platforms
            union all select platform, viewed, 2, 'clicked', clicked from platforms
            union all select platform, viewed, 3, 'purchased', purchased from platforms
        )
        select null as market, concat(platform, ': ', step) as step, sessions,
            case when viewed > 0 then sessions * 1000 div viewed end as of_1000_viewed
        from steps order by platform, place
        """,
        lambda rows, _: charts.bars(rows, "step", "sessions", "sessions"),
        {"sessions": "sessions", "of_1000_viewed": "sessions"},
        is_optional=True,
        has_markets=False,
    ),
    Section(
        "active_users",
        "Active users",
        "Different known users with an event in a week, from Monday (UTC): those with an event before it return, the "
        "others are new. One counts in each week. The first and the last week may not be whole.",
        """
        select null as market, period_start as week, active_users, new_users, returning_users
        from (select *, period_start as order_date from gold.active_users where period = 'week')
        where {days} order by week
        """,
        lambda rows, _: charts.stacked(
            rows,
            "week",
            {"returning_users": "returning", "new_users": "new"},
            (charts.BLUE, charts.VERMILLION),
            "users",
        ),
        dict.fromkeys(("active_users", "new_users", "returning_users"), "users"),
        is_optional=True,
        has_markets=False,
    ),
)

"""What the peers read of the exports: silver's columns, each with the delivered column and what it is read as.

A `known` number is one whose 0 means unknown; a `local` time is the market's wall clock, whatever its Z says. Signed
amounts stand behind their currency's sign.
"""

from __future__ import annotations

from jobs.samples.daily import DELIVERIES_1, DELIVERIES_2, ORDERS_1, ORDERS_2

Columns = dict[str, tuple[str, str]]

HEADERS = {
    "orders": {1: ORDERS_1.split(","), 2: ORDERS_2.split(",")},
    "deliveries": {
        1: [name or f"nameless_{place}" for place, name in enumerate(DELIVERIES_1.split(","))],
        2: DELIVERIES_2.split(","),
    },
}
ZONES = {1: ("Africa/Nairobi", 3, "KES"), 2: ("Africa/Lagos", 1, "NGN")}  # hours; neither has a summer time

ORDER_LINES: Columns = {
    "order_id": ("Order ID", "bigint"),
    "customer_id": ("Customer ID", "bigint"),
    "sku": ("SKU", "text"),
    "category_name": ("Category Name", "text"),
    "order_status": ("Order Status", "text"),
    "payment_method": ("Payment Method", "text"),
    "customer_note": ("Description", "text"),
    "review": ("Reviews", "text"),
    "quantity": ("Quantity", "int"),
    "unit_price": ("Unit Price", "money"),
    "unit_cost": ("Cost Price", "money"),
    "line_total": ("Total Price", "money"),
    "line_cost": ("Total Cost Price", "money"),
    "order_total": ("Order Total", "money"),
    "sub_total": ("Sub Total", "money"),
    "redeemed_points": ("Redeemed Loyalty Points", "bigint"),
    "earned_points": ("Consumed Loyalty Points", "bigint"),
    "rating": ("Ratings", "known"),
    "ordered_at": ("Order Time", "local"),
    "order_date": ("Order Time", "day"),
    "pickup_at": ("Pickup Time", "local"),
    "promised_at": ("Delivery Time", "local"),
}
DELIVERY_ITEMS: Columns = {
    "task_id": ("Task_ID", "bigint"),
    "order_id": ("Order_ID", "order"),
    "agent_id": ("Agent_ID", "bigint"),
    "task_type": ("Task_Type", "text"),
    "task_status": ("Task_Status", "text"),
    "agent_name": ("Agent_Name", "text"),
    "notes": ("Notes", "text"),
    "special_instructions": ("Special_Instructions", "text"),
    "payment_type": ("Payment_Type", "text"),
    "review": ("Review", "text"),
    "quantity": ("Task_Details_QTY", "int"),
    "amount": ("Task_Details_AMOUNT", "signed"),
    "distance_m": ("Distance(m)", "known"),
    "minutes": ("Total_Time_Taken(min)", "minutes"),
    "tip": ("Tip", "signed"),
    "delivery_charges": ("Delivery_Charges", "signed"),
    "discount": ("Discount", "signed"),
    "subtotal": ("Subtotal", "money"),
    "rating": ("Rating", "known"),
    "latitude": ("Latitude", "double"),
    "longitude": ("Longitude", "double"),
}
CUSTOMERS: Columns = {
    "customer_id": ("Customer ID", "bigint"),
    "last_used_platform": ("Last Used Platform", "text"),
    "language": ("Language", "text"),
    "is_blocked": ("Is Blocked", "flag"),
    "outstanding_amount": ("Outstanding Amount", "money"),
    "loyalty_points": ("Loyalty Points", "bigint"),
    "number_of_employees": ("Number of Employees", "bigint"),
    "created_at": ("Created At", "instant"),
}
EMPLOYEES = {1: "Number of employees", 2: "Number of Employees"}  # the customers' one key that differs by market

# Facts of the whole document, repeated on its rows or standing on its last one.
OF_THE_ORDER = (
    "customer_id", "order_status", "payment_method", "currency", "customer_note", "review", "order_total", "sub_total",
    "redeemed_points", "earned_points", "rating", "ordered_at", "order_date", "pickup_at", "promised_at",
)  # fmt: skip
OF_THE_TASK = (
    "order_id", "agent_id", "task_type", "task_status", "agent_name", "notes", "payment_type", "review",
    "distance_m", "minutes", "tip", "delivery_charges", "discount", "subtotal", "rating",
)  # fmt: skip
SALES = (
    "market", "order_id", "line_number", "customer_id", "sku", "category_name", "order_status", "payment_method",
    "currency", "customer_platform", "is_customer_known", "is_customer_blocked", "delivery_status", "quantity",
    "unit_price", "unit_cost", "line_total", "line_cost", "line_margin", "order_total", "delivery_tasks",
    "delivery_distance_m", "ordered_at", "order_date", "promised_at",
)  # fmt: skip

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.samples.branches import CUSTOMERS
from tests.rows import only

if TYPE_CHECKING:
    from tests.rows import Read

KENYA = "market_1/2022-01-16/Market 1 Branch Customers.csv"
NIGERIA = "market_2/2022-01-16/Branch Customers.csv"
FILES = {
    KENYA: f"{CUSTOMERS}\r\n1,42,SHOP,2021-11-29,2022-01-01T00:00:00+03:00\r\n",
    NIGERIA: "Customer ID,Branch ID\n42,1\n",
}


def test_a_customer_of_a_list_is_text_as_delivered(read: Read) -> None:
    delivered = read("bronze.branch_customers", FILES)
    assert only(delivered[KENYA], "market", "branch_id", "customer_id", "segment", "registered_on", "updated_at") == [
        ("1", "1", "42", "SHOP", "2021-11-29", "2022-01-01T00:00:00+03:00")
    ]
    assert only(delivered[NIGERIA], "market", "branch_id", "customer_id", "segment") == [("2", "1", "42", None)]

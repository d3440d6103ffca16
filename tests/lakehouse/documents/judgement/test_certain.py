"""Documents that aggregates tell apart as certain are judged as all are judged one by one."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from random import Random
from typing import TYPE_CHECKING

import pytest
from pyspark.sql import functions as F

from lakehouse.documents.judgement import certain, judging, parsing
from tests import rows as written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lakehouse.engines.native.engine import Native
    from lakehouse.graph import Table
    from tests.rows import Cells, Texts

PLACE = ("_file", "_row", "_sequence")


def random_rows(name: str, random: Random) -> list[Cells]:
    """Rows of few documents, delivered up to three times: some wrong, some said twice, some with another identity."""
    found = []
    for number in range(600):
        day, unit = random.choice("1112"), str(random.randint(1, 250))
        mostly = random.random() < 0.9
        place: Cells = {"_sequence": day, "_file": f"file {day}", "_batch": int(day), "_row": number}
        cells: dict[str, Cells] = {
            "silver.order_lines": {"order_id": unit, "quantity": "2" if mostly else "two", "sku": random.choice("ABC")},
            "silver.delivery_items": {
                "task_id": unit, "order_id": "YR-7,0" if mostly else "YR-8,0",
                "subtotal": random.choice(["-", "20", "20", "40"]),
                "task_details_qty": random.choice("123"),
            },
            "silver.customers": {
                "customer_id": unit, "created_at": "" if mostly else "yesterday", "language": random.choice("de"),
            },
        }  # fmt: skip
        if name == "silver.order_lines":
            total = random.choice(["20", "20", "40", "0"])
            free = dict.fromkeys(("unit_price", "cost_price", "total_cost_price", "total_price"), "0")
            cells[name] |= {"order_total": total, "sub_total": total} | (free if total == "0" else {})
        made = {
            "silver.order_lines": written.an_order_row,
            "silver.delivery_items": written.a_delivery_row,
            "silver.customers": written.a_customer_row,
        }[name]
        found.append(made(**cells[name]) | place)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["silver.order_lines", "silver.delivery_items", "silver.customers"])
def test_what_is_certain_is_judged_as_all_are_one_by_one(
    name: str, engine: Native, tables: Mapping[str, Table]
) -> None:
    table, seen = tables[name], ["_status", "_broken", "_warned", "_right", "_accepted", "_repeat"]
    seen += [table.contract.position] if table.contract.position else []
    newest = engine.spark.createDataFrame([], "_file string, _newest string")
    with ExitStack() as cached:
        rows = parsing.flat(written.parse(engine, tables, name, random_rows(name, Random(3))), -1)  # noqa: S311
        rows = engine.once(rows, cached)

        def judged(*, are_many: bool) -> list[Texts]:
            out = judging.KeptOut()
            every = judging.judge_flat(
                table, rows, newest, None, out, partial(engine.once, until=cached), are_many=are_many
            )
            return sorted(written.as_texts(every.select(*PLACE, *seen)), key=str)

        assert judged(are_many=True) == judged(are_many=False)
        known, others = certain.settled(table, rows.where(parsing.has_key(table)), partial(engine.once, until=cached))
        statuses = {row["_status"] for row in known.select("_status").distinct().collect()}
        assert statuses == {"kept", "superseded"}
        assert others.select(F.count("*")).collect()[0][0] > 50

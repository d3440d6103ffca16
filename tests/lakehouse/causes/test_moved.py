"""From a unit to the rows of its inputs, without an engine."""

from __future__ import annotations

from datetime import date

import pyarrow as pa

from lakehouse.causes.moved import Walk
from tests.promises import a_table


def test_a_units_rows_of_an_input_are_those_of_all_days_that_it_reads() -> None:
    columns = {"user_id": "string", "session_date": "date"}
    reach = {"silver.events": {"unit": {"session_date": "event_date"}, "days": [-1, 1]}}
    sessions = a_table("gold.sessions", "refresh", "silver.events", columns=columns, grain=[*columns], inputs=reach)
    types = pa.schema([("user_id", pa.string()), ("event_date", pa.date32())])
    unit = pa.table({"user_id": ["A"], "session_date": pa.array([date(2026, 3, 1)], pa.date32())})
    rows = Walk("", {}, {}, {})._keys_in(sessions, "silver.events", unit, types.empty_table())  # noqa: SLF001
    days = [date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 2)]
    assert sorted(rows.to_pylist(), key=str) == [{"user_id": "A", "event_date": day} for day in days]

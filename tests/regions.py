"""Markets that write otherwise than the two of conf/markets.yml, and one that does not say how."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from lakehouse import graph, markets

GERMANY, FRANCE, SWITZERLAND, AMERICA, UNSAID = 49, 33, 41, 10, 99


def _market(
    number: int, time_zone: str, sign: str, writes: tuple[str | None, ...], **others: object
) -> dict[str, object]:
    """As market 1, but for these."""
    ways = dict(zip((markets.DECIMAL_SIGN, markets.GROUP_SIGN, markets.DATE_FORMAT), writes, strict=True))
    own = {"market": number, "time_zone": time_zone, "currency": f"C{number}", "currency_sign": sign}
    return graph.conf_file(markets.NAME)[1][0] | own | ways | others


MARKETS = [
    _market(GERMANY, "Europe/Berlin", "€", (",", ".", "dd.MM.yyyy")),
    _market(FRANCE, "Europe/Paris", "€", (",", " ", "dd/MM/yyyy")),
    _market(SWITZERLAND, "Europe/Zurich", "CHF", (".", "'", "dd.MM.yyyy")),
    _market(AMERICA, "America/New_York", "$", (".", ",", "MM/dd/yyyy")),
    _market(UNSAID, "UTC", "$", (None, None, None)),
]
AT, BEFORE = datetime(2022, 10, 30, 1, 30, 5, tzinfo=UTC), datetime(2022, 10, 29, 23, 30, tzinfo=UTC)
# What gold may hold of them (market, at, day, amount, n), and how it is shown where its market is.
ROWS = [
    (1, AT, date(2022, 10, 30), Decimal("1234567.50"), 7),
    (GERMANY, AT, date(2022, 10, 30), Decimal("1234567.50"), 7),
    (FRANCE, BEFORE, date(2022, 1, 2), Decimal("-123456.05"), 1234),
    (SWITZERLAND, BEFORE, None, Decimal("1000.00"), 0),
    (AMERICA, BEFORE, date(2022, 1, 2), Decimal("0.50"), 1),
    (UNSAID, BEFORE, date(2022, 1, 2), Decimal("-0.50"), 1),
    (5, None, date(2022, 1, 2), None, 1),  # of which conf/markets.yml knows nothing
]
LOCAL = [
    "1 2022-10-30 04:30:05 2022-10-30 1234567.50 7",
    "5 None 2022-01-02 None 1",
    "10 10/29/2022 19:30:00 01/02/2022 0.50 1",
    "33 30/10/2022 01:30:00 02/01/2022 -123 456,05 1234",
    "41 30.10.2022 01:30:00 None 1\u2019000.00 0",
    "49 30.10.2022 02:30:05 30.10.2022 1.234.567,50 7",
    "99 2022-10-29 23:30:00 2022-01-02 -0.50 1",
]

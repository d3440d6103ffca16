"""Markets that write otherwise than the two of conf/markets.yml, and one that does not say how."""

from __future__ import annotations

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

"""What the texts of a column are, by the spellings that lakehouse.transforms can read; what is not sure is text."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from lakehouse.scaffold.words import COUNTED, MONEY, is_id
from lakehouse.transforms import SIGN, SIGN_BEHIND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pyarrow as pa

MOST_ODD = 0.05  # the share of values that may be unreadable in a column that is typed all the same
MOST_DIGITS = 18  # of a whole number: 64 bits
LARGEST_DECIMAL = 38
SHORT = 6  # digits of a whole number that an int holds with room to spare
LEAST_WHOLE = 6  # digits before the point
BEFORE, BEHIND = re.compile(SIGN), re.compile(SIGN_BEHIND.replace(r"\z", r"\Z"))
MOST_SIGNS = 2  # of currencies; more are the letters of codes
TRUTHS = (
    ("true", "false"),
    ("yes", "no"),
    ("y", "n"),
    ("ja", "nein"),
    ("oui", "non"),
    ("si", "no"),
    ("wahr", "falsch"),
)
ORDERS = {"ymd": (0, 1, 2), "dmy": (2, 1, 0), "mdy": (2, 0, 1)}  # where year, month and day stand
PLAIN_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
PLAIN_TIME = re.compile(
    rf"{PLAIN_DAY.pattern}T[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}(\.[0-9]{{3}})?(Z|[+-][0-9]{{2}}:[0-9]{{2}})"
)
DAY = r"([0-9]{4})([-/.])([0-9]{1,2})\2([0-9]{1,2})|([0-9]{1,2})([-/.])([0-9]{1,2})\6([0-9]{4})"
CLOCK = r"([0-9]{1,2}:[0-9]{2})((?::[0-9]{2})?)((?:[.,][0-9]+)?) ?((?:Z|UTC|[+-][0-9]{2}:?[0-9]{2})?)"
WRITTEN = re.compile(rf"(?:{DAY})(?:([T ]+){CLOCK})?")
NO_DAY = re.compile(r"0000-00-00.*|0")
NUMBER = re.compile(r"[+-]?[0-9]+")
AMOUNT = re.compile(r"[+-]?[0-9]*(?:[.,][0-9]{3})*(?:[.,][0-9]*)?")


@dataclass(frozen=True)
class Kind:
    """`name`: boolean, integer, decimal, day, time or text. `guess`: what the texts alone do not say.

    `how`: of a truth its two words, of a decimal its point, of a day or a time the order of its parts. `like`: a text
    of the column, made up. `odd`: values that are not of the kind, each with how often it stands there.
    """

    name: str
    how: tuple[str, ...] = ()
    digits: tuple[int, int] = (0, 0)
    like: str = "text"
    is_plain: bool = True
    guess: str = ""
    blank: tuple[str, ...] = ()
    odd: tuple[tuple[str, int], ...] = ()

    @property
    def type(self) -> str:
        whole, places = self.digits
        decimal = f"decimal({whole + places},{places})"
        number = "int" if whole <= SHORT else "bigint"
        types = {"integer": number, "decimal": decimal, "day": "date", "time": "timestamp", "text": "string"}
        return types.get(self.name, self.name)


TEXT = Kind("text")


def of_columns(columns: Mapping[str, pa.Array]) -> dict[str, Kind]:
    """The kind of each column; what one of them says of days and decimals holds for those that do not say it."""
    values = {name: counted(texts) for name, texts in columns.items()}
    decimals = Counter(sign for counted in values.values() if (sign := _point(counted)))
    orders = Counter(order for counted in values.values() if (order := _order(counted)))
    point = decimals.most_common(1)[0][0] if decimals else "."
    order = orders.most_common(1)[0][0] if orders else "dmy"
    found = {name: kind_of(counted, point, order) for name, counted in values.items()}
    return {name: _by_name(name, kind) for name, kind in found.items()}


def _by_name(name: str, kind: Kind) -> Kind:
    """An export writes 120 for 120.00, and the next one 119.50; and its ids grow."""
    words = set(name.split("_"))
    if kind.name == "integer" and is_id(name):
        return replace(kind, digits=(MOST_DIGITS, 0))
    if kind.name != "integer" or not words & MONEY or words & COUNTED:
        return kind
    guess = "whole numbers, but an amount by its name, so decimals are guessed"
    return replace(kind, name="decimal", how=(".",), digits=(MOST_DIGITS - 2, 2), like="12.50", guess=guess)


def counted(texts: pa.Array) -> dict[str, int]:
    found = texts.drop_null().value_counts().to_pylist()
    return {str(one["values"]): int(one["counts"]) for one in found}


def kind_of(values: Mapping[str, int], point: str = ".", order: str = "dmy") -> Kind:
    """Of the values of a column, none of them blank, with how often each stands there."""
    if not values:
        return replace(TEXT, guess="it is always blank, so text is guessed")
    for kind in (_truth, _integer, _decimal(point), _time(order)):
        if found := kind(values):
            return found
    return TEXT


def _fits(values: Mapping[str, int], test: Callable[[str], object]) -> tuple[tuple[str, int], ...] | None:
    """The few values that are odd; None where too many are for the column to be of the kind."""
    odd = tuple((value, often) for value, often in values.items() if not test(value))
    all_, wrong = sum(values.values()), sum(often for _, often in odd)
    return odd if wrong <= MOST_ODD * all_ else None


def _truth(values: Mapping[str, int]) -> Kind | None:
    for words in TRUTHS:
        if {value.casefold() for value in values} <= set(words):
            return Kind("boolean", words, like=words[0])
    return None


def _integer(values: Mapping[str, int]) -> Kind | None:
    odd = _fits(values, NUMBER.fullmatch)
    if odd is None:
        return None
    digits = [value.lstrip("+-") for value in values if NUMBER.fullmatch(value)]
    zero = next((one for one in digits if len(one) > 1 and one[0] == "0"), None)
    if zero is not None:
        return replace(TEXT, like="007", guess=f"digits, but {zero!r} would lose its zeros as a number")
    if max(map(len, digits)) > MOST_DIGITS:
        return replace(TEXT, like="7" * 20, guess="digits, but more than 64 bits hold")
    if any(value[0] == "+" for value in values):
        return replace(TEXT, like="+254700000000", guess="digits behind a +, as telephone numbers have it")
    guess = "only 0 and 1: a boolean, perhaps" if values.keys() == {"0", "1"} else ""
    return Kind("integer", digits=(max(map(len, digits)), 0), like="1", guess=guess, odd=odd)


def _decimal(point: str) -> Callable[[Mapping[str, int]], Kind | None]:
    def decimal(values: Mapping[str, int]) -> Kind | None:
        amounts = {value: _amount(value) for value in values}
        if not _are_amounts(amounts):
            return None
        own = _point(values) or point
        odd = _fits(values, lambda value: _parts(amounts[value], own))
        if odd is None or not any(re.search("[0-9]", one) for one in amounts.values()):
            return None
        known = [parts for value in values if (parts := _parts(amounts[value], own))]
        places = max(2, *(len(one[1]) for one in known))
        whole = max(MOST_DIGITS - places, LEAST_WHOLE, *(len(one[0]) for one in known))
        if whole + places > LARGEST_DECIMAL:
            return None
        sign = next((value.replace(amounts[value], "{}") for value in values if value != amounts[value]), "{}")
        is_plain = own == "." and sign == "{}" and not any("," in value for value in values)
        is_said = is_plain or _point(values)
        guess = "" if is_said else f"no value says what its decimals stand behind; {own!r} is guessed"
        return Kind("decimal", (own,), (whole, places), sign.replace("{}", f"12{own}50"), is_plain, guess, odd=odd)

    return decimal


def _are_amounts(amounts: Mapping[str, str]) -> bool:
    """Codes such as INV7 and #7 have no decimals; letters that change from row to row are no currency."""
    signs = {value.replace(amount, "") for value, amount in amounts.items() if amount != value}
    if not signs:
        return True
    has_decimals = any(re.search("[0-9][.,][0-9]", amount) for amount in amounts.values())
    is_code = any(re.match(r"\w+-", value) for value in amounts)
    return len(signs) <= MOST_SIGNS and has_decimals and not is_code


def _amount(value: str) -> str:
    """Without a currency sign in front of it or behind it."""
    return BEHIND.sub("", BEFORE.sub("", value))


def _parts(amount: str, point: str) -> tuple[str, str] | None:
    """The digits before and behind the point; None where it is no amount."""
    group = {",": "[.]", ".": ","}[point]
    found = re.fullmatch(rf"[+-]?([0-9]{{1,3}}(?:{group}[0-9]{{3}})+|[0-9]+)(?:[{point}]([0-9]*))?", amount)
    return (re.sub("[^0-9]", "", found[1]), (found[2] or "").rstrip("0")) if found else None


def _point(values: Mapping[str, int]) -> str:
    """What stands before the decimals, by values that can mean one thing alone: 12,5 or 1.234,50 but not 1.234."""
    sure = Counter[str]()
    for value, often in values.items():
        amount = _amount(value)
        if AMOUNT.fullmatch(amount):
            by = [one for one in ".," if _parts(amount, one)]
            if len(by) == 1 and by[0] in amount:
                sure[by[0]] += often
    return sure.most_common(1)[0][0] if sure else ""


def _order(values: Mapping[str, int]) -> str:
    """Whether the day or the month comes first, by a part above 12 or by points; empty where no value says it."""
    found = Counter[str]()
    for value, often in values.items():
        if (match := WRITTEN.fullmatch(value)) and match[5]:
            first, second = int(match[5]), int(match[7])
            if match[6] == "." or first > 12 >= second:  # noqa: PLR2004  months
                found["dmy"] += often
            elif second > 12 >= first:  # noqa: PLR2004
                found["mdy"] += often
    return found.most_common(1)[0][0] if found else ""


def _time(order: str) -> Callable[[Mapping[str, int]], Kind | None]:
    def time(values: Mapping[str, int]) -> Kind | None:
        blank = tuple(value for value in values if NO_DAY.fullmatch(value))
        said = {value: often for value, often in values.items() if value not in blank}
        matches = {value: WRITTEN.fullmatch(value) for value in said}
        first = next((match for match in matches.values() if match), None)
        if first is None:
            return None
        own = "ymd" if first[1] else _order(said) or order
        has_clock = bool(first[9])
        odd = _fits(said, lambda value: _is_time(matches[value], own, has_clock=has_clock))
        if odd is None:
            return None
        guess = "" if first[1] or _order(said) else f"no part above 12 says which is the day; {own} is guessed"
        sign = first[2] or first[6]
        like = sign.join([["2022", "01", "05"][at] for at in (ORDERS[own] if own != "mdy" else (1, 2, 0))])
        if not has_clock:
            is_plain = all(map(PLAIN_DAY.fullmatch, said))
            return Kind("day", (own,), like=like, is_plain=is_plain, guess=guess, blank=blank, odd=odd)
        zone = _zone(matches.values())
        if not zone:
            guess = "; ".join([*filter(None, [guess]), "no zone is written, so UTC is guessed"])
        like += f"{first[9]}14:03" + (":22" if first[11] else "") + zone
        is_plain = all(map(PLAIN_TIME.fullmatch, said))
        return Kind("time", (own,), like=like, is_plain=is_plain, guess=guess, blank=blank, odd=odd)

    return time


def _is_time(match: re.Match[str] | None, order: str, *, has_clock: bool) -> bool:
    """Whether it is a day that there is, with a clock or without one."""
    if match is None or bool(match[9]) != has_clock or (order == "ymd") != bool(match[1]):
        return False
    parts = (match[1], match[3], match[4]) if match[1] else (match[5], match[7], match[8])
    year, month, day = (int(parts[at]) for at in ORDERS[order])
    return 1 <= month <= 12 and 1 <= day <= _days(year, month) and int((match[10] or "0").split(":")[0]) < 24  # noqa: PLR2004


def _days(year: int, month: int) -> int:
    from calendar import monthrange  # noqa: PLC0415

    return monthrange(year, month)[1]


def _zone(matches: Iterable[re.Match[str] | None]) -> str:
    """How a zone is written, with what stands before it; of those that are not UTC too it is made UTC's."""
    for match in matches:
        if match and match[13]:
            zone = match[13] if match[13][0] in "ZU" else re.sub("[0-9]", "0", match[13]).replace("-", "+")
            return (" " if match[0][-len(match[13]) - 1] == " " else "") + zone
    return ""


def number(text: str | None, kind: Kind) -> Decimal | None:
    """What silver makes of a number's text; null for what it rejects."""
    if text is None or kind.name not in {"integer", "decimal"}:
        return None
    if kind.name == "integer":
        return Decimal(text) if NUMBER.fullmatch(text) else None
    amount = _amount(text)
    parts = _parts(amount, kind.how[0])
    sign = "-" if amount.startswith("-") else ""
    return Decimal(f"{sign}{parts[0]}.{parts[1] or 0}") if parts else None

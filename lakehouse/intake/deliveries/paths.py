"""What a path says of a delivery: who wants it, the numbers in it, and its day."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from typing import TYPE_CHECKING

from lakehouse.store import archives

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PLACEHOLDER = re.compile(r"\{date\}|\{(\w+):int\}|\*\*/|\*|\?")
KEY = r"(?:\w+=)?"  # as Hive names folders: dt=2022-01-05, year=2022/month=01/day=05
SPELLINGS = (rf"{KEY}\d{{4}}-\d{{2}}-\d{{2}}", rf"{KEY}\d{{4}}/{KEY}\d{{2}}/{KEY}\d{{2}}", rf"{KEY}\d{{8}}")
DATE = rf"(?<!\d)(?P<date>{'|'.join(SPELLINGS)})(?!\d)"
PATTERNS = {"{date}": DATE, "**/": r"(?:.*?/)??", "*": r"[^/]*?", "?": r"[^/]"}
COMPRESSED = r"(?:\.gz|\.zst)?"
ANY_DATE = re.compile(r"(?<![\d=-])\d{4}([-/])\d{2}\1\d{2}(?!\d)|(?<!\d)(?:19|20)\d{6}(?!\d)")
# Folders that somebody may have meant as a date.
NEARLY = re.compile(
    rf"(?:^|/)({KEY}(?:\d{{4}}([-_./ ])\d{{1,2}}\2\d{{1,2}}|\d{{1,2}}([-_./ ])\d{{1,2}}\3\d{{4}}))(?=/)"
)
REMEDY = "Move it to a folder named as its day, like 2022-01-05."
LARGEST_INT = 2**31 - 1


@dataclass(frozen=True)
class Said:
    """What a path says: numbers by name, and the day. `problem`: why it cannot be taken; `doubt`: a date not obeyed."""

    numbers: Mapping[str, int] = field(default_factory=dict)
    day: date | None = None
    problem: str = ""
    doubt: str = ""


def read(path: str, patterns: Iterable[str]) -> Said | None:
    """By the first pattern that fits; None where none does. One that fits an archive fits all that is in it."""
    patterns = tuple(patterns)
    for pattern in patterns:
        found = _regex(pattern).fullmatch(path) or _regex(pattern).fullmatch(archives.split(path)[0])
        if not found:
            continue
        said = found.groupdict()
        text = said.pop("date", None)
        day = as_date(text) if text else None
        if text and day is None and text.removeprefix(_key(text)).isdigit():
            continue  # eight digits that are no date are a number
        problem = _too_large(said)
        if text and day is None:
            problem = (
                problem or f"lies in {text}, which is no date. Move it to a folder named as its day, like 2022-01-05."
            )
        if not text and not problem and "{date}" in "".join(patterns):
            problem = _nearly(path)
        numbers = {} if problem else {name: int(value) for name, value in said.items()}
        return Said(numbers, day, problem, _doubt(path, day))
    return None


def read_as_packed(path: str, patterns: Iterable[str]) -> Said | None:
    """What the patterns say of the file for which an archive is named: of Orders.csv for Orders.zip."""
    stem, patterns = path[: path.rindex(".")], tuple(patterns)
    names = (f"{stem}.{pattern.rpartition('.')[2]}" for pattern in patterns)
    return next((said for name in (stem, *names) if (said := read(name, patterns))), None)


def read_inside(path: str, patterns: Iterable[str]) -> Said | None:
    """What the patterns would say of a file in this archive, as far as that is known: its name is not."""
    names = {"{date}": "2022-01-05", "**/": "", "*": "", "?": "x"}
    for pattern in patterns:
        name = PLACEHOLDER.sub(lambda found: names.get(found[0], "1"), pattern.rpartition("/")[2])
        if said := read(f"{path}/{name}", [pattern]):
            return replace(said, day=None)
    return None


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    pieces, end = [], 0
    for found in PLACEHOLDER.finditer(pattern):
        named = f"(?P<{found[1]}>\\d+)" if found[1] else PATTERNS[found[0]]
        pieces += [re.escape(pattern[end : found.start()]), named]
        end = found.end()
    return re.compile("".join([*pieces, re.escape(pattern[end:]), COMPRESSED]), re.IGNORECASE)


def as_date(text: str) -> date | None:
    """The date that one of the SPELLINGS names; None where there is no such day."""
    digits = "".join(re.findall(r"\d", re.sub(r"\w+=", "", text)))
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return None


def _key(text: str) -> str:
    return f"{text.partition('=')[0]}=" if "=" in text else ""


def _too_large(numbers: Mapping[str, str]) -> str:
    wrong = [f"{name} {value}" for name, value in numbers.items() if int(value) > LARGEST_INT]
    return f"lies in a folder of {wrong[0]}, which is no number of a {wrong[0].split()[0]}." if wrong else ""


def _nearly(path: str) -> str:
    """Why the path is not taken: a folder in it is nearly a date, and nobody guesses which."""
    found = next((one for one in NEARLY.finditer(path) if not _is_spelled(one[1])), None)
    if not found:
        return ""
    return f"lies in {found[1]}, which is nearly a date. {REMEDY}"


def _is_spelled(text: str) -> bool:
    return any(re.fullmatch(one, text) for one in SPELLINGS) and as_date(text) is not None


def _doubt(path: str, day: date | None) -> str:
    others = [one[0] for one in ANY_DATE.finditer(path) if (found := as_date(one[0])) and found != day]
    if not others:
        return ""
    if day:
        return f"holds the date {others[0]} too; {day} counts"
    return f"holds the date {others[0]}, which no pattern of its contract reads: the day on which it was written counts"

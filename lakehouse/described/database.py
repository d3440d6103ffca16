"""`source: {database: ...}`: how rows of a PostgreSQL are fetched."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, model_validator

from lakehouse.described.terms import Fetched, Span

if TYPE_CHECKING:
    from collections.abc import Mapping

IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_]*"


def _place_of_the_url(text: str) -> str:
    """The text itself is not said again: a password may stand in it."""
    if "://" in text or "@" in text:
        raise ValueError("is the name of an environment variable, or file:PATH, where the URL stands; never the URL")
    return text


def _identifier(text: str) -> str:
    if not re.fullmatch(IDENTIFIER, text):
        raise ValueError(f"{text!r} is no name of a column: letters, digits and _")
    return text


def _qualified(text: str) -> str:
    if not re.fullmatch(rf"{IDENTIFIER}\.{IDENTIFIER}", text):
        raise ValueError(f"{text!r} is no table with its schema; write it as public.products")
    return text


def _zone(text: str) -> str:
    if text not in available_timezones():
        raise ValueError(f"{text!r} is no time zone; write it as Africa/Nairobi")
    return ZoneInfo(text).key


ColumnName = Annotated[str, AfterValidator(_identifier)]


class Database(Fetched):
    """A table, or a view, of a PostgreSQL; of its `columns` those that are named, else all.

    `url`: the environment variable, or `file:PATH`, where the URL stands (postgresql+psycopg://user@host/database).

    `watermark`: the time at which a row changed last. A fetch reads from `overlap` before the bound of the fetch before
    on, and rows without one; `zone` is that of a timestamp without a zone. `longest_transaction`: for a role that does
    not see when others' transactions began, how long one lasts at most. `compare`: how often all rows are read instead,
    which finds those that are gone, or changed without their watermark. Without a watermark each fetch reads all rows.

    It sees at most so many `connections` of a fetch, and ends a statement of ours after `timeout`.
    """

    url: Annotated[str, Field(min_length=1), AfterValidator(_place_of_the_url)]
    table: Annotated[str, AfterValidator(_qualified)]
    columns: tuple[ColumnName, ...] = ()
    watermark: ColumnName | None = None
    zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    overlap: Span = timedelta(minutes=5)
    longest_transaction: Span | None = None
    compare: Span | None = None
    connections: Annotated[int, Field(ge=1, le=16)] = 2
    timeout: Span = timedelta(minutes=10)

    @model_validator(mode="after")
    def _finds_what_changed(self) -> Database:
        if not self.watermark and (self.compare or "every" not in self.model_fields_set):
            raise ValueError("watermark: is missing; without one say `every: 1d`, how often all rows are compared")
        if self.watermark and self.columns and self.watermark not in self.columns:
            raise ValueError(f"watermark: {self.watermark!r} is not one of the columns")
        return self

    def reads_all(self, facts: Mapping[str, Any], now: datetime) -> bool:
        """Whether the next fetch reads all rows: the first, any without a watermark, and when they are compared."""
        if not self.watermark or "whole" not in facts:
            return True
        return self.compare is not None and now >= datetime.fromisoformat(facts["whole"]) + self.compare

    def costs(self, facts: Mapping[str, Any], now: datetime) -> str:
        """One sequential read, where all rows are read."""
        return f"all rows of {self.table} are read once" if self.reads_all(facts, now) else ""

"""What tables promise: conf/*.yml as strict, typed objects.

An unknown key, an unknown type or a missing owner is an error that names file and key; all errors come at once.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal

import yaml
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from lakehouse import conf
from lakehouse.described.api import Api  # noqa: TC001  pydantic reads it
from lakehouse.described.database import Database  # noqa: TC001  pydantic reads it
from lakehouse.described.kafka import Kafka  # noqa: TC001  pydantic reads it
from lakehouse.described.terms import Span, Strict
from lakehouse.errors import LakehouseError
from lakehouse.formula import check_formula

if TYPE_CHECKING:
    from pathlib import Path

LAYERS = ("bronze", "silver", "gold")
TYPE = re.compile(r"boolean|int|bigint|double|string|date|timestamp|decimal\((\d{1,2}),(\d{1,2})\)")
GRAIN_IS_UNIQUE = "grain_is_unique"
ANOTHER_ROW = "another_row_of_its_document"
WITHIN_LIMIT = "file_is_within_reject_limit"
KEEPS_TOTALS = "document_keeps_its_totals"
NOT_REPEATED = "row_is_not_repeated"
IDENTITY_IS_KEPT = "identity_is_kept"
# The name of the rule that rejects such a row, and why. A row with several has the first of them: a cause stands before
# its consequences (a lone CR joins two rows, so the row is too long as well).
PROBLEMS = {
    "row_is_too_large": "The record is larger than 16 MiB; its text here is cut after 1,000 characters.",
    "object_is_too_deep": "The object has more than 100 levels.",
    "object_is_not_json": "The element is not JSON: a comma, quote or bracket is missing or too many, or NaN.",
    "row_has_invalid_bytes": r"Some bytes are no text in the file's encoding; they are shown as \xE9.",
    "row_has_a_nul": "A NUL character stands in the text, as damaged files or UTF-16 read as UTF-8 have it.",
    "row_has_a_lone_cr": "A CR without LF stands outside of quotes, so two rows may have become one.",
    "row_has_an_open_quote": "A quote is opened and never closed; reading went on with the next line.",
    "row_has_text_after_a_quote": 'Text follows a closing quote, as in "abc"d: a quote inside quotes must be doubled.',
    "row_is_too_short": "The row has fewer cells than the header.",
    "row_is_too_long": "The row has more cells than the header, as an unquoted delimiter in a text causes it.",
    "row_repeats_the_header": "The row repeats the header, as files joined by hand have it.",
    "element_is_no_object": "The element is a number, text, null or array instead of an object.",
    "object_repeats_a_key": "A key stands twice in one object, or two of its keys belong to one column.",
}
OF_THE_CORE = PROBLEMS | {
    ANOTHER_ROW: "a document enters whole or not at all, and another of its rows is wrong",
    KEEPS_TOTALS: "an earlier delivery of the document has its totals, so one without them is a part of it",
    NOT_REPEATED: "an earlier row of its document says exactly the same, and the document's sums hold neither way",
    IDENTITY_IS_KEPT: (
        "the last accepted delivery of its document has another identity (the contract's `identity:` names its columns)"
        ": another document under the same key. A row of conf/accepted.yml that names the file accepts it, and so do "
        "deliveries of two later days that say the same"
    ),
    WITHIN_LIMIT: "more of its file's rows are wrong than the contract's reject_limit allows, so all are doubted",
}
LARGEST_DECIMAL = 38
DIGITS_OF_64_BITS = 18
WIDE = 16  # columns
MOST_LINES_BEFORE = 1000  # of a preamble
EVIDENCE = ("_file", "_row")
DIGEST = "_digest"
DAYS = re.compile(r"([1-9]\d{0,4})d")
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
# A delivered column is named as its header says it, in any script: stück, 2nd_address (readers/columns.py folds it).
DELIVERED_NAME = re.compile(r"[^\W_]+(_[^\W_]+)*")
OF_A_TOPIC = {"kafka", "format", "blank", "fresh_within_hours"}  # what a source may say beside `kafka:`
TO_WRITE = "TODO"  # what a text begins with that somebody is still to write


def _known_type(text: str) -> str:
    found = TYPE.fullmatch(text)
    if found and found[1] and not int(found[2]) <= int(found[1]) <= LARGEST_DECIMAL:
        raise ValueError(f"{text!r} cannot be: at most {LARGEST_DECIMAL} digits, and no more decimals than digits")
    if not found:
        raise ValueError(
            f"unknown type {text!r}; known are boolean, int, bigint, double, string, date, timestamp, decimal(p,s)"
        )
    return text


def _snake_case(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not a name in snake_case")
    return text


def _folded(text: str) -> str:
    if not DELIVERED_NAME.fullmatch(text) or text != text.casefold():
        raise ValueError(f"{text!r} is not a name in snake_case")
    return text


def _known_encoding(text: str) -> str:
    try:
        "a,b".encode(text).decode(text)
    except (LookupError, UnicodeError) as error:
        raise ValueError(f"{text!r} is no known encoding; utf-8, utf-16, latin-1 and windows-1252 are") from error
    return text


def _pattern_of_lines(text: str) -> str:
    """One that fits any line would take rows, and the header."""
    try:
        fits_all = re.compile(text).fullmatch("1,a,2.50,,2022-01-05")
    except re.error as error:
        raise ValueError(f"{text!r} is no pattern: {error}") from error
    if fits_all:
        raise ValueError(f"{text!r} fits any line, rows too; say what its lines begin with, as `Total,.*`")
    return text


def _days(said: object) -> int:
    found = DAYS.fullmatch(said) if isinstance(said, str) else None
    if not found:
        raise ValueError(f"{said!r} is no number of days; write it as 400d")
    return int(found[1])


Name = Annotated[str, AfterValidator(_snake_case)]
Days = Annotated[int, BeforeValidator(_days)]
DeliveredName = Annotated[str, AfterValidator(_folded)]
Pattern = Annotated[str, Field(min_length=1), AfterValidator(_pattern_of_lines)]


class Column(Strict):
    """`source` (written `from:`) is the delivered column it is parsed from; unreadable text breaks a rule.

    `measured_in` is the unit of a number: days, orders, or `currency`, the row's own column of that name. `lacking`:
    where a file has no such column, its rows keep what they said in the last accepted delivery of their document,
    instead of nothing. (A file that must have it is refused by its source's `required`.) `personal`: it may say who or
    where somebody is, or whatever somebody typed; no report or page shows its values, and an export says so.
    """

    type: Annotated[str, AfterValidator(_known_type)]
    meaning: Annotated[str, Field(min_length=3)]
    measured_in: str | None = None
    source: Annotated[str | None, Field(alias="from")] = None
    blank: tuple[str, ...] = ()
    required: bool = False
    lacking: Literal["keep"] | None = None
    personal: bool = False


class Rule(Strict):
    """`check` is a SQL condition over the table's columns; unknown (null) passes, as in SQL constraints.

    `says`: SQL for a text that names a row which breaks it, for a rule that few rows of a computed table break: a run
    shows the last three in the order of these texts.
    """

    check: Annotated[str, Field(min_length=1)]
    severity: Literal["reject", "warn", "stop"]
    why: Annotated[str, Field(min_length=3)]
    says: str | None = None


class Check(Strict):
    """What must hold for the whole table, one of three kinds.

    `unique` columns; `references`: `key` is in that input; `agrees_with`: the aggregate `this` here equals
    `that` of the input, in each group of `by`.
    """

    severity: Literal["warn", "stop"]
    why: Annotated[str, Field(min_length=3)]
    unique: tuple[str, ...] = ()
    references: str | None = None
    key: tuple[str, ...] = ()
    agrees_with: str | None = None
    this: str | None = None
    that: str | None = None
    by: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _is_one_kind(self) -> Check:
        whole = {
            "unique": bool(self.unique),
            "references with key": bool(self.references and self.key),
            "agrees_with with this and that": bool(self.agrees_with and self.this and self.that),
        }
        begun = [self.unique, self.references or self.key, self.agrees_with or self.this or self.that or self.by]
        if [*whole.values()] != [*map(bool, begun)] or sum(whole.values()) != 1:
            raise ValueError(f"must be exactly one of: {', '.join(whole)}")
        return self


class Reach(Strict):
    """How a row of an input finds the units that it belongs to, where it does not simply carry their columns.

    `unit`: unit columns as SQL over the input's own columns; a unit column not named is carried as it is. Or `through`
    another input, whose rows carry the same values of the columns `on`.

    `days: [first, last]`: a row belongs to the units of several days, where the unit has one column of type date: that
    of a day reads the rows from so many days after it (before it, where negative) to so many. `[-1, 1]` are the day and
    both beside it. Other days are not read, so that of an input partitioned by its day only these partitions are.
    """

    unit: dict[str, Annotated[str, Field(min_length=1)]] = {}
    through: str | None = None
    on: tuple[str, ...] = ()
    days: tuple[int, int] | None = None

    @model_validator(mode="after")
    def _is_one_way(self) -> Reach:
        if bool(self.through) != bool(self.on) or bool(self.unit or self.days) == bool(self.through):
            raise ValueError(
                "must be either `unit` with SQL for its columns, `days` or both, or `through` another input with `on`"
            )
        if self.days and self.days[0] > self.days[1]:
            raise ValueError(f"days: the first of {list(self.days)} is after the last")
        return self

    @property
    def reads_other_days(self) -> bool:
        return self.days is not None and self.days != (0, 0)


class Source(Strict):
    """`files` are patterns below landing, the first that fits counts; `{market:int}` and `{date}` are read from it.

    `unknown_columns` (written `schema:`) says what becomes of columns that the contract does not name; a file without a
    `required` column is not taken. A delivery's rows are compared with the median of its market's last 14, which
    `volume_between` limits, unless both are fewer than `volume_rows`: of a few rows any share is chance.

    `preamble`: what stands before a CSV's header, as a number of lines or as the pattern of each; `footer`: the pattern
    of each line behind its last row. Patterns are Python's, of the whole line. `rows`: the keys, with points between,
    under which a JSON file holds the array of its rows (`data.sales`), where it is an object and no array.

    `format: spreadsheet` is xlsx, xls and ods: its `sheet` by name, or by its number among those that are shown;
    `skip_rows` between the header and the first that counts. A row is a line, its cells with commas between them.

    `api` or `database` say where its files are fetched from; then it needs no `files`, which somebody may still drop.
    `kafka` says which topic's messages it takes, each a JSON object: without any file (intake/rows/messages.py).
    """

    files: tuple[str, ...] = ()
    api: Api | None = None
    database: Database | None = None
    kafka: Kafka | None = None
    format: Literal["csv", "json", "parquet", "spreadsheet"]
    encoding: Annotated[str, AfterValidator(_known_encoding)] | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    quote: Annotated[str, Field(min_length=1, max_length=1)] = '"'
    preamble: Annotated[int, Field(ge=0, le=MOST_LINES_BEFORE)] | Pattern = 0
    footer: Pattern | Literal[""] = ""
    rows: str = ""
    sheet: Annotated[int, Field(ge=1)] | Annotated[str, Field(min_length=1)] | None = None
    skip_rows: Annotated[int, Field(ge=0, le=MOST_LINES_BEFORE)] = 0
    unknown_columns: Annotated[Literal["add", "rescue", "fail"], Field(alias="schema")] = "add"
    required: tuple[str, ...] = ()
    blank: tuple[str, ...] = ()
    may_be_empty: bool = False
    fresh_within_hours: float | None = None
    volume_between: tuple[float, float] | None = None
    volume_rows: Annotated[int, Field(ge=1)] = 20

    @model_validator(mode="before")
    @classmethod
    def _comes_from_somewhere(cls, said: dict[str, object]) -> dict[str, object]:
        if "kafka" in said:
            if others := said.keys() - OF_A_TOPIC:
                raise ValueError(f"{', '.join(sorted(others))}: not beside `kafka:`, whose messages are no files")
            return said
        if "api" in said and "database" in said:
            raise ValueError("api, database: a table is fetched from one of them")
        if not (said.get("files") or "api" in said or "database" in said):
            raise ValueError("files: is missing; or say by `api:` or `database:` where they are fetched from")
        return said

    @model_validator(mode="after")
    def _has_such_parts(self) -> Source:
        if self.kafka and self.format != "json":
            raise ValueError("format: of `kafka:` must be json, which its messages are")
        if self.format in {"json", "parquet"} and (self.preamble or self.footer):
            raise ValueError("preamble and footer: go with `format: csv` or `spreadsheet`, whose lines they are")
        if self.format != "json" and self.rows:
            raise ValueError("rows: goes with `format: json`, of which it is a part")
        if not self.is_sheet and (self.sheet or self.skip_rows):
            raise ValueError("sheet and skip_rows: go with `format: spreadsheet`")
        return self

    @property
    def is_sheet(self) -> bool:
        return self.format == "spreadsheet"

    @property
    def fetched(self) -> Api | Database | None:
        """What it is fetched from; None where files are dropped."""
        return self.api or self.database


class Retention(Strict):
    """For how many days rows of `bronze`, and the files of `landing`, are kept at least; None: for ever.

    Of bronze only deliveries go of which nothing counts any more, since newer ones replaced all their documents: so the
    same tables follow from what is left, also when late files come (recovery/retention.py). A table that holds a
    delivery against those before it has none such.
    """

    bronze: Days | None = None
    landing: Days | None = None


class Identity(Strict):
    """Columns that stay as they are as long as a document lives; unknown (null) is no change.

    `on_change`: whether a delivery in which they are others than in the last accepted one before it is told of, or
    rejected until its file is accepted (conf/accepted.yml) or the same was said on two later days.
    """

    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    on_change: Literal["warn", "reject"] = "warn"


class Accepted(Strict):
    """A row of conf/accepted.yml: what somebody knows to be right although a rule of the table refuses it or warns.

    It names the row, by `key`, or the `file` (as `lakehouse rejected` says it) whose documents have another identity.
    """

    table: str
    rule: str
    key: dict[str, str | int | date] = {}
    file: str = ""
    why: Annotated[str, Field(min_length=3)]

    @model_validator(mode="after")
    def _names_one(self) -> Accepted:
        if bool(self.key) == bool(self.file):
            raise ValueError("either `key:`, of columns and their values, or `file:` says what is accepted")
        return self

    @property
    def place(self) -> str:
        """The key's columns in the order of their names: `currency=NGN, rate_date=2023-06-14`."""
        return ", ".join(f"{column}={value}" for column, value in sorted(self.key.items()))


class Window(Strict):
    """The documents of which a date is at most so many days before the dump's day."""

    column: str
    days: Annotated[int, Field(ge=0)]


class FullDump(Strict):
    """Each file of the source should hold every document of its scope: of its path's `of`, and within `window`.

    A source without markets says `of: []`. What is fetched is a dump where nothing bounded what was asked for.

    `vanished`: whether a document that a dump lacks is removed, or kept and told of. A dump removes nothing that holds
    less than the share `least` of the known documents, was kept out, or has rows that name no document.
    """

    of: tuple[str, ...]
    window: Window | None = None
    least: Annotated[float, Field(gt=0, le=1)] = 0.9
    vanished: Literal["remove", "keep"] = "remove"


class Deduplicate(Strict):
    """An `id` counts once within the `horizon` around its `day`: the first right row to arrive, which no other changes.

    So a row is a repeat where a kept one of its id is of at most so many days before or after. Rows without an id are
    no repeats. `most_days`: rounds of bronze whose rows go into more days together wait for the next commit.
    """

    id: str
    day: str
    horizon: Days
    most_days: Annotated[int, Field(ge=1)] = 16


class Published(Strict):
    """The table once more as plain Parquet files by its partitions, for readers of nothing else.

    By hours of its column `time`, each `closes_after` its end by the clock of the run.
    """

    time: str
    closes_after: Span = timedelta(minutes=10)


class Contract(Strict):
    """One table's promise. `unit` is what is replaced as a whole: the grain, or coarser (an order with its lines).

    `vectors`: whether rows that went are marked in a deletion vector instead of copying their file without them; for
    tables of millions of rows with scattered units, which plain readers (delta-rs, pandas) then do not take.
    `inputs` says how the rows of an input reach units, where they do not carry the unit's columns with that meaning.

    `document` names aggregates over a document's rows without repeats, for its rules; beside the contract's columns
    they may use `_is_last`, whether a row ends its file, but for one that is cut. `totals`: which of its rows has what
    they are held against; a document without one never replaces a document that has it. `identity`: what of a document
    must not change. `full_dump`: that a document which a newer file lacks is gone; without it none is, since a file may
    be a part. `repeats`: what exactly repeated rows are, unless a document's rules that reject hold only the other way;
    or `last`: of the rows of one delivery that have the same grain the last one counts, as two pages of a fetch may say
    what changed meanwhile twice.
    `deduplicate`: what makes two rows the same, where each row is judged and counts by itself, such as an event.
    `reject_limit` is the share of a file's rows that may be in wrong documents; above it all of the file is rejected,
    unless it has fewer than `reject_limit_rows` rows. `score` is the formula of a source's quality, from 0 to 100.
    """

    owner: Annotated[str, Field(min_length=2)]
    description: Annotated[str, Field(min_length=3)]
    write: Literal["append", "latest", "deduplicate", "refresh", "replace"]
    grain: Annotated[tuple[str, ...], Field(min_length=1)]
    unit: tuple[str, ...] = ()
    repeats: Literal["duplicate", "keep", "last"] = "duplicate"
    position: str | None = None
    partition_by: tuple[str, ...] = ()
    published: Published | None = None
    vectors: bool = False
    source: Source | None = None
    retention: Retention = Retention()
    inputs: dict[str, Reach] = {}
    columns: Annotated[dict[DeliveredName, Column], Field(min_length=1)]
    document: dict[str, str] = {}
    totals: str | None = None
    identity: Identity | None = None
    full_dump: FullDump | None = None
    deduplicate: Deduplicate | None = None
    rules: dict[Name, Rule] = {}
    checks: dict[Name, Check] = {}
    reject_limit: Annotated[float, Field(gt=0, le=1)] = 1.0
    reject_limit_rows: Annotated[int, Field(ge=1)] = 20
    score: Annotated[str, AfterValidator(check_formula)] | None = None

    @model_validator(mode="after")
    def _parts_agree(self) -> Contract:
        named = {"grain": self.grain, "unit": self.unit, "partition_by": self.partition_by}
        named["position"] = (self.position,) if self.position else ()
        named["identity.columns"] = self.identity.columns if self.identity else ()
        wrong = [
            f"{key}: {column!r} is not one of its columns"
            for key, columns in named.items()
            for column in columns
            if column not in self.columns and not (self.write in {"append", "deduplicate"} and column.startswith("_"))
        ]
        if (self.write == "append") != (self.source is not None):
            wrong.append("source: goes with `write: append`, and is needed there")
        if self.write != "append" and self.retention != Retention():
            wrong.append("retention: goes with `write: append`, whose rows were delivered")
        if (self.write in {"latest", "refresh"}) != bool(self.unit):
            wrong.append("unit: goes with `write: latest` and `write: refresh`, and is needed there")
        if self.write not in {"refresh", "replace"}:
            said = [name for name, rule in self.rules.items() if rule.says]
            wrong += [f"rules.{name}.says: goes with `write: refresh` and `write: replace`" for name in said]
        wrong += self._judgements_that_cannot_be()
        if self.write != "latest":
            alone = ("position", "document", "totals", "identity", "full_dump", "score")
            wrong += [f"{key}: goes with `write: latest`" for key in alone if getattr(self, key)]
        wrong += self._names_that_cannot_be()
        wrong += self._repeats_that_cannot_be()
        wrong += self._files_that_cannot_be()
        wrong += self._dumps_that_cannot_be()
        wrong += self._columns_that_cannot_be_kept()
        wrong += self._checks_that_cannot_be()
        if self.checks and self.write not in {"refresh", "replace"}:
            wrong.append("checks: go with `write: refresh` and `write: replace`, whose inputs they are compared with")
        wrong += [
            f"document.{name}: must begin with _, since it is not stored" for name in self.document if name[0] != "_"
        ]
        if self.inputs and self.write != "refresh":
            wrong.append("inputs: goes with `write: refresh`, whose units are found by the changes of its inputs")
        wrong += [
            f"inputs.{name}.unit: {', '.join(sorted(unknown))} is not one of the unit's columns"
            for name, reach in self.inputs.items()
            if (unknown := reach.unit.keys() - set(self.unit))
        ]
        if not set(self.unit) <= set(self.grain):
            wrong.append("unit: must be part of the grain")
        wrong += self._days_that_cannot_be()
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _names_that_cannot_be(self) -> list[str]:
        """A delivered column is named as its header says it; what people ask for is typed on any keyboard."""
        if self.write == "append":
            return []
        wrong = [f"columns.{one}: is not a name in snake_case" for one in self.columns if not NAME.fullmatch(one)]
        if self.repeats == "last" and self.position in self.grain:
            wrong.append("repeats: last goes by the grain as it was delivered, of which `position` is no part")
        return wrong

    def _judgements_that_cannot_be(self) -> list[str]:
        if self.judges:
            return []
        wrong = [
            f"columns.{name}.from: goes with `write: latest` and `write: deduplicate`"
            for name, column in self.columns.items()
            if column.source
        ]
        return wrong + [
            f"rules.{name}.severity: only `write: latest` and `write: deduplicate` can reject; a later table warns"
            for name, rule in self.rules.items()
            if rule.severity == "reject"
        ]

    def _repeats_that_cannot_be(self) -> list[str]:
        said = self.deduplicate
        if (self.write == "deduplicate") != (said is not None):
            return ["deduplicate: goes with `write: deduplicate`, and is needed there"]
        if said is None:
            return []
        kinds = {"id": (said.id, "string"), "day": (said.day, "date")}
        wrong = [
            f"deduplicate.{key}: {name!r} is not one of its columns of type {kind}"
            for key, (name, kind) in kinds.items()
            if name not in self.columns or self.columns[name].type != kind
        ]
        if self.grain != EVIDENCE:
            wrong.append("grain: of `write: deduplicate` must be [_file, _row], since each row counts by itself")
        if self.partition_by != (said.day,):
            wrong.append("partition_by: of `write: deduplicate` must be its `day`, whose neighbours alone are read")
        return wrong

    def _files_that_cannot_be(self) -> list[str]:
        time = self.published and self.columns.get(self.published.time)
        if self.published is None or (self.partition_by and time and time.type == "timestamp"):
            return []
        return ["published: needs `partition_by:`, and a `time` that is one of its columns of type timestamp"]

    def _dumps_that_cannot_be(self) -> list[str]:
        if self.full_dump is None:
            return []
        wrong = [
            f"full_dump.of: {name!r} is no part of the unit" for name in self.full_dump.of if name not in self.unit
        ]
        window = self.full_dump.window
        if window and (window.column not in self.columns or self.columns[window.column].type != "date"):
            wrong.append(f"full_dump.window.column: {window.column!r} is not one of its columns of type date")
        return wrong

    def _columns_that_cannot_be_kept(self) -> list[str]:
        kept = {name: column for name, column in self.columns.items() if column.lacking}
        wrong = [
            f"columns.{name}.lacking: needs `from:`, and goes with no `required:`, unit or position"
            for name, column in kept.items()
            if not column.source or column.required or name in {*self.unit, self.position}
        ]
        if kept and set(self.grain) - {*self.unit, self.position}:
            wrong.append("columns.lacking: rows of two deliveries are matched by unit and position, its only grain")
        return wrong

    def _checks_that_cannot_be(self) -> list[str]:
        wrong = []
        for name, check in self.checks.items():
            if unknown := {*check.unique, *check.key, *check.by} - self.columns.keys():
                wrong.append(f"checks.{name}: {', '.join(sorted(unknown))} is not one of its columns")
            if name in self.rules or name == GRAIN_IS_UNIQUE:
                wrong.append(f"checks.{name}: is the name of another rule")
        return wrong

    def _days_that_cannot_be(self) -> list[str]:
        dates = self._days_of_the_unit
        wrong = [
            f"inputs.{name}.days: the unit must have one column of type date, and has {', '.join(dates) or 'none'}"
            for name, reach in self.inputs.items()
            if reach.days and len(dates) != 1
        ]
        wrong += [
            f"checks.{name}: a row of {one.agrees_with} belongs to units of several days, so no sums can agree"
            for name, one in self.checks.items()
            if one.agrees_with in self.inputs and self.inputs[one.agrees_with].reads_other_days
        ]
        return wrong

    @property
    def _days_of_the_unit(self) -> list[str]:
        return [name for name in self.unit if name in self.columns and self.columns[name].type == "date"]

    @property
    def day(self) -> str:
        """The unit's column of type date that inputs with `days` go by; empty where none does."""
        return self._days_of_the_unit[0] if any(reach.days for reach in self.inputs.values()) else ""

    @property
    def reads_other_days(self) -> bool:
        """Whether a row of an input may belong to several units."""
        return any(reach.reads_other_days for reach in self.inputs.values())

    @property
    def to_write(self) -> tuple[str, ...]:
        """Where it is a draft still: the keys of texts that begin with TODO. It runs, and nobody vouches for it."""
        texts = {"owner": self.owner, "description": self.description}
        texts |= {f"columns.{name}.meaning": column.meaning for name, column in self.columns.items()}
        texts |= {f"columns.{name}.measured_in": column.measured_in or "" for name, column in self.columns.items()}
        texts |= {f"rules.{name}.why": rule.why for name, rule in self.rules.items()}
        texts |= {f"checks.{name}.why": check.why for name, check in self.checks.items()}
        return tuple(key for key, said in texts.items() if said.startswith(TO_WRITE))

    @property
    def judges(self) -> bool:
        """Whether it judges delivered rows, so that some of them may be in its quarantine."""
        return self.write in {"latest", "deduplicate"}

    @property
    def is_wide(self) -> bool:
        """Whether comparing all columns costs more than a stored hash of them."""
        return self.write in {"latest", "refresh"} and len(self.columns) > WIDE

    @property
    def stored_columns(self) -> tuple[str, ...]:
        """Its columns, where each row of a `latest` table stands, and a wide row's hash."""
        evidence = EVIDENCE if self.judges else ()
        return (*self.columns, *evidence, *((DIGEST,) if self.is_wide else ()))

    @property
    def wide_decimals(self) -> frozenset[str]:
        """Columns of more digits than fit into 64 bits."""
        found = {name: TYPE.fullmatch(column.type) for name, column in self.columns.items()}
        return frozenset(
            name for name, match in found.items() if match and match[1] and int(match[1]) > DIGITS_OF_64_BITS
        )

    @property
    def types_of_the_core(self) -> dict[str, str]:
        """Of what the core stores beside its columns."""
        return dict(zip((*EVIDENCE, DIGEST), ("string", "bigint", "bigint"), strict=True))

    @property
    def types_of_rejected(self) -> dict[str, str]:
        """Of its quarantine: the unit, or of messages, which leave bronze, what was sent; where it stands, and why."""
        mine = {"_value": "binary"} if self.deduplicate else {one: self.columns[one].type for one in self.unit}
        evidence = {"rules": "array<string>", "_file": "string", "_row": "bigint", "_sequence": "string"}
        return mine | evidence | {"since": "timestamp"}

    @property
    def unit_is_one_row(self) -> bool:
        return set(self.unit) == set(self.grain)

    @property
    def rejects_changes(self) -> bool:
        """Whether a document with another identity than before is kept out."""
        return self.identity is not None and self.identity.on_change == "reject"

    @property
    def judges_by_earlier(self) -> str:
        """What of it holds a delivery against those before it, so that these have to stay; empty for nothing."""
        if self.rejects_changes:
            return "`identity:` rejects what is another than before"
        if self.full_dump:
            return "`full_dump:` counts what was there before a dump"
        return "`lacking: keep` keeps what files before said" if self.keeps_lacking else ""

    @property
    def keeps_lacking(self) -> dict[str, str]:
        """The columns that keep what was known where a file lacks what they are read from; with that."""
        return {name: column.source for name, column in self.columns.items() if column.lacking and column.source}

    @property
    def removes_vanished(self) -> bool:
        """Whether a document that a full dump lacks is removed."""
        return self.full_dump is not None and self.full_dump.vanished == "remove"

    @property
    def takes_files(self) -> bool:
        """Whether its rows come from files of landing, which the ledger knows; those of a topic do not."""
        return self.source is not None and self.source.kafka is None

    def why(self, rule: str) -> str:
        """The reason of a rule, the contract's own or one of those that the core adds to every table."""
        if rule in self.rules:
            return self.rules[rule].why
        column, _, kind = rule.rpartition("_is_")
        if kind == "readable":
            kind_of_column = self.columns[column].type if column in self.columns else "its type"
            return f"the delivered text cannot be read as {kind_of_column}"
        return {
            "present": f"{column} must be there",
            "unique": "a delivery may hold only one row of it",
        }.get(kind, OF_THE_CORE.get(rule, ""))

    @property
    def personal(self) -> tuple[str, ...]:
        """Its columns that may be about people."""
        return tuple(name for name, column in self.columns.items() if column.personal)

    @property
    def comments(self) -> dict[str, str]:
        """What each column means, in one line: readers of the stored table see it."""
        return {name: " ".join(column.meaning.split()) for name, column in self.columns.items()}

    def definition(self) -> dict[str, object]:
        """What results depend on: all of it but the words for people.

        A row's hash goes by the columns' order; and a new check is asked of what is stored already.
        """
        told = {"meaning", "measured_in", "personal"}
        columns = {
            name: column.model_dump(exclude=told if column.lacking else {*told, "lacking"})
            for name, column in self.columns.items()
        }
        rules = {name: rule.model_dump(exclude={"why", "says"}) for name, rule in self.rules.items()}
        checks = {name: check.model_dump(exclude={"why"}) for name, check in self.checks.items()}
        words = {"owner", "description", "score", "vectors", "retention", "published"}
        words |= set() if self.write == "latest" else {"reject_limit", "reject_limit_rows"}
        words |= set() if self.rejects_changes else {"identity"}
        words |= set() if self.removes_vanished else {"full_dump"}
        words |= set() if self.deduplicate else {"deduplicate"}
        # Where it is fetched from is no matter of what its rows say.
        apart = {"api", "database", "kafka"}
        apart |= set() if self.source and self.source.is_sheet else {"sheet", "skip_rows"}
        source = self.source.model_dump(exclude=apart) if self.source else None
        inputs = {
            name: reach.model_dump(exclude=set() if reach.days else {"days"}) for name, reach in self.inputs.items()
        }
        return self.model_dump(exclude=words) | {
            "source": source,
            "inputs": inputs,
            "columns": columns,
            "order": list(columns),
            "rules": rules,
            "checks": checks,
        }


def load(folder: Path) -> dict[str, Contract]:
    """Every contract by its table's name, e.g. `silver.orders`; all that is wrong is one LakehouseError."""
    contracts: dict[str, Contract] = {}
    wrong: list[str] = []
    for layer in LAYERS:
        for path in sorted((folder / layer).glob("*.yml")):
            try:
                contracts[f"{layer}.{path.stem}"] = _promised(path.read_text(encoding="utf-8"))
            except ValidationError as error:
                wrong += [sentence(path, dict(item)) for item in error.errors()]
            except (yaml.YAMLError, UnicodeDecodeError) as error:
                wrong.append(f"{path}: is not YAML: {' '.join(str(error).split())}")
    if wrong:
        raise LakehouseError("These contracts are not right:\n" + "\n".join(f"  {line}" for line in wrong))
    return contracts


@cache
def _promised(text: str) -> Contract:
    """Read once however often a process that is kept loads the tables: it is most of what that takes."""
    return Contract.model_validate(conf.parse(text))


def accepted(folder: Path) -> list[Accepted]:
    """The rows of accepted.yml; none where there is no such file."""
    path = folder / "accepted.yml"
    try:
        return TypeAdapter(list[Accepted]).validate_python((conf.read(path) if path.exists() else None) or [])
    except ValidationError as error:
        wrong = [sentence(path, dict(item)) for item in error.errors()]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        wrong = [f"{path}: is not YAML: {' '.join(str(error).split())}"]
    raise LakehouseError(
        "\n".join(wrong)
        + "\nIts rows have `table:`, `rule:`, `why:`, and `key:` or `file:` (as `lakehouse rejected` names it)."
    )


def sentence(path: Path, item: dict[str, object]) -> str:
    """What pydantic found wrong in a file."""
    place = item["loc"]
    key = ".".join(str(part) for part in place) if isinstance(place, tuple) else ""
    words = {"extra_forbidden": conf.UNKNOWN, "missing": conf.MISSING}
    message = words.get(str(item["type"]), str(item["msg"]).removeprefix("Value error, "))
    return f"{path}: {key + ': ' if key else ''}{message}"

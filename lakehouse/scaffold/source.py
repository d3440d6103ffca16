"""`lakehouse new source FILE`: a source and its silver table as drafts, with what was found and what was guessed."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pyarrow import compute as pc

from lakehouse.errors import LakehouseError
from lakehouse.intake.deliveries import paths
from lakehouse.scaffold import export, files, keys, kinds
from lakehouse.scaffold.words import BEGUN, OF_SQL, OWNER, PERSONAL, is_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from decimal import Decimal

    from lakehouse.contract import Contract
    from lakehouse.scaffold.export import Export
    from lakehouse.scaffold.kinds import Kind

SHOWN = 3  # rows of each kind of trouble
LONGEST_SHOWN = 40
LONGEST_NAME = 40  # of a column of silver
MOST_SUMMED = 28  # digits
POSITIONS = ("line_number", "row_number", "place_in_document")
MARKET = re.compile(r"market_(\d+)", re.IGNORECASE)
LETTERS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "o", "æ": "ae", "å": "a", "ł": "l", "đ": "d"})
FEW, OFTEN, LONGEST_WORD = 12, 3, 30  # different values, which may be all that there are; how often each stands there
GROUPS = {"ids": (), "attributes": ("text",), "amounts": ("integer", "decimal"), "flags": ("boolean",)}
TIMES = ("day", "time")


@dataclass(frozen=True)
class Column:
    """A column of silver: what it is read from, and what was found."""

    name: str
    source: str
    header: str
    kind: Kind
    found: tuple[str, ...]
    known: tuple[str, ...] = ()
    group: str = "attributes"
    sample: str = "text"

    @property
    def is_parsed(self) -> bool:
        return self.kind.name != "text"

    @property
    def is_personal(self) -> bool:
        """Whether it may be about a person, by its name."""
        return bool(PERSONAL.intersection(self.name.split("_")))

    @property
    def code(self) -> str:
        """The line of build's select."""
        source, kind = files.python(self.source), self.kind
        if kind.name == "text":
            return f"{source}," if self.source == self.name else files.called("F.col", source, name=self.name)
        return files.called(self.helper, source, *self._arguments(), name=self.name)

    @property
    def helper(self) -> str:
        """The function of lakehouse.transforms that reads it; empty for a text."""
        plain = {"integer": "whole_number", "decimal": "exact_decimal", "day": "calendar_day", "time": "export_time"}
        written = {"decimal": "written_number", "day": "written_day", "time": "written_time", "boolean": "truth"}
        by = plain if self.kind.is_plain and self.kind.name != "boolean" else written
        return by.get(self.kind.name, "")

    def _arguments(self) -> list[str]:
        whole, places = self.kind.digits
        digits = [str(whole + places), str(places)] if self.kind.name == "decimal" else []
        how = [] if self.helper in {"whole_number", "exact_decimal", "calendar_day", "export_time"} else self.kind.how
        kind = ['"int"'] if self.kind.type == "int" else []
        return [*kind, *digits, *map(files.python, how)]

    @property
    def becomes(self) -> str:
        """What silver says of the sample, as text."""
        kind = self.kind
        if kind.name == "boolean":
            return "true"
        if kind.name == "decimal":
            return f"12.{'5'.ljust(kind.digits[1], '0')}"
        if kind.name == "time":
            return f"2022-01-05 14:03:{'22' if ':22' in kind.like else '00'}"
        return "2022-01-05" if kind.name == "day" else self.sample

    @property
    def other(self) -> str:
        """The cell of row `n` as Python: days of some months, some words; an own text for a key."""
        if self.kind.name in TIMES:
            dated = self.sample.replace("05", "{n:02}", 1).replace("01", "{1 + n % 3:02}", 1)
            return f'f"{dated}"'
        if words := self.known[:2] or (self.kind.how if self.kind.name == "boolean" else ()):
            return f"({files.python(words[0])}, {files.python(words[-1])})[n % 2]"
        own = {"text": f"{self.sample}{{n}}", "integer": "{n}"}.get(self.kind.name)
        return f'f"{own}"' if own else files.python(self.sample)


@dataclass(frozen=True)
class Rule:
    """`names`: the columns that it is about, the first of which breaks it as `broken`."""

    name: str
    check: str
    why: str
    names: tuple[str, ...]
    broken: str = ""
    is_of_document: bool = False


@dataclass(frozen=True)
class Draft:
    """`files`: path below the project -> text. `notes`: what whoever asked should know at once.

    `folder`: where its files go in landing; empty for a file that lies there already.
    """

    bronze: str
    silver: str
    files: dict[str, str]
    notes: tuple[str, ...]
    folder: str


def draft(path: Path, landing: str, contracts: Mapping[str, Contract], bronze: str = "", silver: str = "") -> Draft:
    """Reads the file alone and writes nothing. Raises LakehouseError where the file or a name cannot be taken."""
    bronze = bronze or f"bronze.{_table_name(path)}"
    silver = silver or f"silver.{bronze.partition('.')[2]}"
    files.check_name(bronze, ("bronze",))
    files.check_name(silver, ("silver",))
    where = _Place.of(path, landing, bronze.partition(".")[2])
    _check_free(where, contracts)
    found = export.read(path, ("market",) if where.has_market else ())
    numbers = {
        column: promise.type
        for one in contracts.values()
        for column, promise in one.columns.items()
        if promise.type in {"int", "bigint"} or promise.type.startswith("decimal")
    }
    return _Writer(found, where, bronze, silver, numbers).draft()


def _clash(kind: str, other: str) -> bool:
    """Builds sum columns by their names, and `sum` takes no wide numbers: one name is narrow everywhere, or nowhere."""
    if _is_wide(kind):
        return not _is_wide(other)
    return kind.startswith("decimal") and _is_wide(other)


def _is_wide(kind: str) -> bool:
    digits = re.match(r"decimal\((\d+)", kind)
    return kind == "bigint" or bool(digits and int(digits[1]) > MOST_SUMMED)


def _table_name(path: Path) -> str:
    """Of the file's name what is neither a date nor an ending: `Umsätze 2024-01-05.csv` is umsaetze."""
    stem = path.name.split(".")[0]
    words = re.findall("[a-z]+[a-z0-9]*", _plain(paths.ANY_DATE.sub("", stem)))
    return "_".join(words)[: files.LONGEST_NAME].rstrip("_") or "export"


def _plain(text: str) -> str:
    """In letters from a to z, as far as it can be said so."""
    folded = text.casefold().translate(LETTERS)
    return "".join(one for one in unicodedata.normalize("NFKD", folded) if one.isascii())


@dataclass(frozen=True)
class _Place:
    """Where a source's files lie in landing: `patterns` as the contract has them, `example` is one that they fit."""

    patterns: tuple[str, ...]
    example: str
    has_market: bool = False
    is_there: str = ""

    @classmethod
    def of(cls, path: Path, landing: str, name: str) -> _Place:
        """By where the file lies if it lies in landing, else in a folder of the source's name."""
        own = re.sub(r"(?i)\.(gz|zst)\Z", "", path.name).partition(".")[2].rpartition(".")[2]
        ending = f".{own}" if re.fullmatch("[A-Za-z0-9]+", own) else ""
        try:
            below = path.resolve().relative_to(Path(landing).resolve())
        except ValueError:
            begin = f"{name}/**/"
            patterns = (f"{begin}{{date}}/**/*{ending}", f"{begin}*{{date}}*{ending}", f"{begin}*{ending}")
            return cls(patterns, f"{name}/2022-01-05/{name}{ending}")
        top = below.parts[0] if len(below.parts) > 1 else ""
        market = MARKET.fullmatch(top)
        folder = "market_{market:int}" if market else top if not paths.ANY_DATE.fullmatch(top) else ""
        begin = f"{folder}/" if folder else ""
        plain = re.sub(r"(?i)market[ _-]?\d+", "", paths.ANY_DATE.sub("", below.name.partition(".")[0]))
        word = max(re.findall(r"[^\W\d_]+", plain), key=len, default="")
        dated, named = (re.sub(r"\*+", "*", one) for one in (f"*{word}*{{date}}*{ending}", f"*{word}*{ending}"))
        patterns = (f"{begin}**/{{date}}/**/{named}", f"{begin}**/{dated}", f"{begin}**/{named}")
        top = "market_1" if market else folder
        example = "/".join(filter(None, [top, "2022-01-05", f"{word or 'rows'}{ending}"]))
        return cls(patterns, example, bool(market), below.as_posix())


def _check_free(where: _Place, contracts: Mapping[str, Contract]) -> None:
    path = where.is_there or where.example
    takers = [name for name, one in contracts.items() if one.source and paths.read(path, one.source.files)]
    if takers:
        raise LakehouseError(
            f"{path} is a file of {takers[0]} already, and rows that two sources load count twice. Change its "
            "contract, or put the file into a folder of its own in landing."
        )


class _Writer:
    """What the templates are filled with."""

    def __init__(self, found: Export, where: _Place, bronze: str, silver: str, numbers: Mapping[str, str]) -> None:
        self.found, self.where, self.bronze, self.silver = found, where, bronze, silver
        self.rows = found.clean
        of_columns = kinds.of_columns({name: self.rows[name].combine_chunks() for name in found.texts})
        self.key = keys.find(self.rows, of_columns)
        names = _silver_names(found.texts, has_market=where.has_market)
        names |= {
            source: f"{name}_value"
            for source, name in names.items()
            if name in numbers and _clash(of_columns[source].type, numbers[name])
        }
        columns = [
            self._column(names[source], source, found.headers[source], kind) for source, kind in of_columns.items()
        ]
        self.columns = sorted(columns, key=lambda one: [*GROUPS, "times"].index(one.group))
        self.by_source = {one.source: one for one in columns}
        self.position = next(one for one in POSITIONS if one not in names.values()) if self.key.is_document else ""
        self.unit = ["market"] * where.has_market + [self.by_source[one].name for one in self.key.columns]
        self.numbers = self._numbers()
        self.rules = [*self._known(), *self._not_negative(), *self._products(), *self._sums()]

    def draft(self) -> Draft:
        title = self.bronze.partition(".")[2]
        facts = {
            "found": self.found, "where": self.where, "key": self.key, "columns": self.columns, "title": title,
            "bronze": self.bronze, "silver": self.silver, "unit": self.unit, "position": self.position,
            "rules": self.rules, "by_source": self.by_source, "problems": self._problems(), "nothing": self._nothing(),
            "identity": self._identity(), "grain": [*self.unit, *filter(None, [self.position])],
            "one_row_per": self._one_row_per(), "imports": self._imports(), "cases": self._cases(),
            "changing": self._changing(),
        }  # fmt: skip
        own = self.silver.partition(".")[2]
        targets = {
            f"conf/bronze/{title}.yml": "bronze.yml.j2",
            f"bronze/{title}.py": "bronze.py.j2",
            f"tests/bronze/test_{title}.py": "test_bronze.py.j2",
            f"conf/silver/{own}.yml": "silver.yml.j2",
            f"silver/{own}.py": "silver.py.j2",
            f"tests/silver/test_{own}.py": "test_silver.py.j2",
        }
        texts = {path: files.rendered(template, **facts) for path, template in targets.items()}
        return Draft(self.bronze, self.silver, texts, tuple(self._notes()), "" if self.where.is_there else title)

    # --- columns

    def _column(self, name: str, source: str, header: str, kind: Kind) -> Column:
        values = kinds.counted(self.rows[source].combine_chunks())
        is_named = source in self.key.columns
        of_group = next((group for group, some in GROUPS.items() if kind.name in some), "times")
        group = "ids" if is_named or (kind.name in {"integer", "text"} and is_id(source)) else of_group
        known = () if is_named or kind.name != "text" else _known_values(name, values, self.rows.num_rows)
        made = Column(name, source, header, kind, (), known, group, known[0] if known else kind.like)
        return replace(made, found=tuple(self._found(made, values)))

    def _found(self, column: Column, values: Mapping[str, int]) -> list[str]:
        """What a comment says of a column: first what is there, then what is odd, then what was guessed."""
        spelled = self.found.spellings(column.source)
        blank = sum(spelled.values())
        kind, how = column.kind, ", ".join(f"{_shown(one) if one else 'empty'} {n:,}" for one, n in spelled.items())
        facts = [f"{blank:,} blank ({how})" if blank else "never blank", f"{len(values):,} different"]
        facts += [_range(column, values)] if values else []
        lines = ["; ".join(facts)]
        if kind.odd:
            lines.append(self._odd(column, values))
        if column.source in self.key.on_first:
            lines.append("stands on the first row of a document alone: null on its others")
        elif column.source in self.key.same and column.group == "amounts":
            lines.append("the same in all rows of a document: never sum it here")
        if column.is_personal:
            lines.append("personal by its name, so no page shows its values; say false where it is about nobody")
        return lines + ([f"guessed: {kind.guess}"] if kind.guess else [])

    def _odd(self, column: Column, values: Mapping[str, int]) -> str:
        """Such rows are rejected, and said so by the run."""
        kind, texts, numbers = column.kind, self.rows[column.source], self.rows["_row"]
        what = {"integer": "no whole number", "decimal": "no amount", "day": "no date", "time": "no time"}[kind.name]
        count = sum(often for _, often in kind.odd)
        shown = [
            f"row {numbers[pc.index(texts, value).as_py()].as_py():,} {_shown(value)}" for value, _ in kind.odd[:SHOWN]
        ]
        more = ", ..." if len(kind.odd) > SHOWN else ""
        verb = "is" if count == 1 else "are"
        return f"{count:,} of {sum(values.values()):,} rows {verb} {what}, and rejected: {', '.join(shown)}{more}"

    # --- rules

    def _known(self) -> list[Rule]:
        can_be_said = [one for one in self.columns if one.known and not any("'" in v or "\\" in v for v in one.known)]
        return [
            Rule(
                f"{one.name}_is_known",
                f"{one.name} in {_sql_list(one.known)}",
                f"No other value stands in the {self.found.rows:,} rows that were looked at",
                (one.name,),
                "never seen before",
            )
            for one in can_be_said
        ]

    def _numbers(self) -> dict[str, list[Decimal | None]]:
        """The numbers of each different row, exactly as silver reads them."""
        distinct = keys.different_rows(self.rows)
        return {
            one.source: [kinds.number(value, one.kind) for value in distinct[one.source].to_pylist()]
            for one in self.columns
            if one.group == "amounts" and self.rows[one.source].null_count < self.rows.num_rows
        }

    def _not_negative(self) -> list[Rule]:
        names = [
            self.by_source[source].name
            for source, values in self.numbers.items()
            if self.by_source[source].kind.name == "decimal" and all(value is None or value >= 0 for value in values)
        ]
        if not names:
            return []
        check = f"{names[0]} >= 0" if len(names) == 1 else f"least({', '.join(names)}) >= 0"
        first = next(one for one in self.columns if one.name == names[0])
        broken = first.kind.like.replace("12", "-12", 1)
        why = f"None is below 0 in the {self.found.rows:,} rows that were looked at"
        return [Rule("amounts_are_not_negative", check, why, tuple(names), broken)]

    def _products(self) -> list[Rule]:
        whole = [one for one in self.numbers if self.by_source[one].kind.name == "integer"]
        made = []
        for a, b, c, rows in keys.products(self.numbers, whole):
            first, second, product = (self.by_source[one] for one in (a, b, c))
            if second.kind.name == product.kind.name:
                check = f"{product.name} = {first.name} * {second.name}"
                why = f"Holds in all of {rows:,} rows that have the three"
                named = (product.name, first.name, second.name)
                broken = product.kind.like.replace("12", "13", 1) if product.kind.name == "decimal" else "2"
                made.append(Rule(f"{product.name}_is_{first.name}_times_{second.name}", check, why, named, broken))
        return made

    def _sums(self) -> list[Rule]:
        if not self.key.is_document:
            return []
        distinct = keys.different_rows(self.rows)
        same = (*self.key.same, *self.key.on_first)
        return [
            Rule(
                f"{self.by_source[total].name}_is_the_sum_of_{self.by_source[part].name}",
                f"{self.by_source[total].name} = _sum_of_{self.by_source[part].name}",
                f"Holds in all of {documents:,} documents; half a document, of a file that was cut, breaks it",
                (self.by_source[part].name,),
                is_of_document=True,
            )
            for total, part, documents in keys.sums(distinct, self.key.columns[0], self.numbers, same)
        ]

    def _identity(self) -> list[str]:
        """Columns that a document keeps as long as it lives, by their names."""
        begun = [one.name for one in self.columns if one.group == "times" and BEGUN.intersection(one.source.split("_"))]
        owners = [one.name for one in self.columns if one.group == "ids" and OWNER.intersection(one.source.split("_"))]
        of_document = {self.by_source[one].name for one in (*self.key.same, *self.key.on_first)}
        is_one = not self.key.is_document
        named = [one for one in (*owners, *begun[:1]) if one not in self.unit and (is_one or one in of_document)]
        return named if begun or not is_one else []

    # --- words

    def _one_row_per(self) -> str:
        names = " and ".join(self.by_source[one].name for one in self.key.columns)
        words = f"row of a document, which {names} names" if self.key.is_document else names
        return words if len(words) + len(self.silver) < 70 else "key, as its contract says"  # noqa: PLR2004  of a line

    def _problems(self) -> list[str]:
        """The rows that are not what the header announces."""
        counts = Counter(self.found.problems.values())
        rows: dict[str, list[str]] = {one: [] for one in counts}
        for row, problem in self.found.problems.items():
            rows[problem].append(f"{row:,}")
        return [
            f"{count:,} of {self.found.rows:,} rows rejected by {problem}: row {', '.join(rows[problem][:SHOWN])}"
            + (", ..." if count > SHOWN else "")
            for problem, count in counts.items()
        ]

    def _nothing(self) -> list[str]:
        return ["", *self.found.blank]

    def _notes(self) -> list[str]:
        """For whoever asked: the key, and what a run will reject or was guessed."""
        odd = [f"{one.name}: {line}" for one in self.columns for line in one.found[1:] if "rejected" in line]
        empty = [one.name for one in self.columns if self.rows[one.source].null_count == self.rows.num_rows]
        guessed = [
            f"{one.name}: {line}"
            for one in self.columns
            for line in one.found
            if line.startswith("guessed") and one.name not in empty
        ]
        blank = [f"always blank: {', '.join(empty)}"] if empty else []
        return [f"key: {self.key.why}", *self._problems(), *odd, *guessed, *blank]

    def _imports(self) -> dict[str, str]:
        helpers = {one.helper for one in self.columns if one.helper}
        has_f = any("F." in one.code for one in self.columns)
        functions = "\nfrom pyspark.sql import functions as F" if has_f else ""
        own = "\n\n" + files.imported("lakehouse.transforms", helpers) if helpers else ""
        return {"code": f"from pyspark.sql import DataFrame{functions}{own}"}

    # --- tests

    def _changing(self) -> list[Column]:
        """What another document says otherwise: enough for tables by day, month, status or key to have some rows."""
        groups = {"times", "flags"}
        return [one for one in self.columns if one.source in self.key.columns or one.group in groups or one.known]

    def _cases(self) -> list[dict[str, str]]:
        """Each rule that one row can break, by a row that breaks it."""
        made = []
        wrong = {"integer": "1x", "decimal": "much", "day": "soon", "time": "soon", "boolean": "perhaps"}
        for one in self.columns:
            if one.is_parsed:
                made.append(self._case(f"{one.name} can be read", one, wrong[one.kind.name], f"{one.name}_is_readable"))
            if one.name in self.unit:
                made.append(self._case(f"{one.name} is needed", one, "", f"{one.name}_is_present"))
        for rule in self.rules:
            if not rule.is_of_document:
                one = next(column for column in self.columns if column.name == rule.names[0])
                made.append(self._case(rule.name.replace("_", " "), one, rule.broken, warned=self._warned(one, rule)))
        return made

    def _warned(self, column: Column, rule: Rule) -> str:
        """A product is wrong, too, where one of its parts is."""
        also = [one.name for one in self.rules if column.name in one.names and "_times_" in one.name]
        return ",".join(dict.fromkeys([*([] if rule.name in also else [rule.name]), *also]))

    def _case(self, sentence: str, column: Column, text: str, broken: str = "", warned: str = "") -> dict[str, str]:
        return {"sentence": sentence, "source": column.source, "text": text, "broken": broken, "warned": warned}


def _silver_names(sources: Iterable[str], *, has_market: bool) -> dict[str, str]:
    """Bronze's columns -> silver's: of letters from a to z, each another one, and no word of SQL."""
    taken = {"market"} if has_market else set[str]()
    names = {}
    for place, source in enumerate(sources, start=1):
        own = re.sub("[^a-z0-9]+", "_", _plain(source)).strip("_")[:LONGEST_NAME].rstrip("_")
        own = own if own[:1].isalpha() else f"column_{own or place}"
        own = f"{own}_value" if own in OF_SQL else own
        names[source] = own if own not in taken else f"{own}_{place}"
        taken.add(names[source])
    return names


def _sql_list(values: Iterable[str]) -> str:
    return "({})".format(", ".join(f"'{value}'" for value in values))


def _shown(value: str) -> str:
    cut = f"{value[:LONGEST_SHOWN]}..." if len(value) > LONGEST_SHOWN else value
    return f"'{files.said(cut)}'"


def _known_values(name: str, values: Mapping[str, int], rows: int) -> tuple[str, ...]:
    """The words of a column that says few of them again and again, as a status does; they are nobody's name."""
    said = sum(values.values())
    is_few = 0 < len(values) <= FEW and said >= OFTEN * len(values) and 2 * said >= rows
    is_word = all(len(value) <= LONGEST_WORD and value.isprintable() and value[:1] not in "[{" for value in values)
    return tuple(sorted(values)) if is_few and is_word and not PERSONAL.intersection(name.split("_")) else ()


def _range(column: Column, values: Mapping[str, int]) -> str:
    """Of texts their lengths: what they say may be about people."""
    kind = column.kind
    if column.known:
        return ", ".join(map(_shown, column.known))
    if kind.name == "text":
        lengths = [len(value) for value in values]
        nested = "JSON within, of " if all(value[:1] in "[{" for value in values) else ""
        span = f"{min(lengths):,} to {max(lengths):,}" if min(lengths) < max(lengths) else f"{max(lengths):,}"
        return f"{nested}{span} letters"
    numbers = [number for value in values if (number := kinds.number(value, kind)) is not None]
    if numbers and column.group == "amounts":
        return f"from {min(numbers):,} to {max(numbers):,}"
    return f"written as in {_shown(kind.like)}"

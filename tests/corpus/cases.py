"""A case of the corpus: a small bad input, its verdict, and how its bytes are made where a file cannot show them."""

from __future__ import annotations

import gzip
import re
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import zstandard
from pydantic import BaseModel, ConfigDict, Field, model_validator

from lakehouse import conf
from tests.corpus import made as making

FOLDER = Path(__file__).parent
OF_THE_CORPUS = {".yml", ".py", ".md"}
# Orders begin with 7, customers with 8, tasks with 9.
ID = re.compile(r"(?<!\d)[789]\d{5}(?!\d)")
FATE = r"kept|duplicate|superseded|rejected by [a-z0-9_]+(, [a-z0-9_]+)*"

Text = Annotated[str, Field(min_length=1)]
Cells = dict[str, str | None]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Repeat(_Strict):
    """`{n}` in the text is the number of the repetition, from 1."""

    repeat: Text
    times: int

    def text(self) -> str:
        if "{n}" not in self.repeat:
            return self.repeat * self.times
        return "".join(self.repeat.replace("{n}", str(n)) for n in range(1, self.times + 1))


class Made(_Strict):
    """How the delivered bytes differ from the readable file beside the YAML; done in this order.

    `replace`: marks such as <NUL> become other text. `encoding`. `bytes`: marks become bytes, in hex. `compress`.
    `cut`: so many bytes are left off at the end. `invert`: the byte at this place is another one. `by`: the function of
    made.py that makes them of the text. `packed`: the one that spoils the member in its archive.
    """

    replace: dict[str, str | Repeat] = {}
    encoding: str = "utf-8"
    bytes: dict[str, str] = {}
    compress: Literal["gzip", "zstd"] | None = None
    cut: int = 0
    invert: int | None = None
    by: str | None = None
    packed: str | None = None

    @property
    def marks(self) -> list[str]:
        return [*self.replace, *self.bytes]


class Case(_Strict):
    """What is delivered, and the verdict. `rows`: the fate of each row that the file holds, by its number.

    `silver` and `bronze`: cells that must be exactly so, as text, by the row's number. `same_ids_as`: the case whose
    documents this one delivers again; all other cases have ids of their own. `format`: of its source, where that takes
    cells with types.
    """

    title: Text
    kinds: Annotated[list[Text], Field(min_length=1)]
    why: str = ""
    source: Literal["bronze.orders", "bronze.deliveries", "bronze.customers"]
    delivered: Text
    made: Made = Made()
    status: Literal["loaded", "empty", "unreadable", "waiting"]
    reason: str = ""
    rows: dict[int, Annotated[str, Field(pattern=rf"^({FATE})$")]] = {}
    silver: dict[int, Cells] = {}
    bronze: dict[int, Cells] = {}
    format: Literal["spreadsheet", "parquet"] | None = None
    same_ids_as: str | None = None

    @model_validator(mode="after")
    def _verdict_is_whole(self) -> Case:
        if (self.status == "loaded") != bool(self.rows):
            raise ValueError("a loaded file has rows, any other has none")
        if self.status in {"unreadable", "waiting"} and not self.reason:
            raise ValueError(f"a file that is {self.status} has a reason")
        if list(self.rows) != list(range(1, len(self.rows) + 1)):
            raise ValueError("rows are numbered from 1 without a gap")
        if not_kept := [row for row in self.silver if self.rows.get(row) != "kept"]:
            raise ValueError(f"silver holds only rows that are kept, not {not_kept}")
        if unknown := self.bronze.keys() - self.rows.keys():
            raise ValueError(f"bronze cells of rows {sorted(unknown)}, which the file does not have")
        if any(fate != _in_order(fate) for fate in self.rows.values()):
            raise ValueError("the rules of a row stand in the order of the alphabet")
        return self

    @property
    def rules(self) -> set[str]:
        return {rule for fate in self.rows.values() for rule in _rules(fate)}


def _rules(fate: str) -> list[str]:
    return fate.removeprefix("rejected by ").split(", ") if fate.startswith("rejected") else []


def _in_order(fate: str) -> str:
    return rejected_by(_rules(fate)) or fate


def rejected_by(rules: list[str]) -> str:
    """The fate of a row that broke these rules."""
    return f"rejected by {', '.join(sorted(rules))}" if rules else ""


@cache
def load() -> dict[str, Case]:
    """Every case by its name, which is that of its two files; pydantic's error says what is wrong with one."""
    paths = sorted(FOLDER.glob("*.yml"))
    return {path.stem: Case.model_validate(conf.read(path)) for path in paths}


def file_of(name: str) -> Path:
    """The file beside the YAML. Raises ValueError where there is not exactly one."""
    (path,) = (path for path in FOLDER.glob(f"{name}.*") if path.suffix not in OF_THE_CORPUS)
    return path


def text(name: str) -> str:
    """The file's text, its marks replaced by what they stand for."""
    whole = file_of(name).read_bytes().decode("utf-8")
    for mark, instead in load()[name].made.replace.items():
        whole = whole.replace(mark, instead if isinstance(instead, str) else instead.text())
    return whole


def content(name: str) -> bytes:
    """The bytes to deliver."""
    made = load()[name].made
    if made.by:
        return getattr(making, made.by)(text(name))  # type: ignore[no-any-return]
    stored = text(name).encode(made.encoding)
    for mark, instead in made.bytes.items():
        stored = stored.replace(mark.encode(made.encoding), bytes.fromhex(instead))
    if made.compress == "gzip":
        stored = gzip.compress(stored, mtime=0)
    if made.compress == "zstd":
        stored = zstandard.ZstdCompressor().compress(stored)
    stored = stored[: len(stored) - made.cut]
    if made.invert is not None:
        stored = stored[: made.invert] + bytes([stored[made.invert] ^ 0xFF]) + stored[made.invert + 1 :]
    return stored


def ids(name: str) -> set[str]:
    return set(ID.findall(text(name)))

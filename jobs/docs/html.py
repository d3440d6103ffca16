"""The documentation as one HTML page that asks nobody for anything. How it looks: templates/, filled in here."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from jobs.docs import lineage
from jobs.proof import traced
from lakehouse.contract import LAYERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakehouse.serving.docs import Docs, Entry

TEMPLATES = Path(__file__).with_name("templates")
MARKED = re.compile(r"`([^`]+)`|\b((?:bronze|silver|gold)\.[a-z0-9_]+)|\bconf/([a-z0-9_]+)\.yml")


def page(docs: Docs) -> str:
    """The whole file. Only its own script and style may run and nothing may be fetched, whatever the lake holds."""
    script, style = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("docs.js", "docs.css"))
    template = templates().get_template("docs.html")
    return template.render(
        docs=docs,
        script=script,
        style=style,
        policy=f"default-src 'none'; script-src '{hash_of(script)}'; style-src '{hash_of(style)}'",
        entries={layer: _of(docs, layer) for layer in LAYERS},
        tables={one.table.name: one.table for one in docs.entries},
        columns=sum(len(one.table.contract.columns) for one in docs.entries),
        missing=sum(one.stored is None for one in docs.entries),
        known={one.table.name for one in docs.entries} | {one.name for one in docs.references},
        lineage=lineage,
        traced=traced,
    )


def templates(folder: Path = TEMPLATES) -> Environment:
    """Text is escaped where it enters, so that nothing from data or contracts can become markup."""
    loader = FileSystemLoader(folder)
    made = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    made.filters |= {"words": words, "shown": shown, "time": _time}
    return made


def hash_of(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _of(docs: Docs, layer: str) -> list[Entry]:
    mine = [one for one in docs.entries if one.table.name.startswith(f"{layer}.")]
    return sorted(mine, key=lambda one: one.table.name)


@dataclass(frozen=True)
class Word:
    """A piece of a sentence. `leads_to` is the table or the file of conf/ that it names, if any, known or not."""

    text: str
    is_code: bool = False
    leads_to: str = ""


def words(text: str) -> Iterator[Word]:
    """What stands between backticks is code; tables and files of conf/ lead to their pages."""
    at = 0
    for found in MARKED.finditer(text):
        code, table, conf = found.groups()
        yield Word(text[at : found.start()])
        yield Word(code, is_code=True) if code else Word(found[0], leads_to=table or f"conf.{conf}")
        at = found.end()
    yield Word(text[at:])


def shown(value: object) -> str:
    """Decimals with all their digits, also 0.00000000; times in UTC."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).replace(tzinfo=None).isoformat(" ")
    return value.isoformat() if isinstance(value, date) else str(value)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"

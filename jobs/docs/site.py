"""The site of docs/: `python -m jobs.docs.site` writes its reference and builds it strictly, into site/.

What contracts, docstrings and `--help` say is written into docs/reference/generated at each build, and nowhere else.
"""

from __future__ import annotations

import re
import subprocess
import sys
from html import escape
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from typer.cli import get_docs_for_click

from jobs import cli
from jobs.docs import lineage
from jobs.proof import traced
from lakehouse import contract, graph
from lakehouse.contract import LAYERS
from lakehouse.described import api as described_api
from lakehouse.lineage import columns
from lakehouse.serving import docs

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel

TEMPLATES = Path(__file__).with_name("templates")
FOLDER = graph.HOME / "docs" / "reference" / "generated"
QUESTIONS = graph.HOME / "conf" / "questions"
PARTS = (
    contract.Contract, contract.Column, contract.Rule, contract.Check, contract.Reach, contract.Source,
    described_api.Api, described_api.Auth, described_api.Paging, described_api.Times,
    contract.Retention, contract.Identity, contract.FullDump, contract.Window, contract.Accepted,
)  # fmt: skip
ID = re.compile(r'\bid="?([^\s">]+)')
LINK = re.compile(r'\b(?:href|src)="(?!\w+:)([^"]+)"')


def pages() -> dict[str, str]:
    """The reference: each page's text by its file's name. Of no lake, so that only what is promised stands in it."""
    known = graph.load()
    found = docs.gather(str(graph.HOME / ".lake" / "none"), known, lineages=columns.of(known, known))
    layers = {layer: [one for one in found.entries if one.table.name.startswith(f"{layer}.")] for layer in LAYERS}
    templates = _templates({one.table.name for one in found.entries})
    written = {
        f"{layer}.md": templates.get_template("pages/layer.md").render(layer=layer, entries=entries)
        for layer, entries in layers.items()
    }
    picture = lineage.whole({one.table.name: one.table for one in found.entries})
    return written | {
        "tables.md": templates.get_template("pages/tables.md").render(docs=found, layers=layers, picture=picture),
        "contract.md": templates.get_template("pages/contract.md").render(parts=[(one, _keys(one)) for one in PARTS]),
        "questions.md": templates.get_template("pages/questions.md").render(questions=questions()),
        "commands.md": _commands(),
    }


def questions() -> list[tuple[str, str, str, str]]:
    """Of each file of conf/questions: its name, the question that it begins with, more about it, and its SQL."""
    found = []
    for path in sorted(QUESTIONS.glob("*.sql")):
        lines = path.read_text(encoding="utf-8").splitlines()
        said = list(takewhile(lambda line: line.startswith("--"), lines))
        question, _, remarks = " ".join(line.removeprefix("--").strip() for line in said).partition("? ")
        found.append((path.stem, f"{question}?", remarks, "\n".join(lines[len(said) :]).strip()))
    return found


def _templates(tables: set[str]) -> Environment:
    """Text is escaped where it enters, so that nothing from contracts becomes markup."""
    loader = FileSystemLoader(TEMPLATES)
    made = Environment(loader=loader, autoescape=False, undefined=StrictUndefined, trim_blocks=True)  # noqa: S701  Markdown
    made.filters |= {
        "text": in_markdown,
        "code": in_code,
        "said": traced.said,
        "said_of_rows": traced.said_of_rows,
        "linked": lambda text: _linked(in_markdown(text), tables),
        "paragraphs": lambda text: "\n\n".join(map(in_markdown, text.split("\n\n"))),
        "first_sentence": lambda text: re.split(r"(?<=\.)\s", text.strip(), maxsplit=1)[0],
    }
    return made


def in_markdown(text: str) -> str:
    """On one line of Markdown, also in a cell. What stands between backticks stays code; a lone < is no tag."""
    pieces = " ".join(text.split()).split("`")
    return "".join(in_code(piece) if at % 2 else _plain(piece) for at, piece in enumerate(pieces))


def _plain(text: str) -> str:
    return re.sub(r"([*_|\[\]{}])", r"\\\1", escape(text, quote=False))


def in_code(text: str) -> str:
    """As HTML: a code span of Markdown ends a table's cell at a |."""
    plain = re.sub(r"[|*_`{}\[\]]", lambda one: f"&#{ord(one[0])};", escape(text, quote=False))
    return f"<code>{plain}</code>"


def _linked(text: str, tables: set[str]) -> str:
    """Tables lead to where they are described."""

    def link(found: re.Match[str]) -> str:
        name = found[0].replace("\\", "")
        return f"[{found[0]}]({found[1]}.md#{name})" if name in tables else found[0]

    return re.sub(r"\b(bronze|silver|gold)\.[a-z0-9_\\]+", link, text)


def _keys(part: type[BaseModel]) -> list[tuple[str, str, str]]:
    """Name, type and default of each key, as YAML writes them."""
    return [
        (field.alias or name, _type(part, name), "needed" if field.is_required() else _default(field.default))
        for name, field in part.model_fields.items()
    ]


def _type(part: type[BaseModel], name: str) -> str:
    schema = part.model_json_schema(by_alias=False)
    return _said(schema["properties"][name])


def _said(schema: dict[str, Any]) -> str:
    """A piece of a JSON schema in words."""
    said: dict[str, Callable[[Any], str]] = {
        "$ref": lambda name: name.rsplit("/", 1)[1],
        "anyOf": lambda kinds: " or ".join(dict.fromkeys(_said(kind) for kind in kinds if kind != {"type": "null"})),
        "enum": ", ".join,
        "const": str,
        "prefixItems": lambda kinds: f"[{', '.join(map(_said, kinds))}]",
        "items": lambda kind: f"list of {_said(kind)}",
        "additionalProperties": lambda kind: f"name: {_said(kind)}",
        "format": str,
        "type": lambda kind: {"string": "text", "boolean": "true or false"}.get(kind, kind),
    }
    return next(words(schema[key]) for key, words in said.items() if schema.get(key))


def _default(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None or value in ((), {}, "") else str(value)


def _commands() -> str:
    command = typer.main.get_command(cli.app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="lakehouse")
    return text.replace("# `lakehouse`", "# The command", 1).replace("  [", r"  \[")


def write(folder: Path = FOLDER) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


def broken(site: Path) -> list[str]:
    """Links and pictures of built pages that lead nowhere: the strict build looks at links of Markdown alone."""
    built = (page for page in site.rglob("*.html") if page.name != "404.html")  # which is shown at any address
    pages = {page: page.read_text(encoding="utf-8") for page in built}
    places = {page: set(ID.findall(text)) for page, text in pages.items()}
    found = []
    for page, text in pages.items():
        for target in LINK.findall(text):
            path, _, place = target.partition("#")
            to = (page.parent / path).resolve() if path else page
            to = to / "index.html" if to.is_dir() else to
            if not to.exists() or (place and to in places and place not in places[to]):
                found.append(f"{page.relative_to(site)}: {target}")
    return found


def main() -> None:
    write()
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "-f", str(graph.HOME / "mkdocs.yml")]
    if subprocess.run(command, check=False, cwd=graph.HOME).returncode:
        sys.exit(1)
    if nowhere := broken(graph.HOME / "site"):
        sys.exit("\n".join(["Links that lead nowhere:", *nowhere]))


if __name__ == "__main__":
    main()

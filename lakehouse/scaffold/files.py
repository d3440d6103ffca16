"""Drafts as files: names of a short list of letters, templates, and never over what is there."""

from __future__ import annotations

import json
import keyword
import re
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

TEMPLATES = Path(__file__).with_name("templates")
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
LONGEST_NAME = 48
WIDTH = 120  # of a line of Python
LATIN = 0x100  # letters that no linter takes for others


def check_name(name: str, layers: Collection[str]) -> None:
    """Raises LakehouseError unless it is, say, silver.orders: it becomes a path and a module."""
    layer, _, own = name.partition(".")
    is_name = NAME.fullmatch(own) and len(own) <= LONGEST_NAME and not keyword.iskeyword(own)
    if layer not in layers or not is_name:
        raise LakehouseError(
            f"{name!r} can be no table's name: it is {' or '.join(layers)}, a point, and at most {LONGEST_NAME} small "
            "letters, digits and single underscores, which begin with a letter and are no word of Python."
        )


def write(home: Path, files: Mapping[str, str]) -> list[Path]:
    """All of them or none. Raises LakehouseError where one is there."""
    there = [path for path in files if (home / path).exists()]
    if there:
        raise LakehouseError(
            f"{', '.join(there)} {'is' if len(there) == 1 else 'are'} there, and nothing is written over what somebody "
            "wrote. Take other names (--name and --silver say them), or move it away."
        )
    for path, text in files.items():
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        with (home / path).open("x", encoding="utf-8") as file:
            file.write(text)
    return [home / path for path in files]


def rendered(template: str, **facts: object) -> str:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=False,  # noqa: S701  these are contracts and code: `text` and `said` quote what comes from a file
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"text": text, "said": said, "listed": listed, "named": named, "python": python}
    return made.get_template(template).render(**facts)


def text(value: str) -> str:
    """As Python and YAML both can write it, in double quotes."""
    return "".join(
        one if one.isprintable() and (one.isascii() or (one.isalpha() and ord(one) < LATIN)) else _escaped(one)
        for one in json.dumps(value, ensure_ascii=False)
    )


def python(value: str) -> str:
    """As the formatter writes it in Python: in those quotes of which fewer stand in it."""
    if value.count('"') <= value.count("'"):
        return text(value)
    inside = text(value)[1:-1].replace('\\"', '"').replace("'", "\\'")
    return f"'{inside}'"


def said(value: str) -> str:
    """For a sentence or a comment: one line, whatever a file holds."""
    return " ".join("".join(one if one.isprintable() else _escaped(one) for one in value).split(" "))


def _escaped(letter: str) -> str:
    return f"\\u{ord(letter):04x}" if ord(letter) <= 0xFFFF else f"\\U{ord(letter):08x}"  # noqa: PLR2004


def listed(values: Iterable[str]) -> str:
    """As YAML writes a short list of texts."""
    return f"[{', '.join(map(named, values))}]"


def named(value: str) -> str:
    """As YAML writes a name: without quotes where it needs none."""
    return value if NAME.fullmatch(value) and value not in {"null", "true", "false"} else text(value)


def imported(module: str, names: Iterable[str]) -> str:
    """The import as the formatter writes it."""
    known = sorted(set(names), key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    line = f"from {module} import {', '.join(known)}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"from {module} import (", *(f"    {name}," for name in known), ")"])


def called(function: str, *arguments: str, name: str, indent: int = 8) -> str:
    """`function(arguments).alias(name)`, an element of a list, as the formatter writes it."""
    begin = f"{function}({', '.join(arguments)}).alias("
    line = f"{begin}{python(name)}),"
    if indent + len(line) <= WIDTH:
        return line
    return f"{begin}\n{' ' * (indent + 4)}{python(name)}\n{' ' * indent}),"

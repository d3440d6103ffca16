"""The picture of the README: `python -m jobs.docs.recorded` runs the demo and draws it, docs/pictures/demo.svg.

All of it is what the demo printed; tables beyond the first few of a run, and answers beyond the first, are left out.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from itertools import groupby

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from lakehouse.conf import HOME

TO = HOME / "docs" / "pictures" / "demo.svg"
WIDTH, TABLES = 118, 5
A_TABLE = re.compile(r"(bronze|silver|gold)\.\w+ .* s  ")
LEFT_OUT = re.compile(r"lake |  warning|  mended")
GOLD, ANSWERS = " 4. Gold ", ("Revenue by day", "What the day later")
FONTS = re.compile(r"@font-face \{.*?\}", re.DOTALL)  # of another server; any monospaced one does


def excerpt(lines: list[Text]) -> list[Text]:
    """Of the runs the first tables, with how many more, and what became of the rows; then two of the answers."""
    gold = next(at for at, line in enumerate(lines) if GOLD in line.plain)
    runs = [line for line in lines[:gold] if not LEFT_OUT.match(line.plain)]
    shown: list[Text] = []
    for are_tables, some in groupby(runs, key=lambda line: bool(A_TABLE.match(line.plain))):
        part = list(some)
        if are_tables:
            part[TABLES:] = [Text(f"... {len(part) - TABLES} more tables", style="dim")]
        shown += part
    shown.append(lines[gold])
    for is_blank, some in groupby(lines[gold + 1 :], key=lambda line: not line.plain.strip()):
        answer = list(some)
        if not is_blank and answer[0].plain.startswith(ANSWERS):
            shown += [*answer, Text()]
    return shown[:-1]


def printed() -> str:
    """What a terminal of this width gets."""
    environment = os.environ | {"COLUMNS": str(WIDTH), "FORCE_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "jobs.cli", "demo"]
    ran = subprocess.run(
        command, cwd=HOME, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
    )
    return ran.stdout


def main() -> None:
    picture = Console(width=WIDTH, record=True, file=io.StringIO(), highlight=False)
    picture.print(Text("$ uv run lakehouse demo", style="bold"))
    for line in excerpt([Text.from_ansi(one) for one in printed().splitlines()]):
        line.truncate(WIDTH, overflow="ellipsis")
        picture.print(line, no_wrap=True)
    drawn = picture.export_svg(title="lakehouse demo", theme=MONOKAI, unique_id="demo")
    TO.write_text(FONTS.sub("", drawn), encoding="utf-8")


if __name__ == "__main__":
    main()

"""How answers look: progress lines, the summary whose sums close, grids, csv and json.

What looks at the lake before it prints imports that itself: an answer in a grid must not wait for it.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import traceback
from contextlib import contextmanager, suppress
from itertools import chain, islice
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table as Grid

from lakehouse import logs
from lakehouse.errors import LakehouseError, is_failure, masked, refusal
from lakehouse.readers.columns import defused
from lakehouse.store.cache import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import ConsoleOptions, JustifyMethod, RenderableType


SHOWN = 200
NAMED = 5
SHOWN_OF_A_TEXT = 2000
GRID = {"box": None, "pad_edge": False, "header_style": "bold"}


class Terminal(Console):
    """Where people read. What a delivered text, a path or an error holds never reaches it as a command."""

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, highlight=False, emoji=False, soft_wrap=True)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for one in super().render(renderable, options):
            yield one if one.control else Segment("\n".join(map(_printable, one.text.split("\n"))), one.style)


def begin(messages: Console, form: str | None = None) -> None:
    """Programs are told what is done as `form` says, or LAKEHOUSE_LOG_FORMAT; as JSON instead of people, not beside."""
    form = form or os.environ.get("LAKEHOUSE_LOG_FORMAT", "")
    logs.start(form)
    messages.quiet = form == logs.JSON


def answers() -> Console:
    """Standard output: as wide as the terminal, and without an edge in a pipe or a file."""
    return Terminal(width=None if sys.stdout.isatty() else 10_000)


def visible(text: str) -> str:
    """Delivered text may hold what would move the cursor, or fill the screen."""
    return _printable(text[:SHOWN_OF_A_TEXT]) + " ..." * (len(text) > SHOWN_OF_A_TEXT)


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(letter: str) -> str:
    return letter if letter.isprintable() else repr(letter)[1:-1]


def grid(columns: Sequence[str], rows: Iterable[Sequence[str | None]], messages: Console) -> None:
    """For people: the first rows."""
    waiting = iter(rows)
    answers().print(table(columns, list(islice(waiting, SHOWN))))
    if next(waiting, None) is not None:
        messages.print(f"Only the first {SHOWN} rows are shown; --format csv writes all.")


def table(columns: Sequence[str], rows: Sequence[Sequence[str | None]]) -> Grid:
    """Numbers stand to the right."""
    made = Grid(**GRID)  # type: ignore[arg-type]
    for place, name in enumerate(columns):
        is_number = all(_is_number(row[place]) for row in rows)
        side: JustifyMethod = "right" if is_number and rows else "left"
        made.add_column(escape(_printable(name)), justify=side, no_wrap=not sys.stdout.isatty())
    for row in rows:
        made.add_row(*("" if value is None else escape(_printable(value)) for value in row))
    return made


def _is_number(text: str | None) -> bool:
    return text is None or text.lstrip("-").replace(".", "", 1).isdigit()


def csv_rows(columns: list[str], rows: Iterable[Sequence[str | None]]) -> None:
    writer, is_seen = csv.writer(sys.stdout, lineterminator="\n"), sys.stdout.isatty()
    for row in chain([[defused(name) for name in columns]], rows):
        writer.writerow([cell and _printable(cell) for cell in row] if is_seen else row)


def json_text(text: str) -> str:
    """JSON that a terminal may show: what it would obey is escaped, and means the same."""
    return "".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in text)


def json_array(objects: Iterable[str]) -> None:
    sys.stdout.write("[")
    for place, text in enumerate(objects):
        sys.stdout.write(f"{',' if place else ''}\n{json_text(text)}")
    sys.stdout.write("\n]\n")


@contextmanager
def errors(messages: Console) -> Iterator[None]:
    """An error on purpose is printed without a traceback and ends with 1; brackets in it are text, not markup."""
    try:
        yield
    except LakehouseError as failed:
        logs.failed("failed", failed)
        error(messages, str(failed))
        sys.exit(1)
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except BaseException as failed:
        if not is_failure(failed):
            raise
        logs.failed("failed", failed)
        error(messages, in_words(failed))
        sys.exit(1)


def in_words(failed: BaseException) -> str:
    """What is no error on purpose."""
    return _refused(failed) or _unknown(failed)


def _refused(failed: BaseException) -> str:
    """With the file, where Python knows it."""
    words, file = refusal(failed), getattr(failed, "filename", None)
    return f"{file}: {words}" if words and file else words[:1].upper() + words[1:]


def _unknown(failed: BaseException) -> str:
    """In a sentence, with the page where it is no use to a person."""
    page = cache_folder() / "error.log"
    from lakehouse.engines import protocol  # noqa: PLC0415

    said = f"{type(failed).__name__}: {protocol.words(failed)}"
    with suppress(OSError):
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(masked("".join(traceback.format_exception(failed))), encoding="utf-8")
    return f"What happened has no words here yet: {said}\nStart again; if it happens again, report it with {page}."


def error(messages: Console, words: str) -> None:
    """It may name files, whose names may hold anything."""
    said = "\n".join(map(_printable, words.split("\n")))
    messages.print(f"[bold red]Error:[/] {escape(said)}")

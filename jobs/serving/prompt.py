r"""`lakehouse sql` without a statement: a prompt with history and completion, or statements from standard input.

A statement ends with `;` and may have several lines. `\d` lists tables, `\d gold.daily_sales` its columns, `\q` ends.
"""

from __future__ import annotations

import re
from contextlib import nullcontext
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeAlias

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import Completer, Completion
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory

from jobs import printed
from lakehouse import conf, contract
from lakehouse.errors import LakehouseError
from lakehouse.serving.questions.plain import SCHEMAS
from lakehouse.store.cache import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document
    from rich.console import Console

MOST = 1000  # rows that are paged through
Answer: TypeAlias = "tuple[list[str], list[Sequence[str | None]]]"  # columns, and rows: one more than MOST if there are
HELP = (
    r"A statement ends with ; and may have several lines.  \d tables  \d gold.daily_sales its columns  \q the end (or "
    "Ctrl-D)"
)
# Texts and names, of which one that is still open goes to the end; comments; what ends a statement.
QUOTED = r"'(?:[^'\\]|\\.)*(?:'|\Z)|\"(?:[^\"\\]|\\.)*(?:\"|\Z)|`[^`]*(?:`|\Z)"
PIECE = re.compile(rf"(?P<quoted>{QUOTED})|(?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))|(?P<end>;)|[^;'\"`/-]+|.", re.DOTALL)
SAID = {"help": "\\?", "exit": "\\q", "quit": "\\q"}  # on a line of their own, as people try them
WORD = re.compile(r"[\w.]+")
NAMED = re.compile(rf"\b(?:{'|'.join(SCHEMAS)})\.\w+")
KEYWORDS = (
    "select", "from", "where", "group by", "order by", "having", "limit", "join", "left join", "on", "using", "with",
    "union all", "count", "sum", "avg", "min", "max", "case when", "describe", "describe history", "show tables",
    "explain", "version as of", "distinct", "between", "is null", "is not null",
)  # fmt: skip


def statements(text: str) -> tuple[list[str], str]:
    """Those that `;` ends, or a backslash begins on a line of its own; and the rest, which is none yet."""
    whole, now = list[str](), ""
    for line in text.splitlines(keepends=True):
        word = SAID.get(line.strip("; \n").casefold(), line.strip())
        if not now.strip() and word.startswith("\\"):
            whole.append(word)
            continue
        *ended, now = _parts(now + line)
        whole += [one.strip() for one in ended if one.strip()]
    return whole, now


def _parts(text: str) -> list[str]:
    """Cut at each `;` that is in no text, name or comment; without comments, which are no statements."""
    parts = [""]
    for piece in PIECE.finditer(text):
        if piece["end"]:
            parts.append("")
        else:
            parts[-1] += " " if _is_over(piece["comment"]) else piece[0]
    return parts


def _is_over(comment: str | None) -> bool:
    """One that is still open is looked at again, with the next line."""
    return comment is not None and (comment.startswith("--") or comment.endswith("*/"))


def translated(statement: str) -> str:
    r"""`\d` in SQL. Raises LakehouseError for another word after a backslash."""
    if not statement.startswith("\\"):
        return statement
    word, _, rest = statement.rstrip("; ").partition(" ")
    if word != "\\d":
        raise LakehouseError(f"{word} is not known here. {HELP}.")
    return f"describe table {rest}" if rest else "show tables"


def read(text: str, ask: Callable[[str], None]) -> None:
    r"""Ask what a file or a pipe says, one by one; the first that is wrong ends it, `\q` too."""
    whole, rest = statements(text)
    for one in [*whole, *([rest] if rest.strip() else [])]:
        if one == "\\q":
            return
        ask(translated(one))


def talk(messages: Console, ask: Callable[[str], Answer]) -> None:
    """Ask a person until there is no more; an error is printed and ends nothing."""
    session: PromptSession[str] = PromptSession(
        history=FileHistory(str(_history())),
        completer=Names(),
        multiline=Condition(lambda: not _is_whole(get_app().current_buffer.text)),
        prompt_continuation="        -> ",
    )
    messages.print(HELP, markup=False)
    while True:
        try:
            text = session.prompt("lakehouse> ")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        whole, rest = statements(text)
        for one in [*whole, rest]:
            if one == "\\q":
                return
            if one == "\\?":
                messages.print(HELP, markup=False)
            elif one.strip():
                _answer(messages, ask, one)


def _is_whole(text: str) -> bool:
    """Whether Enter ends the question, and not only the line."""
    whole, rest = statements(text)
    return not rest.strip() and bool(whole or not text.strip())


def _history() -> Path:
    """For this user alone: a question may hold what it is about."""
    file = cache_folder() / "sql_history"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    return file


def _answer(messages: Console, ask: Callable[[str], Answer], statement: str) -> None:
    """On the screen, or page by page where it has more lines."""
    try:
        columns, shown = ask(translated(statement))
        console = printed.answers()
        table = printed.table(columns, shown[:MOST])
        is_long = len(console.render_lines(table, pad=False)) > console.height - 2
        with console.pager() if is_long else nullcontext():
            console.print(table)
        if len(shown) > MOST:
            messages.print(f"Only the first {MOST} rows are shown; --format csv writes all.")
    except KeyboardInterrupt:
        messages.print("Not answered.")
    except LakehouseError as error:
        printed.error(messages, str(error))


class Names(Completer):
    """Tables, and the columns of those that the question names; read from the contracts while somebody types."""

    def __init__(self) -> None:
        self.columns: Mapping[str, Mapping[str, str]] = {}
        self.reading = Thread(target=self._read, daemon=True)
        self.reading.start()

    def _read(self) -> None:
        """Each column with its meaning; without those whose contract is wrong, which a run says."""
        try:
            known = contract.load(conf.HOME / "conf")
        except LakehouseError:
            return
        views = [f"ops.{one.stem}" for one in sorted((conf.HOME / "conf" / "ops").glob("*.sql"))]
        of_tables = {name: {of: one.meaning for of, one in promise.columns.items()} for name, promise in known.items()}
        self.columns = of_tables | {name: {} for name in views}

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002  of the protocol
        word = document.get_word_before_cursor(pattern=WORD)
        for name, meaning in self.names(document.text, word).items():
            yield Completion(name, -len(word), display_meta=meaning[:60])

    def names(self, text: str, word: str) -> dict[str, Any]:
        """What may stand there, each with its meaning; `d.rev` is a column of the table that is called d."""
        word = word.lower()
        alias, point, begun = word.rpartition(".")
        of_named = {of: meaning for name in NAMED.findall(text) for of, meaning in self.columns.get(name, {}).items()}
        if point and alias not in SCHEMAS:
            return {f"{alias}.{of}": meaning for of, meaning in of_named.items() if of.startswith(begun)}
        known = of_named | dict.fromkeys(self.columns, "") | dict.fromkeys(KEYWORDS, "")
        return {name: meaning for name, meaning in known.items() if word and name.startswith(word)}

"""What the core says of its work to programs: events with facts, each with the run that it belongs to.

No row, and no value of one, is among them: counts, and names of tables, rules, columns, files and places. What is said
to people is printed by jobs/.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lakehouse.errors import LakehouseError, masked

if TYPE_CHECKING:
    from typing import TextIO

OURS = ("lakehouse", "jobs")
LEVELS = ("debug", "info", "warning", "error")
JSON, TEXT = "json", "text"
EVENTS = logging.getLogger("lakehouse.events")
EVENTS.addHandler(logging.NullHandler())  # or Python would print those that are errors where nobody asked for a log
_RUN = {"id": ""}  # of the one run that a process does at a time


def of_run(run: str) -> None:
    """All that is said from now on belongs to this run, by whatever thread."""
    _RUN["id"] = run


def event(name: str, level: int = logging.INFO, /, **facts: object) -> None:
    """Say that something was done or went wrong; `facts` are counts and names, and never of a row."""
    EVENTS.log(level, name, extra={"facts": facts})


def failed(name: str, error: BaseException, **facts: object) -> None:
    """Say what went wrong: an error on purpose without what it quotes of data, of any other one its class alone."""
    kind = type(error).__name__
    words = {"error": error.logged} if isinstance(error, LakehouseError) else {}
    event(name, logging.ERROR, **facts, kind=kind, **words)


class Lines(logging.Formatter):
    """One line for each record, as JSON or as a text; no secret of the environment is in it."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        facts = {name: value for name, value in getattr(record, "facts", {}).items() if value not in (None, "", {})}
        said = {"at": at, "level": record.levelname.lower(), "logger": record.name, "event": _words(record)}
        said |= ({"run": _RUN["id"]} if _RUN["id"] else {}) | facts
        if record.exc_info and record.exc_info[0]:
            said["kind"] = record.exc_info[0].__name__
        if self.form == JSON:
            return masked(json.dumps(said, default=str, ensure_ascii=False))
        head, tail = list(said.values())[:4], [f"{name}={value}" for name, value in list(said.items())[4:]]
        return masked(" ".join(map(str, (*head, *tail))).replace("\n", "\\n"))


def _words(record: logging.LogRecord) -> str:
    """Of others only which place of their code spoke: what they put into their words may be of a row."""
    if record.name.split(".")[0] in OURS:
        return record.getMessage()
    return f"{record.module}.{record.funcName}:{record.lineno}"


class _ToTerminal(logging.StreamHandler):  # type: ignore[type-arg]  # of whatever it is now
    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None:
        """It has no other."""


def start(form: str = "") -> None:
    """Write what is said to standard error: as `form` says, and of the level of LAKEHOUSE_LOG (info where it is unset).

    Without either nothing but warnings is written, as Python does by itself. Raises LakehouseError for other words.
    """
    level, root = os.environ.get("LAKEHOUSE_LOG", "").lower(), logging.getLogger()
    for one in [one for one in root.handlers if isinstance(one, _ToTerminal)]:
        root.removeHandler(one)
    if (form or TEXT) not in {JSON, TEXT}:
        raise LakehouseError(f"Logs are written as json or text, not as {form!r}. Set LAKEHOUSE_LOG_FORMAT to either.")
    if (level or "info") not in LEVELS:
        raise LakehouseError(f"LAKEHOUSE_LOG is {level!r}. Set it to {', '.join(LEVELS[:-1])} or {LEVELS[-1]}.")
    if form or level:
        handler = _ToTerminal()
        handler.setFormatter(Lines(form or TEXT))
        root.addHandler(handler)
    for name in OURS:
        logging.getLogger(name).setLevel((level or "info").upper() if form or level else logging.NOTSET)

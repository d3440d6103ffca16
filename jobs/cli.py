"""The `lakehouse` command, made of its rooms' commands: jobs/<room>/commands.py. What is done stands in lakehouse/.

Each command imports what it needs when it is called: to learn that nothing is new must not load an engine, nor a
question the contracts.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from jobs import printed
from jobs.demo import commands as demo
from jobs.docs import commands as docs
from jobs.monitoring import commands as monitoring
from jobs.options import messages
from jobs.proof import commands as proof
from jobs.recovery import commands as recovery
from jobs.report import commands as report
from jobs.runs import commands as runs
from jobs.serving import commands as serving
from jobs.setup import commands as setup
from lakehouse import logs

app = typer.Typer(
    help="An e-commerce lakehouse whose every number is exact, can be recomputed, explained and rewound.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
ROOMS = (
    ("Begin", demo),
    ("Bring tables up to date", runs),
    ("Ask", serving),
    ("Prove and explain", proof),
    ("Release, go back, maintain", recovery),
    ("Show", report),
    ("Show", docs),
    ("Watch", monitoring),
    ("Set up", setup),
)
for panel, room in ROOMS:
    for one in (*room.app.registered_commands, *room.app.registered_groups):
        one.rich_help_panel = panel
    app.add_typer(room.app)


class LogFormat(StrEnum):
    text = logs.TEXT
    json = logs.JSON


@app.callback()
def common(
    log_format: Annotated[
        LogFormat | None,
        typer.Option(
            envvar="LAKEHOUSE_LOG_FORMAT",
            help="Say what is done to programs, on standard error: json, a line each, instead of the words for people; "
            "text beside them. LAKEHOUSE_LOG=debug says more.",
        ),
    ] = None,
) -> None:
    printed.begin(messages, log_format)


def main() -> None:
    """The entry point: an error on purpose is printed without a traceback, and ends with 1."""
    with printed.errors(messages):
        app()


if __name__ == "__main__":
    main()

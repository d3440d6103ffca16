"""How `lakehouse serve trino` goes on: it starts a server, and follows releases until it is told to end."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.markup import escape

from jobs.places import retention
from lakehouse.errors import LakehouseError
from lakehouse.recovery import releases
from lakehouse.serving.trino import schemas, server
from lakehouse.store.cache import looked

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from rich.console import Console

    from lakehouse.serving.trino.schemas import Trino

EVERY = 5  # seconds


def trino(messages: Console, root: str, port: int, at: str | None) -> None:
    """A Trino of this process, or somebody's, shows the lake's releases."""
    if at and "@" in at:
        raise LakehouseError("Trino is asked without an account, and arguments are seen by all: --at http://host:8080.")
    with _until_told() as ended:
        if at:
            follow(messages, schemas.Trino(at, schemas.PUBLISHER), root, ended)
            return
        with server.running(root, port, messages.print) as (started, process):
            messages.print(f"Trino answers at {started.url}, user reader, catalog {schemas.READ}. Ctrl-C ends it.")
            follow(messages, started, root, ended, process)


@contextmanager
def _until_told() -> Iterator[threading.Event]:
    """Set by Ctrl-C and SIGTERM."""
    ended = threading.Event()
    before = {one: signal.signal(one, lambda *_: ended.set()) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ended
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def follow(
    messages: Console,
    shown: Trino,
    root: str,
    ended: threading.Event,
    process: subprocess.Popen[bytes] | None = None,
) -> None:
    """Look again every few seconds; what fails is said once, and tried again."""
    number, said = -1, ""
    while not ended.is_set():
        looked()
        try:
            newest = releases.newest(root)
            if newest is None and number < 0:
                messages.print("There is no release yet: `lakehouse run` or `lakehouse publish` makes one.")
                number = 0
            elif newest and newest.number != number:
                schemas.follow(shown, root, retention().releases)
                number, said = newest.number, ""
                messages.print(f"Release {number} is shown as gold and gold_r{number}.")
        except LakehouseError as error:
            if str(error) != said:
                messages.print(f"[red]{escape(str(error))}[/]")
            said = str(error)
        if process and process.poll() is not None:
            raise LakehouseError("Trino ended by itself. trino.log in the cache folder says why; start it again.")
        ended.wait(EVERY)

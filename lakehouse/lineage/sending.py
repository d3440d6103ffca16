"""Events of lineage on their way to whoever collects them: what cannot be sent is counted, and fails no run."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import yaml

from lakehouse import conf
from lakehouse.errors import LackingExtraError, LakehouseError, masked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Seconds that a run waits for events that are not sent yet when all else is done; and the most that wait.
PATIENCE, MOST_WAITING = 1.0, 1_000
CONFIGURED_BY = ("OPENLINEAGE_CONFIG", "OPENLINEAGE_URL", "OPENLINEAGE__")


def is_configured(home: Path = conf.HOME) -> bool:
    """Whether conf/lineage.yml or the environment says where to send; OPENLINEAGE_DISABLED=true says nowhere."""
    if os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return False
    return (home / "conf/lineage.yml").exists() or any(name.startswith(CONFIGURED_BY) for name in os.environ)


def check_library() -> None:
    """Raises LakehouseError where it is not installed."""
    if find_spec("openlineage") is None:
        raise LackingExtraError("Events of lineage need openlineage-python", "ops")


def client(home: Path = conf.HOME) -> Any:  # noqa: ANN401  an OpenLineageClient
    """As conf/lineage.yml says, in the words of openlineage.yml; with OPENLINEAGE_CONFIG as that file does.

    Raises LakehouseError for what is no such file, and whatever the library does not like.
    """
    check_library()
    from openlineage.client import OpenLineageClient  # noqa: PLC0415

    # Below that it logs addresses with the passwords in them; OPENLINEAGE_CLIENT_LOGGING is who wants it so.
    logging.getLogger("openlineage").setLevel(logging.WARNING)
    path = home / "conf/lineage.yml"
    if "OPENLINEAGE_CONFIG" in os.environ or not path.exists():
        return OpenLineageClient()
    try:
        said = conf.read(path)
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise LakehouseError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(said, dict) or not isinstance(said.get("transport"), dict):
        raise LakehouseError(f"{path} must say by `transport:` where events go, such as {{type: http, url: ...}}.")
    return OpenLineageClient(config=said)


class Sender:
    """A thread that sends one event after the other, in their order. `why`: the first reason why one was not sent."""

    def __init__(self, connect: Callable[[], Any] = client) -> None:
        self.connect = connect
        self.waiting: queue.Queue[Any] = queue.Queue(MOST_WAITING)
        self.given = self.sent = 0
        self.why = ""
        self.thread = threading.Thread(target=self._work, name="lineage", daemon=True)
        self.is_over = threading.Event()
        self.thread.start()

    def give(self, event: object) -> None:
        """Never waits: where too many do already, it is one that is not sent."""
        self.given += 1
        try:
            self.waiting.put_nowait(event)
        except queue.Full:
            self.why = self.why or f"{MOST_WAITING:,} others were waiting"

    def failed(self, error: Exception) -> None:
        """There is one more that cannot be sent."""
        self.given += 1
        self.why = self.why or _words(error)

    def end(self) -> str:
        """What could not be sent within PATIENCE, in words; empty where all was."""
        until = time.monotonic() + PATIENCE
        while self.thread.is_alive() and self.waiting.unfinished_tasks and time.monotonic() < until:
            time.sleep(0.005)
        self.is_over.set()
        if self.sent == self.given:
            return ""
        why = self.why or f"no answer within {PATIENCE:g} s"
        return f"{self.given - self.sent} of {self.given} events of lineage were not sent: {masked(why)}"

    def _work(self) -> None:
        try:
            to = self.connect()
        except Exception as error:  # noqa: BLE001  a library's, whatever it is: the run goes on, and says it
            self.why = _words(error)
            return
        while not self.is_over.is_set():
            try:
                event = self.waiting.get(timeout=0.05)
            except queue.Empty:
                continue
            try:
                to.emit(event)
                self.sent += 1
            except Exception as error:  # noqa: BLE001  as above
                self.why = self.why or _words(error)
            self.waiting.task_done()
        with suppress(Exception):
            to.close(0)


def _words(error: Exception) -> str:
    said = " ".join(str(error).split())
    return said if isinstance(error, LakehouseError) else f"{type(error).__name__}: {said}"

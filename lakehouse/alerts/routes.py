"""How a notice goes out: by Apprise, which knows mail, chats and webhooks; and the heartbeat of runs that succeed."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Literal

from lakehouse.errors import LackingExtraError, LakehouseError, masked
from lakehouse.sources.credentials import secret

if TYPE_CHECKING:
    from lakehouse.sources.credentials import Secret

SECONDS = 10  # that a route has to take a notice, and a heartbeat to be answered
SHORTEST = 6  # characters of a part of an address that may be a key
PARTS = re.compile(r"[/:@?&=,]+")
Tone = Literal["info", "success", "warning", "failure"]


def send(url: str, title: str, body: str, tone: Tone) -> str:
    """Why the route whose address stands under this name did not take it; empty where it did."""
    try:
        address = secret(url)
        import apprise  # noqa: PLC0415  a third of a second, which only a notice costs
    except LakehouseError as error:
        return str(error)
    except ImportError:
        return str(LackingExtraError("Notices are sent by Apprise", "ops"))
    for logger in ("urllib3", "requests"):
        logging.getLogger(logger).setLevel(logging.INFO)  # below it they print addresses, of which keys are a part
    its = logging.getLogger("apprise")
    its.setLevel(logging.WARNING)  # below it payloads, and what servers answer
    its.propagate = False  # what it says is in the answer here
    asset = apprise.AppriseAsset(
        app_id="lakehouse",
        app_desc="lakehouse",
        storage_mode=apprise.PersistentStoreMode.MEMORY,
        service_timeout=SECONDS,
        http_redirects=False,
        allow_templates=False,
        interpret_escapes=False,
    )
    route = apprise.Apprise(asset=asset)
    with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as said:  # type: ignore[no-untyped-call]
        is_known = route.add(address.revealed)
        is_taken = is_known and bool(
            route.notify(body=body, title=title, notify_type=tone, body_format=apprise.NotifyFormat.TEXT)
        )
        words = said.getvalue()
    if is_taken:
        return ""
    why = _without(address, words) or "it did not take it, and said no more"
    return why if is_known else f"{address.name} holds no address that Apprise knows ({why})"


def beat(name: str) -> str:
    """Ask the address that stands under this name; why that was not answered, empty where it was."""
    from urllib.error import URLError  # noqa: PLC0415
    from urllib.request import HTTPRedirectHandler, Request, build_opener  # noqa: PLC0415

    class Stays(HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            """Nowhere else: the address is a key."""

    try:
        address = secret(name)
    except LakehouseError as error:
        return str(error)
    if not address.revealed.startswith(("https://", "http://")):
        return f"{name} holds no address that begins with https:// or http://"
    try:
        asked = Request(address.revealed, headers={"User-Agent": "lakehouse"})  # noqa: S310  looked at above
        with build_opener(Stays).open(asked, timeout=SECONDS):
            return ""
    except (URLError, OSError, ValueError) as error:
        return _without(address, f"{getattr(error, 'reason', '') or error}")


def _without(address: Secret, words: str) -> str:
    """In one line, and without any part of the address, each of which may be a key."""
    line = " ".join(masked(words).split())
    for part in sorted({address.revealed, *PARTS.split(address.revealed)}, key=len, reverse=True):
        line = line.replace(part, "***") if len(part) >= SHORTEST else line
    return line

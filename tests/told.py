"""Who is told: a mail server, and one that speaks as much of Slack's and Telegram's API, and of a webhook, as is asked.

Apprise's own plugins send, to these instead of to the hosts that stand in their code.
"""

from __future__ import annotations

import email
import email.policy
import json
import logging
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from apprise.plugins.slack import NotifySlack
from apprise.plugins.telegram import NotifyTelegram

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CANARY = "c4nary"
ROUTES = ("mail", "slack", "telegram", "webhook")


@dataclass
class Told:
    """What came by each route, as one text a notice; a route that is `deaf` takes none."""

    notices: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in ROUTES})
    deaf: set[str] = field(default_factory=set)
    beats: list[str] = field(default_factory=list)
    addresses: Mapping[str, str] = field(default_factory=dict)

    def taken(self) -> dict[str, list[str]]:
        """What came since this was asked last."""
        came = {name: list(texts) for name, texts in self.notices.items()}
        for texts in self.notices.values():
            texts.clear()
        return came

    def take(self, route: str, text: str) -> bool:
        if route in self.deaf:
            return False
        self.notices[route].append(text)
        return True

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: ANN401, ARG002, N802  aiosmtpd's
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        body = message.get_body(("plain",))
        is_taken = self.take("mail", f"{message['subject']}\n{body.get_content() if body else ''}")
        return "250 OK" if is_taken else f"451 not now, {CANARY}"


@contextmanager
def told() -> Iterator[Told]:
    """The servers; `addresses` are the variables of routes named as ROUTES, and of a HEARTBEAT."""
    one = Told()
    with socket.create_server(("127.0.0.1", 0)) as free:  # aiosmtpd asks itself at the port that it was told
        port = free.getsockname()[1]
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # the server's own, of what it is sent
    mail = Controller(
        one, hostname="127.0.0.1", port=port, auth_require_tls=False, authenticator=lambda *_: AuthResult(success=True)
    )
    mail.start()
    http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Answers,), {"told": one}))
    threading.Thread(target=http.serve_forever, daemon=True).start()
    here = f"http://127.0.0.1:{http.server_port}"
    hosts = NotifySlack.webhook_url, NotifyTelegram.notify_url
    NotifySlack.webhook_url, NotifyTelegram.notify_url = f"{here}/services", f"{here}/bot"
    one.addresses = {
        "TO_MAIL": f"mailto://lake:{CANARY}-password@127.0.0.1:{port}?from=lake@example.org&to=team@example.org",
        "TO_SLACK": f"slack://T{CANARY}0/B{CANARY}1/{CANARY}0123456789",
        "TO_TELEGRAM": f"tgram://123456789:{CANARY}-abcdefghij/12315544/",
        "TO_WEBHOOK": f"json://{CANARY}:{CANARY}-password@127.0.0.1:{http.server_port}/hook/{CANARY}",
        "HEARTBEAT": f"{here}/beat/{CANARY}",
    }
    try:
        yield one
    finally:
        NotifySlack.webhook_url, NotifyTelegram.notify_url = hosts
        http.shutdown()
        http.server_close()
        mail.stop()


class _Answers(BaseHTTPRequestHandler):
    """As Slack's incoming webhooks, Telegram's Bot API and a webhook of Apprise's JSON answer."""

    told: Told

    def do_GET(self) -> None:
        self.told.beats.append(self.path)
        self._answer("beat", b"ok", is_taken="beat" not in self.told.deaf)

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.startswith("/services/"):
            first = said["attachments"][0] if "attachments" in said else said
            self._take("slack", f"{first.get('title', '')}\n{first['text']}", b"ok")
        elif self.path.endswith("/sendMessage"):
            self._take("telegram", said["text"], b'{"ok": true, "result": {"message_id": 1}}')
        else:
            self._take("webhook", f"{said['title']}\n{said['message']}", b"{}")

    def _take(self, route: str, text: str, answer: bytes) -> None:
        self._answer(route, answer, is_taken=self.told.take(route, text))

    def _answer(self, route: str, answer: bytes, *, is_taken: bool) -> None:
        body = answer if is_taken else f"{route} repeats {self.path} {self.headers.get('Authorization')}".encode()
        self.send_response(200 if is_taken else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""

"""A store that fails as real ones do: a proxy before MinIO, which lets each request through or spoils it.

    with faulty_s3.before(server.endpoint) as store:
        monkeypatch.setenv("AWS_ENDPOINT_URL", store.endpoint)
        store.fail("lost", method="PUT", path=faulty_s3.LOG, times=3)

Requests go on as they came, signature and all, so that every client can be put behind it. It is a process of its own:
delta-rs holds Python's lock while it waits for an answer.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from urllib.request import Request, urlopen

if TYPE_CHECKING:
    from collections.abc import Iterator

HOME = Path(__file__).parents[1]
LOG = r"/_delta_log/\d{20}\.json$"
# By name: the status and code of an answer for which the store was never asked.
REFUSALS = {
    "500": (500, "InternalError"),
    "503": (503, "SlowDown"),
    "429": (429, "TooManyRequests"),
    "409": (409, "ConditionalRequestConflict"),
}
# The store does what was asked, and its answer is: none, cut off by a reset or by an end, late.
FAULTS = (*REFUSALS, "lost", "reset", "short", "late")
CONTROL = "/.faults"
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass(frozen=True)
class Rule:
    """One of the faults for this share of the requests that fit, each path once if `times` limits them."""

    faults: tuple[str, ...] = ()
    method: str = ""
    path: str = ""
    rate: float = 1.0
    times: int | None = None
    delay: float = 10.0
    seed: int = 0


@dataclass(frozen=True)
class FaultyS3:
    """The proxy, from outside."""

    endpoint: str

    def fail(self, *faults: str, **how: Any) -> None:  # noqa: ANN401
        """From now on, by a Rule."""
        self._ask(asdict(Rule(faults, **how)))

    def heal(self) -> None:
        self.fail()

    def met(self) -> Counter[str]:
        """How often each fault was met so far; "" for requests that went through."""
        return Counter(self._ask(None))

    def _ask(self, what: dict[str, Any] | None) -> dict[str, int]:
        body = None if what is None else json.dumps(what).encode()
        with urlopen(Request(self.endpoint + CONTROL, body), timeout=10) as answer:  # noqa: S310  our own server
            found: dict[str, int] = json.load(answer)
            return found


@contextmanager
def before(upstream: str) -> Iterator[FaultyS3]:
    command = [sys.executable, "-m", "tests.faulty_s3", upstream.removeprefix("http://")]
    with subprocess.Popen(command, cwd=HOME, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield FaultyS3(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.kill()


class _Faults:
    """What is asked of the rule, by all connections."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.met = Counter[str]()
        self.rule_is(Rule())

    def rule_is(self, rule: Rule) -> None:
        self.rule, self.chance, self.paths = rule, Random(rule.seed), set[str]()  # noqa: S311

    def for_request(self, method: str, path: str) -> str:
        with self.lock:
            found = self.chance.choice(self.rule.faults) if self._fits(method, path) else ""
            found = "" if found == "409" and method != "PUT" else found  # a conflict is of writers
            self.met[found] += 1
            return found

    def _fits(self, method: str, path: str) -> bool:
        rule = self.rule
        if not rule.faults or rule.method not in {"", method} or not re.search(rule.path, path):
            return False
        if rule.times is not None:
            if path in self.paths or len(self.paths) >= rule.times:
                return False
            self.paths.add(path)
        return self.chance.random() < rule.rate


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client, and one of its own to the store."""

    protocol_version = "HTTP/1.1"
    timeout = 300
    wbufsize = -1  # headers and body in one piece
    disable_nagle_algorithm = True
    faults = _Faults()
    upstream: http.client.HTTPConnection

    def setup(self) -> None:
        super().setup()
        self.upstream = http.client.HTTPConnection(sys.argv[1], timeout=60)

    def handle_expect_100(self) -> bool:
        """The client waits for it before it sends the body."""
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path == CONTROL:
            self.control(body)
            return
        fault = self.faults.for_request(self.command, unquote(self.path.partition("?")[0]))
        if fault in REFUSALS:
            status, code = REFUSALS[fault]
            said = f"<Error><Code>{code}</Code><Message>by tests/faulty_s3.py</Message></Error>".encode()
            self.answer(status, [("Content-Length", str(len(said)))], said)
            return
        if fault == "late":
            time.sleep(self.faults.rule.delay)
        status, headers, said = self.ask(body)
        if fault == "lost":
            self.close_connection = True
        elif fault in {"reset", "short"}:
            self.answer(status, headers, said[: len(said) // 2])
            self.break_off(how=fault)
        else:
            self.answer(status, headers, said)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = pass_on  # noqa: N815  as http.server calls them

    def control(self, body: bytes) -> None:
        if body:
            self.faults.rule_is(Rule(**json.loads(body)))
        said = json.dumps(self.faults.met).encode()
        self.answer(200, [("Content-Length", str(len(said)))], said)

    def ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        self.upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in {"connection", "expect"}:
                self.upstream.putheader(name, value)
        self.upstream.endheaders(body or None)
        answer = self.upstream.getresponse()
        said = answer.read()
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(said))
        headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP]
        return answer.status, [*headers, ("Content-Length", length or "0")], said

    def answer(self, status: int, headers: list[tuple[str, str]], said: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else said)

    def break_off(self, how: str) -> None:
        self.wfile.flush()
        self.close_connection = True
        if how == "reset":  # closed without this, it would end in order
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())

    def finish(self) -> None:
        self.upstream.close()
        super().finish()

    def log_message(self, *_: object) -> None:
        """Not on the terminal."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that went away, as it may."""


if __name__ == "__main__":
    server = _Server(("127.0.0.1", 0), _Handler)
    print(server.server_port, flush=True)  # noqa: T201
    server.serve_forever()

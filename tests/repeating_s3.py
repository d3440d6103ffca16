"""A store that lists a folder and gives some of its files; all else it refuses, and repeats what it was sent.

So stores do: S3 says which token has expired, and of a wrong signature all that was signed. It is a process of its
own: delta-rs holds Python's lock while it waits for an answer.

    python -m tests.repeating_s3 FOLDER PATTERN      # s3://lakehouse/tables is FOLDER; prints where it answers
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

HOME = Path(__file__).parents[1]
PREFIX = "tables/"


class Repeating(BaseHTTPRequestHandler):
    folder: Path
    given: re.Pattern[str]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        if "list-type" in asked:
            self._say(200, self._listing(asked.get("prefix", [""])[0], asked.get("delimiter", [""])[0]).encode())
        elif self.given.search(self.path) and (file := self._file()).is_file():
            content = file.read_bytes()
            first, _, last = self.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")
            part = slice(int(first), int(last or len(content)) + 1) if first else slice(-int(last), None)
            self._say(206 if "range" in self.headers else 200, content[part], len(content), part.start % len(content))
        elif self.given.search(self.path):
            self._say(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            self._refuse()

    do_HEAD = do_GET  # noqa: N815  as the library calls it

    def _file(self) -> Path:
        return self.folder / unquote(urlsplit(self.path).path).partition(f"/{PREFIX}")[2]

    def _refuse(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        sent = escape(f"{self.requestline} {self.headers}")
        said = f"<Error><Code>ExpiredToken</Code><Message>{sent}</Message><Token-0>{sent}</Token-0></Error>"
        self._say(403, said.encode())

    do_PUT = do_POST = do_DELETE = _refuse  # noqa: N815  as above

    def _listing(self, prefix: str, delimiter: str) -> str:
        files = {f"{PREFIX}{path.relative_to(self.folder).as_posix()}": path for path in self.folder.rglob("*.*")}
        found = {key: path for key, path in sorted(files.items()) if key.startswith(prefix) and path.is_file()}
        below = {f"{prefix}{rest.partition('/')[0]}/" for key in found if "/" in (rest := key[len(prefix) :])}
        facts = "<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>"
        said = "".join(
            f"<Contents><Key>{escape(key)}</Key>{facts}<Size>{path.stat().st_size}</Size></Contents>"
            for key, path in found.items()
            if not (delimiter and "/" in key[len(prefix) :])
        )
        if delimiter:
            said += "".join(f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in sorted(below))
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{said}</ListBucketResult>"

    def _say(self, status: int, body: bytes, size: int = 0, begin: int = 0) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.send_header("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.send_header("etag", '"e"')
        if status == 206:
            self.send_header("content-range", f"bytes {begin}-{begin + len(body) - 1}/{size}")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def of(folder: Path, given: str) -> Iterator[str]:
    """Where it answers, as long as this block; of the folder's files it gives those that fit."""
    command = [sys.executable, "-m", "tests.repeating_s3", str(folder), given]
    with subprocess.Popen(command, cwd=HOME, env=os.environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield (process.stdout.readline() if process.stdout else "").strip()
        finally:
            process.terminate()


if __name__ == "__main__":
    Repeating.folder, Repeating.given = Path(sys.argv[1]), re.compile(sys.argv[2])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Repeating)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)  # noqa: T201
    server.serve_forever()

"""A PostgreSQL of this machine to try it on: on 127.0.0.1, and ended by who started it."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

INSTALLED = "/usr/lib/postgresql/*/bin"  # Debian's, which are not on PATH
OWNER = "lakehouse"
USERS = ("postgres", "nobody")  # it does not run as root
LONGEST = 120  # seconds, for its start or end


def programs() -> Path:
    """The folder of initdb and pg_ctl. Raises LakehouseError where there is none."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/").glob(INSTALLED[1:]))
    if not folders:
        raise LakehouseError(
            "PostgreSQL is not installed here: there is no initdb. Install it (Debian: apt install postgresql; macOS: "
            "brew install postgresql), or serve one that runs elsewhere: `lakehouse serve postgres --to URL`."
        )
    return folders[-1]


@contextmanager
def running(settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """Its URL, with a password made for it; with the block it ends, and its data go."""
    programs_of_it, user = programs(), _user()
    with tempfile.TemporaryDirectory(prefix="lakehouse-postgres-", ignore_cleanup_errors=True) as name:
        folder, password = Path(name), secrets.token_urlsafe(24)
        data, secret, log = folder / "data", folder / "password", folder / "log"
        secret.touch(0o600)
        secret.write_text(password, encoding="utf-8")
        for one in (folder, secret):
            os.chown(one, user.pw_uid, user.pw_gid)
        _run(user, log, programs_of_it / "initdb", *_cluster(data, secret))
        secret.unlink()
        port = _free_port()
        own = {"port": str(port), "listen_addresses": "127.0.0.1", "unix_socket_directories": ""} | dict(settings or {})
        options = " ".join(f"-c {key}={value}" for key, value in own.items())
        control = (programs_of_it / "pg_ctl", "-D", data, "-w", "-t", str(LONGEST))
        _run(user, log, *control, "-o", options, "start")
        try:
            yield f"postgresql://{OWNER}:{password}@127.0.0.1:{port}/postgres"
        finally:
            _run(user, log, *control, "-m", "immediate", "stop")


def _cluster(data: Path, secret: Path) -> list[str]:
    who = ["-U", OWNER, "-A", "scram-sha-256", f"--pwfile={secret}"]
    return ["-D", str(data), *who, "-E", "UTF8", "--locale=C", "-N"]


def _user() -> pwd.struct_passwd:
    if os.getuid():
        return pwd.getpwuid(os.getuid())
    known = {one.pw_name: one for one in pwd.getpwall()}
    return next(known[name] for name in USERS if name in known)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _run(user: pwd.struct_passwd, log: Path, *command: str | Path) -> None:
    """What it says goes into the log, and what the server says that it starts: a pipe would wait for that one's end."""
    uid, gid = (None, None) if user.pw_uid == os.getuid() else (user.pw_uid, user.pw_gid)
    others: list[int] | None = None if uid is None else []
    with log.open("ab") as words:
        done = subprocess.run(
            [str(one) for one in command],
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            cwd="/",
            user=uid,
            group=gid,
            extra_groups=others,
            check=False,
        )
    if done.returncode:
        said = log.read_text(encoding="utf-8", errors="replace").strip()[-800:]
        raise LakehouseError(f"PostgreSQL did not start or end: {' '.join(map(str, command))} says: {said}")

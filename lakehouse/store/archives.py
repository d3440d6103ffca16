"""Landing as files: a ZIP is a folder of its members, `exports.zip/Orders.csv`, each of them a file of its own.

A member has the archive's time, its own unpacked size, and the hash of its bytes. Nothing is unpacked to a name that an
archive says: a member that is looked at is a file without a name, in a folder that goes at once.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from lakehouse.errors import LakehouseError
from lakehouse.store import storage
from lakehouse.store.cache import plain_folder
from lakehouse.store.storage import MissingFileError, RefusedFileError, StoredFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

INSIDE = re.compile(r"(.*?\.zip)/(.+)", re.IGNORECASE | re.DOTALL)
MOST_MEMBERS = 1_000  # the directory is read again for each that is unpacked
MOST_TIMES, HARMLESS = 200, 64 << 20  # as large unpacked as packed, and bytes up to which that is no matter
BOMB = (
    "would be {times:,.0f} times as large unpacked, {mib:,} MiB: such archives are made to fill disks. If it is meant, "
    "deliver it unpacked."
)
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error)
BLOCK = 1 << 20
NAME = "member"


class UnfinishedError(LakehouseError):
    """The archive looks as if its writer is not done. The message is a sentence that follows its name."""


def split(path: str) -> tuple[str, str]:
    """The archive and the member's name in it; of another file its path, and nothing."""
    found = INSIDE.fullmatch(path)
    return (found[1], found[2]) if found else (path, "")


def is_archive(path: str) -> bool:
    """Also of one within another, which is not looked into."""
    return path.lower().endswith(".zip")


def list_files(root: str, without: str = "") -> Iterator[StoredFile]:
    """Every file below `root` but for those `without`; an archive that cannot be looked into stands for itself."""
    packed = []
    for file in storage.list_files(root, without):
        if is_archive(file.path) and not split(file.path)[1] and not file.problem:
            packed.append(file)
        elif split(file.path)[1]:
            yield replace(file, problem="lies in a folder that is named as an archive is. Rename the folder.")
        else:
            yield file
    for members in storage.each(lambda file: _members(root, file), packed):
        yield from members.values()


def _members(root: str, file: StoredFile) -> dict[str, StoredFile]:
    """What its directory says, by path; asked once of each version, however often a process looks."""
    if storage.is_s3(root):
        return _listed(root, file)
    try:
        return _listed(root, file, Path(root, file.path).stat().st_ctime_ns)
    except FileNotFoundError:  # taken away since it was listed
        return {}


@lru_cache(1024)
def _listed(root: str, file: StoredFile, _changed: int = 0) -> dict[str, StoredFile]:
    try:
        with _opened(root, file.path) as packed:
            found = [one for one in packed.infolist() if not _name(one).endswith("/")]
    except MissingFileError:
        return {}
    except (UnfinishedError, RefusedFileError):
        return {file.path: file}
    times = Counter(map(_name, found))
    members = {}
    for one in found:
        name, path = _name(one), f"{file.path}/{_name(one)}"
        problem = "stands twice in its archive. Pack it again." if times[name] > 1 else _problem(name, one)
        members[path] = StoredFile(path, one.file_size, file.modified_at, problem=problem)
    return members


def _name(member: zipfile.ZipInfo) -> str:
    """Old programs on Windows separate folders by a backslash."""
    return member.filename.replace("\\", "/")


def _problem(name: str, member: zipfile.ZipInfo) -> str:
    """Why it is not unpacked, as far as the directory tells; empty where it may be."""
    leads_out = name.startswith("/") or re.match("[A-Za-z]:", name) is not None or ".." in name.split("/")
    times = member.file_size / max(1, member.compress_size)
    problems = (
        (leads_out, "has a name that leads out of its archive. Pack it again, without such names."),
        (is_archive(name), "is an archive in an archive, which is not looked into. Deliver it by itself."),
        (stat.S_ISLNK(member.external_attr >> 16), "is a link in its archive. Pack the file that it leads to."),
        (member.flag_bits & 1, "is encrypted. Pack it again, without a password."),
        (
            member.compress_type not in METHODS,
            f"is packed by method {member.compress_type}, which is not read. Pack it again, as a usual ZIP.",
        ),
        (member.file_size > HARMLESS and times > MOST_TIMES, BOMB.format(times=times, mib=member.file_size >> 20)),
    )
    return next((words for is_so, words in problems if is_so), "")


@contextmanager
def _opened(root: str, path: str) -> Iterator[zipfile.ZipFile]:
    """Its directory stands at its end: without it nothing is known of it."""
    with _random_access(root, path) as file:
        begin = file.read(4)
        try:
            packed = zipfile.ZipFile(file)
        except DAMAGED as error:
            if begin in {b"", b"PK\x03\x04"}:
                raise UnfinishedError(
                    "is an archive (zip) without its directory, which ends it: its writer is not done, or was stopped."
                ) from error
            raise RefusedFileError("is no ZIP, whatever its name says. Rename it as what it is.") from error
        if len(packed.filelist) > MOST_MEMBERS:
            raise RefusedFileError(
                f"holds {len(packed.filelist):,} files; at most {MOST_MEMBERS:,} are looked at. Pack fewer into each."
            )
        yield packed


@contextmanager
def _random_access(root: str, path: str) -> Iterator[Any]:
    if storage.is_s3(root):
        with storage.random_access(root, path) as file:
            yield file
    else:
        with storage.open_file(root, path) as stream:
            yield stream


@contextmanager
def unpacked(root: str, path: str, content: str = "") -> Iterator[tuple[str, str]]:
    """Where the file can be read: at its own place, or, of a member, as a copy that goes with the block.

    `content`: what the member is to hold. Raises MissingFileError where it does not, or is gone.
    """
    archive, name = split(path)
    if not name and not is_archive(path):
        yield root, path
        return
    with TemporaryDirectory(prefix="unpacked-", dir=plain_folder()) as folder:
        with _opened(root, archive) as packed:
            _unpack(packed, name, Path(folder, NAME))
        if content and _hash(folder) != content:
            raise MissingFileError(f"{root}/{path} was replaced since it was listed.")
        yield folder, NAME


def _unpack(packed: zipfile.ZipFile, name: str, to: Path) -> None:
    found = next((one for one in packed.infolist() if _name(one) == name), None)
    if found is None:
        raise MissingFileError(f"There is no {name} in {packed.filename}.")
    try:
        with packed.open(found) as member, to.open("wb") as file:
            shutil.copyfileobj(member, file, BLOCK)
    except DAMAGED as error:
        raise RefusedFileError(f"is damaged in its archive ({error}). Deliver the archive again.") from error


def _hash(folder: str) -> str:
    with Path(folder, NAME).open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def content_hash(root: str, file: StoredFile) -> str:
    """As of other files, of the bytes of a member."""
    with unpacked(root, file.path) as (folder, _):
        return _hash(folder) if folder != root else storage.content_hash(root, file)


def is_still(root: str, file: StoredFile) -> bool:
    """Whether the file, or the archive that it is in, is what it was when it was listed."""
    archive, name = split(file.path)
    if not name:
        return storage.is_still(root, file)
    now = storage.look(root, archive)
    if now is None or _time(root, now) != _time(root, file):
        return False
    member = _members(root, now).get(file.path)
    return member is not None and member.size == file.size


def _time(root: str, file: StoredFile) -> datetime:
    """A store may list milliseconds, and say seconds where it is asked for one object."""
    return file.modified_at.replace(microsecond=0) if storage.is_s3(root) else file.modified_at

"""Every error on purpose: what happened, why, how to fix it, and which file to open; and what the machine refuses."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


RECOGNISED = 12  # characters of a secret: what is shorter may be any word
# What holds one by its name, unless it is where a file is.
SECRET = re.compile(r"(?!.*_(FILE|PATH|DIR)$).*(SECRET|TOKEN|PASSWORD|PASSWD)|(.*_)?(API)?KEY(_ID)?$")


class LakehouseError(Exception):
    """An error the user can act on; the command prints it without a traceback and exits 1.

    Where it quotes somebody else's words, a store's of a token that is no longer taken, no secret is among them.
    `quoted`: the parts of it that may be values of rows, which a log does not get.
    """

    def __init__(self, words: str = "", quoted: Iterable[str] = ()) -> None:
        super().__init__(masked(words))
        self.quoted = tuple(quoted)

    @property
    def logged(self) -> str:
        """What a log gets of it."""
        text = str(self)
        for one in sorted(filter(None, map(masked, self.quoted)), key=len, reverse=True):
            text = text.replace(one, "...")
        return text


def masked(text: str) -> str:
    """Without what the environment keeps secret: keys, tokens and passwords, those of URLs too."""
    for one in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(one, "***")
    return text


def _secrets() -> set[str]:
    found = {value for name, value in os.environ.items() if SECRET.match(name)}
    for value in (one for one in os.environ.values() if "://" in one and "@" in one):
        try:
            password = urlsplit(value).password or ""
        except ValueError:  # such as of a port that is no number
            continue
        found |= {password, unquote(password)}
    return {one for one in found if len(one) >= RECOGNISED}


class LackingExtraError(LakehouseError):
    """What only some need, and is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what}, which is not installed. Install it: `uv sync --inexact --extra {extra}`.")


MEMORY = "there is not enough memory. Give more (LAKEHOUSE_MEMORY=4g natively, LAKEHOUSE_DRIVER_MEMORY=6g for Spark)."
# By what Python, Java, Rust or a store says, in this order: an engine that is ended says more than one thing.
REFUSALS = (
    (
        r"No space left on device|Disk quota exceeded|os error (28|122)\b",
        "the disk is full. Make room, and start again: it goes on from what is there.",
    ),
    (
        r"Permission ?denied|PermissionError|Operation not permitted|AccessControlException|os error (1|13)\b",
        "this user may not do that there. Give the user the right to read and write, or name another folder.",
    ),
    (
        r"Read-only file system|os error 30\b",
        "the file system is read only. Name another folder, or mount it so that it can be written.",
    ),
    (
        r"Not a directory|NotADirectory|ParentNotDirectory|os error 20\b|File exists|os error 17\b",
        "a file stands where a folder is needed. Move the file away, or name another folder.",
    ),
    (r"Is a directory|os error 21\b", "a folder stands where a file is needed. Move it away, or name another place."),
    (r"Too many open files|os error 24\b", "too many files are open. Raise the limit (ulimit -n), and start again."),
    (
        r"Java heap space|OutOfMemory|GC overhead|UNABLE_TO_ACQUIRE|Resources exhausted|Failed to allocate|MemoryError",
        MEMORY,
    ),
    (r"os error 12\b", MEMORY),
    (
        (
            r"Answer from Java side is empty|Py4JNetworkError|Java gateway|SparkContext was shut down"
            r"|stopped SparkContext|An error occurred while calling \w+\.\w+\Z"  # with nothing of Java's behind it
        ),
        "Java ended while it computed, for want of memory if the machine ended it (`dmesg` says so). Start again.",
    ),
    (
        r"KAFKA_DATA_LOSS|OffsetOutOfRangeException",
        "messages of the topic were deleted while they were read. Start again: it says from where on there are some.",
    ),
    (
        r"kafka\.common\.errors\.(Sasl|Ssl)AuthenticationException",
        (
            "the topic's brokers and Spark's Java do not take each other, though this process could read them. Name "
            "their CA's file by the variable that ends in _SSL_CA_LOCATION; if a login changed meanwhile, start again."
        ),
    ),
    (
        r"Cannot fetch record for offset|Timed out waiting for a node assignment",
        "the topic's brokers did not answer Spark's workers. See that they run, and reach them, and start again.",
    ),
    (
        # Hadoop's connector, after all its retries; among Java's calls, before or behind, it is named.
        (
            r"awssdk.*Status Code: (408|409|429|5\d\d)\b|The store did not say whether"
            r"|(?s:(Socket\w*|ConnectionClosed)Exception.*hadoop\.fs\.s3a|hadoop\.fs\.s3a.*(Socket\w*|ConnectionClosed)Exc)"
        ),
        "S3 did not answer as it should. Start again once it does: it goes on from what is there.",
    ),
    (
        r"LocalFileSystem|Input/output error|os error 5\b",
        "the file system did not do it. Look for room on the disk, and whether this user may write there.",
    ),
)


def refusal(error: BaseException) -> str:
    """What the machine refused, in words, whoever met it: Python, Java, Rust or a store; empty for any other error."""
    said = (f"{type(one).__name__}: {one}" for one in _behind(error))
    found = (words for text in said for pattern, words in REFUSALS if re.search(pattern, text))
    return next(found, "")


def is_panic(error: BaseException) -> bool:
    """Whether a library of Rust broke down: each has a class of its own for it, which is no Exception."""
    return type(error).__name__ == "PanicException"


def is_failure(error: BaseException) -> bool:
    """Whether something broke, a library of Rust too; else it is an end that somebody asked for."""
    return isinstance(error, Exception) or is_panic(error)


def _behind(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it came from."""
    seen, one = set[int](), error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__  # type: ignore[assignment]

"""Answers over a release, kept in the cache folder: a release never changes, so neither do they.

Kept by the release's tables with their versions, the statement, and what computed it; not where the answer hangs on
more: the time, chance, a moment that the statement names, how markets write, or what runs recorded meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import suppress
from itertools import chain
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from lakehouse import engines
from lakehouse.serving.questions import sql
from lakehouse.store.cache import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakehouse.recovery.releases import Release

MOST, MOST_IN_ALL = 4 << 20, 256 << 20  # bytes of an answer, and of all
QUESTION = re.compile(r"[\s(]*(select|with|from|values)\b", re.IGNORECASE)
# Also as a text, since `cast('now' as timestamp)` is a time; a word too many costs an answer that is computed again.
HANGS_ON_MORE = re.compile(
    r"\b(now|today|tomorrow|yesterday|current_\w+|curdate|localtimestamp|unix_timestamp|rand|randn|random|uuid|shuffle"
    r"|tablesample|as\s+of|gold_local|ops)\b",
    re.IGNORECASE,
)
SPELLED = {"texts": sql.Answer.texts, "cells": sql.Answer.cells, "objects": sql.Answer.objects}


def ask(
    engine: str, root: str, statement: str, spelled: str, release: Release | None
) -> tuple[list[str], Iterator[Any]]:
    """Columns and rows of the answer, spelled as `texts`, `cells` or `objects` of sql.Answer.

    Of the newest versions where there is no release. An engine is only started for what is not kept.
    """
    sql.check_reading(statement)
    file = _file(engine, statement, spelled, release) if release and is_kept(statement) else None
    if file and (found := _read(file)):
        return found
    point = release.point if release else None
    answer = sql.query(engines.reader(engine), root, statement, point)
    rows = SPELLED[spelled](answer)
    return answer.columns, _keep(file, answer.columns, rows) if file else rows


def is_kept(statement: str) -> bool:
    """Whether the answer hangs on the release's tables alone."""
    return bool(QUESTION.match(statement)) and not HANGS_ON_MORE.search(statement)


def _file(engine: str, statement: str, spelled: str, release: Release) -> Path:
    """The tables' ids are theirs alone, whatever lake stands at that root."""
    of = [engine, engines.version(engine), spelled, statement.strip().rstrip("; \n")]
    text = json.dumps([*of, sorted(release.tables.items()), sorted(release.ids.items())])
    return cache_folder() / "answers" / hashlib.sha256(text.encode()).hexdigest()


def _read(file: Path) -> tuple[list[str], Iterator[Any]] | None:
    """One that was used goes last when room is made."""
    with suppress(OSError, ValueError):
        columns, *rows = map(json.loads, file.read_text(encoding="utf-8").splitlines())
        os.utime(file)
        return columns, iter(rows)
    return None


def _keep(file: Path, columns: list[str], rows: Iterator[Any]) -> Iterator[Any]:
    """The rows; they are kept first, unless they are too many."""
    taken, lines, size = list[Any](), [json.dumps(columns)], 0
    for row in rows:
        taken.append(row)
        lines.append(json.dumps(row))
        size += len(lines[-1])
        if size > MOST:
            return chain(taken, rows)
    with suppress(OSError):  # a full disk costs time alone
        _write(file, "\n".join(lines))
    return iter(taken)


def _write(file: Path, text: str) -> None:
    """At once or not at all, for this user alone; the oldest make room."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=file.parent, encoding="utf-8", delete=False) as part:
        part.write(text)
    Path(part.name).replace(file)
    there = sorted((one.stat().st_mtime, one.stat().st_size, one) for one in file.parent.iterdir())
    size = sum(bytes_of for _, bytes_of, _ in there)
    for _, bytes_of, one in there:
        if size <= MOST_IN_ALL:
            break
        one.unlink(missing_ok=True)
        size -= bytes_of

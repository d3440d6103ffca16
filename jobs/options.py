"""What commands take, and where they say what they do."""

from __future__ import annotations

from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs import printed
from jobs.places import places
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Iterator

messages = printed.Terminal(stderr=True)


LakeOption = Annotated[
    str | None,
    typer.Option(
        help="The lake's root: a folder or s3://bucket/prefix.", envvar="LAKEHOUSE_ROOT", show_default="conf/lake.yml"
    ),
]


LandingOption = Annotated[
    str | None,
    typer.Option(
        help="Where exports arrive: a folder or s3://bucket/prefix.",
        envvar="LAKEHOUSE_LANDING",
        show_default="conf/lake.yml",
    ),
]


EngineOption = Annotated[
    str | None,
    typer.Option(
        help="What computes: native, in this process, or spark.",
        envvar="LAKEHOUSE_ENGINE",
        show_default="conf/lake.yml",
    ),
]


ReleaseOption = Annotated[
    int | None,
    typer.Option("--release", metavar="N", min=1, help="Every table as of this release: see `lakehouse releases`."),
]


AsOfOption = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="As of the release that was the newest then: '2022-01-05 12:00:00' (UTC where no zone)."
    ),
]


class Shape(StrEnum):
    tree = "tree"
    json = "json"


def lake_of(named: str | None) -> str:
    """The root of the lake, which is there."""
    root = storage.normalise(places(named, None)[0])
    storage.check(root, role="lake", must_exist=True)
    return root


@contextmanager
def release_of(root: str, number: int | None, moment: str | None) -> Iterator[Any]:
    """The release that --release and --as-of name; None for the newest versions."""
    if number is None and moment is None:
        yield None
        return
    from lakehouse.recovery import releases  # noqa: PLC0415  most questions name none

    found = releases.asked(root, number, moment)
    with releases.reading(root, found):
        yield found


@contextmanager
def point_of(root: str, number: int | None, moment: str | None) -> Iterator[Any]:
    """The point of that release; None for the newest versions."""
    with release_of(root, number, moment) as found:
        yield found.point if found else None

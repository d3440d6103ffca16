"""conf/alerts.yml: to whom notices go, and from where on something is too much."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  pydantic reads it
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import yaml
from pydantic import Field, ValidationError

from lakehouse import conf
from lakehouse.contract import Name, sentence
from lakehouse.described.api import SecretName  # noqa: TC001  pydantic reads it
from lakehouse.described.terms import Span, Strict
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from pathlib import Path

Severity = Literal["warning", "critical"]
Kind = Literal[
    "lake_unreachable",
    "never_started",
    "run_failed",
    "source_not_fetched",
    "file_not_taken",
    "source_late",
    "volume",
    "reject_share",
    "score",
    "check",
    "lag",
    "not_released",
    "disk",
    "sql",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
Share = Annotated[float, Field(ge=0, le=1)]


class Route(Strict):
    """`url`: the environment variable, or `file:`, in which an address stands as Apprise writes it (mailtos://...).

    It gets what is of this `severity` or worse, and of these `kinds`; without them of all.
    """

    url: SecretName
    severity: Severity = "warning"
    kinds: tuple[Kind, ...] = ()


class Condition(Strict):
    """`sql` asks for what is wrong: any row is a problem, and the notice shows the first ones. `remedy`: what to do."""

    sql: Annotated[str, Field(min_length=1)]
    why: Annotated[str, Field(min_length=3)]
    remedy: str = "Ask it again, and see what the rows have in common."
    severity: Severity = "warning"


class Limits(Strict):
    """From where on something is a problem; what contracts promise (fresh_within_hours, volume_between) stands there.

    A run must end `run_within` the last one. `reject_share` of the rows that a rule judged in the last delivery, and
    `score` in points, are per table and market. `lag`: how old the oldest message is that waits. `disk_free`: the share
    that must be free where the lake, landing and cache are. `released_within`: how old a commit is that no release has.
    """

    run_within: Span = timedelta(hours=26)
    reject_share: Share = 0.05
    score: Annotated[float, Field(ge=0, le=100)] = 90
    lag: Span = timedelta(minutes=15)
    disk_free: Share = 0.1
    released_within: Span = timedelta(hours=1)


class Alerts(Strict):
    """`heartbeat`: the variable or `file:` with an address that each run which succeeds asks, so that silence is heard.

    `ignore`: patterns of problems that nobody wants to hear of, as `check:silver.orders/*`. `every`: how often a kept
    process looks where nothing moved.
    """

    routes: Mapping[Name, Route] = {}
    heartbeat: SecretName | None = None
    limits: Limits = Limits()
    conditions: Mapping[Name, Condition] = {}
    ignore: tuple[str, ...] = ()
    every: Span = timedelta(minutes=5)


def load(folder: Path) -> Alerts:
    """Raises LakehouseError with all that is wrong in the file; without one nobody is told."""
    path = folder / "alerts.yml"
    try:
        return Alerts.model_validate((conf.read(path) if path.exists() else None) or {})
    except ValidationError as error:
        wrong = [sentence(path, dict(item)) for item in error.errors()]
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        wrong = [f"{path}: is not YAML: {' '.join(str(error).split())}"]
    raise LakehouseError("No notice is sent, because this is not right:\n" + "\n".join(f"  {line}" for line in wrong))

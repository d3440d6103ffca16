"""The files of conf/ as YAML, and conf/lake.yml: what a command needs before it knows which tables there are.

A question to the lake needs no contracts, whose models alone take a tenth of a second to build.
"""

from __future__ import annotations

import re
from dataclasses import MISSING as NOTHING
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from collections.abc import Mapping

HOME = Path(__file__).parents[1]
KEPT = "retention"
UNKNOWN, MISSING = "is not a known key; take it out or correct its spelling", "is missing"


class _Loader(yaml.CSafeLoader):
    """YAML lets a key stand twice and keeps the last: a rule or column would be lost in silence.

    And as in YAML 1.2 only true and false are truths: the key `on` and the country NO are words. It reads by libyaml,
    which every wheel of PyYAML has: in Python the contracts take ten times as long, most of what an idle run computes.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012
        letter: [one for one in resolvers if one[0] != "tag:yaml.org,2002:bool" or letter in "tTfF"]
        for letter, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:  # noqa: FBT001
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise yaml.YAMLError(f"the key {twice[0]!r} stands twice,{node.start_mark}")
        return super().construct_mapping(node, deep)


def read(path: Path) -> object:
    """What a YAML file says. Raises yaml.YAMLError, also where a key stands twice."""
    return parse(path.read_text(encoding="utf-8"))


def parse(text: str) -> object:
    try:
        return yaml.load(text, _Loader)  # noqa: S506  a safe loader, stricter
    except ValueError as error:  # a date that is none, as 2022-02-30
        raise yaml.YAMLError(str(error)) from error


@dataclass(frozen=True)
class Releases:
    """`at_most_every`: how often what is kept running releases, where something moved."""

    at_most_every: str = "15m"


LONGEST = 400  # days: as long as the logs of tables are kept (committer.PROPERTIES)


@dataclass(frozen=True)
class Retention:
    """Days for which can be read: what a table was at any moment (`versions`), and what was released.

    And for how long `logs` say what else was done, at least.
    """

    versions: int = 7
    releases: int = 30
    logs: int = LONGEST


@dataclass(frozen=True)
class Settings:
    """conf/lake.yml: where lake and landing are, and what computes, when neither an option nor a variable says so.

    And for how long maintenance keeps what is no longer the newest.
    """

    root: str
    landing: str
    engine: str = "native"
    releases: Releases = field(default_factory=Releases)
    retention: Retention = field(default_factory=Retention)


def settings(folder: Path) -> Settings:
    """Raises LakehouseError with all that is wrong in the file; whether the engine is one, knows who starts it."""
    path = folder / "lake.yml"
    try:
        said = read(path)
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise LakehouseError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    found = said if isinstance(said, dict) else {}
    own = {key: value for key, value in found.items() if key not in {"releases", KEPT}}
    of_releases, kept = found.get("releases", {}), _retention(found.get(KEPT, {}))
    wrong = _wrong(own, Settings)
    if isinstance(of_releases, dict):
        wrong += [f"releases.{line}" for line in _wrong(of_releases, Releases)]
    else:
        wrong.append("releases: must be {at_most_every: 15m}")
    if kept is None:
        wrong.append(f"{KEPT}: must be days, such as {{versions: 7d, releases: 30d}}, each from 1d to {LONGEST}d")
    if wrong or kept is None:
        raise LakehouseError("The settings are not right:\n" + "\n".join(f"  {path}: {line}" for line in wrong))
    return Settings(**own, releases=Releases(**of_releases), retention=kept)


def _wrong(found: Mapping[object, object], kind: type) -> list[str]:
    """What is wrong with these keys of settings, whose values are texts."""
    keys = {one.name: one.default is NOTHING and one.default_factory is NOTHING for one in fields(kind)}
    wrong = [f"{key}: {MISSING}" for key, is_needed in keys.items() if is_needed and key not in found]
    wrong += [f"{key}: {UNKNOWN}" for key in found if key not in keys]
    return [*wrong, *(f"{key}: must be a text" for key in keys if not isinstance(found.get(key, ""), str))]


def _retention(said: object) -> Retention | None:
    """None for what is not days by the names that there are."""
    texts = said if isinstance(said, dict) else {"": ""}
    days = {name: _days(text) for name, text in texts.items()}
    known = {name: number for name, number in days.items() if number}
    return Retention(**known) if days == known and known.keys() <= {one.name for one in fields(Retention)} else None


def _days(text: object) -> int | None:
    """What 7d means; None for what is no number of days that can be kept."""
    said = re.fullmatch(r"(\d{1,3})d", str(text))
    return int(said[1]) if said and 1 <= int(said[1]) <= LONGEST else None

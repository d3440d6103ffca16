"""Where the lake and the landing are: an option or variable as it is given, else conf/lake.yml."""

from __future__ import annotations

from lakehouse import conf, engines
from lakehouse.conf import HOME
from lakehouse.store import storage

POSTGRES = "LAKEHOUSE_POSTGRES"  # the variable that holds the URL of the server that has gold


def places(lake: str | None, landing: str | None) -> tuple[str, str]:
    """Both roots; the folders that conf/lake.yml names are the project's."""
    settings = conf.settings(HOME / "conf")
    return lake or storage.at_home(settings.root), landing or storage.at_home(settings.landing)


def retention() -> conf.Retention:
    """For how long what is no longer the newest is kept."""
    return conf.settings(HOME / "conf").retention


def engine_name(asked: str | None) -> str:
    """What computes: as asked for or LAKEHOUSE_ENGINE says, else Spark under spark-submit, else as in conf/lake.yml."""
    return engines.chosen(asked, conf.settings(HOME / "conf").engine)

"""Drafts of three exports of elsewhere, in a copy of this project: they pass what all its code passes, and load."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from lakehouse import graph
from lakehouse.conf import HOME
from lakehouse.scaffold import files, source, table
from tests.lakehouse.scaffold import exports

if TYPE_CHECKING:
    from pathlib import Path

PARTS = ("bronze", "silver", "gold", "conf", "jobs", "lakehouse", "tests")
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Project:
    """A copy of this one with the drafts; `landing` holds the exports, `drafts` are paths of new files below it."""

    home: Path
    landing: Path
    drafts: tuple[str, ...]
    said: str

    def python(self, *arguments: str) -> str:
        """What the program printed; an error where it does not end well."""
        own = {name: text for name, text in os.environ.items() if not name.startswith(("LAKEHOUSE_", "PYTEST_"))}
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.home,
            env=own | {"PYTHONPATH": str(self.home)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def of(self, *beginnings: str) -> list[str]:
        return [path for path in self.drafts if path.startswith(beginnings) and path.endswith(".py")]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    home, landing = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("landing")
    for part in PARTS:
        shutil.copytree(HOME / part, home / part, ignore=shutil.ignore_patterns("__pycache__", "corpus", "lakes"))
    shutil.copy(HOME / "pyproject.toml", home)
    made: dict[str, str] = {}
    for name, export in (("web_orders", exports.shop), ("web_people", exports.people)):
        (landing / name / "2024-03-01").mkdir(parents=True)
        path = export(landing / name / "2024-03-01")
        drafted = source.draft(path, "", {one: known.contract for one, known in graph.load().items()}, f"bronze.{name}")
        files.write(home, drafted.files)
        made |= drafted.files
    (landing / "bestellungen").mkdir()
    one = Project(home, landing, (*made, *table_files(home)), "")
    said = one.python("-m", "jobs.cli", "new", "source", str(exports.german(landing / "bestellungen")))
    said += one.python("-m", "jobs.cli", "new", "table", "gold.bestellte_tage", "--from", "silver.bestellungen")
    written = [line.split()[1] for line in said.splitlines() if line.startswith("wrote ")]
    return Project(home, landing, (*one.drafts, *written), said)


def table_files(home: Path) -> list[str]:
    """A table of a table that was there before."""
    drafted = table.draft("gold.ordered_days", graph.load(), "silver.orders")
    return [path.relative_to(home).as_posix() for path in files.write(home, drafted.files)]


def test_drafts_are_formatted_and_linted_as_all_code_is(project: Project) -> None:
    assert len(project.drafts) == 3 * 6 + 2 * 4
    project.python("-m", "ruff", "check", *project.of("bronze", "silver", "gold", "tests"))
    project.python("-m", "ruff", "format", "--check", *project.of("bronze", "silver", "gold", "tests"))


def test_drafts_have_right_types(project: Project) -> None:
    cache = HOME / ".mypy_cache"
    if not cache.is_dir():
        pytest.skip("needs what mypy knows of all other code: run mypy, which takes a minute")
    project.python("-m", "mypy", "--cache-dir", str(cache), *project.of("bronze", "silver", "gold", "tests"))


def test_drafts_pass_their_own_tests_and_hold_the_architecture(project: Project) -> None:
    project.python("-m", "pytest", "-q", "-n0", "tests/test_layout.py", *project.of("tests"))


def test_what_a_draft_says_is_to_be_written_before_it_is_merged(project: Project) -> None:
    with pytest.raises(AssertionError, match=r"(?s)ordered_days.*2 failed"):
        project.python("-m", "pytest", "-q", "-n0", "tests/test_drafts.py")


def test_drafts_load_what_they_were_drawn_from_and_lose_no_row(project: Project, tmp_path: Path) -> None:
    tables = ("gold.bestellte_tage", "silver.web_orders", "silver.web_people")
    places = ("--lake", str(tmp_path / "lake"), "--landing", str(project.landing))
    said = project.python("-m", "jobs.cli", "run", *tables, *places)
    assert "draft silver.web_people: 9 texts to be written (TODO) in conf/silver/web_people.yml" in said
    assert "Rows in 64 = 63 kept + 0 unchanged + 1 rejected + 0 duplicate + 0 superseded" in said
    assert "rejected silver.bestellungen: bestelldatum_is_readable 1" in said
    statement = "select sum(row_count), sum(gesamt_sum) from gold.bestellte_tage"
    answer = project.python("-m", "jobs.cli", "sql", statement, "--format", "csv", *places[:2])
    assert answer.splitlines()[-1] == "24,62895.00"


def test_the_command_says_what_it_found_and_what_is_next(project: Project) -> None:
    for words in (
        "key: 13 values of bestellung_nr in 25 different rows",
        "bestelldatum: 1 of 25 rows is no date, and rejected: row 25 '31.02.2024'",
        "bestellung_nr: guessed: digits, but '00001' would lose its zeros as a number",
        "lakehouse run silver.bestellungen; lakehouse rejected silver.bestellungen",
        "say in conf/gold/bestellte_tage.yml what it answers",
    ):
        assert words in project.said

"""The workflows of .github: right as actionlint sees them, pinned, with few rights; each test is in one of them."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from _pytest.mark.expression import Expression

from tests import tools
from tests.bench import gate

HOME = Path(__file__).parents[1]
WORKFLOWS = sorted((HOME / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
OWN = "./.github/actions/setup"
BUSY = "import sys\nfor _ in range(int(sys.argv[1]) * 3_000_000): pass\n"


def read(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def jobs() -> dict[str, dict[str, Any]]:
    return {f"{path.stem}: {name}": job for path in WORKFLOWS for name, job in read(path)["jobs"].items()}


def test_actionlint_has_nothing_to_say() -> None:
    answer = subprocess.run(
        [tools.built("actionlint"), "-no-color", *WORKFLOWS], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_an_action_is_the_one_of_a_commit() -> None:
    used = [
        line.partition("uses: ")[2].strip()
        for path in (HOME / ".github").rglob("*.yml")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "uses: " in line
    ]
    assert [one for one in used if one != OWN and not PINNED.fullmatch(one)] == []


def test_a_job_may_write_only_what_it_is_for_and_ends() -> None:
    assert all(read(path)["permissions"] == {"contents": "read"} for path in WORKFLOWS)
    written = {
        name: {what for what, right in job["permissions"].items() if right == "write"}
        for name, job in jobs().items()
        if "permissions" in job
    }
    assert written == {
        "ci: publish-site": {"pages", "id-token"},
        "release: images": {"packages"},
        "release: notes": {"contents"},
    }
    assert all("timeout-minutes" in job for job in jobs().values())


def test_every_test_is_done_by_one_job() -> None:
    expressions = [
        one["marked"] for job in jobs().values() for one in job.get("strategy", {}).get("matrix", {}).get("include", [])
    ]
    quick = "not slow"
    assert f'-m "{quick}"' in str(jobs()["ci: quick"]["steps"])
    known = ("spark", "kafka", "long", "slow")
    for chosen in itertools.product((False, True), repeat=len(known)):
        marks = {name for name, is_there in zip(known, chosen, strict=True) if is_there}
        marks |= {"slow"} if marks else set()  # as tests/conftest.py does
        by = [one for one in (quick, *expressions) if does(one, marks)]
        assert len(by) == 1, marks


def does(expression: str, marks: set[str]) -> bool:
    return Expression.compile(expression).evaluate(lambda name, /, **_: name in marks)


def test_a_release_is_of_one_version() -> None:
    version = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    chart = read(HOME / "docker" / "helm" / "Chart.yaml")
    assert (chart["version"], chart["appVersion"]) == (version, version)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Three commits: v0.1.0, one that costs three times as much, and one that costs the same as that."""
    folder = tmp_path / "repository"
    folder.mkdir()
    for number, work in enumerate((1, 3, 3)):
        (folder / "work.py").write_text(f"{BUSY}# {number}\n".replace("int(sys.argv[1])", str(work)), encoding="utf-8")
        git(folder, *(["init", "--quiet"] if not number else ["status"]))
        git(folder, "add", "work.py")
        git(folder, "commit", "--quiet", "--message", f"Commit {number}")
        git(folder, *(["tag", "v0.1.0"] if not number else ["status"]))
    return folder


def git(folder: Path, *command: str) -> None:
    who = {f"GIT_{role}_{what}": "tests@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(["git", *command], cwd=folder, env=os.environ | who | alone, capture_output=True, check=True)  # noqa: S607


@pytest.mark.slow
def test_the_gate_is_red_where_a_commit_costs_more_and_green_where_not(repository: Path) -> None:
    steps = {"work": lambda _: [sys.executable, "work.py"]}
    before, after = gate.compare(repository, ("HEAD~2", "HEAD~1"), steps, rounds=2)
    assert gate.judged(before, after, limit=1.15) == ["work"]
    assert "| TOO SLOW |" in gate.table(before, after, ["work"])
    before, after = gate.compare(repository, ("HEAD~1", "HEAD"), steps, rounds=1)
    assert gate.judged(before, after, limit=1.5) == []


def test_a_changelog_has_what_came_since_the_release_before(repository: Path) -> None:
    git(repository, "tag", "v0.2.0")
    answer = subprocess.run([HOME / ".ci" / "changelog", "v0.2.0"], cwd=repository, capture_output=True, check=True)
    assert answer.stdout.decode() == "- Commit 2\n- Commit 1\n"
    answer = subprocess.run([HOME / ".ci" / "changelog", "v0.1.0"], cwd=repository, capture_output=True, check=True)
    assert answer.stdout.decode() == "- Commit 0\n"

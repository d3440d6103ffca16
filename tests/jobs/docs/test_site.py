"""README and docs/: short, whole, and true of what is there. The strict build itself (.ci/run) looks at links alone."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from rich.text import Text

from jobs import cli
from jobs.docs import recorded, site
from lakehouse import graph

HOME = Path(__file__).resolve().parents[3]
README, DOCS = HOME / "README.md", HOME / "docs"
CODE = re.compile(r"```.*?```|(?:^ {4}[^\n]*\n)+", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
COMMAND = re.compile(r"(?<!from )(?<!install )\blakehouse ([a-z]+\b[^`\n#|;)]*)")


def written() -> list[Path]:
    """What people wrote, without the part of the reference that is made."""
    return [README, *(page for page in DOCS.rglob("*.md") if site.FOLDER not in page.parents)]


@cache
def made() -> dict[str, str]:
    return site.pages()


def in_the_navigation(part: object) -> list[str]:
    if isinstance(part, str):
        return [part]
    parts = part.values() if isinstance(part, dict) else part if isinstance(part, list) else []
    return [page for one in parts for page in in_the_navigation(one)]


def test_the_readme_is_read_in_two_minutes() -> None:
    lines = README.read_text().splitlines()
    assert len(lines) <= 150
    assert [line for line in lines if len(line) > 120] == []


def test_what_pages_link_to_and_show_is_there() -> None:
    targets = [(page, page.parent / link) for page in written() for link in LINK.findall(page.read_text())]
    gone = [(page.name, to.name) for page, to in targets if "://" not in str(to) and ":/" not in str(to)
            and site.FOLDER not in to.resolve().parents and not to.exists()]  # fmt: skip
    assert gone == []


@pytest.mark.slow
def test_every_page_is_in_the_navigation_once() -> None:
    there = [page for page in written() if page != README] + [site.FOLDER / name for name in made()]
    named = in_the_navigation(yaml.safe_load((HOME / "mkdocs.yml").read_text())["nav"])
    assert sorted(named) == sorted(page.relative_to(DOCS).as_posix() for page in there)


@pytest.mark.slow
def test_the_reference_has_every_table_column_rule_and_command() -> None:
    for name, table in graph.load().items():
        page = made()[f"{name.partition('.')[0]}.md"]
        said = page.partition(f"{{ #{name} }}")[2].partition("\n## ")[0].replace("&#95;", "_")
        promised = [*table.contract.columns, *table.contract.rules, *table.contract.checks]
        assert [one for one in promised if f"<code>{one}</code>" not in said] == [], name
    commands = typer.main.get_command(cli.app)
    assert all(f"## `lakehouse {name}" in made()["commands.md"] for name in commands.commands)  # type: ignore[attr-defined]


def test_nothing_of_a_contract_becomes_markup() -> None:
    assert site.in_markdown("a | <b> *c* [d] `e|<f>_g`") == (
        r"a \| &lt;b&gt; \*c\* \[d\] <code>e&#124;&lt;f&gt;&#95;g</code>"
    )


def test_a_built_page_whose_link_or_picture_leads_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "index.html").write_text(
        '<h2 id="there"><a href="#there"><a href="https://else.where"><a href="../">'
    )
    (tmp_path / "index.html").write_text('<a href="a/#there"><a href="a/#gone"><img src="none.svg"><a href="b/">')
    assert site.broken(tmp_path) == ["index.html: a/#gone", "index.html: none.svg", "index.html: b/"]


def test_commands_and_their_options_are_those_that_there_are() -> None:
    lakehouse: Any = typer.main.get_command(cli.app)
    unknown = []
    for page in written():
        text = page.read_text()
        code = [*CODE.findall(text), *(" ".join(one.split()) for one in re.findall(r"`([^`]+)`", CODE.sub("", text)))]
        for words in COMMAND.findall("\n".join(code)):
            one = lakehouse
            for name in words.split():
                one = one.commands.get(name) if hasattr(one, "commands") else one
            options = {option for param in getattr(one, "params", []) for option in param.opts}
            if one is None or set(re.findall(r"--[a-z-]+", words)) - options:
                unknown.append((page.name, words))
    assert unknown == []


def test_numbers_of_tables_are_those_that_there_are() -> None:
    of_gold = str(sum(name.startswith("gold.") for name in graph.load()))
    text = " ".join(page.read_text() for page in written() if page.name != "measurements.md")
    found = set(re.findall(r"(\d+)\s(gold )?tables", text))
    assert found == {(of_gold, ""), (of_gold, "gold ")}


def test_no_sentence_stands_twice() -> None:
    paragraphs = [one for page in written() for one in CODE.sub("\n\n", page.read_text()).split("\n\n")]
    plain = [" ".join(re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", one).split()) for one in paragraphs if "![" not in one]
    sentences = Counter(one for text in plain for one in re.split(r"(?<=[.:?]) ", text) if len(one) > 40)
    assert [one for one, times in sentences.items() if times > 1] == []


def test_pictures_ask_no_other_server() -> None:
    addresses = [re.findall(r'(?:href|src|url)\W+"?(https?://[^"]+)', one.read_text()) for one in DOCS.rglob("*.svg")]
    assert addresses
    assert not any(addresses)


def test_the_recorded_demo_shows_the_first_tables_of_each_run_and_what_became_of_rows() -> None:
    tables = [f"gold.t{number}     7 rows     0.1 s  it is not there yet" for number in range(8)]
    gold = ["── 4. Gold ──", "", "Revenue by day", "1.00", "", "Which customers to call", "2"]
    lines = ["── 1. Exports ──", "lake here, landing there", *tables, "Rows in 7 = 7 kept", "  warning x", *gold]
    shown = [line.plain for line in recorded.excerpt([Text(line) for line in lines])]
    assert shown == [lines[0], *tables[:5], "... 3 more tables", "Rows in 7 = 7 kept", gold[0], *gold[2:4]]

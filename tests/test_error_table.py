"""Every error that the code can raise has a row in tests/errors.yml: the test that raises it by its cause and reads it.

The rows of a module are `words of the message: test`, and the test follows the remedy to its end, where it names one.
Words are all that stands between the values of a message, or a part of it; one row may be of several that say the same.
Where another test follows the remedy, a row is `{raised: test, followed: test}`; where none can, `{raised: test,
nothing: why}`; what no user can meet is `{never: why}`. A message that is composed elsewhere has no words of its own:
its row is `function(): {words: [functions or constants of that module or, with their path, of others]}`, and each
sentence of these has its own row.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

HOME = Path(__file__).parents[1]
TABLE: dict[str, dict[str, str | dict[str, str | list[str]]]] = yaml.safe_load(
    (HOME / "tests" / "errors.yml").read_text(encoding="utf-8")
)
FEWEST = 3  # words that tell one message from another
ROLES = {"raised", "followed", "nothing", "never", "words"}
Definition: TypeAlias = "ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign"


@cache
def parsed(path: str) -> ast.Module:
    return ast.parse((HOME / path).read_text(encoding="utf-8"))


def code() -> list[str]:
    """The modules that people run; not the tables, whose wrong rows are no errors."""
    paths = [path for folder in ("lakehouse", "jobs") for path in sorted((HOME / folder).rglob("*.py"))]
    return [str(path.relative_to(HOME)) for path in paths]


def plain(text: str) -> str:
    """Without what a pattern adds to it, and with one blank for several."""
    return " ".join(text.replace("\\", "").split())


def text_of(node: ast.AST | None) -> str:
    """What is written of a text that is computed: `{}` stands for each value."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(text_of(part) for part in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return text_of(left) + text_of(right)
    return "{}"


def is_sentence(text: str) -> bool:
    return len([word for word in text.split() if re.search(r"[a-zA-Z]", word.replace("{}", ""))]) >= FEWEST


def texts_in(node: ast.AST) -> Iterator[str]:
    """Every text below it, each whole; without docstrings."""
    match node:
        case ast.Constant(value=str()) | ast.JoinedStr():
            yield text_of(node)
            return
        case ast.Expr(value=ast.Constant()):
            return
        case ast.BinOp(op=ast.Add()) if is_sentence(text_of(node)):
            yield text_of(node)
            return
    for child in ast.iter_child_nodes(node):
        yield from texts_in(child)


def raised(path: str) -> Iterator[tuple[str, str]]:
    """(function, message) of each error that the module makes, wherever it is raised."""
    for function in (node for node in ast.walk(parsed(path)) if isinstance(node, ast.FunctionDef)):
        known = {
            target.id: text_of(node.value)
            for node in ast.walk(function)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in own(function):
            match node:
                case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=args) if is_error(name):
                    first = args[0] if args else None
                    yield function.name, known.get(first.id, "") if isinstance(first, ast.Name) else text_of(first)
                case ast.Raise(exc=ast.Name(id=name)) if is_error(name):
                    yield function.name, ""


def is_error(name: str) -> bool:
    return name.endswith("Error") or name == "BadParameter"


def own(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """What stands in it, not in a function in it."""
    waiting = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef):
            waiting += ast.iter_child_nodes(node)


def definition(path: str, name: str) -> Definition | None:
    """The function or constant of that name."""
    for node in ast.walk(parsed(path)):
        match node:
            case ast.FunctionDef(name=found) | ast.ClassDef(name=found) if found == name:
                return node
            case ast.Assign(targets=[ast.Name(id=found)]) | ast.AnnAssign(target=ast.Name(id=found)) if found == name:
                return node
    return None


def composed(path: str) -> Iterator[tuple[str, str]]:
    """(module, sentence) of what its rows say that messages are made from."""
    for row in TABLE.get(path, {}).values():
        for source in row.get("words", ()) if isinstance(row, dict) else ():
            module, _, name = source.rpartition("::")
            found = definition(module or path, name)
            assert found is not None, f"{path}: there is no {source}"
            yield from ((module or path, text) for text in texts_in(found) if is_sentence(text))


def messages() -> dict[str, dict[str, str]]:
    """By module: what identifies each message, and what it says."""
    found: dict[str, dict[str, str]] = {path: {} for path in code()}
    for path in code():
        for function, text in raised(path):
            found[path][text if is_sentence(text) else f"{function}()"] = plain(text)
        for module, text in composed(path):
            found[module][text] = plain(text)
    return found


def is_of(row: str, key: str, text: str) -> bool:
    return row == key if row.endswith("()") else plain(row) in text


def roles(row: str | dict[str, str | list[str]]) -> dict[str, str | list[str]]:
    return {"raised": row, "followed": row} if isinstance(row, str) else row


def rows() -> Iterator[tuple[str, str, dict[str, str | list[str]]]]:
    for path, of_module in TABLE.items():
        for words, row in of_module.items():
            yield path, words, roles(row)


@cache
def tests() -> dict[str, list[str]]:
    """Where each test stands, by its name."""
    found: dict[str, list[str]] = {}
    for path in sorted((HOME / "tests").rglob("test_*.py")):
        for node in ast.walk(parsed(str(path.relative_to(HOME)))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found.setdefault(node.name, []).append(str(path.relative_to(HOME)))
    return found


def test_of(name: str) -> tuple[str, str]:
    """Its file and its name; a name that two files have is written with the end of its file's path."""
    file, _, test = name.rpartition("::")
    places = [path for path in tests().get(test, []) if path.endswith(file)]
    assert len(places) == 1, f"tests/errors.yml: {name} is {'no test' if not places else f'in {places}'}"
    return places[0], test


@cache
def read_by(path: str, test: str) -> str:
    """All texts of a test: its own, its parameters', and those of what it uses of its file."""
    found, waiting, texts = set[str](), [test], list[str]()
    while waiting:
        name = waiting.pop()
        node = definition(path, name)
        if node is not None and name not in found:
            found.add(name)
            texts += texts_in(node)
            waiting += [one.id for one in ast.walk(node) if isinstance(one, ast.Name)]
            waiting += [one.arg for one in ast.walk(node) if isinstance(one, ast.arg)]
    return "\n".join(map(plain, texts))


def test_every_error_has_a_row() -> None:
    without = [
        f"{path}:\n  {text or key}: "
        for path, found in messages().items()
        for key, text in found.items()
        if not any(is_of(row, key, text) for row in TABLE.get(path, {}))
    ]
    assert not without, "add to tests/errors.yml, each with the test that raises it:\n" + "\n".join(without)


def test_every_row_is_of_an_error() -> None:
    known = messages()
    stale = [
        f"{path}: {row}"
        for path, row, _ in rows()
        if not any(is_of(row, key, text) for key, text in known.get(path, {}).items())
    ]
    assert not stale, "no such error is raised any more: take these rows out of tests/errors.yml, or correct them"


def test_a_row_says_what_raises_its_error_and_what_follows() -> None:
    for path, row, said in rows():
        ways = ({"raised", "followed"}, {"raised", "nothing"}, {"never"}, {"words"})
        assert said.keys() in ways, f"{path}: {row}"
        assert row.endswith("()") or is_sentence(row) or "never" in said, f"{path}: {row} is too short to tell it"


@pytest.mark.parametrize("path", TABLE)
def test_the_tests_of_a_row_read_its_words(path: str) -> None:
    unread = []
    for row, said in ((row, said) for module, row, said in rows() if module == path):
        for role in ("raised", "followed"):
            if role in said:
                place, test = test_of(str(said[role]))
                unread += [(row, test)] if role == "raised" and plain(row) not in read_by(place, test) else []
    assert not unread, f"these tests hold no text with the words of the error of {path} that they are to read"

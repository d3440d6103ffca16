"""Every error that the code can raise has a row in tests/errors.yml: the test that raises it by its cause and reads it.

By module and test: the words of the messages that the test raises and reads, `{}` for values, and whose remedies it
follows to their end. `test_a, then test_b` is two: the first reads, the second follows. Under `nothing to follow` a row
is `words: [test, why]`, under `never met` it is `words: why`. A message that has no words of its own is named by its
function, `f()`. Under `made of` stand, by function, the functions (with those that they call) and constants that its
words come from: each sentence of these has its own row, and the message needs none.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from lakehouse import conf

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow
HOME = Path(__file__).parents[1]
NOTHING, NEVER, MADE_OF = "nothing to follow", "never met", "made of"
Sections: TypeAlias = "dict[str, Any]"  # by test the words, by one of these names what it says
TABLE: dict[str, Sections] = conf.read(HOME / "tests" / "errors.yml")  # type: ignore[assignment]
FEWEST = 3  # words that tell one message from another
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
                case ast.Call(func=ast.Attribute(attr="__init__"), args=[first]) if is_sentence(text_of(first)):
                    yield function.name, text_of(first)
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


@cache
def definitions(path: str) -> dict[str, Definition]:
    """The functions and constants of the module by name."""
    found: dict[str, Definition] = {}
    for node in ast.walk(parsed(path)):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.setdefault(name, node)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                found.setdefault(name, node)
            case ast.Assign(targets=[ast.Tuple(elts=names)]):
                found |= {one.id: node for one in names if isinstance(one, ast.Name)}
    return found


def composed(path: str) -> Iterator[tuple[str, str]]:
    """(module, sentence) of what its rows say that messages are made of; a pattern is not said."""
    for source in (one for sources in TABLE.get(path, {}).get(MADE_OF, {}).values() for one in sources):
        module, _, name = source.rpartition("::")
        assert name in definitions(module or path), f"{path}: there is no {source}"
        for found in with_what_it_calls(module or path, name):
            sentences = (text for text in texts_in(found) if is_sentence(text) and not set("|\\") & set(text))
            yield from ((module or path, text) for text in sentences)


def with_what_it_calls(module: str, name: str) -> Iterator[Definition]:
    """The definition, and the functions of its module that it calls."""
    known, seen, waiting = definitions(module), {name}, [name]
    while waiting:
        node = known[waiting.pop()]
        yield node
        calls = [one.func for one in ast.walk(node) if isinstance(one, ast.Call)]
        called = {one.attr if isinstance(one, ast.Attribute) else ast.unparse(one) for one in calls}
        new = {one for one in (called & known.keys()) - seen if isinstance(known[one], ast.FunctionDef)}
        seen |= new
        waiting += new


@cache
def messages() -> dict[str, dict[str, str]]:
    """By module: what identifies each message, and what it says."""
    found: dict[str, dict[str, str]] = {path: {} for path in code()}
    for path in code():
        for function, text in raised(path):
            if is_sentence(text):
                found[path][text] = plain(text)
            elif f"{function}()" not in TABLE.get(path, {}).get(MADE_OF, {}):
                found[path][f"{function}()"] = ""
        for module, text in composed(path):
            found[module][text] = plain(text)
    return found


def is_of(row: str, key: str, text: str) -> bool:
    return row == key if row.endswith("()") else plain(row) in text


@dataclass(frozen=True)
class Row:
    """What is said, and by which tests it is raised and followed; "" where none can."""

    module: str
    words: str
    raised: str = ""
    followed: str = ""

    def is_read(self) -> bool:
        words = re.escape(plain(self.words).strip("{} ")).replace(re.escape("{}"), ".*")
        return self.words.endswith("()") or re.search(words, read_by(*place_of(self.raised))) is not None


def rows() -> Iterator[Row]:
    for module, sections in TABLE.items():
        for section, said in sections.items():
            if section == NEVER:
                yield from (Row(module, words) for words in said)
            elif section == NOTHING:
                yield from (Row(module, words, test) for words, (test, _) in said.items())
            elif section != MADE_OF:
                first, _, then = section.partition(", then ")
                yield from (Row(module, words, first, then or first) for words in said)


@cache
def known_tests() -> dict[str, list[str]]:
    """Where each test stands, by its name."""
    found: dict[str, list[str]] = {}
    for path in sorted((HOME / "tests").rglob("test_*.py")):
        for node in ast.walk(parsed(str(path.relative_to(HOME)))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found.setdefault(node.name, []).append(str(path.relative_to(HOME)))
    return found


def place_of(name: str) -> tuple[str, str]:
    """Its file and its name; a name that two files have is written with the end of its file's path."""
    file, _, test = name.rpartition("::")
    places = [path for path in known_tests().get(test, []) if path.endswith(file)]
    assert len(places) == 1, f"tests/errors.yml: {name} is {'no test' if not places else f'in {places}'}"
    return places[0], test


@cache
def read_by(path: str, test: str) -> str:
    """All texts of a test: its own, its parameters', and those of what it uses of its file."""
    found, waiting, texts = set[str](), [test], list[str]()
    while waiting:
        name = waiting.pop()
        node = definitions(path).get(name)
        if node is not None and name not in found:
            found.add(name)
            texts += texts_in(node)
            waiting += [one.id for one in ast.walk(node) if isinstance(one, ast.Name)]
            waiting += [one.arg for one in ast.walk(node) if isinstance(one, ast.arg)]
    return "\n".join(map(plain, texts))


def test_every_error_has_a_row() -> None:
    known = {module: [row.words for row in rows() if row.module == module] for module in code()}
    without = [
        f"{path}:\n  test_...:\n    - {text or key}"
        for path, found in messages().items()
        for key, text in found.items()
        if not any(is_of(words, key, text) for words in known[path])
    ]
    assert not without, "to tests/errors.yml, under the test that raises and follows each:\n" + "\n".join(without)


def test_every_row_is_of_one_error() -> None:
    wrong = []
    for row in rows():
        said = messages().get(row.module, {})
        of = [key for key, text in said.items() if is_of(row.words, key, text)]
        wrong += [(row.module, row.words, of)] if len(of) != 1 and plain(row.words) not in said.values() else []
    assert not wrong, "no such error is raised any more, or these words do not tell one from another"


def test_the_tests_of_the_rows_are_there_and_read_their_words() -> None:
    for row in rows():
        for test in (row.raised, row.followed):
            assert not test or place_of(test), row
    unread = [row for row in rows() if row.raised and not row.is_read()]
    assert not unread, "these tests hold no text with the words of the error that they are to read"


def test_a_test_goes_on_where_it_is_said_to_follow() -> None:
    """What it does with the remedy stands behind the block in which the error is raised."""
    ends = {row.followed for row in rows() if row.followed and not goes_on(*place_of(row.followed))}
    assert not ends, "these tests end where the error is raised"


def goes_on(path: str, test: str) -> bool:
    node = definitions(path)[test]
    assert isinstance(node, ast.FunctionDef)
    last = node.body[-1]
    return not (isinstance(last, ast.With) and "raises" in ast.unparse(last.items[0]))

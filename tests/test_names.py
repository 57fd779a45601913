"""What stands in backticks is there: names in docstrings and in the documentation resolve.

Looked at is what a reader takes for a name: `word`, `dotted.word`, `call(..., keyword=...)`, `key = value`,
`[table] key`, `"word"`, `--option`, `file.md`, `penstock run`. Expressions are not judged, nor is a capital letter
alone, which stands for any name. A docstring may name what its module uses and what any of our sources defines; a page
also what its own examples define. Everything is derived from the tree, so a name that goes takes with it all that
speaks of it.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache, reduce
from keyword import iskeyword
from pathlib import Path
from typing import Any

import pytest

from penstock import METRICS

HOUSE = Path(__file__).parents[1]
AREAS = ("core", "plugins", "policies", "contrib")
SOURCES = sorted(
    path for area in AREAS for path in (HOUSE / area).rglob("*.py") if "src" in path.relative_to(HOUSE).parts
)
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "*/README.md", "*/*/README.md")
    for page in HOUSE.glob(pattern)
    if page.name != "CHANGELOG.md" and not page.relative_to(HOUSE).parts[0].startswith(".")
)
"""A changelog also names what has gone."""

LIBRARIES = ("trio", "trio.testing", "httpx2", "pathlib")
"""Of these a name may stand without its module, as in `Cancelled`."""

ELSEWHERE = {
    "AIMDLimit",  # Netflix's, in Java
    "X_against_alone",  # for any tenant X
    "anthropic",
    "max_retries",  # of the SDKs' clients
    "extensions",  # of a request of httpx2
    "abandon_on_cancel",  # of trio.to_thread.run_sync
    "NO_COLOR",  # of the environment, as no-color.org says
}
"""Names of others that cannot be imported here, and patterns of names."""

NAME = re.compile(r"@?(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?:\((?P<arguments>.*)\))?", re.DOTALL)
SETTING = re.compile(r"(?:\[(?P<table>[\w.-]+)\])?\s*(?:(?P<key>[a-z_]\w*)(?:\s*=\s*(?!=).*)?)?", re.DOTALL)
KEYWORD = re.compile(r"(?<![\w.])(\w+)=(?!=)")
FILE = re.compile(r"[\w./-]*\w\.(?:py|md|toml|ini|txt|yml|yaml)")
COMMAND = re.compile(r"(?:python -m )?penstock (?P<command>[a-z]+)\b.*", re.DOTALL)
VALUE = re.compile(r"\"(?P<value>[a-z_-]+)\"")
PLACEHOLDER = re.compile(r"[A-Z]|NAME")
OPTION = re.compile(r"--[a-z][a-z-]*")
PROMQL = re.compile(r".*\b(?:rate|increase)\(.*", re.DOTALL)
METRIC = re.compile(r"\b(?:penstock|gen_ai)_\w+")
FENCES = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"(`+)(.+?)\1", re.DOTALL)


def named(path: Path) -> str:
    return path.relative_to(HOUSE).as_posix()


@cache
def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(text(path), str(path))


# -- what is quoted --------------------------------------------------------------------------------------------------


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of the docstrings of a module, its classes, functions and attributes."""
    for node in ast.walk(parsed(path)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(words))):
                yield node.lineno, words


def quoted(words: str) -> Iterator[tuple[int, str]]:
    """What stands in backticks, with the line, counted from 0; code blocks left out."""
    plain = FENCES.sub(lambda block: "\n" * block.group().count("\n"), words)
    for span in QUOTED.finditer(plain):
        yield plain.count("\n", 0, span.start()), span.group(2).strip()


# -- what is there ---------------------------------------------------------------------------------------------------


def targets(node: ast.AST) -> Iterator[str]:
    """The names that a statement binds."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name
        case ast.Assign(targets=bound):
            yield from (name.id for each in bound for name in ast.walk(each) if isinstance(name, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name


class Tree:
    """What the sources define: modules and their names, classes and their members, parameters, strings."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self.modules: dict[str, Path] = {}
        self.top: dict[str, set[str]] = {}
        self.members: defaultdict[str, set[str]] = defaultdict(set)
        self.bases: defaultdict[str, set[str]] = defaultdict(set)
        self.parameters: set[str] = set()
        self.imported: set[str] = set()
        self.strings: set[str] = set()
        for path in paths:
            self._read(path)
        self.defined = {name for names in self.top.values() for name in names}
        self.attributes = {name for names in self.members.values() for name in names}
        self.module_words = {word for module in self.modules for word in module.split(".")}

    def _read(self, path: Path) -> None:
        inside = path.relative_to(HOUSE).with_suffix("").parts
        module = ".".join(inside[inside.index("src") + 1 :]).removesuffix(".__init__")
        self.modules[module] = path
        self.top[module] = {name for node in parsed(path).body for name in targets(node)}
        for node in ast.walk(parsed(path)):
            match node:
                case ast.ClassDef():
                    self._read_class(node)
                case ast.arguments():
                    each = [*node.posonlyargs, *node.args, *node.kwonlyargs, node.vararg, node.kwarg]
                    self.parameters |= {argument.arg for argument in each if argument is not None}
                case ast.Constant(value=str(word)):
                    self.strings.add(word)
                case ast.Import(names=imported):
                    self.imported |= {alias.name.partition(".")[0] for alias in imported}
                case ast.ImportFrom(module=str(origin)):
                    self.imported.add(origin.partition(".")[0])
                    if "." not in module or path.name == "__init__.py":
                        self.top[module] |= {alias.asname or alias.name for alias in node.names}

    def _read_class(self, node: ast.ClassDef) -> None:
        members = self.members[node.name]
        self.bases[node.name] |= {ast.unparse(base).partition("[")[0].split(".")[-1] for base in node.bases}
        members |= {name for statement in node.body for name in targets(statement)}
        for inner in ast.walk(node):
            match inner:
                case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                    members.add(name)

    def has_member(self, name: str, member: str) -> bool:
        """Whether a class of this name, or one that it derives from, has a member of that name."""
        if member in self.members.get(name, ()):
            return True
        known = getattr(builtins, name, object)
        return hasattr(known, member) or any(self.has_member(base, member) for base in self.bases.get(name, ()))


TREE = Tree(SOURCES)


@cache
def used_in(path: Path) -> frozenset[str]:
    """All names that the code of a module uses or binds."""
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                found.add(name)
            case ast.alias():
                found |= {node.name, node.asname or node.name, *node.name.split(".")}
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
    return frozenset(found)


@cache
def words_of_the_project() -> frozenset[str]:
    """Keys and words of the project files, and of the TOML files that come with the sources and the examples."""
    found: set[str] = set(re.findall(r"[\w-]+", text(HOUSE / "tox.ini")))
    for path in (*HOUSE.glob("pyproject.toml"), *(each for area in AREAS for each in (HOUSE / area).rglob("*.toml"))):
        found |= words_in(tomllib.loads(text(path)))
    return frozenset(found)


@cache
def names_in_prometheus() -> frozenset[str]:
    """The metrics and their labels, as Prometheus has them."""
    found = {label.replace(".", "_") for metric in METRICS.of_run.values() for label in metric.labels}
    for name, metric in (*((m.in_prometheus(n), m) for n, m in METRICS.of_run.items()), *METRICS.of_gateway.items()):
        found |= {name} if metric.kind != "histogram" else {name, *(f"{name}_{e}" for e in ("bucket", "sum", "count"))}
    return frozenset(found)


def words_in(table: Any) -> set[str]:
    match table:
        case dict():
            return set(table).union(*map(words_in, table.values()))
        case list():
            return set().union(*map(words_in, table))
        case str():
            return {table, table.partition(":")[0]}
    return set()


@cache
def file_names() -> frozenset[str]:
    """Files and folders, each with a stroke before it."""
    folders = (*AREAS, "docs", "tests", ".ci", ".github")
    below = (path for folder in folders for path in (HOUSE / folder).rglob("*"))
    return frozenset("/" + named(path) for path in (*HOUSE.glob("*"), *below))


@cache
def examples_of(page: Path) -> frozenset[str]:
    """The words in the code blocks of a page."""
    return frozenset(word for block in FENCES.finditer(text(page)) for word in re.findall(r"\w+", block.group()))


@cache
def names_of_tests() -> frozenset[str]:
    return frozenset(
        name for path in HOUSE.glob("**/tests/**/test_*.py") for name in re.findall(r"def (test_\w+)", text(path))
    )


def importable(name: str) -> bool:
    """Whether something in a module that our sources import has this dotted name."""
    parts = name.split(".")
    if parts[0] not in TREE.imported:
        return False
    for depth in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:depth]))
            reduce(getattr, parts[depth:], thing)
            return True
        except ModuleNotFoundError:
            continue
        except AttributeError:
            return False
    return False


def of_a_library(name: str) -> bool:
    return hasattr(builtins, name) or any(hasattr(importlib.import_module(library), name) for library in LIBRARIES)


def resolves(name: str, here: Path) -> bool:
    """Whether a name is that of something; `here` is the module or the page that names it."""
    owner, _, last = name.rpartition(".")
    if (
        {name, last} & ELSEWHERE
        or name in TREE.strings | words_of_the_project() | names_of_tests() | names_in_prometheus()
        or iskeyword(name)
    ):
        return True
    if not owner:
        return (
            PLACEHOLDER.fullmatch(name) is not None
            or name in TREE.defined | TREE.attributes | TREE.module_words | TREE.imported
            or name in (used_in(here) if here.suffix == ".py" else TREE.parameters | examples_of(here))
            or of_a_library(name)
        )
    if owner in TREE.modules:
        return last in TREE.top[owner] or f"{owner}.{last}" in TREE.modules
    head = owner.split(".")[-1]
    if head in TREE.members:
        return TREE.has_member(head, last)
    if importable(name):
        return True
    return resolves(owner, here) and last in TREE.attributes | TREE.strings | TREE.module_words


def stands(quote: str, here: Path) -> bool:
    """Whether what is quoted is there, or no name at all."""
    if any(path.endswith("/" + quote.removeprefix("./").rstrip("/")) for path in file_names()):
        return True
    if PROMQL.fullmatch(quote):
        return all(resolves(name, here) for name in METRIC.findall(quote))
    if OPTION.fullmatch(quote):
        return any(quote in string for string in TREE.strings)
    if found := VALUE.fullmatch(quote) or COMMAND.fullmatch(quote):
        return resolves(found[1], here)
    if found := NAME.fullmatch(quote):
        keywords = KEYWORD.findall(found["arguments"] or "")
        return resolves(found["name"], here) and all(resolves(each, here) for each in keywords)
    if found := SETTING.fullmatch(quote):
        words = [*(found["table"] or "").split("."), found["key"] or ""]
        return all(resolves(word, here) for word in words if word and "-" not in word)
    return not FILE.fullmatch(quote)


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_a_docstring_names_what_is_there(path: Path) -> None:
    absent = [
        f"line {start + line}: `{quote}`"
        for start, words in docstrings(path)
        for line, quote in quoted(words)
        if not stands(quote, path)
    ]

    assert absent == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_page_names_what_is_there(page: Path) -> None:
    absent = [f"line {line + 1}: `{quote}`" for line, quote in quoted(text(page)) if not stands(quote, page)]

    assert absent == []


@pytest.mark.parametrize(
    "quote",
    [
        "no_such_name",
        "NoSuchClass",
        "Denied.no_such_field",
        "penstock.no_such_name",
        "trio.no_such_name",
        "scheduler.no_such_method()",
        "open_scheduler(no_such_argument=1)",
        "[scheduler] no_such_key = 1",
        "[no_such_table]",
        '"no-such-value"',
        "--no-such-option",
        "no_such_file.md",
        "penstock nosuch",
    ],
)
def test_what_is_not_there_is_found(quote: str) -> None:
    assert not stands(quote, HOUSE / "README.md")
    assert not stands(quote, TREE.modules["penstock.testing"])

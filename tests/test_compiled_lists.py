"""What each distribution lists to be compiled is there, and is such that mypyc can take it: without a compiler."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

HOUSE = Path(__file__).parents[1]

WORDS_OF_C = {"_asm", "_const", "_extension", "_inline", "_label", "_real", "_thread", "_typeof", "_volatile"}
"""Names of attributes that are words of C, with the underscore that mypyc puts before them."""

PROJECTS = [
    HOUSE / "core",
    *(p.parent for a in ("plugins", "policies", "contrib") for p in sorted(HOUSE.glob(f"{a}/*/pyproject.toml"))),
]


def hook_of(project: Path) -> dict[str, Any]:
    tables = tomllib.loads(project.joinpath("pyproject.toml").read_text(encoding="utf-8"))
    found: dict[str, Any] = tables["tool"]["hatch"]["build"]["targets"]["wheel"].get("hooks", {}).get("custom", {})
    return found


LISTED = [(each, hook_of(each)) for each in PROJECTS if hook_of(each)]
FILES = [each / "src" / module for each, hook in LISTED for module in hook["modules"]]


def test_the_core_the_fair_queue_the_limiters_and_the_way_through_a_gateway_have_lists() -> None:
    limiters, gateway = {"aimd", "cooldown", "token-budget"}, {"wire", "dialects", "gateway"}
    assert {each.name for each, _ in LISTED} >= {"core", "fairqueue"} | limiters | gateway


@pytest.mark.parametrize(("project", "hook"), LISTED, ids=[each.name for each, _ in LISTED])
def test_nothing_is_compiled_unless_it_is_asked_for(project: Path, hook: dict[str, Any]) -> None:
    assert hook["enable-by-default"] is False
    assert (project / hook["path"]).resolve() == HOUSE / "native/hatch_build.py"
    assert [path for path in hook.get("mypy-path", ()) if not (project / path).is_dir()] == []


@pytest.mark.parametrize(("project", "hook"), LISTED, ids=[each.name for each, _ in LISTED])
def test_the_modules_that_are_listed_are_there(project: Path, hook: dict[str, Any]) -> None:
    assert hook["modules"] == sorted(set(hook["modules"]))
    assert [module for module in hook["modules"] if not (project / "src" / module).is_file()] == []


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(HOUSE)) for file in FILES])
def test_no_module_that_is_listed_has_what_mypyc_cannot_take(file: Path) -> None:
    """pluggy and trio mark functions, which compiled ones do not bear, and references are counted otherwise in C; an
    object of a compiled class has no other class ever after, and its class no weak references; names of what is only
    needed for types are not there at all."""
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text)
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    slots = [
        ast.unparse(n.value)
        for c in classes
        for n in c.body
        if isinstance(n, ast.Assign) and "__slots__" in ast.unparse(n)
    ]

    assert not re.search(r"\b(hookimpl|enable_ki_protection|getrefcount)\b", text)
    assert "__class__ = " not in text
    assert "draft_of" not in text
    assert [each for each in slots if "__weakref__" in each] == []
    assert not [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and node.orelse
    ]
    assert file.name != "__init__.py"


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(HOUSE)) for file in FILES])
def test_no_constant_of_a_module_that_is_listed_is_a_tuple_of_so_many_floats(file: Path) -> None:
    """mypyc takes one for unset; said to be of any length (`Final[tuple[float, ...]]`), it is not."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    constants = [
        node for node in tree.body if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "Final"
    ]
    assert [ast.unparse(each.target) for each in constants if _holds_floats(each.value)] == []


def _holds_floats(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Tuple) and any(
        isinstance(part, ast.Constant) and isinstance(part.value, float) for part in value.elts
    )


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(HOUSE)) for file in FILES])
def test_no_attribute_of_a_module_that_is_listed_is_a_word_of_c(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & WORDS_OF_C == set()

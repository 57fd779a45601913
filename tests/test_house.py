"""The rules of the house: what every distribution has, how long a file may be, who may import whom, what
must be documented.

import-linter holds the rules between packages; the rules here are those that it cannot tell: what is
imported *from* a package, and what a module may not reach within the core.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

import penstock
import penstock.testing

HOUSE = Path(__file__).parents[1]
AREAS = ("core", "plugins", "policies", "contrib")
PROJECTS = sorted(path for area in AREAS for path in HOUSE.joinpath(area).glob("**/pyproject.toml"))
DISTRIBUTIONS = [path.parent for path in PROJECTS]
LONGEST_FILE = 400
LONGEST_TESTS = 600
"""A file of tests may be longer: it holds the statements about one thing."""
LONGEST_PLUGIN_FILE = 300

IMPURE = {"trio", "time", "random", "logging", "pluggy"}


def named(distribution: Path) -> str:
    return distribution.relative_to(HOUSE).as_posix()


def project(distribution: Path) -> dict[str, Any]:
    return tomllib.loads(distribution.joinpath("pyproject.toml").read_text(encoding="utf-8"))


def package(distribution: Path) -> Path:
    (found,) = (folder for folder in distribution.joinpath("src").iterdir() if folder.joinpath("__init__.py").exists())
    return found


def sources(distribution: Path) -> list[Path]:
    return sorted(distribution.joinpath("src").rglob("*.py"))


def python_files() -> Iterator[Path]:
    for area in (*AREAS, "tests"):
        yield from HOUSE.joinpath(area).rglob("*.py")


def module_name(path: Path) -> str:
    """The module that a file of one of our distributions is, wherever the checkout lies."""
    parts = path.relative_to(HOUSE).with_suffix("").parts
    inside = parts[parts.index("src") + 1 :]
    return ".".join(inside).removesuffix(".__init__")


each_distribution = pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=named)


# -- lists that must agree with the folders --------------------------------------------------------------------------


def test_the_requirements_install_each_distribution_as_an_editable() -> None:
    lines = HOUSE.joinpath("requirements.txt").read_text(encoding="utf-8").splitlines()
    editables = [line.removeprefix("-e ") for line in lines if line.startswith("-e ")]

    assert editables == [".", *sorted(editables[1:], key=order_of_areas)]
    apart = HOUSE.joinpath("requirements-ray.txt").read_text(encoding="utf-8")
    assert [line for line in apart.splitlines() if line.startswith("-e ")] == ["-e plugins/ray"], "Ray is large"
    assert sorted([*editables[1:], "plugins/ray"]) == sorted(map(named, DISTRIBUTIONS))


def order_of_areas(name: str) -> tuple[int, str]:
    return AREAS.index(name.partition("/")[0]), name


def test_types_and_import_rules_know_each_distribution() -> None:
    tool = project(HOUSE)["tool"]
    packages = {package(distribution).name for distribution in DISTRIBUTIONS}

    folders = {f"{named(distribution)}/src" for distribution in DISTRIBUTIONS}
    assert folders | {"tests/model"} == set(tool["mypy"]["mypy_path"])
    assert packages == set(tool["importlinter"]["root_packages"])
    tox = HOUSE.joinpath("tox.ini").read_text(encoding="utf-8")
    assert {f"{named(d)}/src" for d in DISTRIBUTIONS} == set(re.findall(r"\{tox_root\}/([\w/-]+/src)", tox))


def test_the_metapackage_brings_the_core_and_the_default_plugins_and_nothing_of_contrib() -> None:
    wanted = {re.split(r"[<>=]", line)[0] for line in project(HOUSE)["project"]["dependencies"]}

    assert wanted == {
        "penstock-core",
        "penstock-fairqueue",
        "penstock-jsonl",
        "penstock-strict-fair",
        "penstock-aimd",
        "penstock-token-budget",
        "penstock-cooldown",
    }


def test_the_readme_links_to_each_distribution() -> None:
    readme = HOUSE.joinpath("README.md").read_text(encoding="utf-8")

    assert [d for d in map(named, DISTRIBUTIONS) if f"]({d}" not in readme] == []


# -- what each distribution has --------------------------------------------------------------------------------------


@each_distribution
def test_a_distribution_has_types_a_readme_a_licence_and_tests(distribution: Path) -> None:
    facts = project(distribution)["project"]

    assert facts["license"] == "Apache-2.0"
    assert facts["requires-python"] == ">=3.11"
    assert facts["version"] == project(HOUSE)["project"]["version"]
    assert distribution.joinpath(facts["readme"]).read_text(encoding="utf-8").startswith(f"# {facts['name']}\n")
    assert facts["urls"] == project(HOUSE)["project"]["urls"]
    assert package(distribution).joinpath("py.typed").exists()
    assert list(distribution.joinpath("tests").rglob("test_*.py"))


@each_distribution
def test_a_distribution_is_named_after_its_folder(distribution: Path) -> None:
    name = project(distribution)["project"]["name"]

    assert name == f"penstock-{distribution.name}"
    assert package(distribution).name == ("penstock" if distribution.name == "core" else name.replace("-", "_"))


@each_distribution
def test_a_plugin_depends_on_the_core_with_an_upper_bound_and_on_nothing_else_of_ours(distribution: Path) -> None:
    wanted = project(distribution)["project"].get("dependencies", [])
    ours = [line for line in wanted if line.startswith("penstock")]

    if distribution.name == "core":
        assert ours == []
    elif distribution.parent.name == "contrib":
        assert all(line.endswith(">=0.1,<0.2") for line in ours)
    else:
        assert ours == ["penstock-core>=0.1,<0.2"]


@each_distribution
def test_tests_folders_are_no_packages(distribution: Path) -> None:
    assert list(distribution.joinpath("tests").rglob("__init__.py")) == []


def test_no_file_is_longer_than_an_idea() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in python_files()}

    longest = {path: LONGEST_TESTS if "tests" in path.relative_to(HOUSE).parts else LONGEST_FILE for path in lengths}
    assert {named(path): length for path, length in lengths.items() if length >= longest[path]} == {}
    plugins = {path for d in DISTRIBUTIONS if d.parent.name in ("plugins", "policies") for path in sources(d)}
    assert {named(path): lengths[path] for path in plugins if lengths[path] >= LONGEST_PLUGIN_FILE} == {}


def test_text_is_read_and_written_as_utf_8_whatever_the_locale_says() -> None:
    culprits = [
        f"{named(path)}:{call.lineno}"
        for path in python_files()
        for call in ast.walk(parse(path))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in ("read_text", "write_text")
        and "encoding" not in {keyword.arg for keyword in call.keywords}
    ]

    assert culprits == []


# -- who may import what ---------------------------------------------------------------------------------------------


def imports(path: Path, *, types: bool = False) -> Iterator[tuple[str, str | None]]:
    """What a file imports when it runs, as (module, name taken from it or None); `types`: and for types alone."""
    skipped = set() if types else {id(node) for block in type_checking_blocks(path) for node in ast.walk(block)}
    for node in ast.walk(parse(path)):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{named(path)}: write imports from the top: {ast.unparse(node)}"
            yield from ((str(node.module), alias.name) for alias in node.names)


def type_checking_blocks(path: Path) -> Iterator[ast.stmt]:
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from node.body


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


CORE = {module_name(path): path for path in sources(HOUSE / "core")}


def circle(knows: Mapping[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle, the first again at the end; empty if there are none."""
    try:
        TopologicalSorter(knows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@each_distribution
def test_modules_import_each_other_in_no_circle_types_included(distribution: Path) -> None:
    modules = {module_name(path): path for path in sources(distribution)}
    knows = {
        name: {
            known
            for module, taken in imports(path, types=True)
            if (known := f"{module}.{taken}" if f"{module}.{taken}" in modules else module) in modules
        }
        for name, path in modules.items()
    }

    assert circle(knows) == []


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}


def test_the_core_has_packages_and_no_modules_at_its_root() -> None:
    root = HOUSE / "core/src/penstock"

    assert sorted(path.name for path in root.glob("*.py")) == ["__init__.py", "__main__.py"]


def test_dir_shows_what_is_public_and_no_modules() -> None:
    assert sorted(dir(penstock)) == sorted(penstock.__all__)


RUNNERS = {"plugins/processes", "plugins/ray", "plugins/threads"}
"""What carries tasks out has to wait for them: the one kind of plugin that does."""


@pytest.mark.parametrize(
    "distribution",
    [d for d in DISTRIBUTIONS if d.parent.name in ("plugins", "policies") and named(d) not in RUNNERS],
    ids=named,
)
def test_a_plugin_is_pure(distribution: Path) -> None:
    culprits = {
        named(p): found
        for p in sources(distribution)
        if (found := IMPURE & {m.partition(".")[0] for m, _ in imports(p)})
    }

    assert culprits == {}


@pytest.mark.parametrize("distribution", [d for d in DISTRIBUTIONS if d.name != "core"], ids=named)
def test_a_plugin_uses_only_what_the_core_and_its_testing_kit_export(distribution: Path) -> None:
    """Sources and tests alike: whoever writes a plugin elsewhere has nothing else either."""
    exported = {name: set(importlib.import_module(name).__all__) for name in ("penstock", "penstock.testing")}
    culprits = [
        f"{named(path)}: {module}.{taken}"
        for path in distribution.rglob("*.py")
        for module, taken in imports(path, types=True)
        if module.partition(".")[0] == "penstock"
        and not (module in exported and (taken is None or taken in exported[module] or f"{module}.{taken}" in exported))
    ]

    assert culprits == []


def test_tests_touch_no_private_name() -> None:
    """What cannot be tested from outside has the wrong shape. A stub's own state is its own: `self._left` is fine."""
    culprits = [
        f"{named(path)}:{line}: {name}"
        for path in python_files()
        if "tests" in path.relative_to(HOUSE).parts
        for line, name in private_names(parse(path))
    ]

    assert culprits == []


def private_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Names with one leading underscore that are taken from anything but the object at hand."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            if private(node.attr) and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, alias.name) for alias in node.names if private(alias.name))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("getattr", "setattr"):
            words = [argument.value for argument in node.args[1:2] if isinstance(argument, ast.Constant)]
            yield from ((node.lineno, ast.unparse(node)) for word in words if private(str(word)))


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("gate._waiting", ["gate._waiting"]),
        ("self.gate._waiting", ["self.gate._waiting"]),
        ("from penstock.cli.main import _read", ["_read"]),
        ("monkeypatch.setattr(gate, '_waiting', 3)", ["monkeypatch.setattr(gate, '_waiting', 3)"]),
        ("self._waiting + cls._made + gate.__class__", []),
    ],
)
def test_a_private_name_is_found(source: str, found: list[str]) -> None:
    assert [name for _, name in private_names(ast.parse(source))] == found


def test_tests_import_what_is_public_from_where_it_is_public() -> None:
    """Those of the core and of the whole; the others have no other door anyway."""
    doors = {"penstock.testing": set(penstock.testing.__all__), "penstock": set(penstock.__all__)}
    culprits = [
        f"{named(path)}: {door} exports {taken}"
        for folder in ("core/tests", "tests")
        for path in sorted(HOUSE.joinpath(folder).rglob("*.py"))
        for module, taken in imports(path, types=True)
        for door in (next((door for door in doors if module.startswith(f"{door}.")), None),)
        if door is not None and taken in doors[door]
    ]

    assert culprits == []


# -- what is public --------------------------------------------------------------------------------------------------

PUBLIC = ["penstock", "penstock.testing", *(package(d).name for d in DISTRIBUTIONS if d.name != "core")]


@pytest.mark.parametrize("name", PUBLIC)
def test_what_a_package_exports_is_there_and_listed_once_in_order(name: str) -> None:
    module = importlib.import_module(name)

    assert list(module.__all__) == sorted(set(module.__all__), key=ruffs_order)
    assert [entry for entry in module.__all__ if not hasattr(module, entry)] == []


def ruffs_order(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest: how ruff sorts an `__all__`."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2), name


def test_what_the_core_imports_for_its_users_it_exports() -> None:
    brought = {taken for module, taken in imports(CORE["penstock"]) if module.startswith("penstock.") and taken}

    assert sorted(brought - set(penstock.__all__)) == []


@pytest.mark.parametrize("name", PUBLIC)
def test_everything_public_is_documented(name: str) -> None:
    module = importlib.import_module(name)
    things = {entry: getattr(module, entry) for entry in module.__all__}
    documentable = {
        entry: thing for entry, thing in things.items() if inspect.isclass(thing) or inspect.isroutine(thing)
    }

    assert inspect.getdoc(module)
    assert sorted(entry for entry, thing in documentable.items() if not written(thing)) == []


def written(thing: Any) -> bool:
    """Whether somebody wrote a docstring; the one that a class inherits does not count."""
    return bool((vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__) or "")

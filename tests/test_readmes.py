"""The examples of every README and of the user guide run as they are written.

Those of the plugin author's guide are files for the plugin manager, and are run by its own tests.
"""

from __future__ import annotations

import re
import tomllib
from importlib.util import find_spec
from pathlib import Path

import attrs
import pytest

from penstock import ModelConfig, ProviderConfig, load_config
from penstock.config.reading import PluginLists, RequestsConfig, SchedulerConfig, SinksConfig

HOUSE = Path(__file__).parents[1]
PAGES = sorted(
    page
    for page in (
        *HOUSE.glob("*.md"),
        *HOUSE.glob("docs/**/*.md"),
        *HOUSE.glob("*/README.md"),
        *HOUSE.glob("*/*/README.md"),
    )
    if page.name != "CHANGELOG.md" and not page.relative_to(HOUSE).parts[0].startswith(".")
)
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str, pages: list[Path]) -> list[object]:
    """The fenced blocks in a language, as test parameters that name page and place; contrib's open sockets, and that of
    penstock-ray needs Ray."""
    needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: `tox -e ray` runs this")
    return [
        pytest.param(
            code,
            id=f"{page.relative_to(HOUSE).as_posix()}-{number}",
            marks=[
                *([pytest.mark.loopback] if page.is_relative_to(HOUSE / "contrib") else []),
                *([needs_ray] if language == "python" and page.is_relative_to(HOUSE / "plugins/ray") else []),
            ],
        )
        for page in pages
        for number, code in enumerate(
            code for found, code in FENCE.findall(page.read_text(encoding="utf-8")) if found == language
        )
    ]


@pytest.mark.parametrize(
    "code", blocks("python", [page for page in PAGES if page.name in ("README.md", "user-guide.md", "python.md")])
)
def test_an_example_in_python_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    exec(compile(code, "example.py", "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("code", blocks("toml", PAGES))
def test_an_example_in_toml_is_a_configuration(code: str) -> None:
    load_config(tomllib.loads(code), foreign_tables=True)


@pytest.mark.parametrize(
    "readme", [p for p in PAGES if p.name == "README.md"], ids=lambda page: page.relative_to(HOUSE).as_posix()
)
def test_a_readme_has_an_example_that_runs(readme: Path) -> None:
    found = {language for language, _ in FENCE.findall(readme.read_text(encoding="utf-8"))}

    assert found & {"python", "console"}, "show how it is used, in a python block"


def test_links_between_pages_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(HOUSE)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not page.parent.joinpath(target).exists()
    ]

    assert broken == []


def test_the_user_guide_names_every_key_of_the_configuration() -> None:
    guide = HOUSE.joinpath("docs/user-guide.md").read_text(encoding="utf-8")
    tables = (SchedulerConfig, RequestsConfig, SinksConfig, ProviderConfig, ModelConfig, PluginLists)
    keys = [field.name for table in tables for field in attrs.fields(table)]

    assert [key for key in keys if not re.search(rf"\b{key}\b", guide)] == []


def test_the_user_guide_states_the_defaults() -> None:
    stated = tomllib.loads(
        "".join(
            code
            for language, code in FENCE.findall(HOUSE.joinpath("docs/user-guide.md").read_text(encoding="utf-8"))
            if language == "toml"
        )
    )

    for key, table in (("scheduler", SchedulerConfig()), ("requests", RequestsConfig()), ("sinks", SinksConfig())):
        plain = {name: value for name, value in stated[key].items() if not isinstance(value, dict)}
        assert plain == {name: getattr(table, name) for name in plain}


def test_the_index_leads_to_every_page() -> None:
    index = HOUSE.joinpath("docs/index.md").read_text(encoding="utf-8")
    pages = [page.relative_to(HOUSE / "docs").as_posix() for page in PAGES if page.is_relative_to(HOUSE / "docs")]

    assert [page for page in pages if page != "index.md" and f"]({page})" not in index] == []

"""What the pages must have: an example in every README, links that lead somewhere, an index of all, and in the user
guide every key with its default. That their code blocks run is seen to by `test_page_blocks.py`."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import attrs
import pytest
from tests.pages import HOUSE, PAGES as ALL_PAGES

from penstock import ModelConfig, ProviderConfig
from penstock.config.reading import PluginLists, RequestsConfig, SchedulerConfig, SinksConfig

PAGES = [page for page in ALL_PAGES if page.name != "CHANGELOG.md"]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


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

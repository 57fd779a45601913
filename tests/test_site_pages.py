"""The site: its contents are those of the index, every public name has a place in it, and links lead to headings."""

from __future__ import annotations

import importlib
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from tests.pages import HOUSE, PAGES, named

DOCS = HOUSE / "docs"
PACKAGES = {
    "penstock": "penstock.md",
    "penstock.testing": "testing.md",
    **{
        f"penstock_{file.parent.name.replace('-', '_')}": f"{'contrib' if area == 'contrib' else 'plugins'}.md"
        for area in ("plugins", "policies", "contrib")
        for file in HOUSE.glob(f"{area}/*/pyproject.toml")
    },
}
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    titles = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)]
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_link_to_a_heading_leads_to_one(page: Path) -> None:
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    links = re.findall(r"\]\(([^)#:\s]*)#([^)]+)\)", text)

    assert [f"{to}#{anchor}" for to, anchor in links if anchor not in anchors(page.parent / to if to else page)] == []


def test_the_contents_of_the_site_are_all_its_pages(module_at: Callable[[Path], ModuleType]) -> None:
    site = module_at(DOCS / "conf.py")
    index = DOCS / "index.md"

    listed = [line for line in site.contents(index, index.read_text(encoding="utf-8")) if line.startswith("/")]
    assert sorted([*listed, "/docs/index"]) == sorted(f"/{named(page)[:-3]}" for page in PAGES)


@pytest.mark.parametrize("target", ["../CONTRIBUTING.md", "user-guide.md", "no-such-file.txt"])
def test_a_link_to_a_page_stays_as_it_is(module_at: Callable[[Path], ModuleType], target: str) -> None:
    assert read(module_at, f"[it]({target})") == f"[it]({target})"


def test_a_link_to_what_is_no_page_leads_to_the_repository(module_at: Callable[[Path], ModuleType]) -> None:
    urls = tomllib.loads(HOUSE.joinpath("pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]

    assert read(module_at, "[it](../policies)") == f"[it]({urls['Source']}/blob/main/policies)"


def read(module_at: Callable[[Path], ModuleType], text: str) -> str:
    content = [text]
    module_at(DOCS / "conf.py").prepare(None, "docs/user-guide", content)
    return content[0]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_a_place_in_the_reference(package: str) -> None:
    if package == "penstock_ray":
        pytest.importorskip("penstock_ray", reason="Ray is not installed")
    page = DOCS.joinpath("reference", PACKAGES[package]).read_text(encoding="utf-8")
    before, directive, _ = page.partition(f".. automodule:: {package}\n   :members:\n   :undoc-members:\n")

    assert directive
    assert re.findall(r"`(\w+)`", before.rstrip().splitlines()[-3]) == importlib.import_module(package).__all__


@pytest.mark.parametrize("maker", ["api", "metrics"])
def test_pages_that_are_made_say_what_the_code_says(module_at: Callable[[Path], ModuleType], maker: str) -> None:
    generator = module_at(DOCS / f"make_{maker}_reference.py")
    pages = generator.references() if maker == "api" else {"metrics.md": generator.reference()}

    written = {name: DOCS.joinpath("reference", name).read_text(encoding="utf-8") for name in pages}
    assert written == dict(pages), f"run: python docs/make_{maker}_reference.py"


@pytest.mark.parametrize(
    ("docstring", "marked_up"),
    [
        (
            "One.\n\n`a`   of it, which is\n      long\n`bb`  two",
            "One.\n\n- `a`: of it, which is\n  long\n- `bb`: two\n",
        ),
        ("Use it so:\n\n    run(it)", "Use it so:\n\n::\n\n    run(it)\n"),
        ("An example:\n\n    >>> 1\n    1", "An example:\n\n    >>> 1\n    1"),
        ("`a` is a name,\n  as `b` is.", "`a` is a name,\n  as `b` is."),
    ],
)
def test_the_columns_and_the_code_of_a_docstring_are_marked_up(
    module_at: Callable[[Path], ModuleType], docstring: str, marked_up: str
) -> None:
    assert module_at(DOCS / "docstring_markup.py").in_markup(docstring.split("\n")) == marked_up.split("\n")

"""The site: every page of the repository that a reader may want, where it stands, and all docstrings that are public.

    python -m sphinx -W --keep-going -n -c docs . build/site

The source folder is the repository itself, so a relative link leads to the same page here and where the repository is
shown. What is on the site, and in which order, says `docs/index.md`: its sections are the contents, each page in the
order of its links. A link to what is no page of the site, a folder or a script, leads to the repository.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

HOUSE = Path(__file__).parents[1]
sys.path.append(str(HOUSE / "docs"))
from docstring_markup import in_markup  # noqa: E402
from public_names import said_of_constant, spelt_out  # noqa: E402

FACTS: dict[str, Any] = tomllib.loads(HOUSE.joinpath("pyproject.toml").read_text(encoding="utf-8"))["project"]
SOURCE = f"{FACTS['urls']['Source']}/blob/main/"
INDEX = "docs/index"

project = "Penstock"
version = release = FACTS["version"]
author = "The Penstock authors"
project_copyright = author

extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = INDEX
include_patterns = ["*.md", "docs/**.md", "core/README.md", "*/*/README.md"]
exclude_patterns = [".*", "build", "dist", "**/node_modules"]
source_suffix = {".md": "markdown"}

html_theme = "furo"
html_title = f"Penstock {version}"
html_extra_path = ["site"]
linkcheck_anchors = False
html_copy_source = False
html_show_sourcelink = False

myst_heading_anchors = 4

# Single backticks mean code in our docstrings.
default_role = "code"
toc_object_entries = False  # thousands of them, in the sidebar of every page
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"

# Ray is large, and nothing of it is needed to read what is written about it.
sys.path.append(str(HOUSE / "plugins" / "ray" / "src"))
autodoc_mock_imports = ["ray"]

# A name in a signature that stands in no page: other projects' (there is no network to look them up), type variables,
# and what a public function takes or gives without being public itself, which is explained where it is used.
nitpick_ignore_regex = [
    ("py:.*", r"(?!penstock).*"),
    ("py:class", r"penstock.*\.[A-Z][a-z]?"),
    ("py:(class|obj|data)", r"penstock[a-z_]*\.(?!testing\.[A-Z])[a-z_]+\..*"),
]

LINK = re.compile(r"\]\(([^)#:\s]+)((?:#[^)]*)?)\)")
SECTION = re.compile(r"^## (.+?)$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def prepare(_: Any, docname: str, content: list[str]) -> None:
    """The text of a page as Sphinx shall read it: with the contents, if it is the index, and links to the source."""
    page = HOUSE / f"{docname}.md"
    if docname == INDEX:
        content[0] += "\n".join(contents(page, content[0]))
    content[0] = spelt_out(content[0])
    content[0] = LINK.sub(lambda link: f"]({_target(link[1], page)}{link[2]})", content[0])


def contents(index: Path, text: str) -> list[str]:
    """The contents of the site: for each section of the index, a tree of the pages that it links to."""
    lines: list[str] = []
    for title, body in SECTION.findall(text):
        names = dict.fromkeys(
            _name(index, target) for target, _ in LINK.findall(body) if target.endswith(".md") and target != "index.md"
        )
        lines += ["", "```{toctree}", ":hidden:", ":titlesonly:", f":caption: {title}", "", *names, "```", ""]
    return lines


def _name(page: Path, target: str) -> str:
    found = (page.parent / target).resolve().relative_to(HOUSE.resolve())
    return f"/{found.with_suffix('').as_posix()}"


def _target(target: str, page: Path) -> str:
    """A link as it stands if it leads to a page of the site, or to a picture; else the address of the repository."""
    found = (page.parent / target).resolve()
    if found.suffix in (".md", ".svg") or not found.exists():
        return target
    return SOURCE + found.relative_to(HOUSE.resolve()).as_posix()


def mark_up(_: Any, what: str, name: str, *rest: Any) -> None:
    """The docstring of a public name as Sphinx shall read it: its lines are the last that is given."""
    lines = rest[-1]
    if what == "data":
        lines[:] = said_of_constant(*name.rsplit(".", 1))
    lines[:] = in_markup(lines)


def setup(app: Any) -> None:
    app.connect("source-read", prepare)
    app.connect("autodoc-process-docstring", mark_up)

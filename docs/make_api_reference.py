"""The generator of the pages of public names, `docs/reference/{penstock,testing,plugins,contrib}.md`.

    python docs/make_api_reference.py

Each page lists what there is to import; on the site Sphinx adds the signatures and the docstrings. It is read from the
sources, and nothing is imported. A test holds the pages against `references()`.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

HOUSE = Path(__file__).parents[1]
PAGES = HOUSE / "docs" / "reference"

GENERATED = "<!-- Written by docs/make_api_reference.py. Change it there. -->"
DIRECTIVE = """\
```{{eval-rst}}
.. automodule:: {module}
   :members:
   :undoc-members:
```
"""


def references() -> Mapping[str, str]:
    """The text of each page, by the name of its file."""
    core = "What users and plugins import: `import penstock`. Nothing else of the core is public."
    kit = "What authors of plugins test with: `from penstock.testing import …`; how: [plugin-authors.md]"
    own = "What each plugin of this repository exports, for who sets one up in code."
    top = "What is built on top of the core exports, for programs."
    return {
        "penstock.md": _page("The core: `penstock`", core, _names("penstock", HOUSE / "core/src/penstock")),
        "testing.md": _page(
            "The testing kit: `penstock.testing`",
            f"{kit}(../plugin-authors.md#testing).",
            _names("penstock.testing", HOUSE / "core/src/penstock/testing"),
        ),
        "plugins.md": _page("Plugins", own, _distributions("plugins", "policies")),
        "contrib.md": _page("On top of the core", top, _distributions("contrib")),
    }


def _page(title: str, what: str, lines: Iterator[str]) -> str:
    return "\n".join([f"# {title}", "", GENERATED, "", what, "", *lines])


def _names(module: str, package: Path) -> Iterator[str]:
    yield ", ".join(f"`{name}`" for name in public_names(package)) + "."
    yield ""
    yield DIRECTIVE.format(module=module)


def public_names(package: Path) -> list[str]:
    """The `__all__` of a package, as its source states it."""
    tree = ast.parse(package.joinpath("__init__.py").read_text(encoding="utf-8"))
    (stated,) = (
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    names: list[str] = ast.literal_eval(stated)
    return names


def _distributions(*areas: str) -> Iterator[str]:
    for area in areas:
        for file in sorted(HOUSE.glob(f"{area}/*/pyproject.toml")):
            project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
            readme = f"../../{area}/{file.parent.name}/README.md"
            yield f"## {project['name']}"
            yield ""
            yield f"{project['description']}: [README]({readme})."
            yield ""
            module = project["name"].replace("-", "_")
            yield from _names(module, file.parent / "src" / module)


if __name__ == "__main__":
    for name, text in references().items():
        (PAGES / name).write_text(text, encoding="utf-8")

"""The files of a new plugin, from the templates beside this module: text alone, nothing is written here.

A template is a file with `.txt` after its name, filled in by `string.Template`: `$name`, `$distribution`, `$module`,
`$cls` and so on. `project` has what all kinds share, `plugins` and `tests` one module per kind.
"""

from __future__ import annotations

import re
from importlib.resources import files
from string import Template

from penstock.cli.new.kinds import KINDS
from penstock.cli.new.names import NewNames
from penstock.plugins.contract import CONTRACT, CONTRACT_ENTRY, CONTRACT_GROUP

__all__ = ["class_prefix", "rendered_file", "rendered_project", "usage"]

SHARED = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "gitignore": ".gitignore",
    "ci.yml": ".github/workflows/ci.yml",
}

_CONTRACT = f'''
[project.entry-points."{CONTRACT_GROUP}"]
{CONTRACT_ENTRY} = "{CONTRACT}"
'''


def rendered_project(kind: str, names: NewNames) -> dict[str, str]:
    """The files of a distribution: path below its folder to text."""
    words = _words(kind, names)
    shared = {path: _filled(f"project/{template}", words) for template, path in SHARED.items()}
    return {
        **shared,
        f"src/{names.module}/__init__.py": rendered_file(kind, names),
        f"src/{names.module}/py.typed": "",
        f"tests/test_{names.plugin.replace('-', '_')}.py": _filled(f"tests/{kind}.py", words),
    }


def rendered_file(kind: str, names: NewNames) -> str:
    """The plugin's module."""
    return _filled(f"plugins/{kind}.py", _words(kind, names))


def usage(kind: str, names: NewNames, *, load: str | None = None) -> str:
    """The tables of a configuration in which the plugin takes part; `load` is the file that it is loaded from."""
    made = KINDS[kind]
    lines = ["[plugins]", f'load = ["{load}"]'] if load else ["[plugins]"]
    if made.chosen:
        lines.append(made.chosen)
    if made.keys:
        lines += ["", "[plugins.$name]", made.keys]
    return Template("\n".join(lines)).substitute(name=names.plugin)


def _words(kind: str, names: NewNames) -> dict[str, str]:
    made = KINDS[kind]
    words = {
        "name": names.plugin,
        "distribution": names.distribution,
        "module": names.module,
        "cls": class_prefix(kind, names.plugin),
    }
    hint = Template(made.hint).substitute(words)
    toml = f"```toml\n{usage(kind, names)}\n```" if made.chosen else ""
    return {
        **words,
        "summary": made.summary,
        "group": made.group,
        "target": Template(made.target).substitute(words),
        "contract": _CONTRACT if made.fits_in_a_file else "",
        "mypy_plugin": 'plugins = ["penstock.mypy"]\n' if made.fits_in_a_file else "",
        "dependencies": "".join(
            f'  "{each}",\n' for each in sorted(("attrs>=24.2", "penstock-core>=0.1,<0.2", *made.dependencies))
        ),
        "use": "\n\n".join(part for part in (toml, hint) if part),
    }


def class_prefix(kind: str, plugin: str) -> str:
    """What the names of its classes begin with: its own words, without the kind at their end, and after My where a
    class would be called as something is that the templates use.

    >>> class_prefix("limiter", "slow-start"), class_prefix("limiter", "slow-limiter"), class_prefix("runner", "task")
    ('SlowStart', 'Slow', 'MyTask')
    """
    prefix = "".join(word.capitalize() for word in re.split("[-_]", plugin.removesuffix(kind)) if word)
    prefix = prefix or kind.capitalize()
    text = _template(f"plugins/{kind}.py") + _template(f"tests/{kind}.py")
    used = set(re.findall(r"\w+", text))
    made = set(re.findall(r"\$\{cls\}(\w+)", text))
    return f"My{prefix}" if any(prefix + rest in used for rest in made) else prefix


def _filled(template: str, words: dict[str, str]) -> str:
    return Template(_template(template)).substitute(words)


def _template(name: str) -> str:
    place = files("penstock.cli.new") / "templates"
    for part in f"{name}.txt".split("/"):
        place /= part
    return place.read_text(encoding="utf-8")

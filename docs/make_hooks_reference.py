"""The generator of `docs/reference/hooks.md` from the hook specifications: `python docs/make_hooks_reference.py`.

A test holds the file against `reference()`, so that the page cannot fall behind the code.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

from penstock.plugins.contract import CONTRACT
from penstock.plugins.hookspecs import HOOKS, HookFacts, PenstockSpec

PAGE = Path(__file__).parent / "reference" / "hooks.md"

WIDTH = 120

HEAD = f"""\
# The hooks

<!-- Written by docs/make_hooks_reference.py from core/src/penstock/plugins/hookspecs.py. Change it there. -->

What a plugin can be asked. How to write one: [plugin-authors.md](../plugin-authors.md).

A *factory* is called when a run is set up, and makes an object that is then called directly. A *rule* is called for
each decision. A *sink* is called for each event. A *note* reports the run as a whole. An implementation takes the
arguments that it wants, by name, and `None` means "no opinion". All hooks are synchronous.

This is version **{CONTRACT}** of the contract. The first figure changes where something that plugins rely on is taken
away or means something else, the second where something is added. A distribution says for which version it is written,
and is refused, with what would help, before anything of it is imported where that does not go with the core:

```toml
[project.entry-points."penstock.contract"]
hooks = "{CONTRACT}"
```

It goes with a core that has the same first figure, and the same second or a later one. A hook that is deprecated works
on until the first figure changes, and is told in the log where a plugin that is used has it.
"""


def reference() -> str:
    """The text of the page."""
    return "\n".join([HEAD, *_table(), *(line for hook, facts in HOOKS.items() for line in _section(hook, facts))])


def _table() -> Iterator[str]:
    yield "| hook | kind | list in `[plugins]` | an error | since | deprecated |"
    yield "|---|---|---|---|---|---|"
    for hook, facts in HOOKS.items():
        listed = f"`{facts.list_key}`" if facts.list_key else f"none: {_asked_without_a_list(hook)}"
        versions = f"{facts.since} | {facts.deprecated or 'no'}"
        yield f"| [`{hook}`](#{hook}) | {facts.kind} | {listed} | {facts.on_error} | {versions} |"
    yield ""


def _asked_without_a_list(hook: str) -> str:
    if hook in ("penstock_check", "penstock_tables"):
        return "every installed plugin that has it"
    return "the plugin whose command is invoked" if hook == "penstock_cli" else "every active plugin"


def _section(hook: str, facts: HookFacts) -> Iterator[str]:
    specification = getattr(PenstockSpec, hook)
    signature = inspect.signature(specification)
    parameters = list(signature.parameters.values())[1:]
    arguments = [f"{each.name}: {each.annotation}" for each in parameters]
    yield f"## {hook}"
    yield ""
    yield "<!-- not run: a signature -->"
    yield "```python"
    yield _formatted(f"def {hook}", arguments, f" -> {signature.return_annotation}: ...")
    yield "```"
    yield ""
    yield inspect.getdoc(specification) or ""
    yield ""
    answers = "the first answer that is not `None` holds" if facts.first_result else "every plugin is asked, in order"
    if facts.kind == "rule" and not facts.first_result:
        answers = "asked in order until one refuses"
    yield f"- Kind: {facts.kind}; {answers}."
    if facts.list_key:
        yield f"- Which plugins, and their order: `{facts.list_key}` under `[plugins]`."
    else:
        yield f"- It has no list; asked is {_asked_without_a_list(hook)}."
    yield f"- An error {facts.on_error}."
    yield ""


def _formatted(begin: str, arguments: list[str], end: str) -> str:
    """A signature as ruff formats it, which looks into pages too."""
    within = ", ".join(arguments)
    if len(f"{begin}({within}){end}") <= WIDTH:
        return f"{begin}({within}){end}"
    if len(f"    {within}") > WIDTH:
        within = ",\n    ".join(arguments) + ","
    return f"{begin}(\n    {within}\n){end}"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(reference(), encoding="utf-8")

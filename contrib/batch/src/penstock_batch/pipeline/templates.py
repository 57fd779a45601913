"""The templates of prompts, in Jinja2, which can reach nothing but the row.

A template is compiled in a sandbox that forbids attributes with underscores and changes to the row's values, and that
has no loader; `include`, `import` and `extends` are refused when it is compiled, not when a row is rendered. What a
template needs is read from its variables, so it is not said twice. A variable that a row does not have is an
error of that row, never an empty string. How much a template may do is bounded (`template_bounds.py`).

`image(…)` and `file(…)` put something beside the text (`attaching.py`). A column of such a name is another thing: a
template may print it, and nobody can call it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs
from jinja2 import Environment, TemplateError, nodes
from jinja2.meta import find_undeclared_variables

from penstock import did_you_mean
from penstock_batch.pipeline.attaching import Attaching
from penstock_batch.pipeline.beside import FileProblem
from penstock_batch.pipeline.template_bounds import (
    Attach,
    BoundedEnvironment,
    attached_in,
    render_bounded,
)
from penstock_batch.words.failures import said_of

__all__ = ["ROW", "PromptTemplate", "RenderError", "TemplateProblem", "says_no"]

ROW = "row"
"""The name by which a template reaches all input columns, also those whose names are no identifiers: `row["First
name"]`.
"""


class TemplateProblem(ValueError):
    """A template that cannot be used, in one line."""


class RenderError(ValueError):
    """A template that could not be filled in for one row, in one line."""


class PromptTemplate:
    """A compiled template, and the names it looks up.

    >>> template = PromptTemplate("Keywords for: {{ summary }}")
    >>> sorted(template.variables)
    ['summary']
    >>> template.render({"summary": "a gate", "other": "unused"})
    'Keywords for: a gate'
    """

    def __init__(self, source: str) -> None:
        """Raises `TemplateProblem` for a syntax error, an unknown filter, or an `include`, `import` or `extends`."""
        try:
            tree = _SANDBOX.parse(source)
            for kind, word in _REACHING_OUT:
                for node in tree.find_all(kind):
                    raise TemplateProblem(f"line {node.lineno}: {word} is not allowed in a prompt")
            _check_names(tree)
            self._template = _SANDBOX.from_string(source)
        except TemplateError as error:
            line = getattr(error, "lineno", None)
            raise TemplateProblem(f"line {line}: {error}" if line else str(error)) from None
        self._plain = _plain_parts(_AS_WRITTEN.parse(source))
        self.attached = frozenset(attached_in(tree))
        """Which of `image` and `file` it calls."""
        self.variables = frozenset(find_undeclared_variables(tree))
        """The names that are looked up in the row; jinja's own functions (`range`, `dict`, …) among them."""

    def content(self, values: Mapping[str, Any], attaching: Attaching | None) -> str | list[dict[str, Any]]:
        """The content of a message for one row: a text, or parts of it where there are images or files, which are put
        to those of its call, `attaching`. Raises `RenderError`.
        """
        if attaching is None or not self.attached:
            return self.render(values)
        try:
            return attaching.content(self.render(values, attaching.attach))
        except FileProblem as problem:
            raise RenderError(str(problem)) from None

    def render(self, values: Mapping[str, Any], attach: Attach | None = None) -> str:
        """The text for one row; images and files go to `attach`. Raises `RenderError`, also for whatever an expression
        of the template does wrong.
        """
        plain = self._plain
        if plain is not None and (text := plain.filled(values)) is not None:
            return text
        try:
            return render_bounded(self._template, values, attach)
        except FileProblem as problem:
            raise RenderError(str(problem)) from None
        except Exception as error:  # a template is code of the user's: whatever it raises belongs to this row
            raise RenderError(said_of(error)) from None


_NO = frozenset({"", "false", "0", "0.0", "none", "null", "[]", "{}"})


def says_no(text: str) -> bool:
    """Whether a filled in `when` says that a cell is to be empty: what is nothing to Python or JSON, as a text.

    >>> says_no(" False "), says_no("no")
    (True, False)
    """
    return text.strip().lower() in _NO


@attrs.frozen
class _Plain:
    """A template that is nothing but text and names: a `pattern` with a place for each name."""

    pattern: str
    names: tuple[str, ...]

    def filled(self, values: Mapping[str, Any]) -> str | None:
        """The pattern with the texts of a row, without the sandbox, in which they would come out the same; `None` where
        one is no text, or they are too long together: then the sandbox decides.
        """
        texts = tuple(map(values.get, self.names))
        if not _TEXT.issuperset(map(type, texts)):
            return None
        text = self.pattern % texts
        return text if len(text) <= _SHORT else None


def _plain_parts(tree: nodes.Template) -> _Plain | None:
    """What a template is made of, if that is nothing but text and names."""
    pattern: list[str] = []
    names: list[str] = []
    for statement in tree.body:
        if not isinstance(statement, nodes.Output):
            return None
        for node in statement.nodes:
            if isinstance(node, nodes.TemplateData):
                pattern.append(node.data.replace("%", "%%"))
            elif isinstance(node, nodes.Name):
                pattern.append("%s")
                names.append(node.name)
            else:
                return None
    return _Plain("".join(pattern), tuple(names))


def _check_names(tree: nodes.Template) -> None:
    """Raises `TemplateProblem` for a filter or test that there is not; within an `if` jinja says so for each row."""
    for kind, word, known in ((nodes.Filter, "filter", _SANDBOX.filters), (nodes.Test, "test", _SANDBOX.tests)):
        for node in tree.find_all(kind):
            if node.name not in known:
                hint = did_you_mean(node.name, known, otherwise="there are")
                raise TemplateProblem(f"line {node.lineno}: No {word} named {node.name!r}; {hint}")


_TEXT: Final = frozenset((str,))
_SHORT: Final = 1 << 20
"""Characters, far below what a template may make."""
BUILT_IN = frozenset({"range", "dict", "cycler", "joiner", "namespace"})
"""The functions that a template has beside its variables; a column of that name hides the function."""


def _sandbox() -> BoundedEnvironment:
    sandbox = BoundedEnvironment()
    sandbox.globals = {name: function for name, function in sandbox.globals.items() if name in BUILT_IN}
    return sandbox


_SANDBOX = _sandbox()
_AS_WRITTEN: Final = Environment(autoescape=False)
"""Only to see what a template is made of, before the sandbox puts it under a budget."""
_REACHING_OUT: tuple[tuple[type[nodes.Node], str], ...] = (
    (nodes.Include, "include"),
    (nodes.Import, "import"),
    (nodes.FromImport, "import"),
    (nodes.Extends, "extends"),
)

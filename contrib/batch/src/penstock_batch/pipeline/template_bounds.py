"""The bounds of a template, so that none can hold up the run: of the steps that it takes, and of what it makes.

A template is code, and runs between two checkpoints: while it does, no signal is heard and no answer read. So when it
is compiled, its loops, texts and searches are put under a budget; calls and filters pay for what they are given; and
what makes much out of little (`'x' * n`, `2 ** n`, widths) is refused before it is carried out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any, Final, Literal, cast

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, Undefined, nodes
from jinja2.filters import FILTERS
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS
from jinja2.visitor import NodeTransformer

__all__ = [
    "ATTACHED",
    "MOST_STEPS",
    "MOST_TEXT",
    "Attach",
    "BoundedEnvironment",
    "TooMuch",
    "attached_in",
    "render_bounded",
]

MOST_STEPS: Final = 250_000
"""Steps of one text: items of loops, calls, filters, and items or hundreds of characters that those are given."""
MOST_TEXT: Final = 64 << 20
"""Characters of one text, all that is made on the way included."""
_MOST_BITS: Final = 10_000
_MOST_WIDTH: Final = 100_000
_CALL: Final = 4
_WIDE: Final = re.compile(r"%[^a-zA-Z%]*(\d{4}|\*)|\{[^{}]*(:[^{}]*\d{4}|\{)")
_TAKES_WIDTHS: Final = frozenset({"batch", "center", "indent", "round", "slice", "tojson", "truncate", "wordwrap"})


Attach = Callable[[Literal["image", "file"], object], str]
"""Puts an image or a file beside the text, and gives the mark that stands for it there."""
ATTACHED: Final[tuple[Literal["image", "file"], ...]] = ("image", "file")
"""The functions that do so, in templates of those who have a place for it."""


class TooMuch(ValueError):
    """A template that does more than it may, in one line."""


class _Budget:
    """What is left to one text."""

    def __init__(self, attach: Attach | None = None) -> None:
        self._steps = MOST_STEPS
        self._text = MOST_TEXT
        self.attach = attach

    def take(self, steps: int) -> None:
        self._steps -= steps
        if self._steps < 0:
            raise TooMuch(f"it takes more than {MOST_STEPS:,} steps")

    def write(self, characters: int) -> None:
        self._text -= characters
        if self._text < 0:
            raise TooMuch(f"it makes more than {MOST_TEXT:,} characters")


_budget: ContextVar[_Budget | None] = ContextVar("budget of the text that is rendered", default=None)


def _pay(*given: Any, steps: int = 1) -> None:
    budget = _budget.get()
    if budget is not None:  # constants are folded when a template is compiled, for nothing
        budget.take(steps)
        for each in given:
            if isinstance(each, str | Sized):
                budget.take(_size(each))


def _size(value: Any) -> int:
    """Items, those within items too, and hundreds of characters: as far as the budget goes."""
    size = 0
    left = [value]
    while left and size <= MOST_STEPS:
        each = left.pop()
        if isinstance(each, str):
            size += len(each) // 100
        elif isinstance(each, Mapping):
            size += 2 * len(each)
            left += [inner for inner in each.values() if isinstance(inner, str | Sized)]
        elif isinstance(each, list | tuple | set):
            size += len(each)
            left += [inner for inner in each if isinstance(inner, str | Sized)]
        elif isinstance(each, range):
            size += len(each)
    return size


def _make(characters: int) -> None:
    """Pay for a text of so many characters before it is made."""
    (_budget.get() or _Budget()).write(characters)


def _made(value: Any) -> Any:
    """Pay for what was made, if it is a text."""
    if isinstance(value, str):
        _make(len(value))
    return value


# -- what is put in when a template is compiled --


def _items(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        _pay()
        yield item


def _step(_: Any) -> str:
    _pay()
    return ""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        _pay(value)
        _check_is_said(value)
    text = str(value)
    _make(len(text))
    return text


def _check_is_said(value: Any) -> None:
    """Raises `ValueError` for what has no text but its address, which is another in each run."""
    if isinstance(value, Undefined):  # which says so itself
        return
    if callable(value):
        raise ValueError("a function or method has no text; to call it needs its brackets, as in name.upper()")
    if hasattr(value, "__next__"):
        raise ValueError("what gives items one after another has no text; write |list or |join behind it")


def _joined(parts: Iterable[Any]) -> str:
    return "".join([_text(part) for part in parts])


def _compared(value: Any) -> Any:
    _pay(value)
    return value


def _attached(kind: Literal["image", "file"], name: Any) -> str:
    """The mark of an image or a file; at no time but when a text is made, so that no constant one is read before."""
    budget = _budget.get()
    if budget is None or budget.attach is None:
        raise ValueError(f"{kind}() means something in the messages of a chat step only")
    _pay(name, steps=_CALL)
    if isinstance(name, Undefined):
        str(name)  # which says of what there is none
    return budget.attach(kind, name)


_OURS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "penstock items": _items,
    "penstock text": _text,
    "penstock joined": _joined,
    "penstock compared": _compared,
    "penstock step": _step,
    "penstock image": partial(_attached, "image"),
    "penstock file": partial(_attached, "file"),
}


def _filter(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(cast(nodes.Expr, node), f"penstock {name}", [], [], None, None, lineno=node.lineno)


def attached_in(tree: nodes.Template) -> set[str]:
    """Which of `ATTACHED` a template calls."""
    names = {f"penstock {kind}": kind for kind in ATTACHED}
    return {names[node.name] for node in tree.find_all(nodes.Filter) if node.name in names}


class _UnderBudget(NodeTransformer):
    def __init__(self, own: set[str]) -> None:
        self._own = own
        """The names that the template gives to something itself: its own macro `image` is no other."""

    def visit_Call(self, node: nodes.Call) -> nodes.Node:
        self.generic_visit(node)
        kind = self._attached(node)
        if kind is None:
            return node
        if len(node.args) != 1 or node.kwargs or node.dyn_args is not None or node.dyn_kwargs is not None:
            raise TemplateSyntaxError(f"{kind}() takes one path{' or URL' if kind == 'image' else ''}", node.lineno)
        return _filter(node.args[0], kind)

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:
        if (kind := self._attached(node.call)) is not None:
            raise TemplateSyntaxError(f"{kind}() is no macro, which could hold something", node.lineno)
        self.generic_visit(node)
        return node

    def _attached(self, node: nodes.Call) -> str | None:
        name = node.node.name if isinstance(node.node, nodes.Name) else None
        return name if name in ATTACHED and name not in self._own else None

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        node.iter = _filter(node.iter, "items")
        if node.recursive:  # it is entered again with other items, which no filter sees
            step = nodes.Output([_filter(nodes.Name("loop", "load", lineno=node.lineno), "step")], lineno=node.lineno)
            node.body.insert(0, step)
        return node

    def visit_Output(self, node: nodes.Output) -> nodes.Node:
        self.generic_visit(node)
        node.nodes = [
            _filter(
                nodes.Const(part.data, lineno=part.lineno) if isinstance(part, nodes.TemplateData) else part, "text"
            )
            for part in node.nodes
        ]
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _filter(nodes.List(node.nodes, lineno=node.lineno), "joined")

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        node.expr = _filter(node.expr, "compared")
        for operand in node.ops:
            operand.expr = _filter(operand.expr, "compared")
        return node


# -- what is looked at when it is rendered --


def _bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter or a test that pays for what it is given and for what it makes."""
    first = 1 if hasattr(function, "jinja_pass_arg") else 0

    @wraps(function)
    def bounded(*args: Any, **options: Any) -> Any:
        before, given = args[:first], list(args[first:])
        if given and isinstance(given[0], Iterator):
            given[0] = map(_taken, given[0])
        _pay(*given, *options.values())
        if name in _TAKES_WIDTHS:
            _check_widths((*given, *options.values()))
        if name in _GROWING:
            _GROWING[name](*given, **options)
        return _made(function(*before, *given, **options))

    return bounded


def _taken(item: Any) -> Any:
    _pay(item)
    return _made(item)


def _check_widths(given: Iterable[Any]) -> None:
    for each in given:
        if isinstance(each, int) and abs(each) >= _MOST_WIDTH:
            raise TooMuch(f"a width of {each:,} is more than {_MOST_WIDTH:,}")


def _replace(text: Any, old: Any = "", new: Any = "", *_: Any, **__: Any) -> None:
    if isinstance(text, str) and isinstance(old, str) and isinstance(new, str):
        _make(len(text) + text.count(old) * len(new))


def _format(pattern: Any, *args: Any, **options: Any) -> None:
    text = str(pattern)
    if _WIDE.search(text):
        raise TooMuch("a width is to be written out, with at most three digits")
    longest = max((len(each) for each in (*args, *options.values()) if isinstance(each, str)), default=0)
    _make(len(text) + (text.count("{") + text.count("%")) * max(longest, 1000))


def _join(separator: Any, items: Any = (), *_: Any) -> None:
    if isinstance(items, Sized) and isinstance(separator, str):
        _make(len(separator) * len(items))


def _join_filter(items: Any, d: Any = "", *_: Any, **__: Any) -> None:
    _join(d, items)


def _indent(text: Any, width: Any = 4, *_: Any, **__: Any) -> None:
    if isinstance(text, str):
        _make((text.count("\n") + 1) * (width if isinstance(width, int) else len(str(width))))


def _expand_tabs(text: Any, tabsize: Any = 8) -> None:
    if isinstance(text, str) and isinstance(tabsize, int):
        _make(text.count("\t") * abs(tabsize))


def _wrap_words(text: Any, *args: Any, wrapstring: Any = None, **_: Any) -> None:
    if isinstance(text, str):
        between = wrapstring if wrapstring is not None else args[2] if len(args) > 2 else ""
        _make(len(text) * (1 + len(str(between))))


def _to_json(value: Any, indent: Any = 0, **_: Any) -> None:
    if isinstance(indent, int):
        _make(_size(value) * abs(indent) * 8)


_GROWING: Final[Mapping[str, Callable[..., None]]] = {
    "format": _format,
    "indent": _indent,
    "join": _join_filter,
    "replace": _replace,
    "tojson": _to_json,
    "wordwrap": _wrap_words,
}
_GROWING_METHODS: Final[Mapping[str, Callable[..., None]]] = {
    "expandtabs": _expand_tabs,
    "format": _format,
    "format_map": _format,
    "join": _join,
    "replace": _replace,
}


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox whose templates are bounded; they are rendered by `render_bounded`."""

    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=False)
        filters = {name: _bounded(name, each) for name, each in FILTERS.items()}
        del filters["random"]  # by which the same row would ask something else in each run
        self.filters = {**filters, **_OURS}
        self.tests = {name: _bounded(name, cast("Callable[..., Any]", each)) for name, each in TESTS.items()}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        parsed = super()._parse(source, name, filename)
        own = {macro.name for macro in parsed.find_all(nodes.Macro)}
        own |= {each.name for each in parsed.find_all(nodes.Name) if each.ctx in ("store", "param")}
        tree: nodes.Template = _UnderBudget(own).visit(parsed)
        return tree

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "*" and isinstance(left, int) and isinstance(right, int):
            _check_bits(left.bit_length() + right.bit_length())
        elif operator == "*":
            for many, times in ((left, right), (right, left)):
                if isinstance(many, Sized) and isinstance(times, int):
                    _make(len(many) * times if times > 0 else 0)
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            _check_bits(left.bit_length() * max(right, 1))
        elif operator == "%" and isinstance(left, str):
            _format(left, *(right if isinstance(right, tuple) else (right,)))
        elif operator == "+" and isinstance(left, Sized) and isinstance(right, Sized):
            _make(len(left) + len(right))
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        method = getattr(__obj, "__wrapped__", __obj)  # the sandbox wraps `format`
        owner = getattr(method, "__self__", None)
        _pay(owner, *args, *kwargs.values(), steps=_CALL)
        if isinstance(owner, str | int | float | bytes):
            _check_widths((*args, *kwargs.values()))
            check = _GROWING_METHODS.get(method.__name__)
            if check is not None:
                check(owner, *args, **kwargs)
        return _made(super().call(__context, __obj, *args, **kwargs))


def _check_bits(bits: int) -> None:
    if bits > _MOST_BITS:
        raise TooMuch(f"a number of more than {_MOST_BITS:,} bits")


def render_bounded(template: Template, values: Mapping[str, Any], attach: Attach | None = None) -> str:
    """The text of a template of a `BoundedEnvironment`, whose images and files go to `attach`. Raises `TooMuch`, and
    whatever an expression of it raises.
    """
    token = _budget.set(_Budget(attach))
    try:
        return template.render(values)
    finally:
        _budget.reset(token)

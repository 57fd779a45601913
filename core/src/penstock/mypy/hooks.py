"""The hooks of plugins, checked by their names.

An implementation takes the arguments that it wants, so no protocol fits it. mypy is told here, at each mark
(`@hookimpl`), what the registration would refuse later (`plugins/hook_checks.py`): a hook that is none, an argument
that it has not. And what only types can say: that what is given is what is taken, and that the answer is one.

All messages have the error code `penstock`, so one may be passed over by `# type: ignore[penstock]`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from mypy.errorcodes import ErrorCode
from mypy.messages import format_type
from mypy.nodes import (
    ARG_NAMED,
    ARG_NAMED_OPT,
    ARG_OPT,
    ARG_STAR,
    ARG_STAR2,
    CallExpr,
    Decorator,
    Expression,
    FuncDef,
    RefExpr,
    StrExpr,
    SymbolNode,
    TypeInfo,
)
from mypy.plugin import CheckerPluginInterface, MethodContext, Plugin
from mypy.subtypes import is_subtype
from mypy.types import CallableType, Instance, LiteralType, Type, get_proper_type

from penstock.config.words import did_you_mean
from penstock.plugins.hookspecs import HOOKS

__all__ = ["HookPlugin", "plugin"]

_CODE: Final = ErrorCode("penstock", "Hooks of Penstock's plugins", "Penstock")
_SPECS: Final = "penstock.plugins.hookspecs"
_MARK: Final = f"{_SPECS}.hookimpl"
_CALLED: Final = re.compile(r"pluggy\..*HookimplMarker\.__call__")
"""The call of a mark, ours or another project's, in whichever of pluggy's modules it is."""
_NAMED: Final = f"{_SPECS}.NamedMark"


class HookPlugin(Plugin):
    """Looks at every function that is marked as a hook."""

    def get_method_hook(self, fullname: str) -> Callable[[MethodContext], Type] | None:
        if _CALLED.fullmatch(fullname):
            return self._at_mark
        return self._at_named_mark if fullname == f"{_NAMED}.__call__" else None

    def _at_mark(self, context: MethodContext) -> Type:
        """`@hookimpl` above a function, or `@hookimpl(...)`, which has the function when what it makes is called."""
        where = context.context
        if isinstance(where, Decorator) and any(map(_is_ours, where.original_decorators)):
            self._check(context, None)
        elif isinstance(where, CallExpr) and _is_ours(where.callee) and "optionalhook" not in where.arg_names:
            named = self._node(_NAMED)
            if isinstance(named, TypeInfo):
                text = context.api.named_generic_type("builtins.str", [])
                name = _specname(where)
                return Instance(named, [text if name is None else LiteralType(name, text)])
        return context.default_return_type

    def _at_named_mark(self, context: MethodContext) -> Type:
        mark = get_proper_type(context.type)
        name = get_proper_type(mark.args[0]) if isinstance(mark, Instance) and mark.args else None
        self._check(context, name.value if isinstance(name, LiteralType) and isinstance(name.value, str) else None)
        return context.default_return_type

    def _check(self, context: MethodContext, hook: str | None) -> None:
        for marked in map(get_proper_type, context.arg_types[0]):
            if isinstance(marked, CallableType) and isinstance(marked.definition, FuncDef):
                function = marked.definition
                specification = self._specification(hook or function.name)
                for line in _problems(marked, function, hook or function.name, specification, context.api):
                    context.api.fail(line, function, code=_CODE)

    def _specification(self, hook: str) -> CallableType | None:
        specs = self._node(f"{_SPECS}.PenstockSpec")
        node = specs.names[hook].node if isinstance(specs, TypeInfo) and hook in specs.names else None
        function = node.func if isinstance(node, Decorator) else node
        kind = get_proper_type(function.type) if isinstance(function, FuncDef) and function.type is not None else None
        return kind if isinstance(kind, CallableType) else None

    def _node(self, fullname: str) -> SymbolNode | None:
        found = self.lookup_fully_qualified(fullname)
        return None if found is None else found.node


def plugin(_version: str) -> type[Plugin]:
    """The plugin, as mypy asks for it."""
    return HookPlugin


def _is_ours(mark: Expression) -> bool:
    return isinstance(mark, RefExpr) and mark.fullname == _MARK


def _specname(call: CallExpr) -> str | None:
    for name, given in zip(call.arg_names, call.args, strict=True):
        if name == "specname" and isinstance(given, StrExpr):
            return given.value
    return None


def _problems(
    marked: CallableType,
    function: FuncDef,
    hook: str,
    specification: CallableType | None,
    api: CheckerPluginInterface,
) -> Iterable[str]:
    if hook not in HOOKS:
        yield f"{hook} is no hook; {did_you_mean(hook, HOOKS)}"
        return
    if function.is_coroutine or function.is_async_generator:
        yield f"{function.name} is async; hooks are synchronous: make it a plain def that decides at once"
        return
    if specification is None:
        return
    given = dict(zip(specification.arg_names, specification.arg_types, strict=True))
    given.pop("self", None)
    bound = bool(function.info) and not function.is_static
    parameters = list(zip(marked.arg_names, marked.arg_kinds, marked.arg_types, strict=True))
    for name, kind, wanted in parameters[1:] if bound else parameters:
        what = f"{function.name}: {name}"
        if kind in (ARG_STAR, ARG_STAR2):
            names = ", ".join(str(each) for each in given)
            yield f"{what} takes whatever is given, and nothing would be; name what you want of {names}"
        elif name not in given:
            if kind not in (ARG_OPT, ARG_NAMED_OPT):
                known = [each for each in given if each]
                yield f"{what} is no argument of this hook; {did_you_mean(str(name), known, otherwise='there are')}"
        elif kind in (ARG_OPT, ARG_NAMED, ARG_NAMED_OPT):
            yield f"{what} would never be given: take its default or the * before it out"
        elif not is_subtype(given[name], wanted):
            yield f"{what} is given as {_shown(given[name], api)}, and taken as {_shown(wanted, api)}"
    if not is_subtype(marked.ret_type, specification.ret_type):
        wanted_answer, answer = _shown(specification.ret_type, api), _shown(marked.ret_type, api)
        yield f"{function.name} answers with {answer}; this hook's answer is {wanted_answer}"


def _shown(kind: Type, api: CheckerPluginInterface) -> str:
    return format_type(kind, api.options)

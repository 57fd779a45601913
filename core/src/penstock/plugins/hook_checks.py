"""The check of a plugin's hooks, made once, at registration, so that a mistake is reported then and not felt later.

pluggy registers whatever is marked: a misspelt hook is never called, an `async def` answers with a
coroutine that is never awaited (and which is not None, so it looks like an opinion), an argument with a
default is silently never given. All of these are refused here, each with what would be right.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import ModuleType
from typing import Any, Final

import attrs

from penstock.config.words import did_you_mean
from penstock.plugins.hookspecs import HOOKS, PenstockSpec

__all__ = ["Implementation", "check_hooks", "deprecations", "hook_arguments", "hooks_of", "implementations"]

_MARK: Final = "penstock_impl"
_PREFIX: Final = "penstock_"


@attrs.frozen
class Implementation:
    """A marked function of a plugin: the hook it is for, and pluggy's options of the mark."""

    hook: str
    function_name: str
    function: Callable[..., Any]
    options: Mapping[str, Any]
    drops_self: bool
    """Whether the first parameter is filled by binding."""


@cache
def hook_arguments(hook: str) -> tuple[str, ...]:
    """The arguments that a hook may take, in the order of its specification."""
    return tuple(inspect.signature(getattr(PenstockSpec, hook)).parameters)[1:]


def implementations(plugin: object) -> list[Implementation]:
    """The marked functions of a plugin, in the order of the hook specifications, unknown ones last."""
    found = [made for each in _functions(plugin) if (made := _marked(*each)) is not None]
    order = list(HOOKS)
    return sorted(found, key=lambda made: order.index(made.hook) if made.hook in HOOKS else len(order))


def hooks_of(plugin: object) -> list[str]:
    """The hooks that a plugin has, as `implementations`."""
    return [made.hook for made in implementations(plugin)]


def check_hooks(plugin: object) -> list[str]:
    """The problems of a plugin's hooks, one line each; none for a sound plugin."""
    marked = implementations(plugin)
    problems = [line for made in marked for line in _problems(made)]
    seen: dict[str, str] = {}
    for made in marked:
        if made.hook in seen:
            both = f"{seen[made.hook]} and {made.function_name}"
            problems.append(f"{both} implement {made.hook}; one of them must go")
        seen[made.hook] = made.function_name
    for name, function, bound in _functions(plugin):
        foreign = isinstance(plugin, ModuleType) and function.__module__ != plugin.__name__
        if _marked(name, function, bound) is None and name.startswith(_PREFIX) and not foreign:
            problems.append(
                f"{name} lacks its mark; put @hookimpl (from penstock import hookimpl) above it"
                if name in HOOKS
                else f"{name} is no hook ({did_you_mean(name, HOOKS)}), and the names {_PREFIX}… are for hooks"
            )
    if not marked and not problems:
        problems.append("it has no hook; mark a function with @hookimpl (from penstock import hookimpl)")
    return problems


def deprecations(plugin: object) -> list[str]:
    """What a plugin's hooks that are deprecated are told by, one line each."""
    old = ((hook, HOOKS[hook].deprecated) for hook in hooks_of(plugin) if hook in HOOKS)
    return [f"{hook} is deprecated since {since}" for hook, since in old if since is not None]


def _functions(plugin: object) -> Iterator[tuple[str, Callable[..., Any], bool]]:
    """The name, the function, and whether binding fills its first parameter. No property is run."""
    plain = inspect.isclass(plugin) or isinstance(plugin, ModuleType)
    for name in dir(plugin):
        try:
            static = inspect.getattr_static(plugin, name)
        except AttributeError:
            continue
        bound = not plain or inspect.isclass(plugin)
        if isinstance(static, staticmethod):
            static, bound = static.__func__, False
        elif isinstance(static, classmethod):
            static, bound = static.__func__, True
        elif not plain and name in getattr(plugin, "__dict__", {}):
            bound = False
        if inspect.ismethod(static):
            static, bound = static.__func__, True
        if inspect.isfunction(static):
            yield name, static, bound


def _marked(name: str, function: Callable[..., Any], bound: bool) -> Implementation | None:
    options = getattr(function, _MARK, None)
    if not isinstance(options, Mapping):
        return None
    return Implementation(options.get("specname") or name, name, function, options, bound)


def _problems(made: Implementation) -> Iterator[str]:
    name = made.function_name
    facts = HOOKS.get(made.hook)
    if facts is None:
        if not made.options.get("optionalhook"):
            yield f"{made.hook} is no hook; {did_you_mean(made.hook, HOOKS)}"
        return
    function = inspect.unwrap(made.function)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        yield f"{name} is async; hooks are synchronous: make it a plain def that decides at once"
    if made.options.get("wrapper") or made.options.get("hookwrapper"):
        yield f"{name} is a wrapper; each plugin is asked by itself, so there is nothing to wrap: use a plain @hookimpl"
    elif inspect.isgeneratorfunction(function):
        yield f"{name} yields; a hook answers with return"
    for order in ("tryfirst", "trylast"):
        if made.options.get(order) and facts.list_key is not None:
            yield f"{name} is marked {order}; its order is that of the list plugins.{facts.list_key}: take the mark out"
    yield from _argument_problems(made)


def _argument_problems(made: Implementation) -> Iterator[str]:
    known = hook_arguments(made.hook)
    parameters = list(inspect.signature(made.function).parameters.values())
    for parameter in parameters[1:] if made.drops_self else parameters:
        what = f"{made.function_name}: {parameter.name}"
        has_default = parameter.default is not parameter.empty
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            yield f"{what} takes whatever is given, and nothing would be; name what you want of {', '.join(known)}"
        elif parameter.name not in known and not has_default:
            yield f"{what} is no argument of this hook; {did_you_mean(parameter.name, known, otherwise='there are')}"
        elif parameter.name in known and (has_default or parameter.kind is parameter.KEYWORD_ONLY):
            yield f"{what} would never be given: take its default or the * before it out"

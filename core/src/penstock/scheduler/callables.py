"""Whether a function can be a task, as far as that can be seen without calling it.

Found are: what is no callable, a coroutine in place of its function, a generator function, and arguments that do not
fit. What a function returns is seen when it runs (`runner.py`): any function may return something that can be awaited.

Looking at a signature takes longer than everything else that is done for a new task. So a function that was found right
is known by its code, which all closures of one definition share, together with how many arguments it was given.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from types import FunctionType, MethodType
from typing import Any, Final

from penstock.words.checks import shown
from penstock.words.errors import ConfigError

__all__ = ["FunctionCheck", "check_async_function", "check_plain_function", "name_of"]

REMEMBERED_FUNCTIONS: Final = 1024
"""How many functions are remembered as right."""


def name_of(fn: object) -> str:
    """What a function is called in an error."""
    if isinstance(fn, partial):
        return name_of(fn.func)
    return str(getattr(fn, "__qualname__", None) or shown(fn))


class FunctionCheck:
    """The check of functions that are to be tasks: it refuses what cannot be carried out."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], object] = {}

    def check(self, fn: Callable[..., Any], args: Sequence[Any]) -> None:
        """Raises `ConfigError` if `fn` is no function that ends with a result, or cannot be called with `args`."""
        inner: Any = fn
        given = len(args)
        keywords: tuple[str, ...] = ()
        if inner.__class__ is partial:
            inner, given, keywords = inner.func, given + len(inner.args), tuple(inner.keywords)
        code = getattr(inner, "__code__", None)
        call = (id(code), given, inner.__class__, keywords)
        if code is None or self._known.get(call) is not code:
            _check_kind(fn)
            _check_arguments(fn, args)
            if len(self._known) >= REMEMBERED_FUNCTIONS:
                self._known.clear()
            self._known[call] = code  # and so the code lives on, and its id is nobody else's


def check_async_function(fn: object) -> None:
    """Raises `ConfigError` for a function whose result surely cannot be awaited. Of a plain one that is seen when it
    runs: any function may return something that can be awaited."""
    _check_kind(fn)


def check_plain_function(fn: object) -> None:
    """Raises `ConfigError` for an async function, which a runner of plain ones cannot carry out."""
    called = _called(fn)
    if inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called):
        raise ConfigError(
            f"fn must be a plain function, and {name_of(fn)} is an async one: "
            f'write `def`, or let it run in the scheduler\'s own nursery, by runner="nursery"'
        )


def _called(fn: object) -> Any:
    """The function that is called where `fn` is."""
    while isinstance(fn, partial):
        fn = fn.func
    return fn if isinstance(fn, FunctionType | MethodType | type) else type(fn).__call__


def _check_kind(fn: object) -> None:
    if inspect.iscoroutine(fn):
        name = name_of(fn)
        fn.close()
        raise ConfigError(f"fn is the coroutine {name}(…): give the async function and its arguments, ({name}, …)")
    if not callable(fn):
        raise ConfigError(f"fn must be an async function, not {shown(fn)}")
    called = _called(fn)
    if inspect.isasyncgenfunction(called):
        raise ConfigError(
            f"fn must be an async function, and {name_of(fn)} is an async generator function: "
            f"iterate over it inside an async function"
        )
    if inspect.isgeneratorfunction(called) and not called.__code__.co_flags & inspect.CO_ITERABLE_COROUTINE:
        raise ConfigError(
            f"fn must be an async function, and {name_of(fn)} is a generator function: write `async def` and await, "
            f"or return a list where a runner calls it"
        )


def _check_arguments(fn: Callable[..., Any], args: Sequence[Any]) -> None:
    inner: Any = fn
    keywords: dict[str, Any] = {}
    while isinstance(inner, partial):
        inner, args, keywords = inner.func, (*inner.args, *args), inner.keywords | keywords
    if isinstance(inner, type):
        return  # what makes an instance may be a metaclass, `__new__` or `__init__`: let it say so itself
    try:
        signature = inspect.signature(inner, follow_wrapped=False)
    except (TypeError, ValueError):
        return  # some functions written in C have none
    try:
        signature.bind(*args, **keywords)
    except TypeError as error:
        name = name_of(inner)
        raise ConfigError(
            f"args do not fit {name}{signature}: {error}; arguments by name go in with functools.partial({name}, …)"
        ) from None

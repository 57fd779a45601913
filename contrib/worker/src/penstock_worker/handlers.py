"""The functions that do the work, by the type of message that each is for, and the one that loads what they share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import FunctionType, MappingProxyType, MethodType
from typing import Any, Final, TypeVar, overload

import attrs

from penstock import ConfigError, did_you_mean

__all__ = ["Handler", "Handlers", "Loader"]

F = TypeVar("F", bound=Callable[..., Any])

NO_NEEDS: Final[Mapping[str, int]] = MappingProxyType({})


@attrs.frozen
class Handler:
    """One handler: its function, whether that is async, and whether it takes the context beside the payload.

    `needs` is what each of its tasks takes of `[scheduler.resources]`; `time_limit` is in seconds.
    """

    fn: Callable[..., Any]
    is_async: bool
    takes_context: bool
    needs: Mapping[str, int] = NO_NEEDS
    time_limit: float | None = None

    def arguments(self, payload: Any, context: Any) -> tuple[Any, ...]:
        """What the function is called with."""
        return (payload, context) if self.takes_context else (payload,)


@attrs.frozen
class Loader:
    """The function whose result is the context that all tasks share."""

    fn: Callable[[], Any]
    is_async: bool


class Handlers:
    """The handlers of a worker, by type; the one of type `None` takes what no other does."""

    def __init__(self) -> None:
        self.loader: Loader | None = None
        self._by_type: dict[str | None, Handler] = {}

    @overload
    def task(self, fn: F) -> F: ...

    @overload
    def task(
        self, *, name: str | None = None, needs: Mapping[str, int] = NO_NEEDS, time_limit: float | None = None
    ) -> Callable[[F], F]: ...

    def task(
        self,
        fn: F | None = None,
        *,
        name: str | None = None,
        needs: Mapping[str, int] = NO_NEEDS,
        time_limit: float | None = None,
    ) -> F | Callable[[F], F]:
        """A decorator: the function is called for each message, as `fn(payload, context)` or `fn(payload)`.

        `name`        the type of message that it is for; without one, every type that no other function is for
        `needs`       what each task takes of `[scheduler.resources]`, as `{"gpu": 1}`
        `time_limit`  seconds after which its task is answered with an error, instead of that in `[worker]`

        Raises `ConfigError` for what is no function of one or two arguments, and for a type that has one already.
        """

        def register(given: F) -> F:
            if name in self._by_type:
                what = "every type" if name is None else f"the type {name!r}"
                raise ConfigError(f'there is a task for {what} already: give each a name of its own, @task(name="…")')
            is_async = _kind("a task", given)
            self._by_type[name] = Handler(given, is_async, _takes_context(given), dict(needs), time_limit)
            return given

        _check_options(name, time_limit)
        return register if fn is None else register(fn)

    def load(self, fn: F) -> F:
        """A decorator: the function is called once, before the worker is ready, and all tasks share what it returns.

        Raises `ConfigError` for what is no function without arguments, and where there is one already.
        """
        if self.loader is not None:
            raise ConfigError("there is a @load already: one function loads all, and returns what every task needs")
        is_async = _kind("@load", fn)
        if not _fits(fn, 0):
            raise ConfigError(f"@load calls {_name(fn)} without arguments, and it needs some")
        self.loader = Loader(fn, is_async)
        return fn

    def of_type(self, type_: str | None) -> Handler | None:
        """The handler for messages of this type."""
        return self._by_type.get(type_) or self._by_type.get(None)

    def unknown(self, type_: str | None) -> str:
        """What to say of a message of a type that no handler is for."""
        known = [each for each in self._by_type if each is not None]
        if type_ is None:
            return f"the message has no type; there are tasks for {', '.join(sorted(known))}"
        return f"there is no task for the type {type_[:100]!r}; {did_you_mean(type_[:100], known)}"

    def __iter__(self) -> Iterator[tuple[str | None, Handler]]:
        return iter(self._by_type.items())

    def __len__(self) -> int:
        return len(self._by_type)


def _check_options(name: object, time_limit: object) -> None:
    if not (name is None or (isinstance(name, str) and name)):
        raise ConfigError(f"name must be the type of message that the task is for, not {name!r}")
    if time_limit is not None:
        number = isinstance(time_limit, int | float) and not isinstance(time_limit, bool)
        if not (number and 0 < time_limit < float("inf")):  # type: ignore[operator]  # a number, as was just seen
            raise ConfigError(f"time_limit must be a number of seconds above 0, not {time_limit!r}")


def _kind(what: str, fn: object) -> bool:
    """Whether the function is async. Raises `ConfigError` for what is no function, or a generator."""
    if not callable(fn):
        raise ConfigError(f"{what} must be a function, not {fn!r}; options go in by name, as @task(name=…)")
    inner: Any = fn
    while isinstance(inner, partial):
        inner = inner.func
    called = inner if isinstance(inner, FunctionType | MethodType | type) else type(inner).__call__
    if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
        raise ConfigError(f"{what} must return its result, and {_name(fn)} yields")
    return inspect.iscoroutinefunction(called)


def _takes_context(fn: Callable[..., Any]) -> bool:
    if _fits(fn, 2):
        return True
    if _fits(fn, 1):
        return False
    raise ConfigError(f"{_name(fn)} must take (payload, context), or the payload alone")


def _fits(fn: Callable[..., Any], count: int) -> bool:
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):  # some functions written in C have none
        return True
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def _name(fn: object) -> str:
    return str(getattr(fn, "__qualname__", None) or repr(fn))

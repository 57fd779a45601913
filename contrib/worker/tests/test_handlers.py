"""Which function is for which message, and what cannot be one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from penstock import ConfigError
from penstock_worker.handlers import Handlers


def both(payload: Any, context: Any) -> Any:
    return payload, context


def alone(payload: Any) -> Any:
    return payload


async def awaited(payload: Any, context: Any = None) -> Any:
    return payload


def yielding(payload: Any, context: Any) -> Iterator[Any]:
    yield payload


class Model:
    async def __call__(self, payload: Any, context: Any) -> Any:
        return payload


@pytest.fixture
def handlers() -> Handlers:
    return Handlers()


def test_the_type_of_a_message_selects_the_task_of_that_name(handlers: Handlers) -> None:
    handlers.task(name="embed")(both)
    handlers.task(alone)

    assert [handlers.of_type(kind).fn for kind in ("embed", "other", None)] == [both, alone, alone]  # type: ignore[union-attr]


def test_a_type_that_no_task_is_for_is_told_with_what_was_probably_meant(handlers: Handlers) -> None:
    handlers.task(name="embed")(both)

    assert handlers.of_type("embde") is None
    assert handlers.unknown("embde") == "there is no task for the type 'embde'; did you mean 'embed'?"
    assert handlers.unknown(None) == "the message has no type; there are tasks for embed"


@pytest.mark.parametrize(
    ("fn", "is_async", "takes_context"),
    [
        (both, False, True),
        (alone, False, False),
        (awaited, True, True),
        (partial(awaited, context=1), True, False),
        (Model(), True, True),
        (lambda *all: all, False, True),
        (len, False, False),
    ],
)
def test_what_a_function_is_called_with_and_whether_it_is_awaited(
    handlers: Handlers, fn: Callable[..., Any], is_async: bool, takes_context: bool
) -> None:
    assert handlers.task(fn) is fn

    handler = handlers.of_type(None)
    assert handler is not None
    assert (handler.is_async, handler.takes_context) == (is_async, takes_context)
    assert handler.arguments("p", "c") == (("p", "c") if takes_context else ("p",))


@pytest.mark.parametrize("fn", [yielding, 3, "embed", lambda: 1, lambda a, b, c: a])
def test_what_cannot_be_a_task_is_refused(handlers: Handlers, fn: Any) -> None:
    with pytest.raises(ConfigError):
        handlers.task(fn)


@pytest.mark.parametrize(
    "options", [{"name": ""}, {"name": 3}, {"time_limit": 0}, {"time_limit": "3"}, {"time_limit": float("nan")}]
)
def test_a_wrong_option_is_refused(handlers: Handlers, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        handlers.task(**options)


def test_two_tasks_for_one_type_are_refused(handlers: Handlers) -> None:
    handlers.task(both)
    with pytest.raises(ConfigError, match="every type"):
        handlers.task(alone)

    handlers.task(name="embed")(both)
    with pytest.raises(ConfigError, match="'embed'"):
        handlers.task(name="embed")(alone)


def test_one_function_loads_without_arguments(handlers: Handlers) -> None:
    with pytest.raises(ConfigError, match="arguments"):
        handlers.load(alone)
    handlers.load(dict)

    with pytest.raises(ConfigError, match="already"):
        handlers.load(dict)

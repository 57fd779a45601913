"""What the scheduler refuses at its door, and what of a wrong function is only seen when it runs."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from functools import partial, wraps
from types import coroutine
from typing import Any
from unittest.mock import AsyncMock

import pytest
import trio
from trio.testing import MockClock

from penstock import ConfigError, TaskSpec
from penstock.testing import open_rig

Make = Callable[..., Any]


async def add(one: int, two: int = 0, *, three: int = 0) -> int:
    return one + two + three


async def by_name(*, one: int) -> int:
    return one


def three() -> int:
    return 3


def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


@coroutine
def of_old_times() -> Generator[Any, Any, int]:
    yield from trio.lowlevel.checkpoint().__await__()
    return 5


class Adder:
    async def __call__(self, one: int) -> int:
        return one

    async def method(self, one: int) -> int:
        return one

    @classmethod
    async def of_the_class(cls, one: int) -> int:
        return one

    @staticmethod
    async def static(one: int) -> int:
        return one


class Generates:
    def __call__(self) -> Iterator[int]:
        yield 1


def handing_in(fn: Make) -> Make:
    """A decorator that gives its function an argument which the caller does not."""

    @wraps(fn)
    def wrapper(*args: Any) -> Any:
        return fn(1, *args)

    return wrapper


RIGHT: list[tuple[Any, tuple[Any, ...], int]] = [
    (add, (1,), 1),
    (add, (1, 2), 3),
    (partial(add, 1, three=3), (2,), 6),
    (partial(by_name, one=4), (), 4),
    (Adder(), (1,), 1),
    (Adder().method, (1,), 1),
    (Adder.of_the_class, (1,), 1),
    (Adder.static, (1,), 1),
    (lambda one: add(one), (1,), 1),
    (handing_in(add), (2,), 3),
    (of_old_times, (), 5),
    (AsyncMock(return_value=7), (1, 2, 3), 7),
]

WRONG: list[tuple[Any, tuple[Any, ...], str]] = [
    (None, (), "fn must be an async function, not None"),
    ("add", (1,), "fn must be an async function, not 'add'"),
    (generator, (), "generator is a generator function: write `async def`"),
    (partial(generator), (), "generator is a generator function: write `async def`"),
    (Generates(), (), "is a generator function: write `async def`"),
    (async_generator, (), "async_generator is an async generator function: iterate over it"),
    (add, (), "args do not fit add(one: "),
    (add, (1, 2, 3), "too many positional arguments"),
    (by_name, (), "functools.partial(by_name, …)"),
    (by_name, (1,), "too many positional arguments"),
    (partial(add, 1), (2, 3), "too many positional arguments"),
    (partial(add, four=4), (1,), "args do not fit add("),  # type: ignore[call-arg]
    (Adder(), (), "missing a required argument: 'one'"),
    (Adder().method, (), "missing a required argument: 'one'"),
    (Adder.of_the_class, (1, 2), "too many positional arguments"),
]


@pytest.mark.parametrize(("fn", "args", "result"), RIGHT)
async def test_whatever_gives_something_to_await_is_taken(
    autojump_clock: MockClock, fn: Any, args: tuple[Any, ...], result: int
) -> None:
    async with open_rig() as rig:
        for _ in range(2):  # the second time, it is known
            assert await rig.scheduler.start_soon(fn, *args) == result


@pytest.mark.parametrize(("fn", "args", "told"), WRONG)
async def test_what_cannot_be_a_task_is_refused_at_the_door(
    autojump_clock: MockClock, fn: Any, args: tuple[Any, ...], told: str
) -> None:
    async with open_rig() as rig:
        for _ in range(2):
            with pytest.raises(ConfigError) as raised:
                rig.scheduler.start_soon(fn, *args)
            assert told in str(raised.value)
            with pytest.raises(ConfigError):
                rig.scheduler.add([TaskSpec(task_id="a", fn=fn, args=args)])
        assert rig.scheduler.progress["unfinished"] == 0
        assert await rig.scheduler.start_soon(add, 1) == 1


async def test_a_method_that_is_known_says_nothing_of_its_function(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        assert await rig.scheduler.start_soon(Adder().method, 1) == 1
        unbound: Any = Adder.method
        with pytest.raises(ConfigError, match="missing a required argument: 'one'"):
            rig.scheduler.start_soon(unbound, 1)


async def test_a_coroutine_in_place_of_its_function_is_refused_and_closed(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        started: Any = add(1)
        with pytest.raises(ConfigError, match="give the async function and its arguments"):
            rig.scheduler.start_soon(started)  # one that is not closed would warn that it was never awaited


async def test_a_map_refuses_a_wrong_function_before_it_takes_an_item(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        wrong: list[Any] = [generator, by_name]
        for fn in wrong:
            with pytest.raises(ConfigError):
                rig.scheduler.map(fn, [1])


@pytest.mark.parametrize("cancellable", [False, True])
async def test_a_function_that_is_not_async_fails_its_task_alone(autojump_clock: MockClock, cancellable: bool) -> None:
    async with open_rig() as rig:
        fn: Any = three
        wrong = rig.scheduler.start_soon(fn, cancellable=cancellable)
        right = rig.scheduler.start_soon(add, 1)
        with pytest.raises(ConfigError, match="three returned int; the nursery runs async functions"):
            await wrong
        assert await right == 1


async def test_a_misspelt_option_is_told_in_the_name_of_what_was_called(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        scheduler: Any = rig.scheduler
        with pytest.raises(TypeError, match=r"start_soon\(\) got an unexpected keyword argument 'grup'"):
            scheduler.start_soon(add, 1, grup="a")
        with pytest.raises(TypeError, match=r"map\(\) got an unexpected keyword argument 'grup'"):
            scheduler.map(add, [1], grup="a")


@pytest.mark.parametrize(
    "options",
    [
        {"group": 3}, {"group": ["a"]}, {"needs": ["gpu"]}, {"needs": {"gpu": 0}}, {"task_id": 3}, {"task_id": ""},
        {"deadline": "x"}, {"deadline": float("nan")}, {"deadline": True}, {"max_attempts": 0},
        {"retry_on": ValueError}, {"retry_on": ("ValueError",)}, {"row_group": 3}, {"column": 3},
    ],
)  # fmt: skip
async def test_a_wrong_option_is_refused_by_its_name(autojump_clock: MockClock, options: dict[str, Any]) -> None:
    async with open_rig() as rig:
        with pytest.raises(ConfigError) as raised:
            rig.scheduler.start_soon(add, 1, **options)
        (name,) = options
        assert name in str(raised.value) or "gpu" in str(raised.value)
        assert rig.scheduler.progress["unfinished"] == 0


async def test_a_handle_is_not_referred_to_weakly(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        handle = rig.scheduler.start_soon(trio.sleep, 1)
        with pytest.raises(TypeError, match="weak reference"):
            weakref.ref(handle)
        await handle

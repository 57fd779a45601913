"""Several answers to one call, each a cell of its own, which together are the value of a step's cell."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

__all__ = ["all_samples"]


async def all_samples(count: int, at_once: int, one: Callable[[int], Awaitable[Any]]) -> list[Any]:
    """The values that `one` gives for the numbers from 0, at most `at_once` of them at a time.

    What fails does not stop the others, which are paid for and kept: the failure of the lowest number is raised when
    all are over.
    """
    values: dict[int, Any] = {}
    failures: dict[int, Exception] = {}
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            try:
                values[number] = await one(number)
            except Exception as error:
                failures[number] = error

    async with trio.open_nursery() as nursery:
        for _ in range(min(count, at_once)):
            nursery.start_soon(work)
    if failures:
        raise failures[min(failures)]
    return [values[number] for number in range(count)]

"""`scheduler.map`: one function over many items, results in the order of completion, memory bounded by a window."""

from __future__ import annotations

import logging
import warnings
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Iterator,
)
from types import TracebackType
from typing import Any, Final, Generic, TypeVar

import msgspec
import trio

from penstock.scheduler.base_exceptions import stray_error
from penstock.scheduler.callables import name_of
from penstock.scheduler.handles import TaskHandle
from penstock.scheduler.options import TaskOptions
from penstock.scheduler.parts import SchedulerParts
from penstock.words.checks import shown, whole_number
from penstock.words.errors import ConfigError
from penstock.words.labels import labels_of

__all__ = ["TaskMap"]

T = TypeVar("T")
R = TypeVar("R")

_log: Final = logging.getLogger("penstock.scheduler")


class TaskMap(Generic[T, R]):
    """Results of the tasks of `items`, as they complete. At most `window` items are in hand: queued, running, or not
    yet taken.

    A task that fails raises its exception out of the iteration. Leaving the block cancels what is still in hand.
    Raises `ConfigError` for wrong arguments.
    """

    _entered = True  # so that one that could not be made does not warn

    def __init__(
        self,
        tasks: SchedulerParts,
        fn: Callable[[T], Any],
        items: Iterable[T] | AsyncIterable[T],
        options: TaskOptions,
        window: int | None,
    ) -> None:
        self._tasks = tasks
        self._fn = fn
        self._items = items
        self._iterator: Iterator[T] | None = None
        self._in_hand: dict[str, TaskHandle[R]] = {}
        self._ended: deque[TaskHandle[R]] = deque()
        self._exhausted = False
        self._source_error: BaseException | None = None
        self._changed = trio.lowlevel.ParkingLot()
        self._feeder: trio.CancelScope | None = None
        if window is None:
            window = max(16, 2 * tasks.gate.controller.view().resource_limits["submission"])
        self._window = whole_number(window, "window")
        tasks.intake.check(fn, (None,), options)
        given: object = items
        if not isinstance(given, Iterable | AsyncIterable):
            raise ConfigError(f"items must be an iterable or an asynchronous one, not {shown(items)}")
        self._options = msgspec.structs.replace(options, labels=labels_of(options.labels))
        self._entered = False

    def __del__(self) -> None:
        if not self._entered:
            warnings.warn(_not_entered(self._fn), RuntimeWarning, stacklevel=1, source=self)

    async def __aenter__(self) -> TaskMap[T, R]:
        self._entered = True
        if isinstance(self._items, AsyncIterable):
            self._feeder = trio.CancelScope()
            self._tasks.workers.start_source(self._feed, self._items, self._feeder)
        else:
            self._iterator = iter(self._items)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._feeder is not None:
            self._feeder.cancel()
        for task_id in tuple(self._in_hand):
            self._tasks.cancel_task(task_id)
        with trio.CancelScope(shield=True):
            while self._in_hand:  # they were cancelled: this takes as long as their clean-up
                await self._changed.park()

    def __aiter__(self) -> AsyncIterator[R]:
        if not self._entered:
            self._entered = True  # the error says it
            raise RuntimeError(_not_entered(self._fn))
        return self

    async def __anext__(self) -> R:
        if self._iterator is None and self._feeder is None:
            raise RuntimeError(
                "the results of a map are there in its block: `async with scheduler.map(...) as results`"
            )
        while True:
            if self._iterator is not None:
                self._top_up(self._iterator)
            if self._ended:
                await trio.lowlevel.checkpoint()
                if not self._ended:  # another trio task iterates too
                    continue
                handle = self._ended.popleft()
                self._changed.unpark_all()
                return handle.result()
            if self._exhausted and not self._in_hand:
                if self._source_error is not None:
                    raise self._source_error
                raise StopAsyncIteration
            with self._tasks.waits.wait(self._awaited):
                await self._changed.park()

    def _awaited(self) -> Collection[str]:
        """The tasks of which the end of any is waited for; none while something else may bring a result."""
        return () if self._ended or self._feeder is not None else self._in_hand

    def _top_up(self, iterator: Iterator[T]) -> None:
        while not self._exhausted and len(self._in_hand) + len(self._ended) < self._window:
            try:
                item = next(iterator)
            except StopIteration:
                self._exhausted = True
            else:
                self._start(item)

    async def _feed(self, items: AsyncIterable[T], scope: trio.CancelScope) -> None:
        """The items of an asynchronous source, taken while there is room for them."""
        with scope:
            try:
                async for item in items:
                    if scope.cancel_called:  # woken by the end of a task at the very moment at which the block was left
                        break
                    self._start(item)
                    while len(self._in_hand) + len(self._ended) >= self._window:
                        await self._changed.park()
            except Exception as error:
                self._source_error = error
            except BaseException as error:
                self._source_error = stray_error(error, "the source of the items")
                if self._source_error is None:
                    raise
            self._exhausted = True
            self._changed.unpark_all()
        if isinstance(items, AsyncGenerator):  # left before its end: it is ours to close
            try:
                await items.aclose()
            except BaseException as error:  # the block has been left, so there is nobody to raise it to
                if not issubclass(type(error), Exception) and stray_error(error, "the source of the items") is None:
                    raise
                _log.error("a source of `map` raised while it was closed", exc_info=error)

    def _start(self, item: T) -> None:
        handle: TaskHandle[R] = self._tasks.intake.start(self._fn, (item,), self._options)
        self._in_hand[handle.task_id] = handle
        handle.add_done_callback(self._take_back)

    def _take_back(self, handle: TaskHandle[R]) -> None:
        del self._in_hand[handle.task_id]
        self._ended.append(handle)
        self._changed.unpark_all()


def _not_entered(fn: object) -> str:
    return f"the map of {name_of(fn)} was never entered, so it did nothing: `async with scheduler.map(...) as results`"

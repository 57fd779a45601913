"""`scheduler.map`: one function over many items, results in the order of completion, memory bounded by a window."""

from __future__ import annotations

from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
)
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

import trio

from penstock.scheduler.handles import TaskHandle

__all__ = ["TaskMap"]

T = TypeVar("T")
R = TypeVar("R")


class MappedRun(Protocol):
    """What a map needs of the scheduler that it belongs to."""

    def cancel_task(self, task_id: str) -> None: ...

    def waits_for(self, awaited: Callable[[], Collection[str]]) -> AbstractContextManager[None]: ...

    def spawn_source(self, fn: Callable[..., Awaitable[None]], *args: Any) -> None: ...


class TaskMap(Generic[T, R]):
    """Results of the tasks of `items`, as they complete. At most `window` items are in hand: queued, running, or not
    yet taken.

    `start` starts the task of one item, and is called when there is room for it. A task that fails raises its
    exception out of the iteration. Leaving the block cancels what is still in hand.
    """

    def __init__(
        self,
        scheduler: MappedRun,
        start: Callable[[T], TaskHandle[R]],
        items: Iterable[T] | AsyncIterable[T],
        window: int,
    ) -> None:
        self._scheduler = scheduler
        self._start_task = start
        self._items = items
        self._iterator: Iterator[T] | None = None
        self._window = window
        self._in_hand: dict[str, TaskHandle[R]] = {}
        self._ended: deque[TaskHandle[R]] = deque()
        self._exhausted = False
        self._source_error: BaseException | None = None
        self._changed = trio.lowlevel.ParkingLot()
        self._feeder: trio.CancelScope | None = None

    async def __aenter__(self) -> TaskMap[T, R]:
        if isinstance(self._items, AsyncIterable):
            self._feeder = trio.CancelScope()
            self._scheduler.spawn_source(self._feed, self._items, self._feeder)
        else:
            self._iterator = iter(self._items)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._feeder is not None:
            self._feeder.cancel()
        for task_id in tuple(self._in_hand):
            self._scheduler.cancel_task(task_id)
        with trio.CancelScope(shield=True):
            while self._in_hand:  # they were cancelled: this takes as long as their clean-up
                await self._changed.park()

    def __aiter__(self) -> AsyncIterator[R]:
        return self

    async def __anext__(self) -> R:
        while True:
            if self._iterator is not None:
                self._top_up(self._iterator)
            if self._ended:
                await trio.lowlevel.checkpoint()
                if not self._ended:  # somebody else iterates too
                    continue
                handle = self._ended.popleft()
                self._wake()
                return handle.result()
            if self._exhausted and not self._in_hand:
                if self._source_error is not None:
                    raise self._source_error
                raise StopAsyncIteration
            with self._scheduler.waits_for(self._awaited):
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
        """Take items from an asynchronous source while there is room for them."""
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
            self._exhausted = True
            self._wake()
        if isinstance(items, AsyncGenerator):  # left before its end: it is ours to close
            await items.aclose()

    def _start(self, item: T) -> None:
        handle = self._start_task(item)
        self._in_hand[handle.task_id] = handle
        handle.add_done_callback(self._take_back)

    def _take_back(self, handle: TaskHandle[R]) -> None:
        del self._in_hand[handle.task_id]
        self._ended.append(handle)
        self._wake()

    def _wake(self) -> None:
        self._changed.unpark_all()

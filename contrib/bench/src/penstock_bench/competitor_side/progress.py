"""How far a cell has come, and what ends it when its time is up."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from threading import Event, Thread

__all__ = ["Progress"]


class Progress:
    """Counts the units that are done since `begin`. When its `seconds` are over, `cut` is called, in another thread.

    A cell may be deep in a synchronous stretch when its time is up, in which no timer of an event loop could fire; so
    a thread watches it.
    """

    def __init__(self, seconds: float, cut: Callable[[Mapping[str, object]], None]) -> None:
        self.units = 0
        self.result: Mapping[str, object] | None = None
        """What a cell answers beside its time, if it does."""
        self._seconds = seconds
        self._cut = cut
        self._over = Event()
        self._started = 0.0
        self._ahead: tuple[float, int] | None = None

    def begin(self) -> None:
        """Everything is set up: the clock runs from now on."""
        gc.collect()
        Thread(target=self._watch, daemon=True).start()
        self._started = time.perf_counter()

    def enqueued(self, units: int) -> None:
        """All that was done until now was for the first so many units together: each of them bears its share."""
        self._ahead = time.perf_counter() - self._started, units

    def end(self) -> Mapping[str, object]:
        """The cell is done: what it took."""
        answer = self._answer(complete=True)
        self._over.set()
        return answer

    def _watch(self) -> None:
        if not self._over.wait(self._seconds):
            self._cut(self._answer(complete=False))

    def _answer(self, *, complete: bool) -> Mapping[str, object]:
        units = self.units
        seconds = time.perf_counter() - self._started
        if self._ahead is not None:
            ahead, together = self._ahead
            seconds += ahead * (min(units / together, 1.0) - 1.0)
        answer: dict[str, object] = {"units": units, "seconds": seconds, "complete": complete}
        return answer if self.result is None else {**answer, "result": self.result}

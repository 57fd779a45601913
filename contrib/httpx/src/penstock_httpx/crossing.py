"""The way from wherever a call is made or its body is read into the thread of the run, to which the request gate
belongs."""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import Protocol

import trio

__all__ = ["Crossing", "RunCrossing"]


class Crossing(Protocol):
    """The way into the thread of a run. All may be used in any thread."""

    def now(self) -> float:
        """The run's clock."""
        ...

    def do(self, step: Callable[[], None]) -> bool:
        """Whether the run has done the step, or will, in the order in which it was asked; not if it has ended."""
        ...

    def post(self, step: Callable[[], None]) -> None:
        """Have the step done soon, if the run has not ended. Blocks for nothing: a finalizer may call it."""
        ...


class RunCrossing:
    """The way into the run that this is made in. `do` is over when the step is."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._clock = trio.lowlevel.current_clock()
        self._run_thread = get_ident()

    def now(self) -> float:
        """The run's clock."""
        return self._clock.current_time()

    def do(self, step: Callable[[], None]) -> bool:
        """Whether the step was done; it was not if the run has ended."""
        if get_ident() == self._run_thread:
            step()
            return True
        try:
            # With the token it happens whether or not the task of this thread is cancelled: leases must come back.
            trio.from_thread.run_sync(step, trio_token=self._token)
        except trio.RunFinishedError:
            return False
        return True

    def post(self, step: Callable[[], None]) -> None:
        """Have the step done in the run's next turn."""
        try:
            self._token.run_sync_soon(step)
        except trio.RunFinishedError:
            return

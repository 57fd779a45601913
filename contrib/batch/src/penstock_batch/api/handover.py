"""What passes results from the run's thread to whoever goes through them, in whatever loop or none.

It is bounded: a reader that is slow holds up the handing over, while the run goes on, whose values lie in the store.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import trio

from penstock_batch.api.results import BatchResult

__all__ = ["Handover"]

_ROOM: Final = 256


class Handover:
    """The results on their way. Put in the run's thread, taken in another; `end` is the last that is put."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[BatchResult] = deque()
        self._ended = False
        self._left = False
        self._wake: Callable[[], object] | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._room = trio.Event()

    # -- the run's thread --

    async def put(self, result: BatchResult) -> bool:
        """Pass a result on, when there is room. False: nobody wants it any more."""
        self._token = trio.lowlevel.current_trio_token()
        while True:
            with self._lock:
                if self._left:
                    return False
                if len(self._waiting) < _ROOM:
                    self._waiting.append(result)
                    wake, self._wake = self._wake, None
                    break
                self._room = trio.Event()
            await self._room.wait()
        if wake is not None:
            wake()
        return True

    def end(self) -> None:
        """Nothing more will come."""
        with self._lock:
            self._ended = True
            wake, self._wake = self._wake, None
        if wake is not None:
            wake()

    # -- the reader's --

    def take(self, wake: Callable[[], object]) -> BatchResult | bool:
        """The next result; `False` where there will be none, `True` where there is none yet: then `wake` is called
        once, in the run's thread, when that has changed.
        """
        with self._lock:
            if self._waiting:
                result = self._waiting.popleft()
                room = len(self._waiting) == _ROOM // 2
            elif self._ended:
                return False
            else:
                self._wake = wake
                return True
        if room:
            self._make_room()
        return result

    def leave(self) -> None:
        """Nothing more is wanted."""
        with self._lock:
            self._left = True
            self._waiting.clear()
        self._make_room()

    def _make_room(self) -> None:
        if self._token is not None:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(lambda: self._room.set())

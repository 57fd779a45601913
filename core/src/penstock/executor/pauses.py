"""The pauses of calls that hold no lease: after a failed attempt, or while new calls are held. Each stands in a book.

What is in the book is told by `explain`; a shutdown ends it.
"""

from __future__ import annotations

from collections.abc import Collection

import trio

__all__ = ["Pauses"]


class Pauses:
    """The calls of one executor that pause at present."""

    def __init__(self) -> None:
        self._entries: dict[trio.CancelScope, tuple[str, float, bool]] = {}
        self._let_go: set[trio.CancelScope] = set()
        self.closed = False
        """Whether there are none any more, since the gate has shut."""

    @property
    def after_failures(self) -> Collection[tuple[str, float]]:
        """For each pause after a failed attempt its resource, and the moment of its end."""
        return [(what, ends) for what, ends, held in self._entries.values() if not held]

    @property
    def held(self) -> Collection[tuple[str, float]]:
        """For each call that is held what is short, and the moment until which it is held."""
        return [(what, ends) for what, ends, held in self._entries.values() if held]

    def __len__(self) -> int:
        return len(self._entries)

    async def pause(self, what: str, ends: float, *, held: bool = False) -> bool:
        """Whether it was let go (`let_one_go`) before the moment `ends`; `held`: for want of something of ours."""
        if self.closed:
            return False  # the next attempt will be refused, and says why
        with trio.CancelScope(deadline=ends) as scope:
            self._entries[scope] = what, ends, held
            try:
                await trio.sleep_forever()
            finally:
                del self._entries[scope]
        let_go = scope in self._let_go
        self._let_go.discard(scope)
        return let_go

    def let_one_go(self) -> bool:
        """Whether there was a call that is held for want of something of ours; the pause of the first is ended."""
        for scope, (_, _, held) in self._entries.items():
            if held and not scope.cancel_called:
                self._let_go.add(scope)
                scope.cancel()
                return True
        return False

    def close(self) -> None:
        """End all pauses, and have none from now on: what would be tried again is refused by the gate, which has
        shut.
        """
        self.closed = True
        for scope in self._entries:
            scope.cancel()

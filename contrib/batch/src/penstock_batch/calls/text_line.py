"""The texts of one step that wait for a call, in the order in which they came: which of them go together. Pure.

One of those that wait leads: it asks for the call's place, and when that is free takes what is in the line by then. So
there is one who asks while anybody waits, and what comes while it does goes along.

A text without a word in it goes alone: most providers refuse it, and with it all others that it stands beside.
"""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

__all__ = ["TextLine", "Waits"]


class Waits(Protocol):
    """A text that waits: its `tokens` by our own count, and whether it goes `alone`."""

    @property
    def tokens(self) -> int: ...

    @property
    def alone(self) -> bool: ...


T = TypeVar("T", bound=Waits)


class TextLine(Generic[T]):
    """The line of a step whose calls hold at most `most` texts and at most `most_tokens`, or a single text."""

    def __init__(self, most: int, most_tokens: int) -> None:
        self._most = most
        self._most_tokens = most_tokens
        self._waiting: dict[T, int] = {}
        self._came = 0
        self.leader: T | None = None
        """Who asks for the next call's place; somebody, while anybody waits."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def came(self) -> int:
        """How many have come so far."""
        return self._came

    @property
    def full(self) -> bool:
        """Whether more texts wait than may go in one call."""
        return len(self._waiting) >= self._most

    def join(self, text: T) -> None:
        """Stand in the line, at its end; whoever comes first leads."""
        self._came += 1
        self._waiting[text] = self._came
        self.leader = self.leader or text

    def next(self, upto: int | None = None) -> list[T]:
        """The texts that would go now, the oldest first, as many as a call holds; of the first `upto` that came."""
        found: list[T] = []
        tokens = 0
        for text, came in self._waiting.items():
            if found and text.alone:
                continue
            if upto is not None and came > upto:
                break
            tokens += text.tokens
            if found and tokens > self._most_tokens:
                break
            found.append(text)
            if text.alone or len(found) == self._most:
                break
        return found

    def take(self, upto: int | None = None) -> list[T]:
        """Take those out of the line that go now."""
        taken = self.next(upto)
        for text in taken:
            del self._waiting[text]
        return taken

    def leave(self, text: T) -> None:
        """Leave the line, wherever one stands in it."""
        self._waiting.pop(text, None)

    def pass_on(self, leader: T) -> T | None:
        """Have the next lead after `leader`, who has left the line; who that is, if it was the leader and another
        waits.
        """
        if self.leader is not leader:
            return None
        self.leader = next(iter(self._waiting), None)
        return self.leader

    def check_invariants(self) -> None:
        """Whoever leads waits, and somebody leads while anybody waits. Raises `AssertionError`."""
        assert (self.leader is None) == (not self._waiting), "nobody leads those who wait"
        assert self.leader is None or self.leader in self._waiting, "the leader does not wait"

"""What was read and is not answered yet. Pure: an entry is made for each message, and leaves with its one answer."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from penstock_worker.handlers import Handler
from penstock_worker.messages import Message

__all__ = ["Book", "Entry"]

MOST_BYTES = 256_000_000
"""Bytes of lines that are held at most."""


@attrs.define(eq=False)
class Entry:
    """A message that was taken, and its handler."""

    message: Message
    handler: Handler
    answered: bool = False


class Book:
    """The entries that wait for their answers, in the order in which they came; at most `most`, as far as reading stops
    while it is `full`.
    """

    def __init__(self, most: int, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._by_id: dict[str, list[Entry]] = {}
        self._count = 0

    @property
    def full(self) -> bool:
        """Whether no further line is to be read."""
        return self._count >= self._most or self._bytes >= self._most_bytes

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Entry]:
        return iter([entry for entries in self._by_id.values() for entry in entries])

    def same_id(self, message: Message) -> list[Entry]:
        """The entries with the id of this message."""
        return list(self._by_id.get(message.task_id, ()))

    def add(self, message: Message, handler: Handler) -> Entry:
        """The entry of a message that is to be answered."""
        entry = Entry(message, handler)
        self._by_id.setdefault(message.task_id, []).append(entry)
        self._count += 1
        self._bytes += message.size
        return entry

    def answered(self, entry: Entry) -> bool:
        """Whether this is the entry's one answer; it leaves the book with it."""
        if entry.answered:
            return False
        entry.answered = True
        entries = self._by_id[entry.message.task_id]
        entries.remove(entry)
        if not entries:
            del self._by_id[entry.message.task_id]
        self._count -= 1
        self._bytes -= entry.message.size
        return True

    def check_invariants(self) -> None:
        """The counts are those of the entries, of which none is answered. Raises `AssertionError`."""
        entries = list(self)
        assert not any(entry.answered for entry in entries)
        assert (self._count, self._bytes) == (len(entries), sum(entry.message.size for entry in entries))

"""A store that is only looked at, also while a run writes it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from penstock_batch.store.answer import Answer
from penstock_batch.store.encoding import sound
from penstock_batch.store.opening import APPLICATION, VERSION, unusable, whose

__all__ = ["StoreReader"]

_ANSWERS = "SELECT key, body, vector, crc, row, step FROM answers"


class StoreReader:
    """The store at `path`, to be read; empty where there is none. Use as a context manager, or `close` it. Raises
    `ConfigError` if it is no store or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = self._opened() if path.exists() else None
        self._claimed: dict[tuple[bytes, int], int] = {}
        self._adopted: dict[bytes, int] = {}

    def _opened(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(f"file:{quote(str(self.path))}?mode=ro", uri=True, timeout=10.0)
            application, version = whose(connection)
        except sqlite3.Error as error:
            raise unusable(self.path, f"cannot be read: {error}") from None
        if application != APPLICATION:
            connection.close()
            raise unusable(self.path, "is no store of penstock run")
        if version != VERSION:
            connection.close()
            raise unusable(self.path, f"has version {version}, and this release reads {VERSION}")
        return connection

    def ask(self, question: str, values: Sequence[Any] = ()) -> list[Any]:
        """What SQLite answers; nothing where there is no store. Raises `ConfigError` if it cannot."""
        return list(self.each(question, values))

    def each(self, question: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        """The same, one row at a time."""
        if self._connection is None:
            return
        try:
            yield from self._connection.execute(question, values)
        except sqlite3.Error as error:
            raise unusable(self.path, f"cannot be read: {error}") from None

    # -- as a run reads it --

    def find(self, keys: Sequence[bytes]) -> dict[bytes, tuple[Answer, ...]]:
        """The answers under each of these keys that has any, in the order in which they came."""
        found = {key: tuple(self._answers(key)) for key in dict.fromkeys(keys)}
        return {key: answers for key, answers in found.items() if answers}

    def _answers(self, key: bytes) -> Iterator[Answer]:
        for found in self.each(f"{_ANSWERS} WHERE key = ? AND NOT retired ORDER BY id", (key,)):
            key, body, vector, crc, row, step = found
            answer = sound(key, body, vector, crc, self._adopted.get(key, row), step)
            if answer is not None:
                yield answer

    def number(self, base: bytes, row: int) -> int | None:
        """The number under which this row has this call, as far as is remembered."""
        if (base, row) in self._claimed:
            return self._claimed[base, row]
        found = self.ask("SELECT number FROM claims WHERE base = ? AND row = ?", (base, row))
        return found[0][0] if found else None

    def claim(self, base: bytes, row: int, number: int) -> None:
        """Give this row the `number`-th of several equal calls, for as long as the store is read."""
        self._claimed[base, row] = number

    def adopt(self, key: bytes, row: int) -> None:
        """Give this row the answers under a key, for as long as the store is read."""
        self._adopted[key] = row

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()

    def __enter__(self) -> StoreReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

"""Which workers hang: those that say nothing while they are asked again and again. Pure.

Beats are counted and no seconds, so whoever was stopped together with the one who asks (by Ctrl+Z, or with the whole
machine) has missed none.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MOST_MISSED", "Pulse"]

MOST_MISSED: Final = 6
"""Beats without a word, after which a worker hangs."""


class Pulse:
    """The beats that each worker has let pass without a word."""

    def __init__(self) -> None:
        self._missed: dict[int, int] = {}

    def heard(self, worker: int) -> None:
        """A worker has said something."""
        self._missed[worker] = 0

    def gone(self, worker: int) -> None:
        """A worker has ended."""
        self._missed.pop(worker, None)

    def beat(self) -> list[int]:
        """The workers that hang, each named once until it is heard again."""
        for worker in self._missed:
            self._missed[worker] += 1
        return [worker for worker, missed in self._missed.items() if missed == MOST_MISSED + 1]

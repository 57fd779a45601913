"""What one group has out: its books in the ledger of the task gate."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from penstock.tasks.records import SUBMISSION, TaskGroupSpec

__all__ = ["Holding"]

_NOTHING_BEYOND: Final[dict[str, int]] = {}  # of most groups; nobody puts anything in


class Holding:
    """What one group has out."""

    __slots__ = ("beyond", "capped", "limit", "running", "spec", "weight")

    def __init__(self) -> None:
        self.running = 0
        self.spec: TaskGroupSpec | None = None
        """What the task said of its group that was admitted last; `limit` and `weight` are of it."""
        self.limit: int | None = None
        self.weight = 1.0
        self.capped = False
        self.beyond: dict[str, int] = _NOTHING_BEYOND
        """What is out beyond one place in `submission` for each task that runs."""

    def take(self, resource: str, amount: int) -> None:
        """So much more is out of a resource, or, below 0, less."""
        if not self.beyond:
            self.beyond = {}
        self.beyond[resource] = self.beyond.get(resource, 0) + amount

    def held(self, resource: str) -> int:
        """How much is out of a resource."""
        return self.beyond.get(resource, 0) + (self.running if resource == SUBMISSION else 0)

    @property
    def amounts(self) -> Mapping[str, int]:
        """How much is out of each."""
        return MappingProxyType({**self.beyond, SUBMISSION: self.held(SUBMISSION)})

"""A live mapping of counts that is worked out when somebody reads it, since few ever do."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, Mapping, ValuesView
from typing import TypeVar

__all__ = ["LiveCounts"]

K = TypeVar("K")


class LiveCounts(Mapping[K, int]):
    """Read-only. Each look costs one call of `count`, which returns what there is, without zeros."""

    def __init__(self, count: Callable[[], Mapping[K, int]]) -> None:
        self._count = count

    def __getitem__(self, key: K) -> int:
        counts = self._count()
        if key not in counts:
            raise KeyError(key)
        return counts[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._count())

    def __len__(self) -> int:
        return len(self._count())

    def items(self) -> ItemsView[K, int]:
        """Keys and counts, of one moment."""
        return self._count().items()

    def values(self) -> ValuesView[int]:
        """The counts, of one moment."""
        return self._count().values()

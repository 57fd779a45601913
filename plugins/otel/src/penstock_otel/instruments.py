"""Things that begin and end: how many are under way, and how long they took."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.metrics import Histogram, UpDownCounter

__all__ = ["Spans"]


class Spans:
    """Counts what has begun and not ended, and records the seconds between.

    A count goes down under the labels under which it went up, whatever is known at the end: otherwise two series
    would drift apart for ever. An end without a beginning is nothing, and so is a second beginning.
    """

    def __init__(self, under_way: UpDownCounter | None = None, seconds: Histogram | None = None) -> None:
        self._under_way = under_way
        self._seconds = seconds
        self._begun: dict[str, tuple[float, Mapping[str, str]]] = {}

    def begin(self, key: str | None, now: float, labels: Mapping[str, str]) -> None:
        """Something began; `key` distinguishes it from others of its kind."""
        if key is None or key in self._begun:
            return
        self._begun[key] = (now, labels)
        if self._under_way is not None:
            self._under_way.add(1, labels)

    def end(self, key: str | None, now: float, more_labels: Mapping[str, str] | None = None) -> None:
        """It ended. `more_labels` are for its duration alone."""
        begun = self._begun.pop(key, None) if key is not None else None
        if begun is None:
            return
        since, labels = begun
        if self._under_way is not None:
            self._under_way.add(-1, labels)
        if self._seconds is not None:
            self._seconds.record(now - since, {**labels, **(more_labels or {})})

    def abandon(self, key: str | None) -> None:
        """It came to nothing: no longer under way, and its duration would mean nothing."""
        begun = self._begun.pop(key, None) if key is not None else None
        if begun is not None and self._under_way is not None:
            self._under_way.add(-1, begun[1])

    def forget(self) -> None:
        """Nothing is under way any more: the run is over."""
        for key in tuple(self._begun):
            self.abandon(key)

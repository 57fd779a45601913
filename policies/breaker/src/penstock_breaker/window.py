"""How many calls ended in the last seconds, and how many of them failed: in a few buckets, however many calls.

The window moves by a bucket at a time (a tenth of it), so it holds nine to ten tenths of its length. Lost: a
record of each call, which is exact, and as large as the provider is fast.
"""

from __future__ import annotations

from collections import deque
from math import floor

import attrs

__all__ = ["BUCKETS", "FailureWindow"]

BUCKETS = 10


@attrs.define(slots=True)
class _Bucket:
    index: int
    calls: int = 0
    failures: int = 0


class FailureWindow:
    """The last `seconds` (> 0). `calls` and `failures` are as of the last `count`; `now` never goes back."""

    def __init__(self, seconds: float) -> None:
        self._width = seconds / BUCKETS
        self._buckets: deque[_Bucket] = deque()
        self.calls = 0
        self.failures = 0

    def count(self, *, failed: bool, now: float) -> None:
        """Count a call that ended at `now`, and forget those that ended too long ago."""
        index = floor(now / self._width)
        while self._buckets and self._buckets[0].index <= index - BUCKETS:
            old = self._buckets.popleft()
            self.calls -= old.calls
            self.failures -= old.failures
        if not self._buckets or self._buckets[-1].index != index:
            self._buckets.append(_Bucket(index))
        self._buckets[-1].calls += 1
        self._buckets[-1].failures += failed
        self.calls += 1
        self.failures += failed

    def clear(self) -> None:
        """Forget everything."""
        self._buckets.clear()
        self.calls = self.failures = 0

    def check_invariants(self) -> None:
        """Raises `AssertionError` if the state contradicts itself."""
        assert len(self._buckets) <= BUCKETS, "more buckets than the window has"
        assert self.calls == sum(bucket.calls for bucket in self._buckets), "calls were miscounted"
        assert self.failures == sum(bucket.failures for bucket in self._buckets), "failures were miscounted"
        assert 0 <= self.failures <= self.calls, "more failures than calls"

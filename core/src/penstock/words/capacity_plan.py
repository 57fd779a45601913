"""What limits a run, as a record, as plain data and in words. It explains; nothing is decided by it."""

from __future__ import annotations

from typing import Any

import attrs

from penstock.words.capacity import ConfiguredCapacity, ObservedMaxima, RuntimeCapacity
from penstock.words.capacity_words import capacity_in_words, capacity_sections, reached

__all__ = ["AsyncCapacityPlan"]


@attrs.frozen(kw_only=True)
class AsyncCapacityPlan:
    """What limits a run, in three parts that do not mix. `generation` is how often the run has been configured: 1 until
    it is reconfigured."""

    run_id: str
    generation: int
    configured: ConfiguredCapacity
    runtime_snapshot: RuntimeCapacity
    observed_maxima: ObservedMaxima

    def as_dict(self) -> dict[str, Any]:
        """Plain data, JSON-safe."""
        return attrs.asdict(self)

    @property
    def reached(self) -> list[tuple[str, str]]:
        """The limits that were reached: which, and how much of how much."""
        return reached(self.configured, self.observed_maxima)

    def sections(self) -> dict[str, list[tuple[str, str, str]]]:
        """The plan in words: titles to lines of what, how much, and who says so; all of it printable."""
        return capacity_sections(self.configured, self.runtime_snapshot, self.observed_maxima)

    def __str__(self) -> str:
        return capacity_in_words(self.sections())

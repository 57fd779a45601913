"""Clocks that run while a condition holds, and can be read at any later moment.

Two readings of such a clock give how much of the time between them the condition held, whatever happened in
between. So no waiter need be visited when the condition begins or ends.
"""

from __future__ import annotations

import math

__all__ = ["Cooldowns", "HeldTime"]


class HeldTime:
    """The total time, in seconds, that a condition has held. Moments are given in order."""

    def __init__(self) -> None:
        self._total = 0.0
        self._since: float | None = None
        self._until = math.inf

    def hold(self, now: float, until: float = math.inf) -> None:
        """Start the clock, until `stop` or a moment that is known; of two such moments the later counts."""
        if until <= now:
            return
        self._total = self.at(now)
        holds = self._since is not None and now < self._until
        self._until = max(until, self._until) if holds else until
        self._since = now

    def stop(self, now: float) -> None:
        """Stop the clock, since the condition has ended."""
        self._total = self.at(now)
        self._since = None

    def at(self, now: float) -> float:
        """The total time at `now`."""
        if self._since is None:
            return self._total
        return self._total + min(now, self._until) - self._since


class Cooldowns:
    """The time for which calls to each resource were held off because the provider asked for it.

    A scope is `provider`, `provider/model` or `provider/model/domain`; a cooldown of a scope is one of
    everything below it.
    """

    def __init__(self) -> None:
        self._clocks: dict[str, HeldTime] = {}

    def hold(self, scope: str, now: float, until: float) -> None:
        """Note that calls to `scope` are held off until that moment."""
        self._clocks.setdefault(scope, HeldTime()).hold(now, until)

    def at(self, resource: str, now: float) -> float:
        """The time for a resource: that of the scope above it that was held off longest."""
        return max(
            (held.at(now) for scope, held in self._clocks.items() if f"{resource}/".startswith(f"{scope}/")),
            default=0.0,
        )

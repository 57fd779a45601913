"""The layer that limits a run, moment by moment: the gate furthest downstream at which something waits.

The sum of what tasks wait for does not say what limits a run: tasks that wait for dependencies wait for whatever limits
those, and a full task gate behind a full request gate is not worth widening. So each moment of the run is given to one
layer: calls are queued (`request_wait`, or `cooldown` while the provider asked to wait), else tasks are queued
(`task_capacity` if nothing could be chosen, `queue_order` if the gate is at it), else calls are out (`provider`), else
tasks are at work (`after`), else retries back off (`cooldown`), else only `dependencies` are left to wait for.
"""

from __future__ import annotations

from collections import Counter

from penstock.views.held_time import Cooldowns
from penstock.views.task_timeline import LAYERS

__all__ = ["RunLimits"]


class RunLimits:
    """The division of a run's time between layers, by counting what is in which. Moments are seconds of the run's
    clock, given in order."""

    def __init__(self, cooldowns: Cooldowns) -> None:
        self.seconds = dict.fromkeys(LAYERS, 0.0)
        self.phases: Counter[str] = Counter()
        """The number of tasks in each phase (`timeline.py`)."""
        self.gate_blocked = False
        """Whether the task gate has reported that nothing can be chosen."""
        self.now: float | None = None
        self._cooldowns = cooldowns
        self._waits: dict[str | None, str] = {}
        self._waiting_at: Counter[str] = Counter()
        self._out: set[str | None] = set()

    def start_wait(self, attempt: str | None, resource: str) -> None:
        """Note that a call is queued."""
        self.end_wait(attempt)
        self._waits[attempt] = resource
        self._waiting_at[resource] += 1

    def end_wait(self, attempt: str | None) -> None:
        """Note that a call is queued no more, if it was."""
        resource = self._waits.pop(attempt, None)
        if resource is None:
            return
        self._waiting_at[resource] -= 1
        if not self._waiting_at[resource]:
            del self._waiting_at[resource]

    def acquire(self, lease: str | None) -> None:
        """Note that a call has its lease."""
        self._out.add(lease)

    def release(self, lease: str | None) -> None:
        """Note that the lease of a call came back."""
        self._out.discard(lease)

    def pass_time(self, now: float) -> None:
        """Add the time up to `now` to the layer that is the limit in the present state."""
        since, self.now = self.now, now
        if since is None or since == now:
            return
        if not self._waiting_at:
            self.seconds[self._layer()] += now - since
            return
        resource = max(self._waiting_at, key=self._waiting_at.__getitem__)
        cooled = self._cooldowns.at(resource, now) - self._cooldowns.at(resource, since)
        self.seconds["cooldown"] += cooled
        self.seconds["request_wait"] += now - since - cooled

    def _layer(self) -> str:
        phases = self.phases
        if phases["queued"]:
            return "task_capacity" if self.gate_blocked else "queue_order"
        if self._out:
            return "provider"
        if phases["running"] or phases["closing"]:
            return "after"
        return "cooldown" if phases["deferred"] else "dependencies"

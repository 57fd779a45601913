"""The moments at which waits end: heaps of moments, from which those who left without waiting that long drop
out by themselves.
"""

from __future__ import annotations

from collections.abc import Container, Hashable
from heapq import heapify, heappop, heappush
from typing import Final

from penstock.requests.items import RequestAdmissionItem
from penstock.requests.waiters import RequestWaiter
from penstock.words.identity import ProviderModelKey, RequestResourceKey
from penstock.words.verdicts import At, Condition, Denied

__all__ = ["Timeouts", "WaitEnds", "end_of_wait"]

_SLACK: Final = 64
REMEMBERED: Final = 256
"""Of so many cohorts it is kept for which refusal all were looked at."""


def end_of_wait(item: RequestAdmissionItem, now: float) -> float | None:
    """The moment up to which a call that asks now waits for its lease; `None`: as long as it takes."""
    if item.queue_wait_timeout is None:
        return item.deadline
    ends = now + item.queue_wait_timeout
    return ends if item.deadline is None else min(ends, item.deadline)


class Timeouts:
    """Moments with waiters, earliest first. `waiting` is the live collection of those that still wait."""

    def __init__(self, waiting: Container[RequestWaiter]) -> None:
        self._waiting = waiting
        self.moments: list[tuple[float, int, RequestWaiter]] = []
        """A heap; some may have left. To be read only."""
        self._tidy_at = _SLACK

    def add(self, moment: float, waiter: RequestWaiter) -> None:
        """Note that `waiter` does not wait beyond `moment`."""
        heappush(self.moments, (moment, waiter.sequence, waiter))
        if len(self.moments) > self._tidy_at:
            self.moments = [entry for entry in self.moments if entry[2] in self._waiting]
            heapify(self.moments)
            self._tidy_at = 2 * len(self.moments) + _SLACK

    def next_moment(self) -> float | None:
        """The moment at which the first of those who still wait gives up."""
        while self.moments and self.moments[0][2] not in self._waiting:
            heappop(self.moments)
        return self.moments[0][0] if self.moments else None

    def pop_due(self, now: float, *, strictly: bool = False) -> RequestWaiter | None:
        """One who still waits though its moment has come (`strictly`: has passed); `None` if there is none."""
        moment = self.next_moment()
        if moment is None or moment > now or (strictly and moment == now):
            return None
        return heappop(self.moments)[2]

    def before(self, moment: float) -> list[RequestWaiter]:
        """Those who still wait and give up before a moment. Costs their number."""
        moments, found, at = self.moments, [], [0]
        while at:
            index = at.pop()
            if index < len(moments) and moments[index][0] < moment:
                if moments[index][2] in self._waiting:
                    found.append(moments[index][2])
                at += (2 * index + 1, 2 * index + 2)
        return found


class WaitEnds:
    """When the waits of all end who do not wait for ever. `waiting` is the live collection of those that still wait."""

    def __init__(self, waiting: Container[RequestWaiter]) -> None:
        self._waiting = waiting
        self.all = Timeouts(waiting)
        """When the waits of all end; to be read only."""
        self.deadlines = Timeouts(waiting)
        """After these nobody may go any more; to be read only."""
        self._at: dict[RequestResourceKey, Timeouts] = {}
        self._looked_at: dict[Hashable, frozenset[Condition]] = {}
        """Cohort to the refusal for which those of all resources were looked at."""

    def add(self, waiter: RequestWaiter) -> None:
        """Note when a wait ends, if it does."""
        moment, item = waiter.gives_up_at, waiter.item
        if moment is None:
            return
        self.all.add(moment, waiter)
        here = self._at.get(item.resource)
        if here is None:
            here = self._at[item.resource] = Timeouts(self._waiting)
        here.add(moment, waiter)
        if item.deadline is not None:
            self.deadlines.add(item.deadline, waiter)

    def clear(self) -> None:
        """Nobody waits any more."""
        if self._at:
            self.all, self.deadlines = Timeouts(self._waiting), Timeouts(self._waiting)
            self._at, self._looked_at = {}, {}

    def forget(self, model: ProviderModelKey) -> None:
        """A model is known no longer, for which nobody waits."""
        for resource in [resource for resource in self._at if resource.provider_model == model]:
            del self._at[resource]

    def pop_due(self, now: float) -> RequestWaiter | None:
        """One who still waits though its moment has come."""
        return self.all.pop_due(now)

    def pop_late(self, now: float) -> RequestWaiter | None:
        """One who still waits though its deadline has passed: it must not go any more."""
        return self.deadlines.pop_due(now, strictly=True)

    def before_the_end_of(self, denied: Denied, resource: RequestResourceKey) -> list[RequestWaiter]:
        """Those who may wait in vain under a refusal that one at this resource met: nothing ends it but moments, and
        they give up before the first. Of a cohort also those at other resources, once for the same refusal.
        """
        moments = [condition.moment for condition in denied.until if isinstance(condition, At)]
        if not self._at or len(moments) < len(denied.until):
            return []
        here = [self._at[resource]] if resource in self._at else []
        if denied.cohort is not None and self._looked_at.get(denied.cohort) != denied.until:
            if len(self._looked_at) >= REMEMBERED:
                self._looked_at.clear()
            self._looked_at[denied.cohort] = denied.until
            here = [*self._at.values()]
        return [waiter for ends in here for waiter in ends.before(min(moments))]

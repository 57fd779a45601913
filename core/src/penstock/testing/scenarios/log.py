"""The log of a run of a scenario, call by call: written while it runs, read when it is over.

Times are seconds since the scenario's start, at which all calls are ready. A call that is refused or given up goes
back to those that wait.
"""

from __future__ import annotations

from math import inf

from attrs import define, field, frozen

from penstock.words.capacity_plan import AsyncCapacityPlan

__all__ = ["Done", "RunLog", "Sent"]


@frozen
class Sent:
    """A call that went out."""

    at: float
    provider: str


@frozen
class Done:
    """A call that succeeded: sent at `sent_at`, the time for which it waited; `latency` is from there to the answer."""

    at: float
    sent_at: float
    latency: float
    provider: str
    tenant: str


@define(eq=False)
class RunLog:
    """The log of one run. `waiting` counts, by tenant or provider, the calls that are neither in flight nor done."""

    sent: list[Sent] = field(factory=list)
    refused: list[Sent] = field(factory=list)
    """429s, at the moment at which they came back; those of the calls that are too large are counted apart."""
    large_refused: dict[int, int] = field(factory=dict)
    """By the number of the large call."""
    given_up: int = 0
    done: list[Done] = field(factory=list)
    in_flight: list[tuple[float, int]] = field(factory=lambda: [(0.0, 0)])
    """The calls in flight at the judged providers, from each moment on."""
    waiting: dict[str, int] = field(factory=dict)
    first_idle_at: float = inf
    """The first moment at which one of the tenants had no call waiting."""
    true_tokens: int = 0
    limit_falls: int = 0
    leases_left: int = 0
    capacity: AsyncCapacityPlan | None = None
    """What limited the run."""

    def goes_out(self, provider: str, tenant: str, now: float) -> None:
        """Note that a waiting call goes out."""
        self.sent.append(Sent(now, provider))
        self.waiting[tenant] -= 1
        if self.waiting[tenant] == 0:
            self.first_idle_at = min(self.first_idle_at, now)
        self._moves(1, now)

    def succeeds(self, provider: str, tenant: str, sent_at: float, now: float) -> None:
        """Note that a call is answered."""
        self.done.append(Done(now, sent_at, now - sent_at, provider, tenant))
        self._moves(-1, now)

    def comes_back(self, provider: str, tenant: str, now: float, *, refused: bool) -> None:
        """Note that a call is refused or given up, and waits again."""
        if refused:
            self.refused.append(Sent(now, provider))
        self.waiting[tenant] += 1
        self._moves(-1, now)

    def _moves(self, by: int, now: float) -> None:
        self.in_flight.append((now, self.in_flight[-1][1] + by))

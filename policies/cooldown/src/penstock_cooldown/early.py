"""Whether a provider that has just refused a call is full or closed, found out by one call that does not wait.

A provider that bounds calls in flight has room again as soon as one of them is answered. So after a first refusal the
place of an answered call may be tried at once: one call, the *early probe*. Let in, the provider was full and not
closed, and the cooldown is over, without a ramp, since the calls that are out are no herd. Refused, the cooldown
runs as though there had been none, and is no longer for it.

    idle ── first refusal ──> armed ── a call is answered ──> ready ── a call goes ──> sent ── let in ──> idle
                               │                                │                       │
                               └── a time is named (obedient), the probe of the cooldown goes, or it is refused ──> idle

Only where the provider named no time, unless `always` is asked for. A provider of so many calls per time refuses
again soon after: after each reopening that failed within `SOON` the next 1, 2, 4, 8 first refusals are answered by a
plain cooldown.

Also where the cooldown runs to its end an answer in the meantime says that the provider is full and not closed: its
probe is believed as soon as an early one, and has no ramp behind it.

Source: the half-open state of Nygard's circuit breaker (Release It!, 2007), as early as its question makes sense; the
doubling abstinence is the exponential back-off of Ethernet (IEEE 802.3).
"""

from __future__ import annotations

from math import inf

from penstock_cooldown.config import EarlyProbe

__all__ = ["EarlyProbes"]

SOON = 0.5
"""Seconds from a reopening within which the next refusal says that it has failed."""
MOST_ABSTAINED = 8
"""First refusals in a row that are answered by a plain cooldown, after many reopenings that failed."""


class EarlyProbes:
    """The state of the early probe of one cooldown."""

    def __init__(self, when: EarlyProbe) -> None:
        self._when = when
        self.armed = False
        """Whether an answered call would make room for one."""
        self.ready = False
        """Whether one may go now."""
        self.sent = False
        """Whether the probe that is out is an early one."""
        self.full = False
        """Whether a call was answered since the first refusal, so that the provider seems full and not closed."""
        self.held_until = -inf
        """The end of the cooldown in which the last one went."""
        self._watching = False  # for an answer that says so
        self._reopened_at = -inf
        self._failed = 0  # reopenings in a row
        self._abstain = 0  # first refusals yet

    def adopt(self, previous: EarlyProbes) -> None:
        """Go on from the state of another configuration, as far as this one has early probes."""
        self.sent, self.held_until, self._reopened_at = previous.sent, previous.held_until, previous._reopened_at
        self._failed, self._abstain = previous._failed, previous._abstain
        self._watching, self.full = previous._watching, previous.full
        if self._when == previous._when:
            self.armed, self.ready = previous.armed, previous.ready

    def refused(self, *, named: bool, first: bool, probe: bool, now: float) -> bool:
        """Take in a refusal: whether it `named` a time, was the `first` of an open provider, or of the `probe`. Whether
        it was the early one.
        """
        early = probe and self.sent
        plain = True
        if probe and self.full:
            self._fail()
        elif first:
            if now - self._reopened_at < SOON:
                self._fail()
            elif self._reopened_at > -inf:
                self._failed = 0
            self._reopened_at = -inf
            plain = self._abstain > 0
            self._abstain -= plain
            self._watching, self.full = not plain, False
        allowed = self._when == "always" or (self._when == "obedient" and not named)
        self.armed = allowed and (self.armed or not plain)
        self.ready = self.ready and self.armed
        if probe:
            self.armed = self.ready = self.sent = self._watching = self.full = False
        return early

    def _fail(self) -> None:
        self._abstain = min(1 << self._failed, MOST_ABSTAINED)
        self._failed += self._abstain < MOST_ABSTAINED

    def answered(self) -> None:
        """A call was answered: its place is free."""
        self.full = self.full or self._watching
        if self.armed:
            self.ready = True

    def send(self, held_until: float) -> None:
        """The early probe goes, in a cooldown that would last so long."""
        self.armed = self.ready = False
        self.sent = True
        self.held_until = held_until

    def came_to_nothing(self) -> float:
        """The probe ended without a word of the provider's. Until when the cooldown goes on."""
        self.sent = False
        return self.held_until

    def let_in(self, now: float) -> None:
        """The probe was let in."""
        if self.full:
            self._reopened_at = now

    def opened(self, now: float) -> None:
        """The cooldown is over."""
        if self.full:
            self._reopened_at = now
        self.armed = self.ready = self.sent = self._watching = self.full = False
        self.held_until = -inf

"""The oracle: a client that knows every limit from the start, and still obeys what a provider names when it refuses.

It shows how much of a figure is to be had at all. Its calls meet the same provider with the same seed, first in, first
out, each at the first moment at which it is let in. Since nobody finds a limit of calls at a time without being refused
once, it is refused once too: when all places are in use for the first time, one call more goes out. After it the oracle
calls nobody for as long as `Retry-After` says, unless the scenario lets early probes go always; and it is never
refused again.

Who has to find the limits cannot be faster than that, but for luck in the order of the calls.
"""

from __future__ import annotations

import random
from heapq import heappop, heappush
from itertools import count
from math import inf

import attrs

from penstock.testing import (
    Granted,
    ProviderLimits,
    Refused,
    RunLog,
    Scenario,
    ScenarioResult,
    SimulatedModel,
    Ticket,
    figures_of,
)

__all__ = ["is_for_oracle", "oracle_result"]


def is_for_oracle(scenario: Scenario) -> bool:
    """Whether all that stands between the calls and their answers is limits: of one provider that answers at once."""
    if len(scenario.providers) != 1 or scenario.tenants or scenario.large is not None:
        return False
    (limits,) = scenario.providers.values()
    return not (limits.queue or limits.outage or limits.quota or limits.hang_share or limits.error_rate)


def oracle_result(scenario: Scenario, seed: int) -> ScenarioResult:
    """The oracle's figures in a scenario that `is_for_oracle`."""
    return ScenarioResult(scenario.name, seed, figures_of(scenario, _Run(scenario, seed).carry_out()))


class _Bucket:
    """A token bucket whose moments are known beforehand. `per_minute` of `None`: no bucket."""

    def __init__(self, per_minute: float | None, burst: float) -> None:
        self._rate = inf if per_minute is None else per_minute / 60
        self._burst = burst
        self._full_at = 0.0

    def ready_at(self, amount: float) -> float:
        return self._full_at - (self._burst - min(amount, self._burst)) / self._rate

    def take(self, amount: float, now: float) -> None:
        self._full_at = max(self._full_at, now) + amount / self._rate


@attrs.frozen(order=True)
class _Event:
    """Something comes back, or a call may go. `sent_at` is `None` where nothing was answered."""

    at: float
    nth: int
    ticket: Ticket | None = None
    sent_at: float | None = None
    tokens: int | None = None
    """Of a call that was refused, and waits again."""


class _Run:
    def __init__(self, scenario: Scenario, seed: int) -> None:
        ((self._name, limits),) = scenario.providers.items()
        self._limits: ProviderLimits = limits
        self._model = SimulatedModel(limits, random.Random(f"{seed}/{self._name}"), 0.0)
        self._requests = _Bucket(limits.rpm, limits.request_burst)
        self._tokens = _Bucket(limits.tpm, limits.token_burst)
        quiet = scenario.quiet
        self._ready = [] if quiet is None else [number * quiet.every for number in range(quiet.calls)]
        self._ready += [0.0 if quiet is None else quiet.seconds] * scenario.calls
        sizes = random.Random(f"{seed}/tokens of {self._name}")
        drawn = [0 if scenario.tokens is None else scenario.tokens.draw(sizes)[1] for _ in self._ready]
        self._log = RunLog(waiting={self._name: len(drawn)}, true_tokens=sum(drawn))
        self._waiting = drawn[::-1]
        self._ready.reverse()
        self._obeys = scenario.plugins.get("cooldown", {}).get("early_probe") != "always"
        self._knows = limits.slots_at(0.0) is None  # of slots it was refused once, or there are none
        self._paused_until = 0.0
        self._cap = scenario.caps[self._name]
        self._out = 0
        self._wakes_at = -inf
        self._events: list[_Event] = []
        self._numbers = count()

    def carry_out(self) -> RunLog:
        """The log of the whole run."""
        now = 0.0
        while True:
            self._send(now)
            if not self._events:
                return self._log
            event = heappop(self._events)
            now = event.at
            self._take_back(event)

    def _at(self, at: float, **facts: int | float | Ticket | None) -> None:
        heappush(self._events, _Event(at, next(self._numbers), **facts))  # type: ignore[arg-type]

    def _send(self, now: float) -> None:
        while self._waiting:
            opens = max(
                self._ready[-1],
                self._paused_until,
                self._requests.ready_at(1),
                self._tokens.ready_at(self._waiting[-1]),
            )
            if opens > now:
                return self._wake(opens)
            slots = self._limits.slots_at(now)
            full = self._out >= (self._cap if slots is None else min(slots, self._cap))
            if full and (self._knows or self._out >= self._cap):
                changes = self._model.next_change(now)
                return None if changes is None else self._wake(changes)
            self._knows = self._knows or full
            self._go(now)
        return None

    def _wake(self, at: float) -> None:
        if at != self._wakes_at:
            self._wakes_at = at
            self._at(at)

    def _go(self, now: float) -> None:
        tokens = self._waiting.pop()
        self._ready.pop()
        self._log.goes_out(self._name, self._name, now)
        answer = self._model.arrive(now, self._name, tokens)
        if isinstance(answer, Refused):
            if answer.retry_after is not None and self._obeys:
                self._at(now + answer.after, tokens=tokens, sent_at=now + answer.after + answer.retry_after)
            else:
                self._at(now + answer.after, tokens=tokens)
            return
        assert isinstance(answer, Granted)
        self._requests.take(1, now)
        self._tokens.take(tokens, now)
        self._out += 1
        self._at(now + answer.finish_after, ticket=answer.ticket, sent_at=now)

    def _take_back(self, event: _Event) -> None:
        if event.ticket is not None:
            assert event.sent_at is not None
            self._out -= 1
            self._model.finish(event.ticket, event.at)
            self._log.succeeds(self._name, self._name, event.sent_at, event.at)
        elif event.tokens is not None:
            self._log.comes_back(self._name, self._name, event.at, refused=True)
            self._waiting.append(event.tokens)
            self._ready.append(event.at)
            self._paused_until = event.sent_at or 0.0

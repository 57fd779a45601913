"""A scenario through the competitor's request admission, in virtual time.

The provider is Penstock's simulated one, which this process can import without the rest of Penstock. The competitor
takes its time from `time.monotonic`, so its module is given another. Calls wait in order of arrival and ask by
`try_acquire`, whenever a call ends and every 50 ms, which is how often the competitor's own waiters ask; what its
waiting costs is left out, since it would not end with thousands of waiters.
"""

from __future__ import annotations

import heapq
import random
from itertools import count
from types import SimpleNamespace
from typing import Any

from data_designer.engine.models.request_admission import controller as competitor
from data_designer.engine.models.request_admission.outcomes import RequestReleaseOutcome

from penstock.testing import Granted, Hanging, Latency, ProviderLimits, Queued, Refused, SimulatedModel, Started
from penstock_bench.competitor_side.progress import Progress
from penstock_bench.competitor_side.requests import request_gate

__all__ = ["scenario"]

ASKED_AGAIN = 0.05
"""Seconds; the competitor's waiters wait for no longer before they ask again."""


def scenario(
    progress: Progress,
    *,
    limits: dict[str, Any],
    cap: int,
    seed: int,
    tokens: list[int],
    client_timeout: float | None,
    until: float,
) -> None:
    """One call for each of `tokens`, all ready at 0; broken off at second `until`. The result is the log."""
    run = _Run(limits, cap, seed, tokens, client_timeout)
    progress.begin()
    progress.result = run.carry_out(until)
    progress.units = len(run.done)


class _Run:
    def __init__(
        self, limits: dict[str, Any], cap: int, seed: int, tokens: list[int], client_timeout: float | None
    ) -> None:
        self.now = 0.0
        self.model = SimulatedModel(_limits(limits), random.Random(f"{seed}/provider"), 0.0)
        self.waiting = list(reversed(tokens))
        self.timeout = client_timeout
        self.sent: list[float] = []
        self.back: list[tuple[float, bool]] = []
        self.done: list[tuple[float, float]] = []
        self.events: list[tuple[float, int, Any, tuple[Any, ...]]] = []
        self.order = count()
        self.queued: dict[int, tuple[Any, ...]] = {}
        competitor.time = SimpleNamespace(monotonic=lambda: self.now)
        self.gate, self.item = request_gate(cap)

    def carry_out(self, until: float) -> dict[str, Any]:
        calls = len(self.waiting)
        self.at(0.0, self.ask_again)
        while self.events and len(self.done) < calls:
            self.now, _, what, given = heapq.heappop(self.events)
            if self.now > until:
                break
            what(*given)
            self.begin(self.model.advance(self.now))
            self.ask()
        return {"sent": self.sent, "back": self.back, "done": self.done}

    def at(self, moment: float, what: Any, *given: Any) -> None:
        heapq.heappush(self.events, (moment, next(self.order), what, given))

    def ask_again(self) -> None:
        self.at(self.now + ASKED_AGAIN, self.ask_again)

    def ask(self) -> None:
        while self.waiting:
            lease = self.gate.try_acquire(self.item)
            if not isinstance(lease, competitor.RequestAdmissionLease):
                return
            self.go(lease, self.waiting.pop())

    def go(self, lease: Any, tokens: int) -> None:
        self.sent.append(self.now)
        answer = self.model.arrive(self.now, "bench", tokens)
        if isinstance(answer, Refused):
            self.at(self.now + answer.after, self.refused, lease, tokens, answer.status, answer.retry_after)
            return
        self.queued[answer.ticket] = (lease, tokens, self.now)
        if self.timeout is not None:
            self.at(self.now + self.timeout, self.given_up, answer.ticket)
        if not isinstance(answer, Queued):
            self.begin([answer])

    def begin(self, started: list[Started]) -> None:
        for one in started:
            assert isinstance(one, Granted | Hanging)
            if isinstance(one, Granted):
                self.at(self.now + one.finish_after, self.answered, one.ticket)

    def refused(self, lease: Any, tokens: int, status: int, retry_after: float | None) -> None:
        self.back.append((self.now, status == 429))
        kind = "rate_limited" if status == 429 else "provider_failure"
        self.gate.release(lease, RequestReleaseOutcome(kind=kind, retry_after_seconds=retry_after))
        self.waiting.insert(0, tokens)

    def answered(self, ticket: Any) -> None:
        if ticket not in self.queued:
            return
        lease, _, sent_at = self.queued.pop(ticket)
        self.done.append((sent_at, self.now))
        self.gate.release(lease, RequestReleaseOutcome(kind="success"))
        self.begin(self.model.finish(ticket, self.now))

    def given_up(self, ticket: Any) -> None:
        if ticket not in self.queued:
            return
        lease, tokens, _ = self.queued.pop(ticket)
        self.back.append((self.now, False))
        self.gate.release(lease, RequestReleaseOutcome(kind="provider_timeout"))
        self.begin(self.model.abandon(ticket, self.now))
        self.waiting.insert(0, tokens)


def _limits(table: dict[str, Any]) -> ProviderLimits:
    """The limits as our end of the pipe sends them. The strict reader needs more than there is in this process."""
    tuples: dict[str, Any] = {"outage": tuple(table["outage"])} if "outage" in table else {}
    if "schedule" in table:
        tuples["schedule"] = tuple(map(tuple, table["schedule"]))
    return ProviderLimits(**{**table, **tuples, "latency": Latency(**table["latency"])})

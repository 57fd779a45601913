"""A simulated model endpoint: true limits, exactly applied, and nothing else.

It decides and counts; it never waits. `arrive` says what happens to a call and when (`finish_after`,
`after`), and the carrier of calls, a real server or a script in virtual time, waits that long and comes
back with `finish`, or with `abandon` when the client has given up. So one set of limits serves real sockets
and simulated hours alike, and the same calls at the same times with the same seed always meet the same
fate.

    arrive ─┬─ Refused    429 (outage, quota, size, requests, tokens, slots) or 5xx; holds nothing
            ├─ Granted ───── finish | abandon
            ├─ Hanging ───── abandon              holds its slot until then
            └─ Queued ──┬─── abandon
                        └─ Granted or Hanging, returned by the finish, abandon or advance that made room

A refused call holds nothing and takes nothing from a bucket. Waiting is in order of arrival; with `queue` a
capacity that grows by schedule frees places at moments that no call marks, so the carrier calls `advance`
at `next_change`.
"""

from __future__ import annotations

import random
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Mapping
from typing import Literal, NewType

from attrs import define, frozen

from penstock.testing.provider.allowance import allowed_calls
from penstock.testing.provider.headers import bucket_headers, retry_after_headers
from penstock.testing.provider.limits import ProviderLimits
from penstock.testing.provider.report import KeyReport, ModelReport
from penstock.testing.provider.token_bucket import TokenBucket

__all__ = [
    "Answer",
    "Granted",
    "Hanging",
    "Queued",
    "RefusalReason",
    "Refused",
    "SimulatedModel",
    "Started",
    "Ticket",
]

Ticket = NewType("Ticket", int)
"""The id of one call that holds a slot or a place in the queue; never used twice."""

RefusalReason = Literal["outage", "requests", "tokens", "slots", "quota", "size", "error"]


@frozen
class Granted:
    """A call that runs; its answer is due `finish_after` seconds from now."""

    ticket: Ticket
    finish_after: float
    headers: Mapping[str, str]


@frozen
class Hanging:
    """A call that runs and will never be answered."""

    ticket: Ticket


@frozen
class Queued:
    """A call that waits in silence until a slot is free."""

    ticket: Ticket


@frozen
class Refused:
    """A call that is answered with `status` (429, or a 5xx) `after` seconds from now.

    `retry_after`: seconds, as exact as they are known, whatever the header's form rounds them to; `None`:
    not stated.
    """

    status: int
    reason: RefusalReason
    retry_after: float | None
    headers: Mapping[str, str]
    after: float
    code: str = ""
    """The word for it, where the provider says one."""


Started = Granted | Hanging
Answer = Granted | Hanging | Queued | Refused


@define(eq=False)
class _Call:
    ticket: Ticket
    key: str
    tokens: int
    hanging: bool = False


class SimulatedModel:
    """One model endpoint with `limits`, living from `started_at` on.

    Every `now` is in seconds of the caller's clock and may not go back (`ValueError`). `rng` decides
    latencies, errors and hangs. `wall_at_start` is the Unix time of `started_at`, for dates in headers.
    """

    def __init__(
        self, limits: ProviderLimits, rng: random.Random, started_at: float, *, wall_at_start: float = 0.0
    ) -> None:
        self.limits = limits
        self._rng = rng
        self._started_at = started_at
        self._wall_offset = wall_at_start - started_at
        self._now = started_at
        self._requests: TokenBucket | None = None
        if limits.rpm is not None:
            self._requests = TokenBucket(limits.rpm / 60, limits.request_burst, started_at)
        self._tokens: TokenBucket | None = None
        if limits.tpm is not None:
            self._tokens = TokenBucket(limits.tpm / 60, limits.token_burst, started_at)
        self._last_ticket = 0
        self._running: dict[Ticket, _Call] = {}
        self._waiting: OrderedDict[Ticket, _Call] = OrderedDict()  # a plain dict is slow to pop from the front
        self._tallies: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """By key, the fields of its `KeyReport`."""
        self._refused_by: Counter[str] = Counter()
        self._peak_concurrency = 0
        self._peak_waiting = 0
        self._first_arrival_at: float | None = None
        self._last_answer_at: float | None = None

    # -- what happens to calls --

    def arrive(self, now: float, key: str, tokens: int) -> Answer:
        """The answer to a call of `key` (the caller, for the report), which is charged `tokens`."""
        if tokens < 0:
            raise ValueError(f"tokens must be at least 0, not {tokens}")
        self._move_to(now)
        if self._first_arrival_at is None:
            self._first_arrival_at = now
        tally = self._tallies[key]
        tally["arrived"] += 1
        refusal = self._refusal(now, tokens)
        if refusal is not None:
            tally["refused"] += 1
            self._refused_by[refusal.reason] += 1
            return refusal
        if self.limits.error_rate and self._rng.random() < self.limits.error_rate:
            tally["errors"] += 1
            return Refused(
                self.limits.error_status, "error", None, self._rate_headers(now), self.limits.refusal_latency
            )
        if self._requests is not None:
            self._requests.take(1, now)
        if self._tokens is not None:
            self._tokens.take(tokens, now)
        tally["tokens"] += tokens
        self._last_ticket += 1
        call = _Call(Ticket(self._last_ticket), key, tokens)
        if self.limits.queue and (self._waiting or not self._has_slot(now)):
            self._waiting[call.ticket] = call
            self._peak_waiting = max(self._peak_waiting, len(self._waiting))
            return Queued(call.ticket)
        return self._start(call, now)

    def finish(self, ticket: Ticket, now: float, actual_tokens: int | None = None) -> list[Started]:
        """Complete the answer of `ticket`. `actual_tokens` corrects what was charged when it came.

        Returns the queued calls that start now. Raises `ValueError` if the ticket is not running, or is
        hanging.
        """
        self._move_to(now)
        call = self._running.get(ticket)
        if call is None or call.hanging:
            state = "hangs, it can only be abandoned" if call else "is not running"
            raise ValueError(f"ticket {ticket} {state}")
        del self._running[ticket]
        tally = self._tallies[call.key]
        tally["completed"] += 1
        if actual_tokens is not None:
            tally["tokens"] += actual_tokens - call.tokens
            if self._tokens is not None:
                self._tokens.give_back(call.tokens - actual_tokens, now)
        self._last_answer_at = now
        return self._start_waiting(now)

    def abandon(self, ticket: Ticket, now: float) -> list[Started]:
        """Give up the call of `ticket`: its slot, or its place in the queue, is free. What was charged stays
        charged, as providers do it. Returns the queued calls that start now.

        Raises `ValueError` if the ticket neither runs nor waits.
        """
        self._move_to(now)
        call = self._running.pop(ticket, None) or self._waiting.pop(ticket, None)
        if call is None:
            raise ValueError(f"ticket {ticket} neither runs nor waits")
        self._tallies[call.key]["abandoned"] += 1
        return self._start_waiting(now)

    def advance(self, now: float) -> list[Started]:
        """Start the queued calls for which a change of the schedule has made room; returns them."""
        self._move_to(now)
        return self._start_waiting(now)

    def next_change(self, now: float) -> float | None:
        """The next moment after `now` at which the schedule changes the slots; `None` if it never does
        again."""
        elapsed = self.limits.next_change(now - self._started_at)
        return None if elapsed is None else self._started_at + elapsed

    # -- what can be seen --

    @property
    def in_flight(self) -> int:
        return len(self._running)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def allowed(self, begin: float, end: float) -> float:
        """The calls that the true limits allow from `begin` to `end` (moments of the caller's clock), with
        buckets full at `begin`, the mean latency, and the mean of the tokens charged so far. Infinite if
        nothing limits them."""
        total = self._total()
        charged = total.arrived - total.refused - total.errors
        mean_tokens = total.tokens / charged if charged else None
        return allowed_calls(self.limits, begin - self._started_at, end - self._started_at, mean_tokens)

    def report(self) -> ModelReport:
        """The report of everything that was seen until now; later calls do not change it."""
        first, last = self._first_arrival_at, self._last_answer_at
        allowed = self.allowed(first, last) if first is not None and last is not None else float("inf")
        return ModelReport(
            total=self._total(),
            by_key={key: KeyReport(**tally) for key, tally in self._tallies.items()},
            refused_by=dict(self._refused_by),
            in_flight=len(self._running),
            waiting=len(self._waiting),
            peak_concurrency=self._peak_concurrency,
            peak_waiting=self._peak_waiting,
            first_arrival_at=None if first is None else first - self._started_at,
            last_answer_at=None if last is None else last - self._started_at,
            allowed_calls=None if allowed == float("inf") else allowed,
        )

    def check_invariants(self) -> None:
        """Check that the counts balance; raises `AssertionError`. Cheap enough to call after every step of a
        test."""
        total = self._total()
        held = len(self._running) + len(self._waiting)
        assert not self._running.keys() & self._waiting.keys(), "a call both runs and waits"
        assert total.refused == sum(self._refused_by.values()), "a refusal without its limit"
        assert total.arrived == total.refused + total.errors + self._last_ticket, "a call that met no fate"
        assert self._last_ticket == total.completed + total.abandoned + held, "a ticket was lost or used twice"
        assert total.granted + total.hung + len(self._waiting) <= self._last_ticket, "a call started twice"
        assert self._peak_concurrency >= len(self._running), "a peak below what runs"
        assert self.limits.queue or not self._waiting, "a call waits at an endpoint that has no queue"
        for bucket in (self._requests, self._tokens):
            assert bucket is None or bucket.level(self._now) <= bucket.burst, "a bucket runs over"
        most = max((slots for _, slots in self.limits.steps), default=None)
        assert most is None or self._peak_concurrency <= most, "more ran at a time than there ever were slots"

    # -- inside --

    def _move_to(self, now: float) -> None:
        if now < self._now:
            raise ValueError(f"time went back from {self._now} to {now}")
        self._now = now

    def _has_slot(self, now: float) -> bool:
        slots = self.limits.slots_at(now - self._started_at)
        return slots is None or len(self._running) < slots

    def _refusal(self, now: float, tokens: int) -> Refused | None:
        limits = self.limits
        elapsed = now - self._started_at
        if limits.in_outage(elapsed):
            assert limits.outage is not None
            return self._refuse("outage", limits.outage[1] - elapsed, now)
        if limits.quota is not None and self._last_ticket >= limits.quota:
            return Refused(429, "quota", None, {}, limits.refusal_latency, "insufficient_quota")
        if limits.largest is not None and tokens > limits.largest:
            return self._refuse("size", None, now)
        for_request = 0.0 if self._requests is None else self._requests.wait_for(1, now)
        for_tokens = 0.0 if self._tokens is None else self._tokens.wait_for(tokens, now)
        if for_request or for_tokens:
            reason: RefusalReason = "requests" if for_request >= for_tokens else "tokens"
            return self._refuse(reason, max(for_request, for_tokens), now)
        if not limits.queue and not self._has_slot(now):
            return self._refuse("slots", None, now)
        return None

    def _refuse(self, reason: RefusalReason, until_next: float | None, now: float) -> Refused:
        stated = self.limits.retry_after
        seconds = until_next if stated == "until-next" else stated
        headers = self._rate_headers(now)
        if seconds is not None:
            headers |= retry_after_headers(seconds, self.limits.retry_after_form, self._wall_offset + now)
        return Refused(429, reason, seconds, headers, self.limits.refusal_latency)

    def _rate_headers(self, now: float) -> dict[str, str]:
        headers: dict[str, str] = {}
        if self.limits.headers:
            if self.limits.rpm is not None and self._requests is not None:
                headers |= bucket_headers("requests", self.limits.rpm, self._requests, now)
            if self.limits.tpm is not None and self._tokens is not None:
                headers |= bucket_headers("tokens", self.limits.tpm, self._tokens, now)
        return headers

    def _start(self, call: _Call, now: float) -> Started:
        self._running[call.ticket] = call
        self._peak_concurrency = max(self._peak_concurrency, len(self._running))
        tally = self._tallies[call.key]
        if self.limits.hang_share and self._rng.random() < self.limits.hang_share:
            call.hanging = True
            tally["hung"] += 1
            return Hanging(call.ticket)
        tally["granted"] += 1
        return Granted(call.ticket, self.limits.latency.draw(self._rng), self._rate_headers(now))

    def _start_waiting(self, now: float) -> list[Started]:
        started: list[Started] = []
        while self._waiting and self._has_slot(now):
            _, call = self._waiting.popitem(last=False)
            started.append(self._start(call, now))
        return started

    def _total(self) -> KeyReport:
        total: Counter[str] = Counter()
        for tally in self._tallies.values():
            total.update(tally)
        return KeyReport(**total)

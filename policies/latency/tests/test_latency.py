"""What the latency limiter finds out about servers that queue silently, and what it must not be taught."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from heapq import heappop, heappush
from math import exp
from random import Random
from typing import Any

import msgspec
import pytest

from penstock import (
    RequestAdmissionItem,
    RequestAdmissionLease,
    RequestCost,
    RequestReleaseOutcome,
    RequestResourceKey,
    Usage,
)
from penstock.testing import LimiterDriver
from penstock_latency import LatencyConfig, LatencyLimiter

RESOURCE = RequestResourceKey("provider", "model", "chat")
FAILURES = ["rate_limited", "provider_failure", "provider_timeout", "local_cancelled", "local_timeout"]


class QueueingServer:
    """`slots` calls are worked on at a time, for log-normal times of mean 1 s × `slowness`, first come, first served.

    Fields may be changed between two calls of `run`. `offered` bounds how many calls the client has out; `tokens` makes
    answers short or long at random and their time proportional; `streams`: the first token comes after a tenth.
    """

    def __init__(self, config: LatencyConfig | None = None, *, slots: int = 16, cap: int = 256, seed: int = 0) -> None:
        self.limiter = LatencyLimiter(RESOURCE, cap, config or LatencyConfig())
        self.driver = LimiterDriver(self.limiter, RESOURCE)
        self.slots = slots
        self.slowness = 1.0
        self.sigma = 0.5
        self.offered = 1000
        self.tokens = False
        self.streams = False
        self.answered = 0
        self._rng = Random(f"server/{seed}")
        self._lengths: dict[str, float] = {}
        self._waiting: list[str] = []
        self._working: list[tuple[float, float, str]] = []

    @property
    def limit(self) -> int:
        limit = self.driver.snapshot.current_limit
        assert limit is not None
        return limit

    @property
    def details(self) -> Mapping[str, Any]:
        return self.driver.snapshot.details

    def run(
        self, seconds: float, outcome: Callable[[RequestReleaseOutcome], RequestReleaseOutcome] | None = None
    ) -> float:
        """Serve for so long; the mean number of calls in flight. `outcome` changes how each call ends."""
        end = self.driver.now + seconds
        area = 0.0
        while True:
            self._admit()
            at = self._working[0][0]
            step = min(at, end) - self.driver.now
            area += step * len(self.driver.out)
            if at > end:
                self.driver.now = end
                return area / seconds
            self.driver.now = at
            self._answer(outcome)

    def _admit(self) -> None:
        while len(self.driver.out) < self.offered:
            lease = self.driver.admit()
            if lease is None:
                break
            self._lengths[lease.lease_id] = self._rng.choice((0.25, 1.75)) if self.tokens else 1.0
            self._waiting.append(lease.lease_id)
        while self._waiting and len(self._working) < self.slots:
            name = self._waiting.pop(0)
            latency = exp(self._rng.gauss(-(self.sigma**2) / 2, self.sigma)) * self.slowness * self._lengths[name]
            heappush(self._working, (self.driver.now + latency, latency, name))

    def _answer(self, change: Callable[[RequestReleaseOutcome], RequestReleaseOutcome] | None) -> None:
        at, latency, name = heappop(self._working)
        place = next(i for i, (lease, _) in enumerate(self.driver.out) if lease.lease_id == name)
        elapsed = at - self.driver.out[place][0].acquired_at
        length = self._lengths.pop(name)
        outcome = RequestReleaseOutcome(
            kind="success",
            elapsed=elapsed,
            first_token_at=elapsed - 0.9 * latency if self.streams else None,
            usage=Usage(0, int(length * 400)) if self.tokens else None,
        )
        self.driver.end(change(outcome) if change else outcome, place)
        self.answered += 1


def test_it_starts_with_few_and_says_that_it_knows_nothing_yet() -> None:
    calls = LimiterDriver(LatencyLimiter(RESOURCE, 256, LatencyConfig()), RESOURCE)
    assert calls.admit_all() == 4
    denied = calls.ask()
    assert denied is not None
    assert denied.detail == "4 in flight, limit 4, no latency known yet"


def test_a_refusal_tells_what_latency_it_is_about() -> None:
    calls = LimiterDriver(LatencyLimiter(RESOURCE, 4, LatencyConfig(window_samples=4)), RESOURCE)
    for _ in range(10):
        calls.admit_all()
        calls.rest(0.5)
        calls.end_all(RequestReleaseOutcome(kind="success", elapsed=0.5))
    calls.admit_all()
    denied = calls.ask()
    assert denied is not None
    assert denied.detail == "4 in flight, limit 4, elapsed takes 0.5 s, without a queue 0.5 s"


@pytest.mark.parametrize("slots", [4, 16, 48])
def test_it_keeps_the_slots_busy_and_the_queue_short(slots: int) -> None:
    for seed in range(2):
        server = QueueingServer(slots=slots, seed=seed)
        server.run(40.0)
        server.answered = 0
        in_flight = server.run(100.0)
        assert server.answered > 0.9 * 100 * slots
        assert in_flight < 1.5 * slots + 2


def test_a_cap_below_the_slots_is_used_up() -> None:
    server = QueueingServer(cap=8)
    server.run(60.0)
    assert server.run(100.0) > 7.3


def test_fewer_slots_and_more_are_followed() -> None:
    server = QueueingServer(slots=16)
    server.run(60.0)
    server.slots = 4
    server.run(60.0)
    assert server.run(60.0) < 9
    server.slots = 32
    server.run(60.0)
    assert 26 < server.run(60.0) < 50


def test_a_server_that_is_slower_without_a_queue_does_not_starve_the_limit() -> None:
    server = QueueingServer()
    server.run(60.0)
    server.slowness = 2.0
    server.run(120.0)
    server.answered = 0
    server.run(200.0)
    assert server.answered > 0.85 * 200 * 16 / 2


def test_the_baseline_does_not_drift_while_the_server_is_saturated_for_long() -> None:
    server = QueueingServer(slots=4)
    server.run(60.0)
    for _ in range(10):
        server.run(180.0)
        assert server.details["baseline"] < 1.4
        assert server.run(20.0) < 9


def test_the_baseline_never_rises_above_what_is_healthy() -> None:
    server = QueueingServer(LatencyConfig(healthy_ratio=2.0, healthy_latency=1.5))
    server.run(60.0)
    server.slowness = 6.0
    server.run(1500.0)
    assert server.details["baseline"] <= 1.5
    assert server.limit < 12


def test_an_absolute_bound_holds_from_the_first_window_on() -> None:
    server = QueueingServer(LatencyConfig(healthy_latency=0.5))
    server.run(60.0)
    assert server.details["baseline"] <= 0.5


@pytest.mark.parametrize("kind", FAILURES)
def test_failures_teach_no_good_latency(kind: str) -> None:
    server = QueueingServer()
    server.run(60.0)
    before = dict(server.details)
    quick = partial(msgspec.structs.replace, kind=kind, elapsed=0.01)
    server.run(60.0, quick)
    assert dict(server.details) == before


def test_a_limit_that_is_not_in_use_does_not_grow() -> None:
    server = QueueingServer()
    server.offered = 2
    server.run(300.0)
    assert server.limit == 4


def test_low_load_that_the_server_still_queues_lowers_the_limit() -> None:
    server = QueueingServer(slots=16)
    server.run(60.0)
    server.offered, server.slots = 12, 2
    server.run(120.0)
    assert server.limit < 9


def test_answers_of_different_length_are_compared_by_token() -> None:
    server = QueueingServer()
    server.tokens = True
    server.run(60.0)
    assert server.details["signal"] == "output_token"
    assert 0.0015 < server.details["baseline"] < 0.0035  # 400 tokens a second
    assert 14 < server.run(200.0) < 25


def test_the_estimate_stands_for_a_usage_that_is_not_told() -> None:
    limiter = LatencyLimiter(RESOURCE, 4, LatencyConfig(window_samples=4))
    item = RequestAdmissionItem(RESOURCE, cost=RequestCost(output_tokens=100))
    for number in range(8):
        lease = RequestAdmissionLease(f"lease-{number}", item, float(number), 1)
        token = limiter.acquire(lease, float(number))
        limiter.release(lease, token, RequestReleaseOutcome(kind="success", elapsed=2.0), number + 2.0)
    assert limiter.snapshot(10.0).details["baseline"] == pytest.approx(0.02)


def test_time_to_the_first_token_is_taken_where_it_is_known() -> None:
    server = QueueingServer()
    server.streams = server.tokens = True
    server.run(60.0)
    assert server.details["signal"] == "first_token"
    server.answered = 0
    assert 15 < server.run(150.0) < 25
    assert server.answered > 0.93 * 150 * 16


def test_a_signal_that_no_longer_comes_is_replaced_by_another() -> None:
    server = QueueingServer()
    server.streams = True
    server.run(60.0)
    limit = server.limit
    server.streams = False
    server.run(60.0)
    assert server.details["signal"] == "elapsed"
    assert server.limit > limit / 2


def test_a_configured_signal_is_kept_to() -> None:
    server = QueueingServer(LatencyConfig(signal="first_token"))
    server.run(60.0)
    assert server.limit == 4
    assert server.details["latency"] is None


def test_without_an_elapsed_time_the_lease_is_measured() -> None:
    server = QueueingServer()
    server.run(60.0, partial(msgspec.structs.replace, elapsed=None))
    assert 0.7 < server.details["baseline"] < 1.3


def test_a_changed_limit_is_told_with_its_latencies() -> None:
    server = QueueingServer()
    server.run(60.0)
    increased = [c for c in server.driver.changes if c.kind == "request_limit_increased"]
    decreased = [c for c in server.driver.changes if c.kind == "request_limit_decreased"]
    assert increased
    assert decreased
    assert (increased[0].before, increased[0].after) == (4, 16)
    assert "elapsed takes" in decreased[0].detail


def test_a_probe_says_that_it_is_one() -> None:
    server = QueueingServer()
    while server.details["probing"] is None:
        server.run(0.5)
    assert server.limit == server.details["probing"]
    server.driver.admit_all()
    denied = server.driver.ask()
    assert denied is not None
    assert denied.detail.endswith("measuring that again")


def test_without_probes_the_baseline_is_the_first_one_or_faster() -> None:
    server = QueueingServer(LatencyConfig(probe_every=0))
    server.run(60.0)
    before = server.details["baseline"]
    server.slowness = 2.0
    server.run(200.0)
    assert server.details["baseline"] <= before
    assert server.details["probing"] is None


def test_far_fewer_slots_are_not_taken_for_a_slower_server() -> None:
    server = QueueingServer(slots=32)
    server.run(60.0)
    server.slots = 2
    for _ in range(20):
        server.run(20.0)
        assert server.details["baseline"] < 1.6


@pytest.mark.parametrize("seed", [18, 29])
def test_a_probe_that_is_due_in_the_midst_of_a_change_is_not_held_against_the_time_before_it(seed: int) -> None:
    server = QueueingServer(slots=32, seed=seed)
    server.run(60.0)
    server.slots = 2
    for _ in range(20):
        server.run(20.0)
        assert server.details["baseline"] < 1.6


def test_an_unlucky_baseline_does_not_end_the_climb() -> None:
    calls = LimiterDriver(LatencyLimiter(RESOURCE, 256, LatencyConfig()), RESOURCE)

    def round_of(seconds: float) -> int:
        admitted = calls.admit_all()
        calls.rest(seconds)
        calls.end_all(RequestReleaseOutcome(kind="success", elapsed=seconds))
        return admitted

    assert [round_of(seconds) for seconds in (0.6, 0.6, 0.6)] == [4, 4, 4]  # the first round does not count
    assert [round_of(seconds) for seconds in (1.0, 1.0)] == [16, 16]  # 40 % slower: chance, or a queue
    assert [round_of(seconds) for seconds in (0.6, 0.6, 0.6, 0.6)][-1] > 16


def test_a_queue_that_was_chance_holds_the_climb_no_longer_than_a_first_window_takes() -> None:
    calls = LimiterDriver(LatencyLimiter(RESOURCE, 256, LatencyConfig()), RESOURCE)

    def answers(count: int, seconds: float) -> int | None:
        for _ in range(count):
            calls.admit_all()
            calls.end(RequestReleaseOutcome(kind="success", elapsed=seconds))
        return calls.snapshot.current_limit

    assert answers(4 + 6, 0.6) == 16  # the first round does not count
    assert answers(16 + 8, 1.0) == 16  # nor does the round after a step; 40 % slower
    assert answers(7, 0.6) == 16
    assert answers(1, 0.6) == 32


def test_hardly_a_slot_is_idle_whatever_the_luck_of_the_climb() -> None:
    for seed in range(300, 312):
        server = QueueingServer(seed=seed)
        server.run(100.0)
        assert server.answered > 0.9 * 100 * 16


def take_over(server: QueueingServer, config: LatencyConfig) -> None:
    """The limiter gets another `Config`, as by a reconfiguration."""
    successor = LatencyLimiter(RESOURCE, 256, config)
    successor.adopt(server.limiter)
    server.limiter = server.driver.limiter = successor


def test_with_another_config_the_limit_and_the_baseline_stay() -> None:
    server = QueueingServer()
    server.run(3000)
    before = server.limit, server.details["baseline"]
    take_over(server, LatencyConfig(window_samples=48, probe_every=10))
    assert (server.limit, server.details["baseline"]) == before
    server.run(2000)
    assert 12 <= server.limit <= 26


def test_another_config_bounds_what_was_learnt() -> None:
    server = QueueingServer()
    server.run(3000)
    take_over(server, LatencyConfig(effective_max=5, healthy_latency=0.1))
    assert server.limit == 5
    assert server.details["baseline"] == 0.1


def test_where_another_signal_is_to_be_measured_the_limit_stays_and_the_baseline_does_not() -> None:
    server = QueueingServer()
    server.run(3000)
    before = server.limit
    take_over(server, LatencyConfig(signal="output_token"))
    assert (server.limit, server.details["baseline"]) == (before, None)


def test_before_the_first_call_there_is_nothing_to_take_over() -> None:
    server = QueueingServer()
    take_over(server, LatencyConfig(initial_limit=7))
    assert server.limit == 7

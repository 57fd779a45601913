"""What the simulated provider tells afterwards: what it saw, and what its limits would have allowed."""

from __future__ import annotations

import random

import pytest

from penstock.testing.provider.provider import (
    Granted,
    Latency,
    ProviderLimits,
    Ramp,
    Refused,
    SimulatedModel,
    Ticket,
)

START = 1000.0
EXACTLY_ONE = Latency(mean=1.0, sigma=0.0)


def endpoint(limits: ProviderLimits, *, seed: int = 0, wall: float = 0.0) -> SimulatedModel:
    return SimulatedModel(limits, random.Random(seed), START, wall_at_start=wall)


def granted(model: SimulatedModel, at: float = 0.0, tokens: int = 1, key: str = "k") -> Ticket:
    answer = model.arrive(START + at, key, tokens)
    assert isinstance(answer, Granted), answer
    return answer.ticket


def refused(model: SimulatedModel, at: float = 0.0, tokens: int = 1, key: str = "k") -> Refused:
    answer = model.arrive(START + at, key, tokens)
    assert isinstance(answer, Refused), answer
    return answer


# -- the report --


def test_the_report_tells_keys_apart() -> None:
    model = endpoint(ProviderLimits(slots=2))
    model.finish(granted(model, key="a", tokens=7), START + 1)
    granted(model, key="b", at=1)
    granted(model, key="b", at=1)
    refused(model, key="a", at=1)
    report = model.report()
    assert (report.by_key["a"].granted, report.by_key["a"].completed, report.by_key["a"].refused) == (1, 1, 1)
    assert (report.by_key["a"].tokens, report.by_key["b"].granted) == (7, 2)
    assert (report.total.arrived, report.refused_by, report.peak_concurrency) == (4, {"slots": 1}, 2)
    assert (report.first_arrival_at, report.last_answer_at) == (0.0, 1.0)


def test_a_report_does_not_change_afterwards() -> None:
    model = endpoint(ProviderLimits(slots=1))
    before = model.report()
    granted(model)
    refused(model)
    assert (before.total.arrived, before.refused_by, before.by_key) == (0, {}, {})


# -- what was allowed --


@pytest.mark.parametrize(
    ("limits", "until", "calls"),
    [
        (ProviderLimits(slots=20), 250, 5000),
        (ProviderLimits(slots=20, outage=(60, 160)), 350, 5000),
        (ProviderLimits(rpm=600, burst=20), 298, 3000),
        (ProviderLimits(rpm=600, burst=20, slots=5), 100, 500),
        (ProviderLimits(schedule=((0, 40), (120, 10), (240, 40))), 300, 4800 + 1200 + 2400),
        (ProviderLimits(schedule=Ramp(2, 32, 120.0)), 120, 17 * 120),
        # 20 a second until the bucket of 100 is dry at second 10, then 10 a second.
        (ProviderLimits(rpm=600, burst=100, slots=20), 20, 200 + 100),
        # The outage fills the bucket again.
        (ProviderLimits(rpm=600, burst=100, outage=(10, 30)), 40, 100 + 100 + 100 + 100),
        (ProviderLimits(slots=3, latency=Latency(0.0), rpm=60, burst=10), 60, 70),
    ],
)
def test_what_the_limits_allow_is_known_in_advance(limits: ProviderLimits, until: float, calls: float) -> None:
    assert endpoint(limits).allowed(START, START + until) == pytest.approx(calls)


def test_what_is_allowed_counts_the_tokens_that_calls_really_had() -> None:
    model = endpoint(ProviderLimits(tpm=60_000, tpm_burst=1000))
    granted(model, tokens=100)
    granted(model, tokens=300)
    assert model.allowed(START, START + 60) == pytest.approx((1000 + 60_000) / 200)


def test_without_limits_there_is_no_figure_for_what_was_allowed() -> None:
    model = endpoint(ProviderLimits())
    model.finish(granted(model), START + 1)
    assert model.report().allowed_calls is None


def test_a_client_that_keeps_every_slot_busy_achieves_what_is_allowed() -> None:
    model = endpoint(ProviderLimits(slots=4, latency=EXACTLY_ONE))
    due = [(granted(model), 1.0) for _ in range(4)]
    while due and due[0][1] < 100:
        ticket, at = due.pop(0)
        model.finish(ticket, START + at)
        due.append((granted(model, at=at), at + 1.0))
    report = model.report()
    assert report.allowed_calls == report.total.completed == 4 * 99

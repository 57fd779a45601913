"""What the simulated provider tells afterwards: what it saw, and what its limits would have allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from penstock.testing import Latency, ProviderLimits, Ramp

if TYPE_CHECKING:
    from core.tests.testing.provider.conftest import MakeEndpoint


EXACTLY_ONE = Latency(mean=1.0, sigma=0.0)


# -- the report --


def test_the_report_tells_keys_apart(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(slots=2))
    provider.finish(provider.granted(key="a", tokens=7), at=1)
    provider.granted(key="b", at=1)
    provider.granted(key="b", at=1)
    provider.refused(key="a", at=1)
    report = provider.report()
    assert (report.by_key["a"].granted, report.by_key["a"].completed, report.by_key["a"].refused) == (1, 1, 1)
    assert (report.by_key["a"].tokens, report.by_key["b"].granted) == (7, 2)
    assert (report.total.arrived, report.refused_by, report.peak_concurrency) == (4, {"slots": 1}, 2)
    assert (report.first_arrival_at, report.last_answer_at) == (0.0, 1.0)


def test_a_report_does_not_change_afterwards(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(slots=1))
    before = provider.report()
    provider.granted()
    provider.refused()
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
def test_what_the_limits_allow_is_known_in_advance(
    limits: ProviderLimits, until: float, calls: float, endpoint: MakeEndpoint
) -> None:
    assert endpoint(limits).allowed(until) == pytest.approx(calls)


def test_what_is_allowed_counts_the_tokens_that_calls_really_had(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(tpm=60_000, tpm_burst=1000))
    provider.granted(tokens=100)
    provider.granted(tokens=300)
    assert provider.allowed(60) == pytest.approx((1000 + 60_000) / 200)


def test_without_limits_there_is_no_figure_for_what_was_allowed(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits())
    provider.finish(provider.granted(), at=1)
    assert provider.report().allowed_calls is None


def test_a_client_that_keeps_every_slot_busy_achieves_what_is_allowed(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(slots=4, latency=EXACTLY_ONE))
    due = [(provider.granted(), 1.0) for _ in range(4)]
    while due and due[0][1] < 100:
        ticket, at = due.pop(0)
        provider.finish(ticket, at=at)
        due.append((provider.granted(at=at), at + 1.0))
    report = provider.report()
    assert report.allowed_calls == report.total.completed == 4 * 99

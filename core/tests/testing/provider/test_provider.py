"""The simulated provider: what it lets in, what it refuses, and what it says about both."""

from __future__ import annotations

import random
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest

from penstock.testing import Granted, Hanging, Latency, ProviderLimits, Queued, Ramp

if TYPE_CHECKING:
    from core.tests.testing.provider.conftest import MakeEndpoint


# -- slots --


def test_a_call_over_the_slots_is_refused_until_one_comes_back(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(slots=2, refusal_latency=0.2))
    first = provider.granted()
    provider.granted()
    refusal = provider.refused()
    assert (refusal.status, refusal.reason, refusal.after) == (429, "slots", 0.2)
    provider.finish(first, at=1)
    provider.granted(at=1)


def test_a_refused_call_takes_no_slot(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(slots=1))
    ticket = provider.granted()
    for _ in range(10):
        provider.refused()
    assert provider.model.in_flight == 1
    provider.finish(ticket)
    provider.granted()


def test_an_abandoned_call_gives_its_slot_back(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(slots=1))
    provider.abandon(provider.granted(), at=0.5)
    provider.granted(at=0.5)
    assert provider.report().total.abandoned == 1


@pytest.mark.parametrize("how", ["finish", "abandon"])
def test_a_ticket_ends_once(how: str, endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(slots=2))
    ticket = provider.granted()
    provider.finish(ticket)
    with pytest.raises(ValueError, match=f"ticket {ticket}"):
        getattr(provider, how)(ticket)


def test_time_does_not_go_back(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits())
    provider.granted(at=5)
    with pytest.raises(ValueError, match="time went back"):
        provider.arrive(at=4)


# -- the silent queue --


def test_with_a_queue_calls_over_the_slots_wait_in_order(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(slots=1, queue=True))
    running = provider.granted()
    waiting = [provider.arrive() for _ in range(2)]
    assert all(isinstance(answer, Queued) for answer in waiting)
    (started,) = provider.finish(running, at=1)
    assert isinstance(started, Granted)
    assert isinstance(waiting[0], Queued)
    assert started.ticket == waiting[0].ticket
    assert provider.model.waiting == 1


def test_a_newcomer_waits_behind_those_who_wait_even_if_there_is_room(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(queue=True, schedule=((0, 1), (10, 3))))
    provider.granted()
    first = provider.arrive(at=1)
    second = provider.arrive(at=11)
    assert isinstance(first, Queued)
    assert isinstance(second, Queued)
    assert [started.ticket for started in provider.advance(11)] == [first.ticket, second.ticket]


def test_abandoning_a_waiting_call_starts_none(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(slots=1, queue=True))
    provider.granted()
    waiting = provider.arrive()
    provider.arrive()
    assert isinstance(waiting, Queued)
    assert provider.abandon(waiting.ticket) == []
    assert provider.model.waiting == 1


# -- buckets --


def test_requests_beyond_the_burst_come_back_at_the_rate(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(rpm=600, burst=2, retry_after="until-next"))
    provider.granted()
    provider.granted()
    refusal = provider.refused()
    assert refusal.reason == "requests"
    assert refusal.retry_after == pytest.approx(0.1)
    provider.granted(at=0.1)
    provider.refused(at=0.1)


@pytest.mark.parametrize("rpm", [7, 60, 600, 7777, 600_000])
def test_whoever_waits_exactly_as_long_as_reported_gets_in(rpm: int, endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(rpm=rpm, burst=1, tpm=rpm * 13, tpm_burst=13, retry_after="until-next"))
    now = 0.0
    for _ in range(200):
        provider.granted(at=now, tokens=13)
        wait = provider.refused(at=now, tokens=13).retry_after
        assert wait is not None
        now += wait


def test_a_refused_call_takes_nothing_from_either_bucket(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(rpm=60, burst=1, tpm=60, tpm_burst=10))
    provider.granted(tokens=10)
    for _ in range(5):
        provider.refused(tokens=10)
    assert provider.refused(at=5, tokens=10).reason == "tokens"
    provider.granted(at=10, tokens=10)


def test_the_limit_that_lasts_longest_is_the_one_reported(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(rpm=60, burst=1, tpm=600, tpm_burst=100, retry_after="until-next"))
    provider.granted(tokens=100)
    refusal = provider.refused(tokens=50)
    assert refusal.reason == "tokens"
    assert refusal.retry_after == pytest.approx(5.0)


def test_a_call_larger_than_the_burst_passes_a_full_bucket_and_is_paid_off_after(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(tpm=600, tpm_burst=100, retry_after="until-next"))
    provider.granted(tokens=250)
    refusal = provider.refused(tokens=100)
    assert refusal.retry_after == pytest.approx(25.0)


def test_the_true_tokens_correct_what_was_charged(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(tpm=60, tpm_burst=100))
    ticket = provider.granted(tokens=100)
    provider.refused(tokens=60)
    provider.finish(ticket, actual_tokens=40)
    provider.granted(tokens=60)
    assert provider.report().total.tokens == 100


def test_negative_tokens_are_an_error(endpoint: MakeEndpoint) -> None:
    with pytest.raises(ValueError, match="tokens must be at least 0"):
        endpoint(ProviderLimits()).arrive(tokens=-1)


# -- what is stated --


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ("seconds", {"retry-after": "0.466"}),
        ("whole-seconds", {"retry-after": "1"}),
        ("milliseconds", {"retry-after-ms": "466"}),
    ],
)
def test_retry_after_has_the_form_that_was_asked_for(
    form: str, headers: dict[str, str], endpoint: MakeEndpoint
) -> None:
    provider = endpoint(ProviderLimits(slots=1, retry_after=0.466, retry_after_form=form))  # type: ignore[arg-type]
    provider.granted()
    assert provider.refused().headers == headers


@pytest.mark.parametrize("wall", [1_700_000_000.0, 1_700_000_000.2, 1_700_000_000.9])
def test_a_date_in_retry_after_is_never_early_against_the_answers_own_date(wall: float, endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(slots=1, retry_after=2.5, retry_after_form="http-date"), wall=wall)
    provider.granted()
    headers = provider.refused().headers
    reported = parsedate_to_datetime(headers["retry-after"]) - parsedate_to_datetime(headers["date"])
    assert 2.5 <= reported.total_seconds() < 4.5


def test_nothing_is_reported_about_when_a_slot_comes_back(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(slots=1, retry_after="until-next"))
    provider.granted()
    assert provider.refused().headers == {}


def test_rate_headers_are_on_every_answer_in_openais_formats(endpoint: MakeEndpoint) -> None:
    limits = ProviderLimits(rpm=600, burst=20, tpm=60_000, tpm_burst=70_000, headers=True, error_rate=0.0)
    provider = endpoint(limits)
    answer = provider.arrive(tokens=66_000)
    assert isinstance(answer, Granted)
    assert answer.headers == {
        "x-ratelimit-limit-requests": "600",
        "x-ratelimit-remaining-requests": "19",
        "x-ratelimit-reset-requests": "100ms",
        "x-ratelimit-limit-tokens": "60000",
        "x-ratelimit-remaining-tokens": "4000",
        "x-ratelimit-reset-tokens": "1m6s",
    }
    assert provider.refused(at=0.1, tokens=5000).headers["x-ratelimit-remaining-requests"] == "20"


def test_an_error_carries_the_rate_headers_too(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(rpm=60, headers=True, error_rate=1.0, error_status=503))
    error = provider.refused()
    assert (error.status, error.reason, error.retry_after) == (503, "error", None)
    assert error.headers["x-ratelimit-limit-requests"] == "60"


# -- schedule, outage, errors, hangs --


def test_capacity_follows_the_steps_of_the_schedule(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(schedule=((0, 2), (120, 1), (240, 3))))
    running = [provider.granted(), provider.granted()]
    provider.refused()
    provider.finish(running.pop(), at=120)
    provider.refused(at=120)
    provider.granted(at=240)
    provider.granted(at=240)
    assert provider.report().peak_concurrency == 3


def test_a_lowered_capacity_ends_no_running_call(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(schedule=((0, 2), (10, 1))))
    tickets = [provider.granted(), provider.granted()]
    provider.finish(tickets[0], at=11)
    provider.refused(at=11)
    provider.finish(tickets[1], at=11)
    provider.granted(at=11)


def test_the_changes_to_come_are_known(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(schedule=((0, 2), (120, 1))))
    assert provider.next_change() == 120
    assert provider.next_change(120) is None


@pytest.mark.parametrize(("start", "to"), [(2, 32), (32, 2), (0, 5)])
def test_a_ramp_rises_or_falls_in_whole_slots_around_the_straight_line(start: int, to: int) -> None:
    limits = ProviderLimits(schedule=Ramp(start, to, 120.0))
    for second in range(200):
        line = start + (to - start) * min(1.0, second / 120)
        slots = limits.slots_at(second)
        assert slots is not None
        assert abs(slots - line) <= 0.5 + 1e-9


def test_in_an_outage_everything_is_refused_and_after_it_nothing(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(slots=20, outage=(60, 660), retry_after="until-next"))
    provider.granted(at=59.9)
    refusal = provider.refused(at=60)
    assert (refusal.reason, refusal.retry_after) == ("outage", 600.0)
    provider.granted(at=660)


def test_errors_come_at_their_rate_and_hold_nothing(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(slots=1, error_rate=0.25))
    for _ in range(2000):
        answer = provider.arrive()
        if isinstance(answer, Granted):
            provider.finish(answer.ticket)
    assert 430 <= provider.report().total.errors <= 570
    assert provider.model.in_flight == 0


def test_a_hanging_call_keeps_its_slot_until_its_client_gives_up(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(slots=1, hang_share=1.0))
    answer = provider.arrive()
    assert isinstance(answer, Hanging)
    provider.refused(at=100)
    with pytest.raises(ValueError, match="hangs"):
        provider.finish(answer.ticket, at=100)
    provider.abandon(answer.ticket, at=100)
    assert isinstance(provider.arrive(at=100), Hanging)


# -- latency and repeatability --


def test_the_latency_has_the_mean_and_sigma_that_were_asked_for() -> None:
    rng = random.Random(1)
    draws = [Latency(mean=2.0, sigma=0.5).draw(rng) for _ in range(20_000)]
    mean = sum(draws) / len(draws)
    assert mean == pytest.approx(2.0, rel=0.02)
    spread = (sum((draw - mean) ** 2 for draw in draws) / len(draws)) ** 0.5
    assert spread == pytest.approx(2.0 * (2.718281828**0.25 - 1) ** 0.5, rel=0.05)


def test_the_same_calls_with_the_same_seed_meet_the_same_fate(endpoint: MakeEndpoint) -> None:
    limits = ProviderLimits(rpm=600, burst=5, error_rate=0.2, hang_share=0.2)

    def fates(seed: int) -> list[object]:
        provider = endpoint(limits, seed=seed)
        return [provider.arrive(at=i / 10) for i in range(100)]

    assert fates(3) == fates(3)
    assert fates(3) != fates(4)


def test_after_its_quota_every_call_is_refused_in_the_words_of_an_account(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(quota=2))
    provider.granted()
    provider.granted()
    for second in (0, 1000):
        refusal = provider.refused(at=second)
        assert (refusal.reason, refusal.code) == ("quota", "insufficient_quota")


def test_a_call_larger_than_the_largest_is_refused_always_and_others_pass(endpoint: MakeEndpoint) -> None:
    provider = endpoint(ProviderLimits(largest=100))
    for second in (0, 1000):
        assert provider.refused(at=second, tokens=101).reason == "size"
        provider.granted(at=second, tokens=100)

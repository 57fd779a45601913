"""The simulated provider: what it lets in, what it refuses, and what it says about both."""

from __future__ import annotations

import random
from email.utils import parsedate_to_datetime

import pytest

from penstock.testing.provider.provider import (
    Granted,
    Hanging,
    Latency,
    ProviderLimits,
    Queued,
    Ramp,
    Refused,
    SimulatedModel,
    Ticket,
)

START = 1000.0


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


# -- slots --


def test_a_call_over_the_slots_is_refused_until_one_comes_back() -> None:
    model = endpoint(ProviderLimits(slots=2, refusal_latency=0.2))
    first = granted(model)
    granted(model)
    refusal = refused(model)
    assert (refusal.status, refusal.reason, refusal.after) == (429, "slots", 0.2)
    model.finish(first, START + 1)
    granted(model, at=1)


def test_a_refused_call_takes_no_slot() -> None:
    model = endpoint(ProviderLimits(slots=1))
    ticket = granted(model)
    for _ in range(10):
        refused(model)
    assert model.in_flight == 1
    model.finish(ticket, START)
    granted(model)


def test_an_abandoned_call_gives_its_slot_back() -> None:
    model = endpoint(ProviderLimits(slots=1))
    model.abandon(granted(model), START + 0.5)
    granted(model, at=0.5)
    assert model.report().total.abandoned == 1


@pytest.mark.parametrize("how", ["finish", "abandon"])
def test_a_ticket_ends_once(how: str) -> None:
    model = endpoint(ProviderLimits(slots=2))
    ticket = granted(model)
    model.finish(ticket, START)
    with pytest.raises(ValueError, match=f"ticket {ticket}"):
        getattr(model, how)(ticket, START)


def test_time_does_not_go_back() -> None:
    model = endpoint(ProviderLimits())
    granted(model, at=5)
    with pytest.raises(ValueError, match="time went back"):
        model.arrive(START + 4, "k", 1)


# -- the silent queue --


def test_with_a_queue_calls_over_the_slots_wait_in_order() -> None:
    model = endpoint(ProviderLimits(slots=1, queue=True))
    running = granted(model)
    waiting = [model.arrive(START, "k", 1) for _ in range(2)]
    assert all(isinstance(answer, Queued) for answer in waiting)
    (started,) = model.finish(running, START + 1)
    assert isinstance(started, Granted)
    assert isinstance(waiting[0], Queued)
    assert started.ticket == waiting[0].ticket
    assert model.waiting == 1


def test_a_newcomer_waits_behind_those_who_wait_even_if_there_is_room() -> None:
    model = endpoint(ProviderLimits(queue=True, schedule=((0, 1), (10, 3))))
    granted(model)
    first = model.arrive(START + 1, "k", 1)
    second = model.arrive(START + 11, "k", 1)
    assert isinstance(first, Queued)
    assert isinstance(second, Queued)
    assert [started.ticket for started in model.advance(START + 11)] == [first.ticket, second.ticket]


def test_abandoning_a_waiting_call_starts_none() -> None:
    model = endpoint(ProviderLimits(slots=1, queue=True))
    granted(model)
    waiting = model.arrive(START, "k", 1)
    model.arrive(START, "k", 1)
    assert isinstance(waiting, Queued)
    assert model.abandon(waiting.ticket, START) == []
    assert model.waiting == 1


# -- buckets --


def test_requests_beyond_the_burst_come_back_at_the_rate() -> None:
    model = endpoint(ProviderLimits(rpm=600, burst=2, retry_after="until-next"))
    granted(model)
    granted(model)
    refusal = refused(model)
    assert refusal.reason == "requests"
    assert refusal.retry_after == pytest.approx(0.1)
    granted(model, at=0.1)
    refused(model, at=0.1)


@pytest.mark.parametrize("rpm", [7, 60, 600, 7777, 600_000])
def test_a_call_that_waits_exactly_as_long_as_stated_gets_in(rpm: int) -> None:
    model = endpoint(ProviderLimits(rpm=rpm, burst=1, tpm=rpm * 13, tpm_burst=13, retry_after="until-next"))
    now = 0.0
    for _ in range(200):
        granted(model, at=now, tokens=13)
        wait = refused(model, at=now, tokens=13).retry_after
        assert wait is not None
        now += wait


def test_a_refused_call_takes_nothing_from_either_bucket() -> None:
    model = endpoint(ProviderLimits(rpm=60, burst=1, tpm=60, tpm_burst=10))
    granted(model, tokens=10)
    for _ in range(5):
        refused(model, tokens=10)
    assert refused(model, at=5, tokens=10).reason == "tokens"
    granted(model, at=10, tokens=10)


def test_the_limit_that_lasts_longest_is_the_one_stated() -> None:
    model = endpoint(ProviderLimits(rpm=60, burst=1, tpm=600, tpm_burst=100, retry_after="until-next"))
    granted(model, tokens=100)
    refusal = refused(model, tokens=50)
    assert refusal.reason == "tokens"
    assert refusal.retry_after == pytest.approx(5.0)


def test_a_call_larger_than_the_burst_passes_a_full_bucket_and_is_paid_off_after() -> None:
    model = endpoint(ProviderLimits(tpm=600, tpm_burst=100, retry_after="until-next"))
    granted(model, tokens=250)
    refusal = refused(model, tokens=100)
    assert refusal.retry_after == pytest.approx(25.0)


def test_the_true_tokens_correct_what_was_charged() -> None:
    model = endpoint(ProviderLimits(tpm=60, tpm_burst=100))
    ticket = granted(model, tokens=100)
    refused(model, tokens=60)
    model.finish(ticket, START, actual_tokens=40)
    granted(model, tokens=60)
    assert model.report().total.tokens == 100


def test_negative_tokens_are_an_error() -> None:
    with pytest.raises(ValueError, match="tokens must be at least 0"):
        endpoint(ProviderLimits()).arrive(START, "k", -1)


# -- what is stated --


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ("seconds", {"retry-after": "0.466"}),
        ("whole-seconds", {"retry-after": "1"}),
        ("milliseconds", {"retry-after-ms": "466"}),
    ],
)
def test_retry_after_has_the_form_that_was_asked_for(form: str, headers: dict[str, str]) -> None:
    model = endpoint(ProviderLimits(slots=1, retry_after=0.466, retry_after_form=form))  # type: ignore[arg-type]
    granted(model)
    assert refused(model).headers == headers


@pytest.mark.parametrize("wall", [1_700_000_000.0, 1_700_000_000.2, 1_700_000_000.9])
def test_a_date_in_retry_after_is_never_early_against_the_answers_own_date(wall: float) -> None:
    model = endpoint(ProviderLimits(slots=1, retry_after=2.5, retry_after_form="http-date"), wall=wall)
    granted(model)
    headers = refused(model).headers
    reported = parsedate_to_datetime(headers["retry-after"]) - parsedate_to_datetime(headers["date"])
    assert 2.5 <= reported.total_seconds() < 4.5


def test_nothing_says_when_a_slot_comes_back() -> None:
    model = endpoint(ProviderLimits(slots=1, retry_after="until-next"))
    granted(model)
    assert refused(model).headers == {}


def test_rate_headers_are_on_every_answer_in_openais_formats() -> None:
    limits = ProviderLimits(rpm=600, burst=20, tpm=60_000, tpm_burst=70_000, headers=True, error_rate=0.0)
    model = endpoint(limits)
    answer = model.arrive(START, "k", 66_000)
    assert isinstance(answer, Granted)
    assert answer.headers == {
        "x-ratelimit-limit-requests": "600",
        "x-ratelimit-remaining-requests": "19",
        "x-ratelimit-reset-requests": "100ms",
        "x-ratelimit-limit-tokens": "60000",
        "x-ratelimit-remaining-tokens": "4000",
        "x-ratelimit-reset-tokens": "1m6s",
    }
    assert refused(model, at=0.1, tokens=5000).headers["x-ratelimit-remaining-requests"] == "20"


def test_an_error_carries_the_rate_headers_too() -> None:
    model = endpoint(ProviderLimits(rpm=60, headers=True, error_rate=1.0, error_status=503))
    error = refused(model)
    assert (error.status, error.reason, error.retry_after) == (503, "error", None)
    assert error.headers["x-ratelimit-limit-requests"] == "60"


# -- schedule, outage, errors, hangs --


def test_capacity_follows_the_steps_of_the_schedule() -> None:
    model = endpoint(ProviderLimits(schedule=((0, 2), (120, 1), (240, 3))))
    running = [granted(model), granted(model)]
    refused(model)
    model.finish(running.pop(), START + 120)
    refused(model, at=120)
    granted(model, at=240)
    granted(model, at=240)
    assert model.report().peak_concurrency == 3


def test_a_lowered_capacity_ends_no_running_call() -> None:
    model = endpoint(ProviderLimits(schedule=((0, 2), (10, 1))))
    tickets = [granted(model), granted(model)]
    model.finish(tickets[0], START + 11)
    refused(model, at=11)
    model.finish(tickets[1], START + 11)
    granted(model, at=11)


def test_the_changes_to_come_are_known() -> None:
    model = endpoint(ProviderLimits(schedule=((0, 2), (120, 1))))
    assert model.next_change(START) == START + 120
    assert model.next_change(START + 120) is None


@pytest.mark.parametrize(("start", "to"), [(2, 32), (32, 2), (0, 5)])
def test_a_ramp_rises_or_falls_in_whole_slots_around_the_straight_line(start: int, to: int) -> None:
    limits = ProviderLimits(schedule=Ramp(start, to, 120.0))
    for second in range(200):
        line = start + (to - start) * min(1.0, second / 120)
        slots = limits.slots_at(second)
        assert slots is not None
        assert abs(slots - line) <= 0.5 + 1e-9


def test_in_an_outage_everything_is_refused_and_after_it_nothing() -> None:
    model = endpoint(ProviderLimits(slots=20, outage=(60, 660), retry_after="until-next"))
    granted(model, at=59.9)
    refusal = refused(model, at=60)
    assert (refusal.reason, refusal.retry_after) == ("outage", 600.0)
    granted(model, at=660)


def test_errors_come_at_their_rate_and_hold_nothing() -> None:
    model = endpoint(ProviderLimits(slots=1, error_rate=0.25))
    for _ in range(2000):
        answer = model.arrive(START, "k", 1)
        if isinstance(answer, Granted):
            model.finish(answer.ticket, START)
    assert 430 <= model.report().total.errors <= 570
    assert model.in_flight == 0


def test_a_hanging_call_keeps_its_slot_until_its_client_gives_up() -> None:
    model = endpoint(ProviderLimits(slots=1, hang_share=1.0))
    answer = model.arrive(START, "k", 1)
    assert isinstance(answer, Hanging)
    refused(model, at=100)
    with pytest.raises(ValueError, match="hangs"):
        model.finish(answer.ticket, START + 100)
    model.abandon(answer.ticket, START + 100)
    assert isinstance(model.arrive(START + 100, "k", 1), Hanging)


# -- latency and repeatability --


def test_the_latency_has_the_mean_and_sigma_that_were_asked_for() -> None:
    rng = random.Random(1)
    draws = [Latency(mean=2.0, sigma=0.5).draw(rng) for _ in range(20_000)]
    mean = sum(draws) / len(draws)
    assert mean == pytest.approx(2.0, rel=0.02)
    spread = (sum((draw - mean) ** 2 for draw in draws) / len(draws)) ** 0.5
    assert spread == pytest.approx(2.0 * (2.718281828**0.25 - 1) ** 0.5, rel=0.05)


def test_the_same_calls_with_the_same_seed_meet_the_same_fate() -> None:
    limits = ProviderLimits(rpm=600, burst=5, error_rate=0.2, hang_share=0.2)

    def fates(seed: int) -> list[object]:
        model = endpoint(limits, seed=seed)
        return [model.arrive(START + i / 10, "k", 1) for i in range(100)]

    assert fates(3) == fates(3)
    assert fates(3) != fates(4)

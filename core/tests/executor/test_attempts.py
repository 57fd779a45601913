"""One attempt, one lease, one classified release; and attempts until one succeeds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import pairwise
from random import Random

import pytest
import trio
from trio.testing import MockClock

from penstock import (
    Attempt,
    DetachedAttempt,
    Hints,
    ModelRequestExecutor,
    RequestAdmissionError,
    RequestCost,
    RequestReleaseOutcome,
    ResponseFacts,
    RuntimeCorrelation,
    Usage,
    failure_mark,
)
from penstock.events.correlation import reset_correlation, set_correlation
from penstock.executor.retries import RetryRules
from penstock.testing import RequestBench
from penstock.testing.request_bench import CHAT

HINTS = Hints(not_before_seconds=9.0)

RULES = RetryRules(max_attempts=3, backoff=1.0, backoff_max=30.0)


def last_outcome(bench: RequestBench) -> RequestReleaseOutcome:
    return bench.limiters[CHAT].outcomes[-1]


class ProviderError(Exception):
    """What a call raises when its answer was no good."""


def answering(*statuses: int) -> Callable[[Attempt], Awaitable[str]]:
    """A call that gets these answers, one per attempt, and raises for everything but 200."""
    left = list(statuses)

    async def call(attempt: Attempt) -> str:
        status = left.pop(0)
        attempt.answered(ResponseFacts(status=status))
        if status != 200:
            raise ProviderError(str(status))
        return "answer"

    return call


async def failing(
    executor: ModelRequestExecutor, error: Exception, before: Callable[[Attempt], object] = lambda attempt: None
) -> None:
    """An attempt whose block raises `error`."""
    async with executor.attempt("p/m") as attempt:
        before(attempt)
        raise error


# -- one attempt


async def test_an_attempt_holds_one_lease_and_releases_it_with_its_outcome(
    bench: RequestBench, executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    async with executor.attempt("p/m", cost=RequestCost(2), group="tenant") as attempt:
        assert bench.in_flight() == (2, 2)
        assert attempt.lease.item.group.key == "tenant"
        assert not bench.limiters[CHAT].outcomes
        await trio.sleep(1.5)
        attempt.answered(ResponseFacts(status=200, first_token_at=0.2))
    assert bench.in_flight() == (0, 0)
    outcome = attempt.outcome
    assert outcome is last_outcome(bench)
    assert (outcome.kind, outcome.first_token_at) == ("success", 0.2)
    assert outcome.elapsed == pytest.approx(1.5)


async def test_leaving_without_facts_and_without_an_error_is_a_success(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:
    async with executor.attempt("p/m"):
        pass
    assert last_outcome(bench).kind == "success"


async def test_an_exception_is_classified_and_comes_out_unchanged(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:
    error = ConnectionResetError()
    with pytest.raises(ConnectionResetError) as caught:
        async with executor.attempt("p/m"):
            raise error
    assert caught.value is error
    assert last_outcome(bench).kind == "provider_failure"
    mark = failure_mark(error)
    assert mark is not None
    assert mark.retryable


async def test_an_outcome_outright_counts_over_facts_and_exceptions(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:

    def finish(attempt: Attempt) -> None:
        attempt.answered(ResponseFacts(status=500))
        attempt.finish(RequestReleaseOutcome(kind="success", usage=Usage(1, 2)))

    with pytest.raises(ValueError, match="no good"):
        await failing(executor, ValueError("no good"), finish)
    assert last_outcome(bench).kind == "success"
    assert last_outcome(bench).usage == Usage(1, 2)


async def test_a_cancelled_call_says_nothing_about_its_provider(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:
    with trio.CancelScope() as scope:
        async with executor.attempt("p/m") as attempt:
            attempt.answered(ResponseFacts(status=200))
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert last_outcome(bench).kind == "local_cancelled"
    assert bench.in_flight() == (0, 0)


async def test_a_call_that_was_refused_before_it_was_cancelled_was_refused(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:
    with trio.CancelScope() as scope:
        async with executor.attempt("p/m") as attempt:
            attempt.answered(ResponseFacts(status=429))
            scope.cancel()
            await trio.sleep_forever()
    assert last_outcome(bench).kind == "rate_limited"


async def test_a_timeout_of_ours_is_not_one_of_the_providers(
    bench: RequestBench, executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:

    async def too_slow() -> None:
        async with executor.attempt("p/m"):
            with trio.fail_after(3):
                await trio.sleep_forever()

    with pytest.raises(trio.TooSlowError):
        await too_slow()
    assert last_outcome(bench).kind == "local_timeout"
    with pytest.raises(TimeoutError):
        async with executor.attempt("p/m"):
            raise TimeoutError
    assert last_outcome(bench).kind == "provider_timeout"


async def test_errors_that_come_in_a_group_are_classified_by_what_they_are(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:
    for errors, kind in (
        ([ConnectionError(), ConnectionError()], "provider_failure"),
        ([trio.TooSlowError()], "local_timeout"),
        ([ConnectionError(), ValueError()], "unexpected_exception"),
    ):
        with pytest.raises(ExceptionGroup):
            async with executor.attempt("p/m"):
                raise ExceptionGroup("from a nursery", errors)
        assert last_outcome(bench).kind == kind


async def test_plugins_classify_first_and_the_core_where_they_have_no_opinion(bench: RequestBench) -> None:
    def rule(facts: ResponseFacts | None, error: BaseException | None) -> RequestReleaseOutcome | None:
        if facts is not None and facts.error_type == "insufficient_quota":
            return RequestReleaseOutcome(kind="provider_failure", status=402)
        if facts is not None and facts.error_type == "bug":
            raise ZeroDivisionError
        return None

    async with ModelRequestExecutor(bench.controller, bench.events, classify=rule) as executor:
        for error_type, kind in (
            ("insufficient_quota", "provider_failure"),
            ("requests", "rate_limited"),
            ("bug", "rate_limited"),
        ):
            async with executor.attempt("p/m") as attempt:
                attempt.answered(ResponseFacts(status=429, error_type=error_type))
            assert last_outcome(bench).kind == kind


async def test_a_detached_attempt_is_released_by_whoever_took_it_and_once(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:
    async with executor.attempt("p/m") as attempt:
        attempt.answered(ResponseFacts(status=200))
        body = attempt.detach()
    assert bench.in_flight() == (1, 1)
    assert body.release(None, error=ConnectionError())
    assert not body.release()
    assert bench.in_flight() == (0, 0)
    assert [outcome.kind for outcome in bench.limiters[CHAT].outcomes] == ["provider_failure"]


async def test_a_block_that_fails_after_detaching_releases_all_the_same(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:
    bodies: list[DetachedAttempt] = []
    with pytest.raises(ConnectionError):
        await failing(executor, ConnectionError(), lambda attempt: bodies.append(attempt.detach()))
    assert bench.in_flight() == (0, 0)
    assert not bodies[0].release()


async def test_hints_are_observed_while_the_call_is_out(bench: RequestBench, executor: ModelRequestExecutor) -> None:
    async with executor.attempt("p/m") as attempt:
        attempt.observe(HINTS)
    assert bench.limiters[CHAT].observed == [HINTS]


async def test_the_call_is_recorded_between_its_leases_events(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:
    bench.kinds()
    token = set_correlation(RuntimeCorrelation("run", task_execution_id="t-1"))
    async with executor.attempt("p/m") as attempt:
        pass
    reset_correlation(token)
    assert {event.request_attempt_id for event in bench.delivered} == {attempt.attempt_id}
    assert {event.task_execution_id for event in bench.delivered} == {"t-1"}
    assert bench.kinds() == [
        "request_wait_started", "request_wait_completed", "request_lease_acquired",
        "model_request_started", "model_request_completed", "request_lease_released",
    ]  # fmt: skip


async def test_a_timeout_of_0_means_now_or_never(executor: ModelRequestExecutor) -> None:
    async with executor.attempt("p/m", timeout=0, cost=RequestCost(2)):
        with pytest.raises(RequestAdmissionError) as caught:
            async with executor.attempt("p/m", timeout=0):
                pass
        assert caught.value.reason == "no_capacity"


async def test_a_local_refusal_within_a_call_is_not_the_providers_failure(
    bench: RequestBench, executor: ModelRequestExecutor
) -> None:
    with pytest.raises(RequestAdmissionError):
        async with executor.attempt("p/m", cost=RequestCost(2)), executor.attempt("p/m", timeout=0):
            pass
    assert last_outcome(bench).kind == "unexpected_exception"


# -- attempts until one succeeds


async def test_server_errors_are_tried_again_each_time_under_a_lease_of_its_own(
    bench: RequestBench, executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    started = trio.current_time()
    assert await executor.execute(answering(500, 504, 200), "p/m") == "answer"
    assert 1.5 <= trio.current_time() - started <= 3.0, "0.5 to 1 s, then 1 to 2 s"
    assert [o.kind for o in bench.limiters[CHAT].outcomes] == ["provider_failure", "provider_timeout", "success"]
    assert executor.leases == (3, 3)


async def test_no_lease_is_held_while_backing_off(
    bench: RequestBench, executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    in_flight: list[int] = []
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            await executor.execute(answering(500, 200), "p/m")

        nursery.start_soon(run)
        await trio.sleep(0.25)
        in_flight.append(bench.in_flight()[0])
    assert in_flight == [0]


async def test_the_last_exception_is_raised_when_attempts_run_out(
    executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    with pytest.raises(ProviderError, match="503") as caught:
        await executor.execute(answering(500, 502, 503, 200), "p/m")
    mark = failure_mark(caught.value)
    assert mark is not None
    assert not mark.retryable, "the layer above need not try again what has been tried"


async def test_what_cannot_help_is_not_tried_again(executor: ModelRequestExecutor) -> None:
    with pytest.raises(ProviderError, match="400"):
        await executor.execute(answering(400, 200), "p/m")
    assert executor.leases == (1, 1)


async def test_rate_limits_use_up_no_attempt_and_wait_for_the_cooldown(
    bench: RequestBench, executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    limiter = bench.limiters[CHAT]
    went_out: list[float] = []

    async def call(attempt: Attempt) -> str:
        went_out.append(trio.current_time())
        if len(went_out) <= 6:
            limiter.blocked_until = trio.current_time() + 10.0
            attempt.answered(ResponseFacts(status=429))
            raise ProviderError
        return "answer"

    assert await executor.execute(call, "p/m") == "answer"
    gaps = [later - earlier for earlier, later in pairwise(went_out)]
    assert gaps == pytest.approx([10.0] * 6)


async def test_a_rate_limit_that_no_limiter_holds_back_is_paced_here(
    executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    started = trio.current_time()

    async def call(attempt: Attempt) -> str:
        if trio.current_time() - started < 20:
            attempt.answered(ResponseFacts(status=429, headers={"retry-after": "4"}))
            raise ProviderError
        return "answer"

    assert await executor.execute(call, "p/m") == "answer"
    assert executor.leases == (6, 6)


async def test_a_retry_that_cannot_start_before_the_deadline_is_not_waited_for(
    bench: RequestBench, executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    started = trio.current_time()

    async def call(attempt: Attempt) -> str:
        bench.limiters[CHAT].blocked_until = trio.current_time() + 60.0
        attempt.answered(ResponseFacts(status=429))
        raise ProviderError

    with pytest.raises(ProviderError) as caught:
        await executor.execute(call, "p/m", deadline=started + 30.0)
    assert trio.current_time() == started
    assert "cooldown" in caught.value.__notes__[0]


async def test_a_call_that_never_could_start_is_refused_as_such(executor: ModelRequestExecutor) -> None:
    with pytest.raises(RequestAdmissionError) as caught:
        await executor.execute(answering(200), "p/unknown")
    assert caught.value.reason == "never_fits"


async def test_cancelling_ends_the_retries(executor: ModelRequestExecutor, autojump_clock: MockClock) -> None:
    with trio.move_on_after(0.1):
        await executor.execute(answering(500, 200), "p/m")
    assert executor.leases == (1, 1)


async def test_the_same_seed_gives_the_same_pauses(autojump_clock: MockClock) -> None:
    lengths = []
    for seed in (9, 9, 10):
        bench = RequestBench({CHAT: 2})
        async with ModelRequestExecutor(bench.controller, bench.events, retries=RULES, rng=Random(seed)) as executor:
            started = trio.current_time()
            await executor.execute(answering(500, 500, 200), "p/m")
            lengths.append(trio.current_time() - started)
    assert lengths[0] == pytest.approx(lengths[1])
    assert lengths[0] != pytest.approx(lengths[2])

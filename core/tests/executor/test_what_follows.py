"""What follows from what an answer means: who is tried again and how long, who is given up, and what is held."""

from __future__ import annotations

import errno
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from penstock import (
    Attempt,
    ModelRequestExecutor,
    RequestAdmissionError,
    ResponseFacts,
    Verdict,
    own_shortage,
    surely_unpaid,
)
from penstock.testing import RequestBench
from penstock.testing.request_bench import CHAT

LIMITED = ResponseFacts(status=429, headers={"retry-after": "1"})


class RefusedError(Exception):
    """What a call raises when its answer was no good."""


def always(facts: ResponseFacts, went_out: list[float]) -> Callable[[Attempt], Awaitable[str]]:
    """A call that gets this answer each time."""

    async def call(attempt: Attempt) -> str:
        went_out.append(trio.current_time())
        attempt.answered(facts)
        raise RefusedError

    return call


def raising(*errors: BaseException, went_out: list[float]) -> Callable[[Attempt], Awaitable[str]]:
    """A call that raises these, one per attempt, and is answered then."""
    left = list(errors)

    async def call(attempt: Attempt) -> str:
        went_out.append(trio.current_time())
        if left:
            raise left.pop(0)
        return "answer"

    return call


async def answered(attempt: Attempt) -> str:
    await trio.sleep(0.01)
    return "answer"


async def others(executor: ModelRequestExecutor) -> None:
    while True:
        await executor.execute(answered, "p/m")
        await trio.sleep(0.2)


# -- refused for good


async def test_a_call_that_is_refused_for_good_is_not_tried_again(executor: ModelRequestExecutor) -> None:
    for verdict in (Verdict(kind="provider_failure", of="call"), Verdict(kind="rate_limited", of="account")):
        went_out: list[float] = []
        with pytest.raises(RefusedError):
            await executor.execute(always(ResponseFacts(status=429, verdict=verdict), went_out), "p/m")
        assert len(went_out) == 1


async def test_a_call_that_alone_is_refused_while_others_pass_is_given_up_and_cools_nobody(
    bench: RequestBench, executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    went_out: list[float] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(others, executor)
        with pytest.raises(RefusedError) as caught:
            await executor.execute(always(LIMITED, went_out), "p/m")
        nursery.cancel_scope.cancel()
    assert len(went_out) == 8
    assert "8 times in a row" in caught.value.__notes__[0]
    refusals = [outcome for outcome in bench.limiters[CHAT].outcomes if outcome.kind == "rate_limited"]
    assert [outcome.of for outcome in refusals] == [None] * 3 + ["call"] * 5


async def test_a_call_that_is_refused_as_all_others_are_is_tried_on(
    executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    went_out: list[float] = []
    with trio.move_on_after(30.0):
        await executor.execute(always(LIMITED, went_out), "p/m")
    assert len(went_out) > 20


async def test_a_call_refused_twice_in_a_row_lets_one_that_waits_show_first_whether_calls_are_let_in(
    executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    went_out: list[float] = []
    others: list[tuple[float, float]] = []

    async def slow(attempt: Attempt) -> None:
        began = trio.current_time()
        await trio.sleep(3.0)
        others.append((began, trio.current_time()))

    async def stream() -> None:
        while True:
            await executor.execute(slow, "p/m")

    async with trio.open_nursery() as nursery:
        for _ in range(3):  # for two places
            nursery.start_soon(stream)
        with trio.move_on_after(300.0), pytest.raises(RefusedError):
            await executor.execute(always(LIMITED, went_out), "p/m")
        nursery.cancel_scope.cancel()
    assert len(went_out) > 3
    for refused_at, tried_at in pairwise(went_out[3:]):
        assert any(refused_at <= began and ended <= tried_at for began, ended in others)


async def test_answers_to_calls_that_went_out_before_do_not_hide_that_the_account_is_refused(
    executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    went_out: list[float] = []
    facts = ResponseFacts(status=429, error_type="insufficient_quota")

    async def late(attempt: Attempt) -> None:
        await trio.sleep(1.0)

    async def refused() -> None:
        with pytest.raises(RefusedError):
            await executor.execute(always(facts, went_out), "p/m")

    for _ in range(3):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(executor.execute, late, "p/m")
            await trio.sleep(0.5)
            nursery.start_soon(refused)
    with pytest.raises(RequestAdmissionError, match="refuses the account"):
        await executor.execute(always(facts, went_out), "p/m")
    assert len(went_out) == 3


async def test_a_model_whose_account_is_refused_is_given_up_within_three_calls_and_asked_again_later(
    executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    went_out: list[float] = []
    facts = ResponseFacts(status=429, error_type="insufficient_quota")
    for _ in range(3):
        with pytest.raises(RefusedError):
            await executor.execute(always(facts, went_out), "p/m")
    for _ in range(10):
        with pytest.raises(RequestAdmissionError, match="refuses the account") as caught:
            await executor.execute(always(facts, went_out), "p/m")
        assert caught.value.reason == "hard_policy_denial"
    assert len(went_out) == 3
    await trio.sleep(60.0)
    assert await executor.execute(answered, "p/m") == "answer"
    assert await executor.execute(answered, "p/m") == "answer"


async def test_a_gateway_that_refuses_without_words_gives_no_model_up(
    executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    for _ in range(5):
        with pytest.raises(RefusedError):
            await executor.execute(always(ResponseFacts(status=403, error_type="guarded"), []), "p/m")
    assert await executor.execute(answered, "p/m") == "answer"


async def test_a_key_that_is_refused_once_ends_nothing(
    executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    facts = ResponseFacts(status=401, error_type="invalid_api_key")
    for _ in range(5):
        for _ in range(2):
            with pytest.raises(RefusedError):
                await executor.execute(always(facts, []), "p/m")
        assert await executor.execute(answered, "p/m") == "answer"


async def test_a_model_that_is_given_up_is_told_with_since_when_and_why_and_how_many_calls_ended_by_it(
    executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    started = trio.current_time()
    facts = ResponseFacts(status=429, error_type="insufficient_quota")
    for _ in range(3):
        with pytest.raises(RefusedError):
            await executor.execute(always(facts, []), "p/m")
    await trio.sleep(10.0)
    for _ in range(4):
        with pytest.raises(RequestAdmissionError):
            await executor.execute(answered, "p/m")
    (model,) = executor.explanation().given_up
    assert (model.model, model.why, model.calls) == ("p/m", "insufficient_quota", 7)
    assert (model.since, model.until) == (started, started + 60.0)
    assert (
        "p/m: given up for 10.0 s, its provider refuses the account (insufficient_quota); "
        "ended 7 calls so far, is asked again in 50.0 s"
    ) in executor.explain()

    await trio.sleep(60.0)
    assert executor.explanation().given_up == ()
    assert [each.calls for each in executor.given_up(at_present=False)] == [7]


@pytest.mark.parametrize("status", [429, 402])
async def test_who_waits_for_a_lease_when_the_model_is_given_up_does_not_go_out(
    executor: ModelRequestExecutor, autojump_clock: MockClock, status: int
) -> None:
    executor.register("p", "m", cap=1)
    ended: list[str] = []

    async def ask() -> None:
        try:
            async with executor.attempt("p/m") as attempt:
                await trio.sleep(1.0)
                attempt.answered(ResponseFacts(status=status, error_type="insufficient_quota"))
                ended.append("went out")
        except RequestAdmissionError as error:
            ended.append(error.reason)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
    assert ended == ["went out"] * 3 + ["hard_policy_denial"] * 2
    issued, returned = executor.leases
    assert issued == returned


# -- calls that somebody above tries again


async def ask_again(executor: ModelRequestExecutor, facts: ResponseFacts, repeats: object, times: int) -> list[str]:
    """How each of so many attempts at one call ended."""
    ends = []
    for _ in range(times):
        try:
            async with executor.attempt("p/m", repeats=repeats) as attempt:
                attempt.answered(facts)
                ends.append("went out")
        except RequestAdmissionError as error:
            ends.append(error.denied.detail)
        await trio.sleep(1.0)
    return ends


async def test_a_call_that_somebody_else_tries_again_is_given_up_as_by_execute(
    bench: RequestBench, executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(others, executor)
        ends = await ask_again(executor, LIMITED, "the call", 10)
        other = await ask_again(executor, LIMITED, "another call", 2)
        nursery.cancel_scope.cancel()
    assert ends == ["went out"] * 8 + ["not tried again: refused 8 times in a row, while other calls passed"] * 2
    assert other == ["went out"] * 2
    refusals = [outcome for outcome in bench.limiters[CHAT].outcomes if outcome.kind == "rate_limited"]
    assert [outcome.of for outcome in refusals] == [None] * 3 + ["call"] * 5 + [None] * 2


async def test_a_call_that_asks_for_more_than_a_whole_limit_goes_out_once_though_somebody_tries_it_again(
    executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    too_large = ResponseFacts(status=429, verdict=Verdict(kind="provider_failure", of="call"))
    ends = await ask_again(executor, too_large, "the call", 3)
    assert ends == ["went out"] + ["not tried again: it asks for more than a whole limit"] * 2
    filtered = ResponseFacts(status=200, verdict=Verdict(kind="provider_failure", of="call", ended="content_filter"))
    assert await ask_again(executor, filtered, "a question", 3) == ["went out"] * 3
    await trio.sleep(400.0)
    assert await ask_again(executor, LIMITED, "the call", 1) == ["went out"], "what nobody repeats is forgotten"


async def test_a_repeated_call_goes_out_no_sooner_than_its_provider_asked_and_explain_says_so(
    executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    started = trio.current_time()
    for seconds, wait in (("30", 30.0), ("1000000", 300.0)):
        facts = ResponseFacts(status=500, headers={"retry-after": seconds})
        async with executor.attempt("p/m", repeats="x") as attempt:
            attempt.answered(facts)
        before = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_again, executor, ResponseFacts(status=200), "of another task", 1)
            await trio.sleep(2.0)
        with pytest.raises(RequestAdmissionError) as caught:
            async with executor.attempt("p/m", repeats="x", deadline=before + 10.0):
                pass
        assert (caught.value.reason, trio.current_time() - before) == ("deadline", 10.0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(explained_soon, executor)
            async with executor.attempt("p/m", repeats="x"):
                pass
        assert trio.current_time() - before == wait
        assert started < before + wait


async def explained_soon(executor: ModelRequestExecutor) -> None:
    await trio.sleep(1.0)
    assert "p/m/chat: 1 call pauses after a failed attempt" in executor.explain()


# -- pauses


@pytest.mark.parametrize("status", [429, 500, 504, 408])
async def test_no_provider_makes_a_pause_longer_than_its_maximum(
    executor: ModelRequestExecutor, autojump_clock: MockClock, status: int
) -> None:
    went_out: list[float] = []
    facts = ResponseFacts(status=status, headers={"retry-after": "1000000"})
    with trio.move_on_after(400.0):
        await executor.execute(always(facts, went_out), "p/m")
    assert went_out[1] - went_out[0] == pytest.approx(300.0)


async def test_a_shutdown_ends_the_pauses(executor: ModelRequestExecutor, autojump_clock: MockClock) -> None:
    started = trio.current_time()
    told: list[str] = []

    async def pausing() -> None:
        facts = ResponseFacts(status=500, headers={"retry-after": "100"})
        try:
            await executor.execute(always(facts, []), "p/m")
        except RefusedError as error:
            told.extend(error.__notes__)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pausing)
        await trio.sleep(1.0)
        assert executor.calls_pausing == 1
        executor.close()
    assert trio.current_time() - started < 2.0
    assert "shutdown" in told[0]


async def test_a_wait_of_nothing_has_a_floor_once_it_proved_too_short(
    executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    went_out: list[float] = []
    with trio.move_on_after(10.0):
        await executor.execute(always(ResponseFacts(status=429, headers={"retry-after": "0"}), went_out), "p/m")
    assert went_out[1] == went_out[0], "it is taken at its word once"
    assert 5 < len(went_out) < 20


# -- what never reached a provider


async def test_what_surely_cost_nothing_uses_up_no_attempt_and_is_tried_for_a_time(
    executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    went_out: list[float] = []
    assert await executor.execute(raising(*[ConnectionRefusedError()] * 6, went_out=went_out), "p/m") == "answer"
    started = trio.current_time()
    with pytest.raises(ConnectionRefusedError):
        await executor.execute(raising(*[ConnectionRefusedError()] * 1000, went_out=[]), "p/m")
    assert 90.0 < trio.current_time() - started <= 120.0


async def test_with_a_deadline_it_is_tried_until_then(
    executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    started = trio.current_time()
    with pytest.raises(ConnectionRefusedError):
        await executor.execute(
            raising(*[ConnectionRefusedError()] * 1000, went_out=[]), "p/m", deadline=started + 1000.0
        )
    assert 960.0 < trio.current_time() - started <= 1000.0


async def test_a_shortage_of_our_own_holds_new_calls_uses_no_attempt_and_teaches_no_limiter(
    bench: RequestBench, executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    went_out: list[float] = []
    short = [OSError(errno.EMFILE, "Too many open files") for _ in range(8)]
    call = raising(*short, went_out=went_out)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(executor.execute, call, "p/m")
        await trio.sleep(0.05)
        (held,) = executor.explanation().held
        assert (held.short_of, held.calls, executor.calls_pausing) == ("too many open files in this process", 1, 1)
        assert (
            "1 new call is held, too many open files in this process: until another ends, or 0." in executor.explain()
        )
    assert [round(later - before, 1) for before, later in pairwise(went_out)] == [
        *(0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0)
    ]
    kinds = [(outcome.kind, outcome.went_out) for outcome in bench.limiters[CHAT].outcomes]
    assert kinds == [("local_timeout", False)] * 8 + [("success", True)]


async def test_a_call_that_ends_ends_the_hold(executor: ModelRequestExecutor, autojump_clock: MockClock) -> None:
    async def slow(attempt: Attempt) -> None:
        await trio.sleep(10.0)

    went_out: list[float] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(executor.execute, slow, "p/m")
        await trio.sleep(0.0)
        short = [OSError(errno.EMFILE, "Too many open files") for _ in range(7)]
        begun = trio.current_time()
        nursery.start_soon(executor.execute, raising(*short, went_out=went_out), "p/m")
    assert went_out[-1] - begun == pytest.approx(10.0, abs=0.1), "held until 11.3, but for the call that ended"


def chained(*errors: BaseException) -> BaseException:
    for outer, inner in pairwise(errors):
        outer.__cause__ = inner
    return errors[0]


def connecting(*errors: Exception) -> BaseException:
    """What a client raises that has tried every address of a host, each of which failed in its way."""
    return chained(RuntimeError("client"), OSError("all attempts to connect failed"), ExceptionGroup("", errors))


class PoolTimeout(Exception):
    """As clients name it whose pool of connections is used up."""


def handled_in(error: BaseException, wrapper: BaseException, *, hidden: bool) -> BaseException:
    wrapper.__context__ = error
    wrapper.__suppress_context__ = hidden  # as by `raise wrapper from None`
    return wrapper


@pytest.mark.parametrize(
    ("error", "short", "unpaid"),
    [
        (OSError(errno.EMFILE, "x"), True, False),
        (MemoryError(), True, False),
        (socket.gaierror(socket.EAI_AGAIN, "x"), True, False),
        (socket.gaierror(socket.EAI_NONAME, "x"), False, True),
        (socket.gaierror(getattr(socket, "EAI_NODATA", socket.EAI_NONAME), "x"), False, True),
        (socket.gaierror(socket.EAI_MEMORY, "x"), True, False),
        (socket.gaierror(socket.EAI_FAIL, "x"), False, False),
        (RuntimeError("can't start new thread"), True, False),
        (chained(OSError("all failed"), RuntimeError("can't start new thread")), True, False),
        (chained(RuntimeError("client"), OSError("all failed"), ConnectionRefusedError()), False, True),
        (chained(RuntimeError("client"), OSError(errno.ENFILE, "x")), True, False),
        (ExceptionGroup("", [ConnectionRefusedError(), ConnectionRefusedError()]), False, True),
        (handled_in(ConnectionRefusedError(), RuntimeError("client"), hidden=True), False, True),
        (handled_in(ConnectionRefusedError(), TimeoutError("another call"), hidden=False), False, False),
        (ExceptionGroup("", [ConnectionRefusedError(), ConnectionResetError()]), False, False),
        (connecting(OSError(errno.EADDRNOTAVAIL, "no IPv6"), ConnectionRefusedError()), False, True),
        (connecting(OSError(errno.ENETUNREACH, "no IPv6"), OSError(errno.EMFILE, "x")), True, False),
        (connecting(OSError(errno.EADDRNOTAVAIL, "no ports"), OSError(errno.EADDRNOTAVAIL, "no ports")), True, False),
        (connecting(ConnectionRefusedError(), TimeoutError()), False, False),
        (OSError(errno.EADDRNOTAVAIL, "no ports"), True, False),
        (OSError(errno.ENOBUFS, "x"), True, False),
        (PoolTimeout(), True, False),
        (ConnectionResetError(), False, False),
        (TimeoutError(), False, False),
    ],
    ids=repr,
)
def test_what_an_error_says_of_us_and_of_the_bill(error: Any, short: bool, unpaid: bool) -> None:
    assert (bool(own_shortage(error)), surely_unpaid(error)) == (short, unpaid)


async def test_a_shortage_holds_bare_attempts_too_and_their_timeouts_and_deadlines_end_the_hold(
    executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    started = trio.current_time()
    for _ in range(8):
        with pytest.raises(OSError, match="many"):
            async with executor.attempt("p/m"):
                raise OSError(errno.EMFILE, "Too many open files")
    assert trio.current_time() - started == pytest.approx(0.1 + 0.2 + 0.4 + 0.8 + 1.6 + 3.2 + 5.0)
    before = trio.current_time()
    for option, reason in (("timeout", "queue_timeout"), ("deadline", "deadline")):
        options: Any = {option: 1.0 if option == "timeout" else trio.current_time() + 1.0}
        with pytest.raises(RequestAdmissionError, match="too many open files in this process") as caught:
            async with executor.attempt("p/m", **options):
                pass
        assert caught.value.reason == reason
    assert trio.current_time() - before == pytest.approx(2.0)


async def test_many_calls_that_fail_at_once_for_one_want_are_one_shortage(
    executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    went_out: list[float] = []
    executor.register("p", "m", cap=20)

    async def ask() -> None:
        shortages = [OSError(errno.EMFILE, "Too many open files")]

        async def call(attempt: Attempt) -> None:
            went_out.append(trio.current_time())
            await trio.sleep(0.01)
            if shortages:
                raise shortages.pop()

        await executor.execute(call, "p/m")

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(ask)
    first = min(went_out)
    assert {round(moment - first, 3) for moment in went_out} == {0.0, 0.11}


async def test_who_waits_for_a_lease_is_held_too(executor: ModelRequestExecutor, autojump_clock: MockClock) -> None:
    went_out: list[float] = []
    executor.register("p", "m", cap=1)

    async def ask(attempt: Attempt) -> None:
        went_out.append(trio.current_time())
        await trio.sleep(0.01)
        if len(went_out) < 3:
            raise OSError(errno.EMFILE, "Too many open files")

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(executor.execute, ask, "p/m")
    assert [round(moment - went_out[0], 2) for moment in went_out[:4]] == [0.0, 0.11, 0.32, 0.33]


@pytest.mark.parametrize("why", ["a shortage", "the provider asked to wait"])
async def test_a_shutdown_ends_the_pauses_before_an_attempt(
    executor: ModelRequestExecutor, autojump_clock: MockClock, why: str
) -> None:
    with suppress(OSError):
        async with executor.attempt("p/m", repeats="x") as attempt:
            if why == "a shortage":
                raise OSError(errno.EMFILE, "Too many open files")
            attempt.answered(ResponseFacts(status=500, headers={"retry-after": "100"}))
    started = trio.current_time()
    reasons: list[str] = []

    async def ask() -> None:
        try:
            async with executor.attempt("p/m", repeats="x"):
                pass
        except RequestAdmissionError as error:
            reasons.append(error.reason)

    await ask_in(executor, ask, 0.01)
    assert reasons == ["shutdown"]
    assert trio.current_time() - started == pytest.approx(0.01)
    assert executor.calls_pausing == 0


async def ask_in(executor: ModelRequestExecutor, ask: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Ask, in the task in which it was asked before, and shut the gate meanwhile."""

    async def shut() -> None:
        await trio.sleep(seconds)
        executor.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(shut)
        await ask()


async def test_who_is_cancelled_while_held_or_given_up_by_then_leaves_no_lease_behind(
    executor: ModelRequestExecutor, autojump_clock: MockClock
) -> None:
    executor.register("p", "m", cap=1)

    async def short(attempt: Attempt) -> None:
        await trio.sleep(0.01)
        raise OSError(errno.EMFILE, "Too many open files")

    with trio.move_on_after(3.0):
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(executor.execute, short, "p/m")
    issued, returned = executor.leases
    assert issued == returned
    assert executor.calls_pausing == 0

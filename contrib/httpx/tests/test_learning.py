"""What the limiters learn of a call: how it ended, when to come back, what it used, and its headers."""

from __future__ import annotations

import errno
import gzip
import json
import socket
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import attrs
import httpx2
import pytest
import trio

import penstock
from penstock_httpx.testing import ScriptedBody

USAGE = b'{"usage": {"prompt_tokens": 11, "completion_tokens": 5}}'


class Learning:
    """A plugin of limiters that let everything pass and keep what they learn."""

    def __init__(self) -> None:
        self.outcomes: list[penstock.RequestReleaseOutcome] = []
        self.observed: list[tuple[float, penstock.Hints]] = []

    @penstock.hookimpl
    def penstock_request_limiter(self, scope: penstock.Scope, cap: int | None) -> penstock.RequestLimiter | None:
        return Listener(scope, self) if isinstance(scope, penstock.RequestResourceKey) else None


@attrs.define
class Listener:
    scope: penstock.Scope
    learnt: Learning

    def check(self, item: penstock.RequestAdmissionItem, now: float) -> None:
        return None

    def acquire(self, lease: penstock.RequestAdmissionLease, now: float) -> None:
        return None

    def release(
        self, lease: penstock.RequestAdmissionLease, token: object, outcome: penstock.RequestReleaseOutcome, now: float
    ) -> Sequence[penstock.LimiterChange]:
        self.learnt.outcomes.append(outcome)
        return ()

    def observe(self, hints: penstock.Hints, now: float) -> Sequence[penstock.LimiterChange]:
        self.learnt.observed.append((now, hints))
        return ()

    def set_cap(self, cap: int | None, now: float) -> Sequence[penstock.LimiterChange]:
        return ()

    def next_change(self, now: float) -> None:
        return None

    def snapshot(self, now: float) -> penstock.LimiterSnapshot:
        return penstock.LimiterSnapshot()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "7", "Retry-After-Ms": "7466"}, 7.466),
        ({"Retry-After": format_datetime(datetime(2026, 1, 1, 12, 0, 9, tzinfo=UTC), usegmt=True)}, 9.0),
        ({}, None),
    ],
    ids=["seconds", "milliseconds", "an HTTP date", "nothing"],
)
async def test_a_rate_limit_says_how_long_to_wait(
    autojump_clock: Any, gate: Any, headers: dict[str, str], seconds: float | None
) -> None:
    learning = Learning()
    date = format_datetime(datetime(2026, 1, 1, 12, tzinfo=UTC), usegmt=True)
    refusal = httpx2.Response(429, headers={"Date": date, **headers}, stream=ScriptedBody(b"{}"))
    async with gate(refusal, plugins=[learning]) as opened:
        await opened.ask()

    assert [(o.kind, o.retry_after_seconds) for o in learning.outcomes] == [("rate_limited", seconds)]


async def test_hints_are_observed_before_the_body_comes(autojump_clock: Any, gate: Any) -> None:
    learning = Learning()
    answer = httpx2.Response(200, headers={"X-Ratelimit-Remaining-Requests": "9"}, stream=ScriptedBody(b"{}"))
    async with gate(answer, plugins=[learning]) as opened:
        started = trio.current_time()
        await opened.ask()

    ((moment, hints),) = learning.observed
    assert moment - started == 1
    assert [(limit.dimension, limit.remaining) for limit in hints.limits] == [("requests", 9.0)]


async def test_usage_is_known_at_the_end_of_a_plain_and_of_a_streamed_answer(autojump_clock: Any, gate: Any) -> None:
    learning = Learning()
    streamed = ScriptedBody(
        b'data: {"usage": null}\n\n', b"data: " + USAGE[:20], USAGE[20:] + b"\n\n", b"data: [DONE]\n\n"
    )
    async with gate(ScriptedBody(USAGE), streamed, httpx2.Response(200, content=USAGE), plugins=[learning]) as opened:
        for _ in range(3):
            await opened.ask()

    assert [outcome.usage for outcome in learning.outcomes] == [penstock.Usage(11, 5)] * 3


def events(*data: Any) -> ScriptedBody:
    return ScriptedBody(*(b"data: " + json.dumps(each).encode() + b"\n\n" for each in data))


def refused(status: int, error: Any) -> httpx2.Response:
    return httpx2.Response(status, stream=ScriptedBody(json.dumps({"error": error}).encode()))


QUOTA = {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "x"}
PER_MINUTE = {"violations": [{"quotaId": "GenerateRequestsPerMinutePerProject"}]}
DELAY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "26s"}
STARTED = {"type": "message_start", "message": {"usage": {"input_tokens": 25, "output_tokens": 1}}}
STOPPED = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 12}}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (events({"error": {"code": 429, "message": "x"}}), ("rate_limited", "error", None)),
        (events({"choices": [{"delta": {"content": "a"}}]}), ("provider_failure", "cut", None)),
        (events({"choices": [{"finish_reason": "content_filter"}]}), ("provider_failure", "content_filter", "call")),
        (ScriptedBody(b'{"error": {"code": 502}}'), ("provider_failure", "error", None)),
        (refused(400, {"code": "context_length_exceeded"}), ("provider_failure", None, "call")),
        (refused(429, {"type": "insufficient_quota"}), ("provider_failure", None, "account")),
    ],
    ids=["an error in a stream", "a stream that ends", "a filter", "an error in a 200", "too large", "no credit"],
)
async def test_what_an_answer_means_is_read_in_its_body(
    autojump_clock: Any, gate: Any, answer: Any, said: tuple[str, str | None, str | None]
) -> None:
    learning = Learning()
    async with gate(answer, plugins=[learning]) as opened:
        await opened.ask()

    assert [(outcome.kind, outcome.ended, outcome.of) for outcome in learning.outcomes] == [said]


async def test_a_wait_that_stands_in_the_body_alone_is_heard(autojump_clock: Any, gate: Any) -> None:
    learning = Learning()
    async with gate(refused(429, {**QUOTA, "details": [PER_MINUTE, DELAY]}), plugins=[learning]) as opened:
        await opened.ask()

    assert [(outcome.retry_after_seconds, outcome.limited_by) for outcome in learning.outcomes] == [(26.0, "requests")]


async def test_the_input_of_a_streamed_message_is_told_at_its_beginning(autojump_clock: Any, gate: Any) -> None:
    learning = Learning()
    async with gate(events(STARTED, STOPPED, {"type": "message_stop"}), plugins=[learning]) as opened:
        await opened.ask()

    assert [outcome.usage for outcome in learning.outcomes] == [penstock.Usage(25, 12)]


async def test_an_answer_that_is_larger_than_it_may_be_is_an_error_of_its_call(autojump_clock: Any, gate: Any) -> None:
    learning = Learning()
    packed = gzip.compress(b" " * (65 * 1024 * 1024))
    answer = httpx2.Response(200, headers={"Content-Encoding": "gzip"}, stream=ScriptedBody(packed))
    async with gate(answer, plugins=[learning]) as opened:
        with pytest.raises(httpx2.ReadError, match="larger than"):
            await opened.ask()

    assert [(outcome.kind, outcome.of, outcome.detail) for outcome in learning.outcomes] == [
        ("provider_failure", "call", "answer_too_large")
    ]


async def test_an_encoding_that_cannot_be_read_is_told_once(
    autojump_clock: Any, gate: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with gate(*(packed_as("br") for _ in range(2))) as opened:
        for _ in range(2):
            async with opened.stream():
                pass

    assert [record.getMessage() for record in caplog.records if "br" in record.getMessage()] == [
        "answers packed as br are judged by their status and headers alone: no decoder"
    ]


def packed_as(encoding: str) -> httpx2.Response:
    return httpx2.Response(200, headers={"Content-Encoding": encoding}, stream=ScriptedBody(b"?"))


# -- what is tried again, and what is not


LIMITED = {"code": "rate_limit_exceeded", "message": "Please slow down."}


async def test_a_request_that_is_sent_again_and_again_and_alone_is_refused_is_given_up(
    autojump_clock: Any, provider: Any
) -> None:
    async def answer(request: httpx2.Request) -> httpx2.Response:
        return refused(429, LIMITED) if b"a lone call" in request.content else httpx2.Response(200, content=USAGE)

    learning = Learning()
    async with provider(answer, plugins=[learning]) as opened, trio.open_nursery() as nursery:

        async def others() -> None:
            while True:
                await opened.ask()
                await trio.sleep(0.3)

        nursery.start_soon(others)
        for _ in range(8):
            assert (await opened.ask("a lone call")).status_code == 429
            await trio.sleep(1)
        with pytest.raises(penstock.RequestAdmissionError, match="refused 8 times in a row"):
            await opened.ask("a lone call")
        assert (await opened.ask("a lone call, and another")).status_code == 429, "another call is another call"
        nursery.cancel_scope.cancel()

    limited = [outcome.of for outcome in learning.outcomes if outcome.kind == "rate_limited"]
    assert limited == [None] * 3 + ["call"] * 5 + [None]


async def test_the_tries_of_one_task_count_together(autojump_clock: Any, provider: Any) -> None:
    sent: list[float] = []

    async def answer(request: httpx2.Request) -> httpx2.Response:
        if b"a lone call" not in request.content:
            return httpx2.Response(200, content=USAGE)
        sent.append(trio.current_time())
        return refused(429, LIMITED)

    async with provider(answer) as opened, trio.open_nursery() as nursery:

        async def lone() -> None:
            (await opened.ask("a lone call")).raise_for_status()

        async def others() -> None:
            while True:
                await opened.ask()
                await trio.sleep(0.3)

        nursery.start_soon(others)
        handle = opened.scheduler.start_soon(lone, retry_on=(httpx2.HTTPStatusError,), max_attempts=50)
        with pytest.raises(penstock.RequestAdmissionError, match="refused 8 times in a row"):
            await handle
        nursery.cancel_scope.cancel()
    assert len(sent) == 8


async def test_a_request_that_asks_for_more_than_a_whole_limit_is_sent_once(autojump_clock: Any, gate: Any) -> None:
    too_large = {"code": "rate_limit_exceeded", "message": "Request too large: Limit 8000, Requested 11881."}
    async with gate(refused(429, too_large), refused(413, too_large)) as opened:
        assert (await opened.ask()).status_code == 429
        with pytest.raises(penstock.RequestAdmissionError, match="more than a whole limit"):
            await opened.ask()
        assert len(opened.inner.requests) == 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(opened.ask)  # of another task, which may know better
        assert len(opened.inner.requests) == 2


async def test_a_refused_account_ends_the_calls_of_its_model(autojump_clock: Any, gate: Any) -> None:
    async with gate(*(refused(429, {"type": "insufficient_quota"}) for _ in range(3))) as opened:
        for _ in range(3):
            await opened.ask()
        with pytest.raises(penstock.RequestAdmissionError, match="insufficient_quota"):
            await opened.ask()
        (model,) = opened.scheduler.health().given_up
        assert (model.model, model.calls) == ("acme/small", 4)
        assert "acme/small: given up" in opened.scheduler.explain()
        scheduler = opened.scheduler
    assert [each.why for each in scheduler.report.given_up] == ["insufficient_quota"]


SHORT = [
    *(OSError(number, "short") for number in (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS)),
    socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
    MemoryError(),
]


def wrapped(error: BaseException) -> Exception:
    """As a client passes on what the system said."""
    outer = httpx2.ConnectError("All connection attempts failed")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize("error", [*map(wrapped, SHORT), httpx2.PoolTimeout("full")], ids=repr)
async def test_a_request_that_could_not_be_sent_for_want_of_something_of_ours_waits_and_is_sent(
    autojump_clock: Any, gate: Any, error: Exception
) -> None:
    learning = Learning()
    async with gate(error, error, error, ScriptedBody(USAGE), plugins=[learning]) as opened:
        started = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(opened.ask)
            await trio.sleep(1.05)
            assert "1 new call is held" in opened.scheduler.explain()
        assert trio.current_time() - started == pytest.approx(4 * 1 + 0.1 + 0.2 + 0.4 + 3)

    assert [(outcome.kind, outcome.went_out) for outcome in learning.outcomes] == [
        *[("local_timeout", False)] * 3,
        ("success", True),
    ]


async def test_its_timeout_and_its_deadline_end_the_wait(autojump_clock: Any, gate: Any) -> None:
    for option in ("timeout", "deadline"):
        extension = {option: 5.0 if option == "timeout" else trio.current_time() + 5.0}
        async with gate(*(wrapped(OSError(errno.EMFILE, "short")) for _ in range(20))) as opened:
            started = trio.current_time()
            with pytest.raises(penstock.RequestAdmissionError, match="too many open files"):
                await opened.ask(extensions={"penstock": extension})
            assert trio.current_time() - started == pytest.approx(5.0, abs=1.0)


async def test_a_body_that_is_streamed_up_is_not_sent_twice(autojump_clock: Any, gate: Any) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"{}"

    async with gate(wrapped(OSError(errno.EMFILE, "short"))) as opened:
        with pytest.raises(httpx2.ConnectError):
            await opened.client.post("/chat/completions", content=pieces())


async def test_a_shortage_in_the_middle_of_an_answer_ends_its_call(autojump_clock: Any, gate: Any) -> None:
    learning = Learning()
    async with gate(ScriptedBody(b"{", error=MemoryError()), plugins=[learning]) as opened:
        with pytest.raises(MemoryError):
            await opened.ask()
    assert [(outcome.kind, outcome.went_out) for outcome in learning.outcomes] == [("local_timeout", True)]


async def test_a_request_is_sent_again_no_sooner_than_its_provider_asked_and_that_is_told(
    autojump_clock: Any, gate: Any
) -> None:
    busy = httpx2.Response(500, headers={"Retry-After": "1000000"}, stream=ScriptedBody(b"{}"))
    async with gate(busy, ScriptedBody(USAGE)) as opened:
        await opened.ask()
        started = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pauses_are_told, opened.scheduler)
            await opened.ask()
        assert trio.current_time() - started == pytest.approx(300.0, abs=5.0)


async def pauses_are_told(scheduler: Any) -> None:
    await trio.sleep(1)
    assert "1 call pauses after a failed attempt" in scheduler.explain()

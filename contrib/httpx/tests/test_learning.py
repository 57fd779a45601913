"""What the limiters learn of a call: how it ended, when to come back, what it used, and its headers."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
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

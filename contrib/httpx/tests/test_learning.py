"""What the limiters learn of a call: how it ended, when to come back, what it used, and its headers."""

from __future__ import annotations

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
        self.observed: list[tuple[float, dict[str, str]]] = []

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

    def observe(self, headers: Any, now: float) -> Sequence[penstock.LimiterChange]:
        self.learnt.observed.append((now, dict(headers)))
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
        ({"Retry-After": "7", "Retry-After-Ms": "466"}, 0.466),
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


async def test_headers_are_observed_before_the_body_comes(autojump_clock: Any, gate: Any) -> None:
    learning = Learning()
    answer = httpx2.Response(200, headers={"X-Ratelimit-Remaining-Requests": "9"}, stream=ScriptedBody(b"{}"))
    async with gate(answer, plugins=[learning]) as opened:
        started = trio.current_time()
        await opened.ask()

    ((moment, headers),) = learning.observed
    assert moment - started == 1
    assert headers["x-ratelimit-remaining-requests"] == "9"


async def test_usage_is_known_at_the_end_of_a_plain_and_of_a_streamed_answer(autojump_clock: Any, gate: Any) -> None:
    learning = Learning()
    streamed = ScriptedBody(
        b'data: {"usage": null}\n\n', b"data: " + USAGE[:20], USAGE[20:] + b"\n\n", b"data: [DONE]\n\n"
    )
    async with gate(ScriptedBody(USAGE), streamed, httpx2.Response(200, content=USAGE), plugins=[learning]) as opened:
        for _ in range(3):
            await opened.ask()

    assert [outcome.usage for outcome in learning.outcomes] == [penstock.Usage(11, 5)] * 3

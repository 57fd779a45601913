"""How long headers are believed that let nothing go out: until the provider is asked again, and shows what holds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

import penstock

CONFIG = {
    "plugins": {"request_limiters": ["cooldown", "aimd", "token-budget"]},
    "providers": {"p": {"models": {"m": {"max_parallel_requests": 4}}}},
}
NOTHING_LEFT = [
    {
        "x-ratelimit-limit-requests": "200",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "767h",
    },
    {"ratelimit-limit": "1", "ratelimit-remaining": "0", "ratelimit-reset": "2764000"}
    | {"ratelimit-policy": "1;w=2764000"},
    {"x-ratelimit-limit": "200", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "2764000"},
    {"x-ratelimit-limit-tokens": "1", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "700h"},
]

Answer = Callable[[int], penstock.ResponseFacts]


async def sent(answer: Answer, calls: int, seconds: float) -> list[float]:
    """When calls went out one after the other, the n-th of which gets `answer(n)`."""
    went_out: list[float] = []

    async def call(attempt: penstock.Attempt) -> None:
        went_out.append(trio.current_time())
        await trio.sleep(0.1)
        attempt.answered(answer(len(went_out)))
        if attempt.outcome is None and answer(len(went_out)).status == 429:
            raise ValueError("refused")

    async with penstock.open_scheduler(CONFIG):
        with trio.move_on_after(seconds):
            for _ in range(calls):
                await penstock.execute(call, "p/m")
    return went_out


@pytest.mark.parametrize("headers", NOTHING_LEFT, ids=["openai", "draft", "plain", "tokens"])
@pytest.mark.parametrize("always", [True, False], ids=["in every answer", "in one answer"])
async def test_a_provider_that_answers_though_nothing_is_left_is_called_on(
    autojump_clock: MockClock, headers: dict[str, str], always: bool
) -> None:
    went_out = await sent(
        lambda n: penstock.ResponseFacts(status=200, headers=headers if always or n == 1 else {}), 40, 86400.0
    )
    assert len(went_out) == 40
    assert max(later - before for before, later in pairwise(went_out)) <= 301.0
    assert went_out[-1] - went_out[0] < 420.0


async def test_a_provider_that_refuses_is_asked_less_and_less_often_but_at_least_once_an_hour(
    autojump_clock: MockClock,
) -> None:
    headers = NOTHING_LEFT[1]
    went_out = await sent(
        lambda n: penstock.ResponseFacts(status=200 if n == 1 else 429, headers=headers), 2, 100_000.0
    )
    gaps = [round(later - before, 3) for before, later in pairwise(went_out)]
    assert gaps[0] == pytest.approx(300.1)
    assert gaps == sorted(gaps)
    assert max(gaps) <= 3601.0
    assert len(went_out) < 40

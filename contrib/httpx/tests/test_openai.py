"""The openai SDK is admitted as it is: against a server that really refuses what exceeds its limits."""

from __future__ import annotations

from typing import Any

import openai
import pytest
import trio

import penstock

pytestmark = pytest.mark.loopback

# The SDK leaves the generators of a stream to the collector when it stops before their end.
leaves_generators = pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")


async def test_plain_calls_of_the_sdk_keep_within_the_cap(sdk: Any) -> None:
    async with sdk(cap=2, slots=2, latency={"mean": 0.02}) as opened:
        answers = []

        async def ask() -> None:
            answers.append(await opened.ask())

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(ask)

        report = opened.provider.report()
        assert (report.granted, report.refused) == (10, 0)
        assert report.models["small"].peak_concurrency == 2
        assert all(answer.choices[0].message.content for answer in answers)


@leaves_generators
async def test_a_streamed_call_of_the_sdk_holds_its_lease_until_the_stream_ends(sdk: Any) -> None:
    async with sdk() as opened:
        seen = []
        stream = await opened.ask(stream=True)
        async for _ in stream:
            seen.append(opened.in_flight)
        assert seen[:-1] == [1] * (len(seen) - 1)
        assert opened.in_flight == 0
        assert opened.provider.report().granted == 1
        assert opened.outcomes == ["success"]


@leaves_generators
async def test_a_stream_that_is_left_early_makes_way_for_the_next_call(sdk: Any) -> None:
    async with sdk() as opened:
        async with await opened.ask(stream=True) as stream:
            async for _ in stream:
                break
        assert opened.in_flight == 0
        await opened.ask()
        assert opened.provider.report().granted == 2


async def test_embeddings_of_the_sdk_are_admitted_in_their_own_domain(sdk: Any) -> None:
    async with sdk() as opened:
        answer = await opened.sdk.embeddings.create(model="small", input="a gate")
        assert answer.data[0].embedding
        assert opened.resources == ["acme/small/embedding"]


async def test_a_refusal_of_the_provider_reaches_the_sdk_and_holds_back_what_comes_next(sdk: Any) -> None:
    async with sdk(rpm=1, burst=1, retry_after=5.0) as opened:
        await opened.ask()
        with pytest.raises(openai.RateLimitError):
            await opened.ask()
        (state,) = opened.scheduler.requests.pressure.snapshots(trio.current_time()).values()
        assert state.last_outcome == "rate_limited"
        assert state.cooldown_remaining > 0


async def test_a_refusal_here_reaches_the_caller_of_the_sdk_as_it_is(sdk: Any) -> None:
    async with sdk() as opened:
        with pytest.raises(penstock.RequestAdmissionError) as refused:
            await opened.ask(model="unheard-of")
        assert refused.value.reason == "never_fits"
        assert opened.provider.report().granted == 0

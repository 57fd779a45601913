"""The openai SDK is admitted without another line: against a provider that really refuses what exceeds its limits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import openai
import pytest
import trio

import penstock
import penstock_mockprovider as mock
from penstock_httpx import AdmissionTransport

pytestmark = pytest.mark.loopback

# The SDK leaves the generators of a stream to the collector when it stops before their end.
leaves_generators = pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")

MESSAGES: Any = [{"role": "user", "content": "A penstock is a gate. It lets water in."}]


@asynccontextmanager
async def admitted_sdk(
    cap: int, **limits: object
) -> AsyncIterator[tuple[openai.AsyncOpenAI, mock.MockProvider, penstock.Scheduler]]:
    config = {
        "plugins": {"request_limiters": ["cooldown"]},
        "providers": {"mock": {"models": {"small": {"max_parallel_requests": cap}}}},
    }
    served = mock.config_from_mapping({"models": {"small": limits}})
    async with (
        mock.serve(served) as provider,
        penstock.open_scheduler(config) as scheduler,
        httpx2.AsyncClient(transport=AdmissionTransport(provider="mock")) as http,
    ):
        client = openai.AsyncOpenAI(base_url=provider.base_url, api_key="none", http_client=http, max_retries=0)
        yield client, provider, scheduler
    assert scheduler.report is not None
    issued, returned = scheduler.report.request_leases
    assert issued == returned


async def test_plain_calls_of_the_sdk_keep_within_the_cap() -> None:
    async with admitted_sdk(cap=2, slots=2, latency={"mean": 0.02}) as (client, provider, _):
        answers = []

        async def ask() -> None:
            answers.append(await client.chat.completions.create(model="small", messages=MESSAGES))

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(ask)

        report = provider.report()
        assert (report.granted, report.refused) == (10, 0)
        assert report.models["small"].peak_concurrency == 2
        assert all(answer.choices[0].message.content for answer in answers)


@leaves_generators
async def test_a_streamed_call_of_the_sdk_holds_its_lease_until_the_stream_ends() -> None:
    async with admitted_sdk(cap=1) as (client, provider, scheduler):
        seen = []
        stream = await client.chat.completions.create(model="small", messages=MESSAGES, stream=True)
        async for chunk in stream:
            seen.append((chunk, in_flight(scheduler)))
        assert [count for _, count in seen[:-1]] == [1] * (len(seen) - 1)
        assert in_flight(scheduler) == 0
        assert provider.report().granted == 1
        assert [state.last_outcome for state in snapshots(scheduler)] == ["success"]


@leaves_generators
async def test_a_stream_that_is_left_early_makes_way_for_the_next_call() -> None:
    async with admitted_sdk(cap=1) as (client, provider, scheduler):
        async with await client.chat.completions.create(model="small", messages=MESSAGES, stream=True) as stream:
            async for _ in stream:
                break
        assert in_flight(scheduler) == 0
        await client.chat.completions.create(model="small", messages=MESSAGES)
        assert provider.report().granted == 2


async def test_embeddings_of_the_sdk_are_admitted_in_their_own_domain() -> None:
    async with admitted_sdk(cap=1) as (client, _, scheduler):
        answer = await client.embeddings.create(model="small", input="a gate")
        assert answer.data[0].embedding
        assert "mock/small/embedding" in map(str, scheduler.requests.pressure.snapshots(trio.current_time()))


async def test_a_refusal_of_the_provider_reaches_the_sdk_and_holds_back_what_comes_next() -> None:
    async with admitted_sdk(cap=1, rpm=1, burst=1, retry_after=5.0) as (client, _, scheduler):
        await client.chat.completions.create(model="small", messages=MESSAGES)
        with pytest.raises(openai.RateLimitError):
            await client.chat.completions.create(model="small", messages=MESSAGES)
        (state,) = snapshots(scheduler)
        assert state.last_outcome == "rate_limited"
        assert state.cooldown_remaining > 0


async def test_a_refusal_here_reaches_the_caller_of_the_sdk_as_it_is() -> None:
    async with admitted_sdk(cap=1) as (client, provider, _):
        with pytest.raises(penstock.RequestAdmissionError) as refused:
            await client.chat.completions.create(model="unheard-of", messages=MESSAGES)
        assert refused.value.reason == "never_fits"
        assert provider.report().granted == 0


def snapshots(scheduler: penstock.Scheduler) -> Collection[penstock.RequestPressureSnapshot]:
    return scheduler.requests.pressure.snapshots(trio.current_time()).values()


def in_flight(scheduler: penstock.Scheduler) -> int:
    return sum(snapshot.in_flight_count for snapshot in snapshots(scheduler))

"""Calls of worker threads are admitted as those of the run are: over real sockets, against a provider that refuses."""

from __future__ import annotations

import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import httpx2
import openai
import pytest
import trio

import penstock
import penstock_mockprovider as mock
from penstock_httpx import AdmissionTransport, ThreadAdmissionTransport

pytestmark = pytest.mark.loopback

MESSAGES: Any = [{"role": "user", "content": "A penstock is a gate. It lets water in."}]
CALL = {"model": "small", "messages": MESSAGES}


@attrs.define
class Recorder:
    """A sink that keeps what it is told, and wakes who waits for it."""

    seen: list[penstock.RuntimeEvent] = attrs.field(factory=list)
    changed: trio.Event = attrs.field(factory=trio.Event)

    @penstock.hookimpl
    def penstock_request_event(self, event: penstock.RuntimeEvent) -> None:
        self.seen.append(event)
        changed, self.changed = self.changed, trio.Event()
        changed.set()

    async def until(self, kind: str, times: int) -> None:
        while self.count(kind) < times:
            await self.changed.wait()

    def count(self, kind: str) -> int:
        return sum(event.event_kind == kind for event in self.seen)

    @property
    def outcomes(self) -> list[str | None]:
        return [event.reason_or_outcome for event in self.seen if event.event_kind == "model_request_completed"]


@attrs.frozen
class Threads:
    """A synchronous client whose requests are admitted, the provider that it calls, and what was told."""

    client: httpx2.Client
    provider: mock.MockProvider
    scheduler: penstock.Scheduler
    told: Recorder

    def post(self) -> httpx2.Response:
        """For worker threads: one plain call."""
        return self.client.post("/chat/completions", json=CALL)

    @property
    def in_flight(self) -> int:
        issued, returned = self.scheduler.requests.leases
        return issued - returned


@asynccontextmanager
async def threads(cap: int = 1, inner: httpx2.BaseTransport | None = None, **limits: object) -> AsyncIterator[Threads]:
    """Opens a gate before a mock provider; at its end every lease must be back."""
    told = Recorder()
    config = {
        "plugins": {"request_limiters": ["cooldown"]},
        "providers": {"mock": {"models": {"small": {"max_parallel_requests": cap}}}},
    }
    async with (
        mock.serve(mock.config_from_mapping({"models": {"small": limits}})) as provider,
        penstock.open_scheduler(config, plugins=[told]) as scheduler,
    ):
        transport = ThreadAdmissionTransport(inner, provider="mock")
        with httpx2.Client(transport=transport, base_url=provider.base_url) as client:
            yield Threads(client, provider, scheduler, told)
    assert scheduler.report is not None
    issued, returned = scheduler.report.request_leases
    assert issued == returned, "a lease is missing"


# -- admission


async def test_calls_of_many_threads_keep_within_the_cap() -> None:
    async with threads(cap=2, slots=2, latency={"mean": 0.02}) as opened:
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(trio.to_thread.run_sync, opened.post)

        report = opened.provider.report()
        assert (report.granted, report.refused) == (8, 0)
        assert report.models["small"].peak_concurrency == 2
        assert opened.told.outcomes == ["success"] * 8


async def test_threads_and_the_run_share_one_cap() -> None:
    async with threads(cap=1, slots=1, latency={"mean": 0.02}) as opened:
        transport = AdmissionTransport(provider="mock")
        async with (
            httpx2.AsyncClient(transport=transport, base_url=opened.provider.base_url) as client,
            trio.open_nursery() as nursery,
        ):
            for _ in range(3):
                nursery.start_soon(trio.to_thread.run_sync, opened.post)
                nursery.start_soon(partial(client.post, "/chat/completions", json=CALL))

        assert (opened.provider.report().granted, opened.provider.report().refused) == (6, 0)


async def test_the_synchronous_sdk_is_admitted_and_its_usage_is_read() -> None:
    async with threads() as opened:
        sdk = openai.OpenAI(base_url=opened.provider.base_url, api_key="none", http_client=opened.client, max_retries=0)

        def ask() -> tuple[str | None, int]:
            answer = sdk.chat.completions.create(model="small", messages=MESSAGES)
            pieces = list(sdk.chat.completions.create(model="small", messages=MESSAGES, stream=True))
            return answer.choices[0].message.content, len(pieces)

        text, pieces = await trio.to_thread.run_sync(ask)

        assert text
        assert pieces > 1
        assert opened.told.outcomes == ["success", "success"]


async def test_a_rate_limit_is_told_with_the_time_to_wait() -> None:
    async with threads(rpm=1, burst=1, retry_after=30.0) as opened:
        answers = [await trio.to_thread.run_sync(opened.post) for _ in range(2)]

        assert [answer.status_code for answer in answers] == [200, 429]
        assert opened.told.outcomes == ["success", "rate_limited"]
        (state,) = opened.scheduler.requests.pressure.snapshots(trio.current_time()).values()
        assert 0 < state.cooldown_remaining <= 30.0


async def test_what_the_extension_says_holds_in_threads_too() -> None:
    async with threads() as opened:
        late = {"penstock": {"deadline": trio.current_time() - 1}}

        def ask() -> None:
            opened.client.post("/chat/completions", json=CALL, extensions=late)

        with pytest.raises(penstock.RequestAdmissionError) as refused:
            await trio.to_thread.run_sync(ask)
        assert refused.value.reason == "deadline"
        assert opened.provider.report().granted == 0


async def test_a_connection_that_cannot_be_made_is_a_failure_that_the_scheduler_may_try_again() -> None:
    def broken(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("nobody there")

    async with threads(inner=httpx2.MockTransport(broken)) as opened:
        with pytest.raises(httpx2.ConnectError):
            await trio.to_thread.run_sync(opened.post)
        assert opened.told.outcomes == ["provider_failure"]


async def test_a_task_whose_thread_met_a_broken_connection_is_tried_again() -> None:
    failures = iter([True])

    def broken_once(request: httpx2.Request) -> httpx2.Response:
        if next(failures, False):
            raise httpx2.ConnectError("nobody there")
        return httpx2.Response(200, json={})

    async with threads(inner=httpx2.MockTransport(broken_once)) as opened:

        async def work() -> None:
            await trio.to_thread.run_sync(opened.post)

        opened.scheduler.start_soon(work, max_attempts=2)
        await opened.told.until("model_request_completed", 2)
        assert opened.told.outcomes == ["provider_failure", "success"]


# -- bodies


async def test_a_streamed_body_holds_its_lease_until_it_ends() -> None:
    async with threads() as opened:
        seen: list[int] = []

        def read() -> None:
            with opened.client.stream("POST", "/chat/completions", json=CALL | {"stream": True}) as response:
                for _ in response.iter_raw(chunk_size=1):
                    seen.append(opened.in_flight)
                seen.append(opened.in_flight)

        await trio.to_thread.run_sync(read)
        assert seen[0] == 1
        assert seen[-1] == 0
        assert opened.told.outcomes == ["success"]


async def test_a_body_that_is_left_early_makes_way_and_says_nothing_about_the_provider() -> None:
    async with threads() as opened:

        def leave() -> None:
            with opened.client.stream("POST", "/chat/completions", json=CALL | {"stream": True}):
                pass

        await trio.to_thread.run_sync(leave)
        assert opened.in_flight == 0
        assert opened.told.outcomes == ["local_cancelled"]


async def test_a_body_may_be_closed_in_the_run_that_got_it_from_its_thread() -> None:
    async with threads() as opened:
        request = opened.client.build_request("POST", "/chat/completions", json=CALL)
        response = await trio.to_thread.run_sync(partial(opened.client.send, request, stream=True))
        assert opened.in_flight == 1
        response.close()
        assert opened.in_flight == 0


async def test_a_body_may_be_read_in_a_thread_that_trio_did_not_start() -> None:
    async with threads() as opened:
        request = opened.client.build_request("POST", "/chat/completions", json=CALL)
        response = await trio.to_thread.run_sync(partial(opened.client.send, request, stream=True))
        reader = threading.Thread(target=response.read)
        reader.start()
        await trio.to_thread.run_sync(reader.join)
        assert response.json()["choices"]
        assert opened.told.outcomes == ["success"]


async def test_an_answer_that_is_dropped_gives_its_lease_back_when_it_is_collected() -> None:
    def streamed(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, stream=Pieces(lambda: None))

    async with threads(inner=httpx2.MockTransport(streamed)) as opened:
        request = opened.client.build_request("POST", "/chat/completions", json=CALL)
        response = await trio.to_thread.run_sync(partial(opened.client.send, request, stream=True))
        assert opened.in_flight == 1
        del response, request
        gc.collect()
        await opened.told.until("request_lease_released", 1)


# -- cancellation


async def test_cancelling_a_task_ends_the_wait_of_its_thread() -> None:
    async with threads() as opened, opened.scheduler.requests.attempt("mock/small"):
        with trio.CancelScope() as scope:

            async def cancel_once_it_waits() -> None:
                await opened.told.until("request_wait_started", 1)
                scope.cancel()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(cancel_once_it_waits)
                await trio.to_thread.run_sync(opened.post)
        assert scope.cancelled_caught
        assert opened.provider.report().granted == 0


class Pieces(httpx2.SyncByteStream):
    """A body of three pieces; `between` is called before the second."""

    def __init__(self, between: Callable[[], None]) -> None:
        self._between = between

    def __iter__(self) -> Iterator[bytes]:
        yield b"a"
        self._between()
        yield b"b"
        yield b"c"


@pytest.mark.parametrize("abandon", [False, True], ids=["awaited", "abandoned"])
async def test_a_body_that_is_read_when_its_task_is_cancelled_ends_with_the_next_piece(abandon: bool) -> None:
    cancelled = threading.Event()
    reading = trio.Event()
    token = trio.lowlevel.current_trio_token()
    read: list[bytes] = []

    def between() -> None:
        token.run_sync_soon(reading.set)
        assert cancelled.wait(60)

    def streamed(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, stream=Pieces(between))

    async with threads(inner=httpx2.MockTransport(streamed)) as opened:

        def take() -> None:
            with opened.client.stream("POST", "/chat/completions", json=CALL) as response:
                read.extend(response.iter_raw())

        with trio.CancelScope() as scope:

            async def cancel() -> None:
                await reading.wait()
                scope.cancel()
                cancelled.set()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(cancel)
                await trio.to_thread.run_sync(take, abandon_on_cancel=abandon)
        await opened.told.until("request_lease_released", 1)
        assert scope.cancelled_caught
        assert read == [b"a"]
        assert opened.told.outcomes == ["local_cancelled"]


# -- where it does not work


async def test_the_run_itself_is_not_blocked() -> None:
    async with threads() as opened:
        with pytest.raises(RuntimeError, match=r"would block the trio run.*AsyncClient"):
            opened.post()


async def test_a_thread_that_trio_did_not_start_is_told_so() -> None:
    async with threads() as opened:
        told: list[str] = []

        def ask() -> None:
            try:
                opened.post()
            except RuntimeError as error:
                told.append(str(error))

        stranger = threading.Thread(target=ask)
        stranger.start()
        await trio.to_thread.run_sync(stranger.join)
        assert "trio.to_thread.run_sync" in told[0]


async def test_closing_the_client_closes_what_sends() -> None:
    class Closing(httpx2.BaseTransport):
        closed = False

        def close(self) -> None:
            self.closed = True

    inner = Closing()
    ThreadAdmissionTransport(inner).close()
    assert inner.closed

"""Calls of worker threads are admitted as those of the run are: over real sockets, against a server that refuses."""

from __future__ import annotations

import errno
import gc
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import httpx2
import openai
import pytest
import trio

import penstock
from penstock_httpx import AdmissionTransport, ThreadAdmissionTransport

pytestmark = pytest.mark.loopback


# -- admission


async def test_calls_of_many_threads_keep_within_the_cap(threads: Any) -> None:
    async with threads(cap=2, slots=2, latency={"mean": 0.02}) as opened:
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(trio.to_thread.run_sync, opened.post)

        report = opened.provider.report()
        assert (report.granted, report.refused) == (8, 0)
        assert report.models["small"].peak_concurrency == 2
        assert opened.outcomes == ["success"] * 8


async def test_threads_and_the_run_share_one_cap(threads: Any, call: Any) -> None:
    async with threads(slots=1, latency={"mean": 0.02}) as opened:
        transport = AdmissionTransport(provider="acme")
        async with (
            httpx2.AsyncClient(transport=transport, base_url=opened.provider.base_url) as client,
            trio.open_nursery() as nursery,
        ):
            for _ in range(3):
                nursery.start_soon(trio.to_thread.run_sync, opened.post)
                nursery.start_soon(partial(client.post, "/chat/completions", json=call))

        assert (opened.provider.report().granted, opened.provider.report().refused) == (6, 0)


async def test_the_synchronous_sdk_is_admitted_and_its_usage_is_read(threads: Any, call: Any) -> None:
    async with threads() as opened:
        sdk = openai.OpenAI(base_url=opened.provider.base_url, api_key="none", http_client=opened.client, max_retries=0)

        def ask() -> tuple[str | None, int]:
            answer = sdk.chat.completions.create(**call)
            pieces = list(sdk.chat.completions.create(**call, stream=True))
            return answer.choices[0].message.content, len(pieces)

        text, pieces = await trio.to_thread.run_sync(ask)

        assert text
        assert pieces > 1
        assert opened.outcomes == ["success", "success"]


async def test_a_rate_limit_is_passed_on_with_the_time_to_wait(threads: Any) -> None:
    async with threads(rpm=1, burst=1, retry_after=30.0) as opened:
        answers = [await trio.to_thread.run_sync(opened.post) for _ in range(2)]

        assert [answer.status_code for answer in answers] == [200, 429]
        assert opened.outcomes == ["success", "rate_limited"]
        (state,) = opened.scheduler.requests.pressure.snapshots(trio.current_time()).values()
        assert 0 < state.cooldown_remaining <= 30.0


async def test_what_the_extension_says_holds_in_threads_too(threads: Any) -> None:
    async with threads() as opened:
        late = {"penstock": {"deadline": trio.current_time() - 1}}
        with pytest.raises(penstock.RequestAdmissionError) as refused:
            await trio.to_thread.run_sync(partial(opened.post, extensions=late))
        assert refused.value.reason == "deadline"
        assert opened.provider.report().granted == 0


async def test_a_task_whose_thread_met_a_broken_connection_is_tried_again(threads: Any) -> None:
    async with threads(httpx2.ConnectError("nobody there"), httpx2.Response(200, json={})) as opened:

        async def work() -> None:
            await trio.to_thread.run_sync(opened.post)

        opened.scheduler.start_soon(work, max_attempts=2)
        await opened.until("model_request_completed", 2)
        assert opened.outcomes == ["provider_failure", "success"]


async def test_what_the_sender_raises_passes_through(threads: Any) -> None:
    error = httpx2.ConnectError("nobody there")
    async with threads(error) as opened:
        with pytest.raises(httpx2.ConnectError) as passed:
            await trio.to_thread.run_sync(opened.post)

    assert passed.value is error
    assert opened.outcomes == ["provider_failure"]


# -- bodies


class Pieces(httpx2.SyncByteStream):
    """A body of three pieces; `between` is called before the second."""

    def __init__(self, between: Callable[[], None] = lambda: None) -> None:
        self._between = between
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        yield b"a"
        self._between()
        yield b"b"
        yield b"c"

    def close(self) -> None:
        self.closed.set()


async def test_a_streamed_body_holds_its_lease_until_it_ends(threads: Any) -> None:
    async with threads() as opened:
        seen: list[int] = []

        def read() -> None:
            with opened.stream() as response:
                for _ in response.iter_raw(chunk_size=1):
                    seen.append(opened.in_flight)
                seen.append(opened.in_flight)

        await trio.to_thread.run_sync(read)
        assert seen[0] == 1
        assert seen[-1] == 0
        assert opened.outcomes == ["success"]


async def test_a_body_that_is_left_early_makes_way_and_says_nothing_about_the_provider(threads: Any) -> None:
    async with threads() as opened:

        def leave() -> None:
            with opened.stream():
                pass

        await trio.to_thread.run_sync(leave)
        assert opened.in_flight == 0
        assert opened.outcomes == ["local_cancelled"]


async def test_a_body_that_is_iterated_a_second_time_goes_on_where_it_was(threads: Any) -> None:
    async with threads(httpx2.Response(200, stream=Pieces())) as opened:

        def read() -> tuple[bytes, list[bytes]]:
            with opened.stream() as response:
                first = next(iter(response.stream))
                gc.collect()
                return first, list(response.stream)

        assert await trio.to_thread.run_sync(read) == (b"a", [b"b", b"c"])
        assert opened.outcomes == ["success"]


async def test_a_body_may_be_closed_in_the_run_that_got_it_from_its_thread(threads: Any) -> None:
    async with threads() as opened:
        response = await opened.head()
        assert opened.in_flight == 1
        response.close()
        assert opened.in_flight == 0


async def test_a_body_may_be_read_in_a_thread_that_trio_did_not_start(threads: Any) -> None:
    async with threads() as opened:
        response = await opened.head()
        reader = threading.Thread(target=response.read)
        reader.start()
        await trio.to_thread.run_sync(reader.join)
        assert response.json()["choices"]
        assert opened.outcomes == ["success"]


async def test_an_answer_that_is_dropped_gives_its_lease_back_when_it_is_collected(threads: Any) -> None:
    async with threads(lambda: httpx2.Response(200, stream=Pieces())) as opened:
        response = await opened.head()
        assert opened.in_flight == 1
        del response
        gc.collect()
        await opened.until("request_lease_released")


# -- cancellation


async def test_cancelling_a_task_ends_the_wait_of_its_thread(threads: Any) -> None:
    async with threads() as opened, opened.scheduler.requests.attempt("acme/small"):
        with trio.CancelScope() as scope:

            async def cancel_once_it_waits() -> None:
                await opened.until("request_wait_started")
                scope.cancel()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(cancel_once_it_waits)
                await trio.to_thread.run_sync(opened.post)
        assert scope.cancelled_caught
        assert opened.provider.report().granted == 0


@pytest.mark.parametrize("abandon", [False, True], ids=["awaited", "abandoned"])
@pytest.mark.parametrize(("where", "pieces"), [("before its head", []), ("before its second piece", [b"a"])])
async def test_a_call_that_is_out_when_its_task_is_cancelled_ends_with_what_comes_next(
    threads: Any, abandon: bool, where: str, pieces: list[bytes]
) -> None:
    scope = trio.CancelScope()
    read: list[bytes] = []

    def cancel() -> None:
        trio.from_thread.run_sync(scope.cancel)

    body = Pieces(cancel)

    def answer() -> httpx2.Response:
        if where == "before its head":
            cancel()
        return httpx2.Response(200, stream=body)

    async with threads(answer) as opened:

        def take() -> None:
            with opened.stream() as response:
                read.extend(response.iter_raw())

        with scope:
            await trio.to_thread.run_sync(take, abandon_on_cancel=abandon)
        await opened.until("request_lease_released")
        assert scope.cancelled_caught
        assert await trio.to_thread.run_sync(body.closed.wait, 60)
        assert read == pieces
        assert opened.outcomes == ["local_cancelled"]


# -- where it does not work


async def test_the_run_itself_is_not_blocked(threads: Any) -> None:
    async with threads() as opened:
        with pytest.raises(RuntimeError, match=r"would block the trio run.*AsyncClient"):
            opened.post()


async def test_a_thread_that_trio_did_not_start_is_refused_with_what_to_do(threads: Any) -> None:
    async with threads() as opened:
        raised: list[str] = []

        def ask() -> None:
            try:
                opened.post()
            except RuntimeError as error:
                raised.append(str(error))

        stranger = threading.Thread(target=ask)
        stranger.start()
        await trio.to_thread.run_sync(stranger.join)
        assert "trio.to_thread.run_sync" in raised[0]


async def test_closing_the_client_closes_what_sends() -> None:
    class Closing(httpx2.BaseTransport):
        closed = False

        def close(self) -> None:
            self.closed = True

    inner = Closing()
    ThreadAdmissionTransport(inner).close()
    assert inner.closed


async def test_a_shortage_of_our_own_holds_the_calls_of_threads_too(threads: Any) -> None:
    failed = httpx2.ConnectError("all attempts to connect failed")
    failed.__cause__ = OSError(errno.EMFILE, "Too many open files")
    async with threads(failed, httpx2.Response(200, content=b"{}")) as opened:
        answer = await trio.to_thread.run_sync(opened.post)
    assert answer.status_code == 200
    assert opened.outcomes == ["local_timeout", "success"]

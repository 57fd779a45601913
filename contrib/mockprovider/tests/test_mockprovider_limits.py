"""True limits over real sockets: what is refused, and that a client that goes away gives its slot back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import openai
import pytest
import trio
from openai.types.chat import ChatCompletionUserMessageParam

from penstock.testing import Latency, ProviderLimits, RetryAfterForm
from penstock_mockprovider import MockProvider, MockProviderConfig, MockReport, serve

pytestmark = pytest.mark.loopback

AT_ONCE = Latency(mean=0.0)
NEVER_DUE = Latency(mean=86_400.0, sigma=0.0)
QUESTION: ChatCompletionUserMessageParam = {
    "role": "user",
    "content": "A penstock is a gate. It lets water in.",
}


def one_model(**config: Any) -> MockProviderConfig:
    limits = {"latency": AT_ONCE, **config.pop("limits", {})}
    return MockProviderConfig(models={"m": ProviderLimits(**limits)}, **config)


@asynccontextmanager
async def sdk(provider: MockProvider, key: str = "any") -> AsyncIterator[openai.AsyncOpenAI]:
    async with httpx2.AsyncClient() as http:
        yield openai.AsyncOpenAI(base_url=provider.base_url, api_key=key, http_client=http, max_retries=0)


@asynccontextmanager
async def plain(provider: MockProvider) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=provider.url, timeout=None) as http:
        yield http


async def seen(provider: MockProvider, holds: Callable[[MockReport], bool]) -> MockReport:
    """Waits for what the provider sees; that it never sees it is a failure, not a hang."""
    with trio.fail_after(30):
        return await provider.until(holds)


def chat_body(**more: object) -> dict[str, object]:
    return {"model": "m", "messages": [QUESTION], **more}


# -- limits --


async def test_a_call_over_the_slots_gets_429_with_retry_after() -> None:
    config = one_model(limits={"slots": 1, "latency": NEVER_DUE, "retry_after": 1.5, "refusal_latency": 0.0})
    async with serve(config) as provider, sdk(provider) as client, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: client.chat.completions.create(model="m", messages=[QUESTION]))
        await seen(provider, lambda report: report.granted == 1)
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(model="m", messages=[QUESTION])
        nursery.cancel_scope.cancel()
    assert caught.value.response.headers["retry-after"] == "1.5"
    assert caught.value.code == "rate_limit_exceeded"


@pytest.mark.parametrize("form", ["http-date", "milliseconds"])
async def test_the_openai_sdk_understands_each_form_of_retry_after(form: RetryAfterForm) -> None:
    config = one_model(limits={"rpm": 1, "burst": 1, "retry_after": 1.0, "retry_after_form": form})
    async with serve(config) as provider, plain(provider) as http:
        client = openai.AsyncOpenAI(base_url=provider.base_url, api_key="x", http_client=http, max_retries=1)
        await client.chat.completions.create(model="m", messages=[QUESTION])
        with pytest.raises(openai.RateLimitError) as caught:
            await client.with_options(max_retries=0).chat.completions.create(model="m", messages=[QUESTION])
    headers = caught.value.response.headers
    assert ("retry-after-ms" in headers) == (form == "milliseconds")
    assert len(headers.get_list("date")) == 1


async def test_rate_limit_headers_are_on_answers_streams_and_refusals() -> None:
    config = one_model(limits={"rpm": 2, "burst": 2, "headers": True, "refusal_latency": 0.0})
    async with serve(config) as provider, plain(provider) as http:
        answers = [await http.post("/v1/chat/completions", json=chat_body(stream=i == 1)) for i in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["1", "0", "0"]
    assert answers[2].json()["error"]["type"] == "requests"


async def test_a_configured_failure_is_a_server_error() -> None:
    config = one_model(limits={"error_rate": 1.0, "error_status": 503, "refusal_latency": 0.0})
    async with serve(config) as provider, sdk(provider) as client:
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(model="m", messages=[QUESTION])
    assert (caught.value.status_code, caught.value.code) == (503, "server_error")


async def test_never_more_than_the_slots_run_at_a_time() -> None:
    config = one_model(limits={"slots": 3, "latency": Latency(mean=0.01), "refusal_latency": 0.0})
    async with serve(config) as provider, plain(provider) as http, trio.open_nursery() as nursery:
        for _ in range(40):
            nursery.start_soon(lambda: http.post("/v1/chat/completions", json=chat_body()))
    model = provider.report().models["m"]
    assert model.peak_concurrency == 3
    assert (model.total.granted + model.total.refused, model.in_flight) == (40, 0)


async def test_a_client_that_answers_each_answer_with_a_call_is_never_refused() -> None:
    config = one_model(limits={"slots": 4, "latency": Latency(mean=0.001)})
    async with serve(config) as provider, plain(provider) as http:

        async def keep_calling() -> None:
            for stream in [False, True] * 25:
                answer = await http.post("/v1/chat/completions", json=chat_body(stream=stream))
                assert answer.status_code == 200

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(keep_calling)
    assert provider.report().refused == 0


# -- clients that go away --


@pytest.mark.parametrize("limits", [{"latency": NEVER_DUE}, {"hang_share": 1.0}])
async def test_a_client_that_gives_up_waiting_gives_its_slot_back(limits: dict[str, object]) -> None:
    async with serve(one_model(limits={"slots": 1, **limits})) as provider, plain(provider) as http:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: http.post("/v1/chat/completions", json=chat_body()))
            await seen(provider, lambda report: report.models["m"].in_flight == 1)
            nursery.cancel_scope.cancel()
        report = await seen(provider, lambda report: report.models["m"].in_flight == 0)
    assert report.models["m"].total.abandoned == 1


async def test_a_client_that_leaves_in_mid_stream_gives_its_slot_back() -> None:
    config = one_model(limits={"slots": 1, "latency": NEVER_DUE})
    async with serve(config) as provider, plain(provider) as http:
        async with http.stream("POST", "/v1/chat/completions", json=chat_body(stream=True)) as answer:
            assert answer.status_code == 200  # the head comes with the first event
        report = await seen(provider, lambda report: report.models["m"].in_flight == 0)
    assert report.models["m"].total.abandoned == 1


async def test_a_client_that_leaves_the_queue_leaves_no_trace_in_it() -> None:
    config = one_model(limits={"slots": 1, "queue": True, "latency": NEVER_DUE})
    async with serve(config) as provider, plain(provider) as http, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: http.post("/v1/chat/completions", json=chat_body()))
        await seen(provider, lambda report: report.models["m"].in_flight == 1)
        async with trio.open_nursery() as second:
            second.start_soon(lambda: http.post("/v1/chat/completions", json=chat_body()))
            await seen(provider, lambda report: report.models["m"].waiting == 1)
            second.cancel_scope.cancel()
        await seen(provider, lambda report: report.models["m"].waiting == 0)
        assert provider.report().models["m"].in_flight == 1
        nursery.cancel_scope.cancel()


async def test_a_client_that_leaves_while_it_sends_its_question_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serve(one_model()) as provider:
        stream = await trio.open_tcp_stream("127.0.0.1", provider.port)
        async with stream:
            await stream.send_all(b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{")
        await seen(provider, lambda report: report.rejected == {"client_disconnect": 1})
    assert caplog.records == []

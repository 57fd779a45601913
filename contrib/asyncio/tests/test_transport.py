"""SDKs under asyncio and in plain threads are admitted by one line, streamed or not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import httpx2
import openai
import pytest

import penstock

pytestmark = [
    pytest.mark.loopback,
    # the SDKs leave the generators of a stream to the collector when they stop before its end
    pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning"),
]

Run = Callable[[Any], None]

MESSAGES: Any = [{"role": "user", "content": "A penstock is a gate."}]

CHAT = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "fast",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "It is."}}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}

MESSAGE = {
    "id": "1",
    "type": "message",
    "role": "assistant",
    "model": "fast",
    "content": [{"type": "text", "text": "It is."}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 5, "output_tokens": 2},
}


def chunk(text: str, reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
    return f"data: {json.dumps({**CHAT, 'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n".encode()


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


OF_OPENAI = (chunk("It "), chunk("is.", "stop"), b"data: [DONE]\n\n")
OF_ANTHROPIC = (
    event("message_start", message={**MESSAGE, "content": [], "stop_reason": None}),
    event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    event("content_block_delta", index=0, delta={"type": "text_delta", "text": "It is."}),
    event("content_block_stop", index=0),
    event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2}),
    event("message_stop"),
)


class Pieces(httpx2.AsyncByteStream, httpx2.SyncByteStream):
    """A body in pieces, before whose last one it may wait."""

    def __init__(self, pieces: Sequence[bytes], gate: asyncio.Event | None = None) -> None:
        self._pieces = pieces
        self._gate = gate

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces[:-1]:
            yield piece
        if self._gate is not None:
            await self._gate.wait()
        yield self._pieces[-1]

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces


class Fake:
    """A provider in this process, which answers each call with the next answer of its list, the last one again."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.calls = 0

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.calls += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Pieces):
            return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=answer)
        if isinstance(answer, httpx2.Response):
            return answer
        return httpx2.Response(200, json=answer)


def client_of(opened: Any, *answers: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=opened.gate.transport(httpx2.MockTransport(Fake(*answers)), provider="acme"))


def openai_of(http: httpx2.AsyncClient) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url="http://acme.test/v1", api_key="none", http_client=http, max_retries=0)


def test_openai_is_admitted_by_one_line(run: Run, open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate(cap=2) as opened, client_of(opened, CHAT) as http:
            ask = openai_of(http).chat.completions.create
            answers = await asyncio.gather(*(ask(model="fast", messages=MESSAGES) for _ in range(10)))
            assert {answer.choices[0].message.content for answer in answers} == {"It is."}
        assert opened.recorder.most_in_flight <= 2
        assert opened.recorder.outcomes == ["success"] * 10

    run(main())


def test_a_stream_of_openai_holds_its_lease_until_its_last_event(run: Run, open_gate: Any) -> None:
    async def main() -> None:
        ends = asyncio.Event()
        async with open_gate() as opened, client_of(opened, Pieces(OF_OPENAI, ends)) as http:
            stream = await openai_of(http).chat.completions.create(model="fast", messages=MESSAGES, stream=True)
            text = ""
            async for piece in stream:
                text += piece.choices[0].delta.content or ""
                assert (await opened.gate.health()).requests_in_flight == 1
                if text == "It is.":
                    ends.set()
            assert (await opened.gate.health()).requests_in_flight == 0
        assert opened.recorder.outcomes == ["success"]

    run(main())


def test_anthropic_is_admitted_by_one_line_streamed_or_not(run: Run, open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened, client_of(opened, MESSAGE, Pieces(OF_ANTHROPIC)) as http:
            client = anthropic.AsyncAnthropic(
                base_url="http://acme.test", api_key="none", http_client=http, max_retries=0
            )
            answer = await client.messages.create(model="fast", max_tokens=9, messages=MESSAGES)
            assert [getattr(block, "text", None) for block in answer.content] == ["It is."]
            async with client.messages.stream(model="fast", max_tokens=9, messages=MESSAGES) as stream:
                assert await stream.get_final_text() == "It is."
        assert opened.recorder.outcomes == ["success", "success"]

    run(main())


def test_a_refusal_of_the_provider_holds_back_the_calls_behind_it(open_gate: Any) -> None:
    async def main() -> None:
        busy = httpx2.Response(429, headers={"retry-after": "7"}, json={"error": {"message": "slow down"}})
        async with open_gate() as opened, client_of(opened, busy, CHAT) as http:
            ask = openai_of(http).chat.completions.create
            with pytest.raises(openai.RateLimitError):
                await ask(model="fast", messages=MESSAGES)
            task = asyncio.create_task(ask(model="fast", messages=MESSAGES))
            await opened.recorder.until("request_wait_started", 2)
            opened.clock.jump(7.0)
            await task
        assert opened.recorder.outcomes == ["rate_limited", "success"]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(httpx2.ReadTimeout("slow"), "provider_timeout"), (httpx2.ConnectError("nobody"), "provider_failure")],
)
def test_an_error_of_the_connection_is_classified(open_gate: Any, error: Exception, outcome: str) -> None:
    async def main() -> None:
        async with open_gate() as opened, client_of(opened, error) as http:
            with pytest.raises(type(error)):
                await http.post("http://acme.test/v1/chat/completions", json={"model": "fast"})
        assert opened.recorder.outcomes == [outcome]

    asyncio.run(main())


def test_a_refusal_here_and_a_wrong_description_reach_their_caller(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened, client_of(opened, CHAT) as http:
            with pytest.raises(penstock.RequestAdmissionError) as refused:
                await openai_of(http).chat.completions.create(model="unheard-of", messages=MESSAGES)
            assert refused.value.reason == "never_fits"
            with pytest.raises(penstock.ConfigError):
                await http.post("http://acme.test/", json={"model": "fast"}, extensions={"penstock": {"timeout": -1}})
            block = await opened.taken()
            with pytest.raises(penstock.RequestAdmissionError):
                await http.post("http://acme.test/", json={"model": "fast"}, extensions={"penstock": {"timeout": 0}})
            await opened.leave(block)

    asyncio.run(main())


@pytest.mark.parametrize("place", ["in line", "in the body", "granted"])
def test_a_cancelled_request_gives_its_place_back(run: Run, open_gate: Any, place: str) -> None:
    async def main() -> None:
        never = asyncio.Event()
        async with open_gate() as opened, client_of(opened, Pieces(OF_OPENAI, never), CHAT) as http:
            block = await opened.taken() if place != "in the body" else None
            task = asyncio.create_task(http.post("http://acme.test/v1/chat/completions", json={"model": "fast"}))
            if block is None:
                await opened.recorder.until("model_request_started")
            else:
                await opened.recorder.until("request_wait_started", 2)
            if place == "granted":
                await opened.leave(block)
                opened.recorder.wait_for("request_lease_acquired", 2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            if place == "in line":
                await opened.leave(block)
            async with opened.gate.request("acme/fast"):
                pass

    run(main())


def test_a_stream_that_is_left_early_or_dropped_gives_its_place_back(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened, client_of(opened, Pieces(OF_OPENAI)) as http:
            request = http.build_request("POST", "http://acme.test/v1/chat/completions", json={"model": "fast"})
            async with http.stream("POST", request.url, json={"model": "fast"}) as answer:
                assert answer.status_code == 200
            dropped = await http.send(request, stream=True)
            del dropped, answer
            async with opened.gate.request("acme/fast"):
                pass
        assert opened.recorder.outcomes == ["local_cancelled", "local_cancelled", "success"]

    asyncio.run(main())


@pytest.mark.parametrize("way", ["the gate is closed", "its loop is closed"])
def test_a_body_that_nobody_ends_gives_its_place_back(open_gate_sync: Any, way: str) -> None:
    with open_gate_sync() as opened:
        kept: list[Any] = []

        async def main() -> None:
            inner = httpx2.MockTransport(Fake(Pieces(OF_OPENAI)))
            http = httpx2.AsyncClient(transport=opened.gate.for_asyncio.transport(inner, provider="acme"))
            request = http.build_request("POST", "http://acme.test/v1/chat/completions", json={"model": "fast"})
            kept.append((http, await http.send(request, stream=True)))

        asyncio.run(main())
        if way == "its loop is closed":
            with opened.gate.request("acme/fast"):
                pass
    assert opened.recorder.outcomes[0] == "local_cancelled"


def test_a_synchronous_sdk_is_admitted_in_plain_threads(open_gate_sync: Any) -> None:
    with open_gate_sync(cap=2) as opened, ThreadPoolExecutor(4) as pool:
        inner = httpx2.MockTransport(Fake(CHAT))
        with httpx2.Client(transport=opened.gate.transport(inner, provider="acme")) as http:
            client = openai.OpenAI(base_url="http://acme.test/v1", api_key="none", http_client=http, max_retries=0)

            def ask(number: int) -> str | None:
                return client.chat.completions.create(model="fast", messages=MESSAGES).choices[0].message.content

            assert set(pool.map(ask, range(10))) == {"It is."}
        with httpx2.Client(
            transport=opened.gate.transport(httpx2.MockTransport(Fake(Pieces(OF_OPENAI))), provider="acme")
        ) as http:
            client = openai.OpenAI(base_url="http://acme.test/v1", api_key="none", http_client=http, max_retries=0)
            stream = client.chat.completions.create(model="fast", messages=MESSAGES, stream=True)
            assert "".join(piece.choices[0].delta.content or "" for piece in stream) == "It is."
    assert opened.recorder.most_in_flight <= 2
    assert opened.recorder.outcomes == ["success"] * 11


def test_a_synchronous_transport_never_blocks_an_event_loop(open_gate_sync: Any) -> None:
    with open_gate_sync() as opened:
        http = httpx2.Client(transport=opened.gate.transport(httpx2.MockTransport(Fake(CHAT)), provider="acme"))

        async def main() -> None:
            with pytest.raises(RuntimeError, match="this would block the event loop"):
                http.get("http://acme.test/")

        asyncio.run(main())

"""The mock provider as a server: how it starts, ends, reports and fails."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
import trio
from openai.types.chat import ChatCompletionUserMessageParam

from penstock import ConfigError
from penstock.testing import Latency, ProviderLimits
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
async def plain(provider: MockProvider) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=provider.url, timeout=None) as http:
        yield http


async def seen(provider: MockProvider, holds: Callable[[MockReport], bool]) -> MockReport:
    """Waits for what the provider sees; that it never sees it is a failure, not a hang."""
    with trio.fail_after(30):
        return await provider.until(holds)


def chat_body(**more: object) -> dict[str, object]:
    return {"model": "m", "messages": [QUESTION], **more}


async def test_the_report_over_http_is_the_one_in_process() -> None:
    async with serve(one_model()) as provider, plain(provider) as http:
        await http.post("/v1/chat/completions", json=chat_body(), headers={"authorization": "Bearer secret-key"})
        answer = await http.get("/mock/report")
        in_process = provider.report()
    model = answer.json()["models"]["m"]
    assert model["total"] == {
        "arrived": 1,
        "granted": 1,
        "completed": 1,
        "refused": 0,
        "errors": 0,
        "hung": 0,
        "abandoned": 0,
        "tokens": 16,
    }
    assert list(model["by_key"]) == list(in_process.models["m"].by_key)
    assert "secret-key" not in answer.text


async def test_the_block_ends_at_once_whatever_is_still_running() -> None:
    async with trio.open_nursery() as nursery:
        with trio.fail_after(5):
            async with serve(one_model(limits={"latency": NEVER_DUE})) as provider:

                async def cut_off() -> None:
                    async with plain(provider) as http:
                        with pytest.raises(httpx2.HTTPError):
                            await http.post("/v1/chat/completions", json=chat_body())

                nursery.start_soon(cut_off)
                await seen(provider, lambda report: report.granted == 1)


async def test_the_block_ends_at_once_though_a_client_has_stopped_reading() -> None:
    body = json.dumps({"model": "m", "input": ["some words"] * 2048, "dimensions": 1024}).encode()
    with trio.fail_after(30):
        async with serve(one_model()) as provider:
            stream = await trio.open_tcp_stream("127.0.0.1", provider.port)
            head = f"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
            await stream.send_all(head.encode() + body)
            received = 0
            while received < 100_000:  # so it is in the middle of sending far more than the sockets hold
                received += len(await stream.receive_some())
    await stream.aclose()


async def test_what_the_block_raises_leaves_as_it_is() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with serve(one_model()):
            raise KeyError("mine")


async def test_a_cancelled_block_is_cancelled() -> None:
    with trio.CancelScope() as scope:
        async with serve(one_model()):
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_nothing_listens_any_more_after_the_block() -> None:
    async with serve(one_model()) as provider:
        pass
    with pytest.raises(OSError, match="all attempts to connect"):
        await trio.open_tcp_stream("127.0.0.1", provider.port)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "example.org", ""])
async def test_only_loopback_is_served(host: str) -> None:
    with pytest.raises(ConfigError, match="loopback addresses only"):
        async with serve(one_model(), host=host):
            pass


async def test_a_taken_port_is_an_oserror() -> None:
    async with serve(one_model()) as provider:
        with pytest.raises(OSError, match="in use"):
            async with serve(one_model(), port=provider.port):
                pass


async def test_two_servers_run_side_by_side() -> None:
    async with serve(one_model()) as one, serve(one_model(), host="localhost") as other, plain(other) as http:
        await http.post("/v1/chat/completions", json=chat_body())
        assert (one.report().granted, other.report().granted) == (0, 1)


QUIET = """
import trio, httpx2, penstock_mockprovider as mock
from penstock.testing import Latency, ProviderLimits
config = mock.MockProviderConfig(models={"m": ProviderLimits(slots=1, latency=Latency(3600.0))})
async def ask(provider):
    async with httpx2.AsyncClient(base_url=provider.base_url) as http:
        try:
            await http.post("/chat/completions", json={"model": "m", "messages": [{"role": "user",
            "content": "x"}]})
        except httpx2.HTTPError:
            pass
async def main():
    async with trio.open_nursery() as nursery:
        async with mock.serve(config) as provider:
            nursery.start_soon(ask, provider)
            await provider.until(lambda report: report.granted == 1)
trio.run(main)
"""


async def test_a_whole_life_with_a_call_cut_off_prints_nothing_and_warns_of_nothing() -> None:
    finished = await trio.run_process(
        [sys.executable, "-X", "dev", "-W", "error", "-c", QUIET],
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, b"", b"")


class Heard(logging.Handler):
    """Sets `event` at the first record."""

    def __init__(self) -> None:
        super().__init__()
        self.event = trio.Event()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.event.set()


async def test_errors_of_the_application_are_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("a bug")

    heard = Heard()
    logger = logging.getLogger("penstock_mockprovider")
    monkeypatch.setattr("penstock_mockprovider.wire.ChatCall.body", broken)
    monkeypatch.setattr(logger, "propagate", False)
    logger.addHandler(heard)
    try:
        async with serve(one_model()) as provider, plain(provider) as http:
            answer = await http.post("/v1/chat/completions", json=chat_body())
            await heard.event.wait()
            report = provider.report()
    finally:
        logger.removeHandler(heard)
    assert answer.status_code == 500
    assert [record.levelno for record in heard.records] == [logging.ERROR]
    assert report.models["m"].in_flight == 0

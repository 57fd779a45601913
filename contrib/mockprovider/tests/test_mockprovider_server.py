"""The mock provider as a server: how it starts, ends, reports and fails."""

from __future__ import annotations

import errno
import json
import logging
import sys
from typing import Any

import httpx2
import pytest
import trio

from penstock import ConfigError

pytestmark = pytest.mark.loopback


async def test_the_report_over_http_is_the_one_in_process(served: Any, call: Any) -> None:
    async with served() as mock:
        await mock.http.post("/v1/chat/completions", json=call, headers={"authorization": "Bearer secret-key"})
        answer = await mock.http.get("/mock/report")
        in_process = mock.provider.report()
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


async def test_the_block_ends_at_once_whatever_is_still_running(served: Any, never_due: Any, call: Any) -> None:
    async with httpx2.AsyncClient(timeout=None) as http, trio.open_nursery() as nursery:
        with trio.fail_after(60):
            async with served(latency=never_due) as mock:

                async def cut_off() -> None:
                    with pytest.raises(httpx2.HTTPError):
                        await http.post(f"{mock.provider.base_url}/chat/completions", json=call)

                nursery.start_soon(cut_off)
                await mock.until_reported(lambda report: report.granted == 1)


async def test_the_block_ends_at_once_though_a_client_has_stopped_reading(served: Any) -> None:
    body = json.dumps({"model": "m", "input": ["some words"] * 2048, "dimensions": 1024}).encode()
    with trio.fail_after(60):
        async with served() as mock:
            stream = await trio.open_tcp_stream("127.0.0.1", mock.provider.port)
            head = f"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
            await stream.send_all(head.encode() + body)
            received = 0
            while received < 100_000:  # so it is in the middle of sending far more than the sockets hold
                received += len(await stream.receive_some())
    await stream.aclose()


async def test_what_the_block_raises_leaves_as_it_is(served: Any) -> None:
    mine = KeyError("mine")
    with pytest.raises(KeyError) as caught:
        async with served():
            raise mine
    assert caught.value is mine


async def test_a_cancelled_block_is_cancelled(served: Any) -> None:
    with trio.CancelScope() as scope:
        async with served():
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_nothing_listens_any_more_after_the_block(served: Any) -> None:
    async with served() as mock:
        pass
    with pytest.raises(OSError, match="all attempts to connect"):
        await trio.open_tcp_stream("127.0.0.1", mock.provider.port)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "example.org", ""])
async def test_only_loopback_is_served(served: Any, host: str) -> None:
    with pytest.raises(ConfigError, match="loopback addresses only"):
        async with served(host=host):
            pass


async def test_a_taken_port_is_an_oserror(served: Any) -> None:
    async with served() as mock:
        with pytest.raises(OSError) as caught:  # noqa: PT011 - its number says which
            async with served(port=mock.provider.port):
                pass
        assert caught.value.errno == errno.EADDRINUSE


async def test_two_servers_run_side_by_side(served: Any) -> None:
    async with served() as one, served(host="localhost") as other:
        await other.post()
        assert (one.provider.report().granted, other.provider.report().granted) == (0, 1)


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


class FirstRecord(logging.Handler):
    """Sets `event` at the first record."""

    def __init__(self) -> None:
        super().__init__()
        self.event = trio.Event()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.event.set()


async def test_errors_of_the_application_are_logged(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("a bug")

    logged = FirstRecord()
    logger = logging.getLogger("penstock_mockprovider")
    monkeypatch.setattr("penstock_mockprovider.wire.ChatCall.body", broken)
    monkeypatch.setattr(logger, "propagate", False)
    logger.addHandler(logged)
    try:
        async with served() as mock:
            answer = await mock.post()
            await logged.event.wait()
            report = mock.provider.report()
    finally:
        logger.removeHandler(logged)
    assert answer.status_code == 500
    assert [record.levelno for record in logged.records] == [logging.ERROR]
    assert report.models["m"].in_flight == 0

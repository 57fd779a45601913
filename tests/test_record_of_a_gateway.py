"""What a gateway did is told afterwards from its record of events, by keys and models."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import trio

from penstock_batch.report.commands import record_command
from penstock_gateway import load_gateway, open_gateway
from penstock_wire import WireClient

CONFIG = """
[gateway]
port = 0
log = ""
[gateway.keys.search]
env = "SEARCH_KEY"
[plugins]
sinks = ["jsonl"]
[plugins.jsonl]
path = "EVENTS"
[providers.mock]
kind = "mock"
[providers.mock.models.small]
max_parallel_requests = 2
"""
KEY = "a-key-that-is-long-enough-for-a-gateway"


@pytest.mark.loopback
async def test_a_gateway_is_told_from_its_record(tmp_path: Path) -> None:
    record, output, path = tmp_path / "events.jsonl", tmp_path / "report.html", tmp_path / "gateway.toml"
    path.write_text(CONFIG.replace("EVENTS", str(record)), encoding="utf-8")
    environment = {"SEARCH_KEY": KEY}

    async def ask(client: WireClient) -> None:
        headers = [("authorization", f"Bearer {KEY}"), ("content-type", "application/json")]
        body = b'{"model": "small", "messages": [{"role": "user", "content": "Hello"}]}'
        async with client.call("POST", "/chat/completions", body, headers) as answer:
            async for _ in answer:
                pass

    async with (
        open_gateway(load_gateway(path, environment), environment) as gateway,
        WireClient(gateway.url) as client,
        trio.open_nursery() as nursery,
    ):
        for _ in range(5):
            nursery.start_soon(ask, client)
    assert record_command([record], output, run=None) == 0
    page = output.read_text(encoding="utf-8")
    assert re.search(r'<table id="models">.*?<td>mock/small/chat</td><td class="n">5</td>', page, re.DOTALL)
    assert re.search(r'<table id="tenants">.*?<td>search</td><td class="n">5</td>', page, re.DOTALL)
    assert "Ended after" in page

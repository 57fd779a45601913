"""A program and a gateway at work, and what they did: the true figures that a Prometheus is held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import trio
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, start_http_server

import penstock
from penstock import RequestAdmissionError, ResponseFacts, Usage
from penstock_gateway import Gateway, load_gateway, open_gateway
from penstock_otel import OtelConfig, OtelPlugin
from penstock_wire import WireClient

TENANTS = ("acme", "umbrella", "nobody-listed")
KEY = "a-key-that-is-long-enough-for-a-gateway"
PRICE = {"input": 1000.0, "output": 4000.0}

CONFIG: dict[str, Any] = {
    "scheduler": {"submission_capacity": 12},
    "plugins": {"request_limiters": ["aimd"], "trace": 1.0},
    "providers": {"openai": {"models": {"small": {"model": "gpt-x", "max_parallel_requests": 4, "price": PRICE}}}},
}

GATEWAY = """
[gateway]
port = 0
log = ""
ledger = "ledger.sqlite"
[gateway.admin]
port = 0
[gateway.keys.search]
env = "SEARCH_KEY"
spend_per_day = 100.0
[plugins]
request_limiters = []
[providers.mock]
kind = "mock"
[providers.mock.models.small]
max_parallel_requests = 4
price = { input = 1000.0, output = 4000.0 }
[providers.mock.models.slow]
price = { input = 1.0, output = 1.0 }
max_parallel_requests = 1
[providers.mock.options.models.small]
slots = 2
latency = { mean = 0.05 }
retry_after = 0.05
[providers.mock.options.models.slow]
latency = { mean = 3600.0 }
"""


@attrs.define(eq=False)
class Truth:
    """What the program did, counted where it was done."""

    outcomes: Counter[str] = attrs.field(factory=Counter)
    tokens: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    waits: list[float] = attrs.field(factory=list)

    @property
    def cost(self) -> dict[str, float]:
        """By tenant."""
        found: Counter[str] = Counter()
        for (tenant, direction), count in self.tokens.items():
            found[tenant] += count * PRICE[direction] / 1e6  # type: ignore[assignment] # money
        return dict(found)


@attrs.frozen
class AtWork:
    """The program's scheduler with its truth, the gateway, and where both are scraped."""

    scheduler: penstock.Scheduler
    gateway: Gateway
    truth: Truth
    targets: dict[str, str]


async def call(truth: Truth, number: int, until: trio.Event | None = None) -> None:
    """A call of the program; of five one gets a 429."""
    tenant, began = TENANTS[number % 3], trio.current_time()
    async with penstock.request("openai/small", group=tenant) as attempt:
        truth.waits.append(trio.current_time() - began)
        await (trio.sleep(0.02) if until is None else until.wait())
        status, used = (429, None) if number % 5 == 0 else (200, Usage(100 + number, 10))
        attempt.answered(ResponseFacts(status=status), used)
    truth.outcomes["rate_limited" if status == 429 else "success"] += 1
    if used is not None:
        shown = tenant if tenant in TENANTS[:2] else "other"
        truth.tokens.update({(shown, "input"): 100 + number, (shown, "output"): 10})


async def call_in_vain(work: AtWork) -> None:
    """A call that gets no lease: it may not wait."""
    while not work.scheduler.figures().calls or not work.scheduler.figures().calls[0].waiting:
        await trio.lowlevel.checkpoint()
    with suppress(RequestAdmissionError):
        async with penstock.request("openai/small", group=TENANTS[0], timeout=0):
            await trio.sleep(0.02)
            work.truth.outcomes["success"] += 1


async def ask_the_gateway(client: WireClient, model: str, key: str = KEY) -> int:
    """The status of an answer of the gateway."""
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello there"}}]}}'.encode()
    headers = [("authorization", f"Bearer {key}"), ("content-type", "application/json")]
    async with client.call("POST", "/chat/completions", body, headers) as answer:
        async for _ in answer:
            pass
        return answer.status


async def some_work(work: AtWork, client: WireClient, first: int) -> None:
    """What a second brings: calls of the program, more than there are places, and of the gateway's clients."""
    for number in range(first, first + 15):
        work.scheduler.start_soon(partial(call, work.truth, number), group="column")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call_in_vain, work)
        for _ in range(8):
            nursery.start_soon(ask_the_gateway, client, "small")
        nursery.start_soon(ask_the_gateway, client, "unheard-of")


@asynccontextmanager
async def open_work(folder: Path) -> AsyncIterator[AtWork]:
    """A program under a Prometheus exporter, and a gateway, on loopback."""
    registry = CollectorRegistry()
    provider = MeterProvider([PrometheusMetricReader(registry=registry)], shutdown_on_exit=False)
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    path = folder / "gateway.toml"
    path.write_text(GATEWAY.replace("ledger.sqlite", str(folder / "ledger.sqlite")), encoding="utf-8")
    environment = {"SEARCH_KEY": KEY}
    plugin = OtelPlugin(OtelConfig(groups=["acme", "umbrella", "column"]), provider)
    try:
        async with (
            open_gateway(load_gateway(path, environment), environment) as gateway,
            penstock.open_scheduler(CONFIG, plugins=[plugin]) as scheduler,
        ):
            address = gateway.admin_url.removeprefix("http://").partition("/")[0]
            targets = {"penstock-run": f"127.0.0.1:{server.server_port}", "penstock": address}
            yield AtWork(scheduler, gateway, Truth(), targets)
    finally:
        await trio.to_thread.run_sync(provider.shutdown)
        server.shutdown()
        server.server_close()
        thread.join()

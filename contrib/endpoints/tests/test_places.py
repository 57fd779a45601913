"""A run over several endpoints: calls are spread by their limits, and none waits beside a free place."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

import penstock
from penstock import ConfigError, Scheduler
from penstock_endpoints import EndpointConfig, EndpointModelConfig, Endpoints, Expanded, expand

SIZES = {"small": 2, "middle": 6, "large": 12}
PLACES = {
    "acme": {
        name: EndpointConfig(models={"m": EndpointModelConfig(max_parallel_requests=size)})
        for name, size in SIZES.items()
    }
}


@pytest.fixture
def expanded(tmp_path: Path) -> Expanded:
    """A configuration without limiters, so that the caps are the limits from the beginning."""
    file = tmp_path / "penstock.toml"
    file.write_text(
        "[providers.acme.models.m]\nmax_parallel_requests = 64\n[plugins]\nrequest_limiters = []\n",
        encoding="utf-8",
    )
    return expand(penstock.load_config(file).config, PLACES)


@pytest.fixture
async def scheduler(expanded: Expanded) -> AsyncIterator[Scheduler]:
    async with penstock.open_scheduler(expanded.config) as scheduler:
        yield scheduler


@pytest.fixture
def endpoints(scheduler: Scheduler, expanded: Expanded) -> Endpoints:
    return Endpoints(expanded.places, scheduler.requests)


class Provider:
    """The places of each endpoint, a time per call, and the most calls that were at one at a time."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds = seconds
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.served: Counter[str] = Counter()

    async def call(self, attempt: penstock.Attempt) -> None:
        at = attempt.lease.item.resource.provider_name.partition("@")[2]
        self.now[at] += 1
        self.most[at] = max(self.most[at], self.now[at])
        await trio.sleep(self.seconds[at])
        self.now[at] -= 1
        self.served[at] += 1


async def test_a_crowd_fills_all_endpoints_and_the_fast_one_serves_more(
    endpoints: Endpoints, autojump_clock: MockClock
) -> None:
    provider = Provider({"small": 0.1, "middle": 1.0, "large": 1.0})
    started = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(380):
            nursery.start_soon(penstock.execute, provider.call, endpoints.of("acme/m"))
    assert provider.most == SIZES
    # 20 + 6 + 12 calls a second: ten seconds, and the last call of each endpoint, one after the other at worst.
    assert 10.0 <= trio.current_time() - started <= 10.0 + sum(provider.seconds.values())
    assert provider.served["small"] == pytest.approx(200, abs=20)


async def test_calls_that_come_one_by_one_are_spread(endpoints: Endpoints, autojump_clock: MockClock) -> None:
    provider = Provider(dict.fromkeys(SIZES, 0.1))
    for _ in range(40):
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(penstock.execute, provider.call, endpoints.of("acme/m"))
    assert provider.served == {"small": 40, "middle": 120, "large": 240}


async def test_equals_take_turns_call_by_call(scheduler: Scheduler, autojump_clock: MockClock) -> None:
    several = Endpoints({"acme/m": ["acme@middle/m", "acme@large/m"]}, scheduler.requests)
    for name in ("middle", "large"):
        scheduler.requests.register(f"acme@{name}", "m", cap=8)
    provider = Provider(dict.fromkeys(SIZES, 0.1))
    for _ in range(20):
        await penstock.execute(provider.call, several.of("acme/m"))
    assert provider.served == {"middle": 10, "large": 10}


async def test_a_model_without_endpoints_is_told(endpoints: Endpoints, autojump_clock: MockClock) -> None:
    with pytest.raises(ConfigError, match="did you mean 'acme/m'"):
        endpoints.of("acme/n")

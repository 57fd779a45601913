"""Mock providers on loopback with one model, and the clients that call them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx2
import openai
import pytest
import trio

from penstock.testing import Latency, ModelReport, ProviderLimits
from penstock_mockprovider import MockProvider, MockProviderConfig, MockReport, serve

CALL: Any = {"model": "m", "messages": [{"role": "user", "content": "A penstock is a gate. It lets water in."}]}


@attrs.frozen
class Served:
    """A mock provider that serves the model `m`, a plain client of it, and the openai SDK."""

    provider: MockProvider
    http: httpx2.AsyncClient
    sdk: openai.AsyncOpenAI

    async def post(self, **more: object) -> httpx2.Response:
        """A chat call of the plain client; `more` goes into its body, and what is `None` there is left out."""
        body = {name: value for name, value in (CALL | more).items() if value is not None}
        return await self.http.post("/v1/chat/completions", json=body)

    async def ask(self, **more: Any) -> Any:
        """A chat call of the SDK."""
        return await self.sdk.chat.completions.create(**CALL | more)

    async def until(self, holds: Callable[[ModelReport], bool]) -> ModelReport:
        """Waits for what the provider sees of `m`; that it never sees it is a failure, not a hang."""
        report = await self.until_reported(lambda report: holds(report.models["m"]))
        return report.models["m"]

    async def until_reported(self, holds: Callable[[MockReport], bool]) -> MockReport:
        """Waits for what the provider sees over all."""
        with trio.fail_after(60):
            return await self.provider.until(holds)


@pytest.fixture
def served() -> Callable[..., AbstractAsyncContextManager[Served]]:
    """Serves `m` with these limits, and answers at once unless they say otherwise."""

    @asynccontextmanager
    async def opened(
        *, config: dict[str, Any] | None = None, key: str = "any", host: str = "127.0.0.1", port: int = 0, **limits: Any
    ) -> AsyncIterator[Served]:
        models = {"m": ProviderLimits(**{"latency": Latency(mean=0.0), **limits})}
        async with (
            serve(MockProviderConfig(models=models, **config or {}), host=host, port=port) as provider,
            httpx2.AsyncClient(base_url=provider.url, timeout=None) as http,
        ):
            sdk = openai.AsyncOpenAI(base_url=provider.base_url, api_key=key, http_client=http, max_retries=0)
            yield Served(provider, http, sdk)

    return opened


@pytest.fixture
def call() -> Any:
    """The body of the chat call that all tests make."""
    return CALL


@pytest.fixture
def never_due() -> Latency:
    """The latency of answers that no test waits for."""
    return Latency(mean=86_400.0, sigma=0.0)


@pytest.fixture
def readme_example() -> str:
    """The Python example of the README."""
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    found = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert found is not None
    return found[1]

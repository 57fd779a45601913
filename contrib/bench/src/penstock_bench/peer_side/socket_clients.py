"""Other ways to keep within a provider's limits, over real sockets. Run as a program of its own, in an environment that
has their libraries: one job as JSON on the standard input, and its result as JSON on the standard output.

Each is used as its own documentation shows. All have the same cap on calls at a time, and all try again until the call
succeeds. None of them knows tenants.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

__all__ = ["main"]

Call = Callable[[], Awaitable[None]]
NEVER_GIVEN_UP = 1000
MESSAGES: Any = [{"role": "user", "content": "A penstock is a gate. It lets water in."}]


async def whole(job: dict[str, Any]) -> dict[str, Any]:
    """Make all calls, and log when each succeeded; broken off after `seconds`."""
    done: list[tuple[float, str]] = []
    async with AsyncExitStack() as stack:
        call = await CONTENDERS[job["contender"]](job, stack)
        started = time.perf_counter()

        async def one(tenant: str) -> None:
            await call()
            done.append((time.perf_counter() - started, tenant))

        calls = [one(tenant) for tenant, times in job["tenants"].items() for _ in range(times)]
        try:
            await asyncio.wait_for(asyncio.gather(*calls), job["seconds"])
        except TimeoutError:
            return {"done": done, "complete": False}
    return {"done": done, "complete": True}


async def _sdk(job: dict[str, Any], stack: AsyncExitStack, max_retries: int) -> Any:
    import openai

    client = openai.AsyncOpenAI(base_url=job["base_url"], api_key="none", max_retries=max_retries)
    return await stack.enter_async_context(client)


async def _patient(once: Call) -> None:
    import openai
    import tenacity

    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(openai.RateLimitError),
        wait=tenacity.wait_random_exponential(multiplier=0.5, max=10),
    )
    await retrying(once)


async def sdk_retries(job: dict[str, Any], stack: AsyncExitStack) -> Call:
    """A semaphore, and the retries that the openai SDK brings."""
    client = await _sdk(job, stack, NEVER_GIVEN_UP)
    places = asyncio.Semaphore(job["cap"])

    async def call() -> None:
        async with places:
            await client.chat.completions.create(model=job["model"], messages=MESSAGES)

    return call


async def semaphore_and_tenacity(job: dict[str, Any], stack: AsyncExitStack) -> Call:
    """A semaphore, and tenacity's random exponential back-off."""
    client = await _sdk(job, stack, 0)
    places = asyncio.Semaphore(job["cap"])

    async def once() -> None:
        await client.chat.completions.create(model=job["model"], messages=MESSAGES)

    async def call() -> None:
        async with places:
            await _patient(once)

    return call


async def limiter(job: dict[str, Any], stack: AsyncExitStack) -> Call:
    """aiolimiter with the provider's true rate, before each attempt; the same semaphore and tenacity around it."""
    import aiolimiter

    client = await _sdk(job, stack, 0)
    places = asyncio.Semaphore(job["cap"])
    pace = aiolimiter.AsyncLimiter(job["rate"], 1.0)

    async def once() -> None:
        async with pace:
            await client.chat.completions.create(model=job["model"], messages=MESSAGES)

    async def call() -> None:
        async with places:
            await _patient(once)

    return call


async def peer(job: dict[str, Any], stack: AsyncExitStack) -> Call:
    """The peer's controller with its defaults, around plain httpx calls: its environment has no SDK."""
    import httpx
    from data_designer.engine.models.request_admission.controller import AdaptiveRequestAdmissionController
    from data_designer.engine.models.request_admission.outcomes import RequestReleaseOutcome
    from data_designer.engine.models.request_admission.resources import (
        RequestAdmissionItem,
        RequestDomain,
        RequestGroupSpec,
        RequestResourceKey,
    )

    client = await stack.enter_async_context(httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=100)))
    resource = RequestResourceKey("mock", job["model"], RequestDomain.CHAT)
    gate = AdaptiveRequestAdmissionController()
    gate.register(provider_name="mock", model_id=job["model"], alias=job["model"], max_parallel_requests=job["cap"])
    item = RequestAdmissionItem(resource, RequestGroupSpec(resource), queue_wait_timeout_seconds=2 * job["seconds"])
    body = {"model": job["model"], "messages": MESSAGES}

    async def call() -> None:
        while True:
            lease = await gate.acquire_async(item)
            answer = await client.post(f"{job['base_url']}/chat/completions", json=body)
            if answer.status_code != 429:
                gate.release(lease, RequestReleaseOutcome(kind="success"))
                answer.raise_for_status()
                return
            said = answer.headers.get("retry-after")
            wait = None if said is None else float(said)
            gate.release(lease, RequestReleaseOutcome(kind="rate_limited", retry_after_seconds=wait))

    return call


CONTENDERS: dict[str, Callable[[dict[str, Any], AsyncExitStack], Awaitable[Call]]] = {
    "openai": sdk_retries,
    "tenacity": semaphore_and_tenacity,
    "aiolimiter": limiter,
    "peer": peer,
}


def main() -> None:
    """One job from the standard input."""
    print(json.dumps(asyncio.run(whole(json.load(sys.stdin)))))


if __name__ == "__main__":
    main()

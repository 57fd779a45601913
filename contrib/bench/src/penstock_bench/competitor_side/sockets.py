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


async def run_job(job: dict[str, Any]) -> dict[str, Any]:
    """All calls, with the time at which each succeeded; broken off after `seconds`."""
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


async def sdk_retries(job: dict[str, Any], stack: AsyncExitStack) -> Call:
    """A semaphore, and the retries that the openai SDK brings."""
    once = await _sdk_call(job, stack, max_retries=NEVER_GIVEN_UP)
    return _at_most(job["cap"], once)


async def semaphore_and_tenacity(job: dict[str, Any], stack: AsyncExitStack) -> Call:
    """A semaphore, and tenacity's random exponential back-off."""
    once = await _sdk_call(job, stack, max_retries=0)
    return _at_most(job["cap"], _with_tenacity(once))


async def limiter(job: dict[str, Any], stack: AsyncExitStack) -> Call:
    """aiolimiter with the provider's true rate, before each attempt; the same semaphore and tenacity around it."""
    import aiolimiter

    once = await _sdk_call(job, stack, max_retries=0)
    pace = aiolimiter.AsyncLimiter(job["rate"], 1.0)

    async def paced() -> None:
        async with pace:
            await once()

    return _at_most(job["cap"], _with_tenacity(paced))


async def adaptive_connections(job: dict[str, Any], stack: AsyncExitStack) -> Call:
    """inspect_ai's model with adaptive connections of at most the cap, at its own pace of retries."""
    from inspect_ai.model import GenerateConfig, get_model
    from inspect_ai.util import AdaptiveConcurrency

    bounds = AdaptiveConcurrency(min=1, max=job["cap"])  # it never goes below 10 unless told to
    model = await stack.enter_async_context(
        get_model(
            f"openai-api/mock/{job['model']}",
            base_url=job["base_url"],
            api_key="none",
            config=GenerateConfig(adaptive_connections=bounds),
        )
    )

    async def call() -> None:
        await model.generate(MESSAGES[0]["content"])

    await call()  # with its first call it loads half of itself, which takes a second or two
    return call


async def _sdk_call(job: dict[str, Any], stack: AsyncExitStack, max_retries: int) -> Call:
    import openai

    sdk = openai.AsyncOpenAI(base_url=job["base_url"], api_key="none", max_retries=max_retries)
    client = await stack.enter_async_context(sdk)

    async def call() -> None:
        await client.chat.completions.create(model=job["model"], messages=MESSAGES)

    return call


def _at_most(cap: int, inner: Call) -> Call:
    places = asyncio.Semaphore(cap)

    async def call() -> None:
        async with places:
            await inner()

    return call


def _with_tenacity(once: Call) -> Call:
    import openai
    import tenacity

    async def call() -> None:
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(openai.RateLimitError),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=10),
        )
        await retrying(once)

    return call


async def closest_competitor(job: dict[str, Any], stack: AsyncExitStack) -> Call:
    """The closest competitor's controller with its defaults, around plain httpx calls: its environment has no SDK."""
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
    "inspect_ai": adaptive_connections,
    "peer": closest_competitor,
}


def main() -> None:
    """One job from the standard input."""
    print(json.dumps(asyncio.run(run_job(json.load(sys.stdin)))))


if __name__ == "__main__":
    main()

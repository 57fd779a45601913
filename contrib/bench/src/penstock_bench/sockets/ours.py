"""Penstock over real sockets: the openai SDK through the transport. Run as `python -m penstock_bench.sockets.ours`, by
the same rules as the others: one job as JSON on the standard input, and its result as JSON on the standard output.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import attrs
import httpx2
import openai
import trio
import trio.testing

import penstock
from penstock_bench.competitor_side.sockets import MESSAGES
from penstock_httpx import AdmissionTransport, RequestDescription, describe_openai

__all__ = ["main"]

_TENANT = "x-tenant"


def _described(request: httpx2.Request) -> RequestDescription:
    return attrs.evolve(describe_openai(request, "mock"), group=request.headers[_TENANT])


async def run_job(job: dict[str, Any]) -> dict[str, Any]:
    """All calls, with the time at which each succeeded; broken off after `seconds`."""
    done: list[tuple[float, str]] = []
    config = {
        "plugins": {"sinks": [], "request_limiters": ["cooldown", "aimd", "token-budget"]},
        "providers": {"mock": {"models": {job["model"]: {"max_parallel_requests": job["cap"]}}}},
    }
    async with (
        penstock.open_scheduler(config) as scheduler,
        httpx2.AsyncClient(transport=AdmissionTransport(describe=_described)) as http,
    ):
        client = openai.AsyncOpenAI(base_url=job["base_url"], api_key="none", http_client=http, max_retries=0)
        started = trio.current_time()

        async def one(tenant: str) -> None:
            while True:  # the gate holds the next attempt back for as long as the provider wants
                try:
                    await client.chat.completions.create(
                        model=job["model"], messages=MESSAGES, extra_headers={_TENANT: tenant}
                    )
                except openai.RateLimitError:
                    continue
                done.append((trio.current_time() - started, tenant))
                return

        with trio.move_on_after(job["seconds"]) as scope:
            async with trio.open_nursery() as nursery:
                for tenant, times in job["tenants"].items():
                    for _ in range(times):
                        nursery.start_soon(one, tenant)
                    await trio.testing.wait_all_tasks_blocked()  # trio starts tasks in any order; tenants come in turn
    assert scheduler.report is not None
    issued, returned = scheduler.report.request_leases
    return {"done": done, "complete": not scope.cancelled_caught, "leases_left": issued - returned}


def main() -> None:
    """One job from the standard input."""
    print(json.dumps(trio.run(run_job, json.load(sys.stdin))))


if __name__ == "__main__":
    main()

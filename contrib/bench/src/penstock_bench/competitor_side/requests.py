"""The competitor's request admission: acquire and release, alone and against others."""

from __future__ import annotations

import asyncio
from typing import Any

from data_designer.engine.models.request_admission.controller import AdaptiveRequestAdmissionController
from data_designer.engine.models.request_admission.outcomes import RequestReleaseOutcome
from data_designer.engine.models.request_admission.resources import (
    RequestAdmissionItem,
    RequestDomain,
    RequestGroupSpec,
    RequestResourceKey,
)

from penstock_bench.competitor_side.progress import Progress

__all__ = ["contended", "request_gate", "try_uncontended", "uncontended"]

SUCCESS = RequestReleaseOutcome(kind="success")


def uncontended(progress: Progress, *, cycles: int, cap: int) -> None:
    """Acquire and release again and again; a unit is one such pair."""
    controller, item = request_gate(cap)

    async def run() -> None:
        progress.begin()
        for _ in range(cycles):
            lease = await controller.acquire_async(item)
            controller.release(lease, SUCCESS)
            progress.units += 1

    asyncio.run(run())


def try_uncontended(progress: Progress, *, cycles: int, cap: int) -> None:
    """The same without waiting."""
    controller, item = request_gate(cap)
    progress.begin()
    for _ in range(cycles):
        controller.release(controller.try_acquire(item), SUCCESS)
        progress.units += 1


def contended(progress: Progress, *, tasks: int, each: int, cap: int) -> None:
    """`tasks` tasks acquire `each` times, and let others run while they hold the lease; a unit is one acquisition."""
    controller, item = request_gate(cap)

    async def caller() -> None:
        for _ in range(each):
            lease = await controller.acquire_async(item)
            await asyncio.sleep(0)
            if not progress.units:  # until now every task has asked for its first
                progress.enqueued(tasks)
            controller.release(lease, SUCCESS)
            progress.units += 1

    async def run() -> None:
        progress.begin()
        await asyncio.gather(*(caller() for _ in range(tasks)))

    asyncio.run(run())


def request_gate(cap: int) -> tuple[Any, Any]:
    """A controller with one model of this cap, and what to ask it for."""
    resource = RequestResourceKey("bench", "model", RequestDomain.CHAT)
    controller = AdaptiveRequestAdmissionController()
    controller.register(provider_name="bench", model_id="model", alias="model", max_parallel_requests=cap)
    return controller, RequestAdmissionItem(resource, RequestGroupSpec(resource))

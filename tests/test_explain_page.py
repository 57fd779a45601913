"""What `penstock explain` prints of a service with three tenants, as `docs/explain.md` has it."""

from __future__ import annotations

import tomllib
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import penstock
from penstock import RequestGroupSpec, ResponseFacts, TaskGroupSpec

PAGE = Path(__file__).parents[1] / "docs" / "explain.md"
NAME = "run-3f2a"


def blocks(language: str) -> list[str]:
    """What stands in the page in blocks of this language."""
    _, *parts = PAGE.read_text(encoding="utf-8").split(f"```{language}\n")
    return [part.partition("```")[0] for part in parts]


def rules() -> ModuleType:
    """The plugin file of the page."""
    (source,) = blocks("python")
    module = ModuleType("rules")
    exec(compile(source, "rules.py", "exec"), module.__dict__)
    return module


def for_tenant(tenant: str) -> dict[str, Any]:
    return {"group": RequestGroupSpec(tenant), "labels": {"tenant": tenant}}


async def call(name: str, tenant: str, seconds: float = 60.0, **facts: Any) -> None:
    async with penstock.request(name, **for_tenant(tenant)) as attempt:
        await trio.sleep(seconds)
        attempt.answered(ResponseFacts(**({"status": 200} | facts)))


async def failing_call(name: str, tenant: str) -> None:
    async def fail(attempt: penstock.Attempt) -> None:
        raise OSError("the connection was lost")

    await penstock.execute(fail, name, **for_tenant(tenant))


async def failing_task() -> None:
    raise OSError("the disk is full")


async def service() -> str:
    """What the service of the page tells after a minute and a half."""
    config = tomllib.loads(blocks("toml")[0])
    async with penstock.open_scheduler(config, plugins=[rules()]) as scheduler, trio.open_nursery() as calls:
        group = {name: TaskGroupSpec.named(name, weight) for name, weight in (("gold", 4), ("silver", 2), ("free", 1))}
        for tenant, tasks in (("gold", 2), ("silver", 30)):
            for _ in range(tasks):
                scheduler.start_soon(trio.sleep, 600.0, group=group[tenant], needs={"gpu": 1})
        await trio.sleep(30)
        for _ in range(40):
            scheduler.start_soon(trio.sleep, 600.0, group=group["free"])
        for tenant in ("free", "gold", "silver", "gold", "silver", "silver"):
            calls.start_soon(call, "acme/small", tenant)
            await wait_all_tasks_blocked()
        calls.start_soon(partial(call, "acme/large", "gold", 1.0, status=429, headers={"retry-after": "120"}))
        await trio.sleep(40)
        for tenant in ("gold", "silver", "silver"):
            calls.start_soon(call, "acme/large", tenant)
            await wait_all_tasks_blocked()
        scheduler.start_soon(failing_task, group=group["gold"], task_id="gold-report", retry_on=(OSError,))
        for tenant in ("gold", "silver"):
            calls.start_soon(failing_call, "bolt/base", tenant)
            await wait_all_tasks_blocked()
        await trio.sleep(0.5)
        told = scheduler.explain()
        calls.cancel_scope.cancel()
        scheduler.cancel()
    return told


def test_the_page_has_what_is_printed_of_its_service() -> None:
    told = trio.run(service, clock=MockClock(autojump_threshold=0))
    assert f"run {NAME}: {told}\n" == blocks("text")[0]

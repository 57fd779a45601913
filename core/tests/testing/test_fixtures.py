"""The fixtures for tests of plugins, used as an author uses them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import trio
import trio.testing

import penstock
from penstock import Denied, Released, hookimpl
from penstock.testing import ProviderLimits, SimulatedCalls, TaskBench, group_key, make_task

pytest_plugins = ["penstock.testing.fixtures"]


class OneOfAGroup:
    @hookimpl
    def penstock_task_eligible(self, task: Any, admission: Any) -> Denied | None:
        key = task.group.key
        return Denied("policy_denial", {Released(key)}, scope="group") if admission.running(key) else None


@pytest.fixture
def penstock_plugins() -> list[object]:
    return [OneOfAGroup()]


@pytest.fixture
def penstock_config() -> Mapping[str, Any]:
    return {"scheduler": {"submission_capacity": 4}}


@pytest.fixture
def provider_limits() -> Mapping[str, ProviderLimits]:
    return {"acme/small": ProviderLimits(slots=2), "acme/large": ProviderLimits(slots=1)}


async def test_a_run_has_the_plugins_and_goes_by_virtual_time(scheduler: penstock.Scheduler) -> None:
    began = trio.current_time()
    handles = [scheduler.start_soon(trio.sleep, 3600.0, group=group) for group in ("a", "a", "b")]
    for handle in handles:
        await handle
    assert trio.current_time() - began == 7200.0
    assert "OneOfAGroup" in scheduler.plugins.active


async def test_the_clock_is_the_one_that_a_test_may_take(
    scheduler: penstock.Scheduler, virtual_clock: trio.testing.MockClock
) -> None:
    before = trio.current_time()
    virtual_clock.jump(60.0)
    await scheduler.start_soon(trio.sleep, 5.0)
    assert trio.current_time() == virtual_clock.current_time() == before + 65.0


async def test_tasks_call_endpoints_that_refuse_what_is_too_much(
    scheduler: penstock.Scheduler, provider: SimulatedCalls
) -> None:
    for handle in provider.start(scheduler, "acme/small", 3, flow="x") + provider.start(scheduler, "acme/large", 1):
        await handle
    assert provider.done == {"acme/small": 3, "acme/large": 1}


async def test_a_call_of_the_test_itself_finds_the_run(scheduler: penstock.Scheduler) -> None:
    async with penstock.request("acme/small") as attempt:
        assert attempt.lease.item.resource.provider_name == "acme"
        await trio.sleep(1.0)
    assert scheduler.requests.leases == (1, 1)


def test_the_gate_alone_has_the_plugins_and_limits(gate: TaskBench) -> None:
    group = penstock.TaskGroupSpec(group_key("a"))
    gate.enqueue([make_task("1", group), make_task("2", group), make_task("3", penstock.TaskGroupSpec(group_key("b")))])
    assert gate.start_all() == ["1", "3"]
    assert gate.controller.view().resource_limits["submission"] == 4
    gate.release(gate.out[0])
    assert gate.start_all() == ["2"]

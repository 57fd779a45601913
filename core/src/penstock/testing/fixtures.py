"""Fixtures for tests of plugins. A test file, or the `conftest.py` at the top, asks for them by

    pytest_plugins = ["penstock.testing.fixtures"]

    `scheduler`        a run, open while the test goes on, in virtual time
    `gate`             the task gate alone, without a run: `TaskBench`
    `provider`         simulated endpoints, which the run's configuration has: `SimulatedCalls`
    `virtual_clock`    the clock of the run: time that passes at once where everybody waits

What they are made of is said by fixtures that a test file has itself, in the place of these:

    `penstock_plugins`  the plugins, as `open_scheduler` takes them; none
    `penstock_config`   tables of the configuration; none. The simulated endpoints stand beside them
    `provider_limits`   what the endpoints really allow, by `provider/model`; `acme/small` with 8 calls at a time

They need pytest-trio. A test that uses `scheduler` runs in virtual time whether it takes the clock as an argument or
not; it awaits the handles of what it starts, since the run goes on until the test is over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from penstock.config.reading import load_config
from penstock.plugins.manager import PluginManager
from penstock.run.opening import open_scheduler
from penstock.run.scheduler import Scheduler
from penstock.tasks.admission import TaskAdmissionConfig, TaskAdmissionController
from penstock.tasks.queue import FifoTaskQueue
from penstock.testing.contracts.gate_suite import raised
from penstock.testing.provider.limits import ProviderLimits
from penstock.testing.scenarios.simulated_calls import SimulatedCalls
from penstock.testing.task_bench import TaskBench

__all__ = [
    "gate",
    "penstock_config",
    "penstock_plugins",
    "provider",
    "provider_limits",
    "scheduler",
    "virtual_clock",
]

CAP = 32
"""How many calls each simulated endpoint is configured for: more than it takes, as in the world."""


@pytest.fixture
def virtual_clock() -> trio.testing.MockClock:
    """The clock of the run, which begins at 0 and jumps to the next moment when everybody waits."""
    return trio.testing.MockClock(autojump_threshold=0)


@pytest.fixture
def penstock_plugins() -> Iterable[object]:
    """The plugins that are tested."""
    return ()


@pytest.fixture
def penstock_config() -> Mapping[str, Any]:
    """The tables that are tested."""
    return {}


@pytest.fixture
def provider_limits() -> Mapping[str, ProviderLimits]:
    """What the simulated endpoints allow."""
    return {"acme/small": ProviderLimits(slots=8)}


@pytest.fixture
def provider(provider_limits: Mapping[str, ProviderLimits]) -> SimulatedCalls:
    """The simulated endpoints; `start` has tasks of the run call them."""
    return SimulatedCalls(provider_limits)


@pytest.fixture
async def scheduler(
    virtual_clock: trio.testing.MockClock,
    provider: SimulatedCalls,
    provider_limits: Mapping[str, ProviderLimits],
    penstock_config: Mapping[str, Any],
    penstock_plugins: Iterable[object],
) -> AsyncIterator[Scheduler]:
    """A run of these plugins; its end waits for all tasks, and raises what nobody has awaited."""
    simulated = provider.config(caps=dict.fromkeys(provider_limits, CAP))
    tables = {
        name: {**simulated.get(name, {}), **table} if isinstance(table, Mapping) else table
        for name, table in {**simulated, **penstock_config}.items()
    }
    async with open_scheduler(tables, plugins=penstock_plugins) as opened:
        yield opened


@pytest.fixture
def gate(penstock_config: Mapping[str, Any], penstock_plugins: Iterable[object]) -> TaskBench:
    """The task gate as a run of these plugins would have it, whose time is set by hand. What a plugin raises fails the
    test; in a run it would be refused for it."""
    config = load_config(penstock_config).config
    manager = PluginManager.from_config(config, extra=penstock_plugins)
    manager.bind(on_failure=raised)
    hooks = manager.freeze()
    limits = TaskAdmissionConfig(config.scheduler.submission_capacity, config.scheduler.resources)
    controller = TaskAdmissionController(
        limits, hooks.make_task_policies(), rule=hooks.task_eligible, on_failure=raised
    )
    return TaskBench(hooks.make_ready_queue() or FifoTaskQueue(), controller)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have tests run by the virtual clock that one of their fixtures is made with; pytest-trio itself looks at the
    arguments of the test alone."""
    for item in items:
        if isinstance(item, pytest.Function) and "virtual_clock" in item.fixturenames:
            item.add_marker(pytest.mark.trio(run=partial(_run, item)), append=False)


def _run(item: pytest.Function, main: Callable[[], Any], *, clock: trio.abc.Clock | None = None, **options: Any) -> Any:
    made = item.funcargs["virtual_clock"]
    assert isinstance(made, trio.abc.Clock)
    return trio.run(main, clock=clock or made, **options)

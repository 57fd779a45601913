"""The plugin around the policy: its configuration, and a run in virtual time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import trio

import penstock
from penstock_bounded_borrow import BoundedBorrowConfig, BoundedBorrowPlugin

pytest_plugins = ["penstock.testing.fixtures"]


@pytest.mark.parametrize("ceiling", [0.5, 0, -1.0, float("inf"), float("nan"), True])
def test_a_ceiling_below_the_share_is_refused(ceiling: Any) -> None:
    with pytest.raises(ValueError, match=r"^ceiling must be "):
        BoundedBorrowConfig(ceiling=ceiling)


def test_the_plugin_makes_the_policy() -> None:
    assert isinstance(BoundedBorrowPlugin(BoundedBorrowConfig()).penstock_task_policy(), penstock.TaskAdmissionPolicy)


def test_beside_another_policy_of_task_fairness_it_is_refused() -> None:
    config = {"plugins": {"task_policies": ["strict-fair", "bounded-borrow"]}}
    with pytest.raises(penstock.ConfigError) as caught:
        penstock.PluginManager.from_config(penstock.load_config(config).config)
    (problem,) = caught.value.records
    assert problem.path == ("plugins",)
    assert problem.what.startswith("'strict-fair' and 'bounded-borrow' exclude each other")


@pytest.fixture
def table() -> dict[str, Any]:
    """The plugin's own."""
    return {}


@pytest.fixture
def penstock_config(table: dict[str, Any]) -> dict[str, Any]:
    return {
        "scheduler": {"submission_capacity": 8},
        "plugins": {"task_policies": ["bounded-borrow"], "bounded-borrow": table},
    }


async def running_over_time(scheduler: penstock.Scheduler) -> list[tuple[float, int, int]]:
    """Two groups on 8 places, a task takes 1 s. `late` runs one task all the time, and from 5 s to 8 s has plenty.

    Gives (moment, tasks of `early` running, tasks of `late` running), in the middle of every second.
    """
    running: Counter[str] = Counter()
    seen = []

    async def work(group: str, seconds: float) -> None:
        running[group] += 1
        await trio.sleep(seconds)
        running[group] -= 1

    scheduler.start_soon(work, "late", 11.0, group="late")
    await trio.sleep(0.25)
    for _ in range(100):
        scheduler.start_soon(work, "early", 1.0, group="early")
    for second in range(11):
        await trio.sleep(0.5)
        seen.append((trio.current_time() - 0.75, running["early"], running["late"]))
        await trio.sleep(0.5)
        if second == 4:
            for _ in range(12):
                scheduler.start_soon(work, "late", 1.0, group="late")
    return seen


async def test_a_peer_that_comes_back_has_its_share_within_the_length_of_a_task(scheduler: penstock.Scheduler) -> None:
    seen = await running_over_time(scheduler)

    before, beside = seen[:5], seen[5:9]
    assert {(early, late) for _, early, late in before} == {(7, 1)}, "what the peer leaves is borrowed"
    assert {(early, late) for _, early, late in beside} == {(4, 4)}, "and given back as tasks end"
    assert seen[9][1:] == (7, 1), "and borrowed again"


@pytest.mark.parametrize("table", [{"ceiling": 1.5}])
async def test_with_a_ceiling_a_place_is_kept_free(scheduler: penstock.Scheduler) -> None:
    seen = await running_over_time(scheduler)

    assert {(early, late) for _, early, late in seen[:5]} == {(6, 1)}
    assert {(early, late) for _, early, late in seen[5:9]} == {(4, 4)}

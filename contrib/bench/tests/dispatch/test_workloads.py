"""What is queued in a dispatch cell: the same for both sides."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from penstock_bench.dispatch.driver import driver_of
from penstock_bench.dispatch.workloads import Workload, all_fits, turning, window


@pytest.mark.parametrize("make", [all_fits, window, turning])
@pytest.mark.parametrize("groups", [1, 2, 7, 64, 100])
def test_a_workload_has_as_many_tasks_and_groups_as_it_was_asked_for(
    make: Callable[[int, int], Workload], groups: int
) -> None:
    workload = make(groups, 1000)
    arrivals = list(workload.arrivals())

    assert workload.total == len(arrivals) == 1000
    assert len({task_id for _, task_id in arrivals}) == 1000
    assert {at for at, _ in arrivals} == set(range(groups))


def test_the_turning_window_can_be_filled_by_its_preferred_groups_alone() -> None:
    preferred = [kind for kind in turning(256, 10_000).groups if kind.admitted_limit is not None]

    assert sum(kind.admitted_limit or 0 for kind in preferred) == turning(256, 10_000).places == 64
    assert min(kind.tasks for kind in preferred) > 100


def test_32_groups_stay_blocked_in_the_window_until_the_others_have_nothing_left() -> None:
    workload = window(256, 2_000)
    driver = driver_of(workload)
    for _ in range(9):
        driver.cycles_with_held(200, workload.held, keeping=True)
        at_caps = {str(block.group) for block in driver.blocked() if block.denied.reason == "group_cap"}
        assert at_caps == {f"local/hot{n}" for n in range(32)}

    assert driver.cycles_with_held(2_000, workload.held, keeping=True) == 200


def test_what_is_preferred_and_at_its_limit_is_blocked_while_the_turning_window_is_full() -> None:
    workload = turning(8, 400)
    driver = driver_of(workload)
    driver.cycles_with_held(40, workload.held)

    blocked = {str(block.group) for block in driver.blocked()}

    assert blocked == {f"local/hot{n}" for n in range(4)}

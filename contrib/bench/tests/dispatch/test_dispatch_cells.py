"""A whole workload through the gate, and the share of it that a cut competitor is compared with."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

from penstock_bench.dispatch import cells
from penstock_bench.dispatch.cells import whole_workload
from penstock_bench.dispatch.workloads import Workload, all_fits, turning, window


@pytest.mark.parametrize(
    "workload", [all_fits(3, 50), window(8, 300), turning(8, 300)], ids=["all fits", "window", "turning"]
)
def test_what_the_first_tasks_took_is_less_than_what_all_took(workload: Workload) -> None:
    sample = whole_workload(workload, mark=10)

    assert sample.units == workload.total
    assert sample.amount_at_mark is not None
    assert sample.first(10).units == 10
    assert 0 < sample.first(10).amount < sample.amount


def test_tasks_up_to_the_mark_bear_their_share_of_enqueueing_all(
    each_look_takes_a_second: Callable[[ModuleType], None],
) -> None:
    each_look_takes_a_second(cells)

    sample = whole_workload(all_fits(2, 40), mark=10)

    assert sample.amount_at_mark == 10 / 40 + 1

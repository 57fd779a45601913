"""Callers that contend for leases, and the share that a cut competitor is compared with."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from penstock_bench.requests import cells


def test_acquisitions_up_to_the_mark_bear_their_share_of_asking_all(
    each_look_takes_a_second: Callable[[ModuleType], None],
) -> None:
    each_look_takes_a_second(cells)

    sample = cells.contended(4, 2, 1, mark=1)

    assert sample.amount_at_mark == 1 / 4 + 1


def test_the_bare_kernel_hands_each_place_on() -> None:
    sample = cells.bare_kernel(5, 3, 2)

    assert sample.units == 15

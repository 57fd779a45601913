"""The small worlds of both gates, explored exhaustively: shallow here, deep by `tox -e fuzz -- small-world`."""

from __future__ import annotations

import pytest

from penstock_model import small_requests, small_tasks
from penstock_model.small_world import explore

DEPTH = 3
PARTS = 8
"""In so many tests, so that several processes share them."""

pytestmark = [pytest.mark.no_cover, pytest.mark.parametrize("part", range(PARTS))]


def test_in_the_small_world_of_tasks_nobody_sleeps_and_nobody_goes_who_may_not(part: int) -> None:
    worlds = list(small_tasks.one_rule_each(["fair"], small_tasks.SIZES[1:]))
    assert sum(explore(world, DEPTH) for world in worlds[part::PARTS]) > 1_500


def test_in_the_small_world_of_requests_nobody_sleeps_and_nobody_goes_who_may_not(part: int) -> None:
    worlds = list(small_requests.one_rule_each(["fair"]))
    assert sum(explore(world, DEPTH) for world in worlds[part::PARTS]) > 2_500

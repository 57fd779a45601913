"""The small worlds of both gates, explored exhaustively: shallow here, deep by `tox -e fuzz -- small-world`."""

from __future__ import annotations

from penstock_model import small_requests, small_tasks
from penstock_model.small_world import explore

DEPTH = 3


def test_in_the_small_world_of_tasks_nobody_sleeps_and_nobody_goes_who_may_not() -> None:
    assert sum(explore(world, DEPTH) for world in small_tasks.one_rule_each(["fair"], small_tasks.SIZES[1:])) > 5_000


def test_in_the_small_world_of_requests_nobody_sleeps_and_nobody_goes_who_may_not() -> None:
    assert sum(explore(world, DEPTH) for world in small_requests.one_rule_each(["fair"])) > 5_000

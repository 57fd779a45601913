"""The task gate against a naive one: random runs, and the smallest ways to what once went wrong."""

from __future__ import annotations

from random import Random
from typing import Any

import attrs
import pytest

from penstock_model import task_run
from penstock_model.causes import Shut
from penstock_model.failures import failure_of_tasks
from penstock_model.shrink import shrunk
from penstock_model.streams import Stream, Streams, shares
from penstock_model.task_rules import Cause, Leased, Queued, Running, TaskRule
from penstock_model.task_run import Mismatch, Step, TaskScenario, play
from penstock_model.task_seeds import ALL_HOLDS, scenario_and_steps

pytestmark = pytest.mark.no_cover

ROOM = {"submission": 8, "gpu": 4, "disk": 4}
GROUPS: dict[str, tuple[float, int | None]] = dict.fromkeys("abcde", (1.0, None))


def a_rule(cause: Cause, scope: str = "task", **options: Any) -> TaskRule:
    return TaskRule("the rule", (cause,), scope, **options)


def played(rules: list[TaskRule], steps: list[Step], queue: str = "fifo") -> None:
    play(TaskScenario(ROOM, GROUPS, tuple(rules), queue), steps)


@pytest.mark.parametrize("start", range(0, 600, 50))
def test_in_random_runs_nobody_sleeps_and_nobody_goes_who_may_not(start: int) -> None:
    for seed in range(start, start + 50):
        assert (failure := failure_of_tasks(seed, ALL_HOLDS)) is None, failure


def test_cohorts_that_are_not_true_neither_hang_the_gate_nor_lose_a_lease() -> None:
    for seed in range(200):
        assert (failure := failure_of_tasks(seed, ALL_HOLDS, untrue=True)) is None, failure


# -- the smallest ways to what once went wrong -----------------------------------------------------------------------


def test_room_stays_reserved_when_the_group_that_it_is_for_is_refused_no_more() -> None:
    """One of the group goes beside the reservation, and with that all of it stand with the ready again."""
    assert (failure := failure_of_tasks(810775, ALL_HOLDS)) is None, failure


def test_who_is_refused_for_peers_that_its_own_reservation_holds_back_is_asked_again_at_rest() -> None:
    """It is shown them, since it could give the room up; nothing about what they ask for changes after that."""
    assert (failure := failure_of_tasks(8003675, ALL_HOLDS)) is None, failure


@pytest.mark.parametrize("queue", ["fifo", "fair"])
def test_next_ends_where_all_wait_for_a_change_of_the_backlog(queue: str) -> None:
    always = a_rule(Queued("submission", 1))
    played([always], [("offer", "a", {}, 2), ("offer", "a", {"gpu": 1}, 2)], queue)


def test_a_refusal_that_has_ended_is_not_put_on_who_comes_later() -> None:
    group = a_rule(Shut("s"), "group", groups=frozenset("a"), cohort="c")
    shape = a_rule(Shut("t"), "shape", shapes=frozenset({(("submission", 1),)}))
    steps: list[Step] = [
        ("shut", "s"), ("offer", "a", {}, 1), ("rest",),
        ("shut", "t"), ("open", "s"), ("rest",),
        ("offer", "a", {"gpu": 1}, 1), ("rest",),
    ]  # fmt: skip
    played([group, shape], steps)


@pytest.mark.parametrize("groups", ["aaaaa", "abcde"])
def test_a_signal_lets_all_go_who_waited_for_it(groups: str) -> None:
    offers: list[Step] = [("offer", name, {}, 1) for name in groups]
    played([a_rule(Shut("s"), cohort="c")], [("shut", "s"), *offers, ("rest",), ("open", "s"), ("rest",)])


def test_a_release_lets_all_go_who_waited_for_it_though_they_take_nothing_of_it() -> None:
    others = a_rule(Leased("gpu", 1), groups=frozenset("bcde"), cohort="c")
    offers: list[Step] = [("offer", name, {}, 1) for name in "bcdebcde"]
    played([others], [("offer", "a", {"gpu": 1}, 1), ("rest",), *offers, ("rest",), ("finish", 0), ("rest",)])


@pytest.mark.parametrize("queue", ["fifo", "fair"])
def test_a_cohort_goes_on_when_a_group_has_a_release_that_is_its_own_for_some_of_the_members(queue: str) -> None:
    while_b_runs = a_rule(Running(1, "b"), "shape", groups=frozenset("ab"), cohort="c")
    played([while_b_runs], [("offer", "b", {}, 3), ("offer", "a", {}, 1)], queue)


@pytest.mark.parametrize(
    ("needs", "queue"),
    [
        ((4, 1), "fifo"),
        ((4, 1), "fair"),
        ((2, 2), "fifo"),
        ((2, 2), "fair"),
        ((4, 4), "fifo"),
        ((4, 4), "fair"),
    ],
    ids=str,
)
def test_a_task_that_needs_much_of_two_resources_starts(needs: tuple[int, int], queue: str) -> None:
    small = [Stream("disks", {"disk": 1}), Stream("gpus", {"gpu": 1})]
    large = Stream("large", {"disk": needs[0], "gpu": needs[1]})
    streams = Streams(queue, {"submission": 50, "disk": 4, "gpu": 4}, [*small, large])
    while not streams.started["large"]:
        streams.fill()
        assert streams.ended < 200, "200 leases have ended, and it has not started"
        streams.end_one()


# -- order -----------------------------------------------------------------------------------------------------------


def test_weights_hold_in_units_where_sizes_are_mixed() -> None:
    streams = Streams("fair", {"submission": 50, "gpu": 4}, [Stream("a", {"gpu": 2}, 9), Stream("b", {"gpu": 4}, 1)])
    lag, lead = shares(streams, "gpu", 2_000)
    assert lag <= 2
    assert lead <= 3


def test_weights_hold_in_units_whatever_the_sizes_and_weights() -> None:
    for seed in range(20):
        rng = Random(f"mixtures/{seed}")
        limit = rng.randint(2, 12)
        groups = [Stream(n, {"gpu": rng.randint(1, limit)}, rng.randint(1, 9)) for n in "abcde"[: rng.randint(2, 5)]]
        lag, lead = shares(Streams("fair", {"submission": 100, "gpu": limit}, groups, seed), "gpu", 400)
        assert lag <= 2, f"seed {seed}: a group lags by {lag:.2f} maximal tasks of {groups}"
        assert lead <= 3, f"seed {seed}: a group leads by {lead:.2f} maximal tasks of {groups}"


# -- the net itself --------------------------------------------------------------------------------------------------


class ForgetsSignals(task_run.TaskRun):
    """A run whose gate is told of no signal."""

    def _open(self, name: str) -> None:
        self.naive.shut.discard(name)


def test_a_gate_that_forgets_a_wake_is_found_and_the_steps_to_it_are_few() -> None:
    scenario = TaskScenario(ROOM, GROUPS, (a_rule(Shut("s")),))
    steps: list[Step] = [("offer", "a", {}, 2), ("shut", "s"), ("rest",), ("offer", "b", {}, 1), ("rest",),
                         ("finish", 0), ("time", 1.0), ("open", "s"), ("rest",), ("finish", 0), ("rest",)]  # fmt: skip

    def fails(some: Any) -> bool:
        run = ForgetsSignals(scenario)
        try:
            for step in some:
                run.take(step)
        except Mismatch:
            return True
        return False

    assert shrunk(steps, fails) == [("offer", "a", {}, 2), ("shut", "s"), ("rest",), ("open", "s"), ("rest",)]


def test_a_grant_that_a_rule_refuses_is_found() -> None:
    run = task_run.TaskRun(TaskScenario(ROOM, GROUPS))
    run.take(("offer", "a", {}, 1))
    run.naive.rules.append(a_rule(Queued("submission", 1)))
    with pytest.raises(Mismatch, match=r"task 1 of a .* was granted, which policy_denial by the rule"):
        run.take(("rest",))


def test_a_seed_is_always_the_same_run() -> None:
    one, other = scenario_and_steps(7, ALL_HOLDS), scenario_and_steps(7, ALL_HOLDS)
    assert one == other
    assert one[1] != scenario_and_steps(8, ALL_HOLDS)[1]
    assert attrs.asdict(one[0]) == attrs.asdict(other[0])

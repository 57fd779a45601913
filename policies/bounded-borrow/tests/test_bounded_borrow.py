"""Bounded borrow: a share of one's own, what may be borrowed above it, and how it is given back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count

import pytest

from penstock import (
    Backlog,
    Blocked,
    Released,
    TaskAdmissionConfig,
    TaskAdmissionController,
    TaskAdmissionPolicy,
)
from penstock.testing import TaskBench, TaskPolicyContract, group_key, make_task
from penstock_bounded_borrow import BoundedBorrowPolicy, strict_share
from penstock_fairqueue import FairTaskQueue


class TestBoundedBorrowContract(TaskPolicyContract):
    def make_policy(self) -> TaskAdmissionPolicy:
        return BoundedBorrowPolicy()


class Gate:
    """A task gate with so many places, and groups by their names."""

    def __init__(self, places: int, resources: Mapping[str, int] | None = None, ceiling: float | None = None) -> None:
        limits = {"submission": places, **(resources or {})}
        controller = TaskAdmissionController(
            TaskAdmissionConfig(places, resources or {}), [("bounded-borrow", BoundedBorrowPolicy(ceiling))]
        )
        self.gate = TaskBench(FairTaskQueue(limits), controller)
        self.view = controller.view()
        self.numbers: Iterator[int] = count()

    def put(self, group: str, tasks: int = 1, needs: Mapping[str, int] | None = None, weight: float = 1.0) -> list[str]:
        """Queue so many tasks of a group, start what may start; whose tasks those were."""
        self.gate.enqueue(
            [make_task(f"{group}{next(self.numbers)}", group, needs, weight=weight) for _ in range(tasks)]
        )
        return self.start()

    def start(self) -> list[str]:
        return [task_id.rstrip("0123456789") for task_id in self.gate.start_all()]

    def end(self, group: str, tasks: int = 1) -> list[str]:
        """So many tasks of a group end, one by one; whose tasks took their places."""
        started = []
        for _ in range(tasks):
            self.gate.release(next(lease for lease in self.gate.out if lease.item.group.key == group_key(group)))
            started += self.start()
        return started

    def held(self, resource: str = "submission") -> dict[str, int]:
        amounts = self.view.leased_resources_by_group
        return {key.identity[1]: held for key, by in amounts.items() if (held := by.get(resource, 0))}

    def debt(self, group: str, resource: str = "submission") -> int:
        return self.view.policy_debt_by_group_resource.get((group_key(group), resource), 0)

    def blocked(self) -> list[Blocked]:
        return list(self.gate.queue.blocked())


# -- the share


@pytest.mark.parametrize(
    ("limit", "weight", "others", "share"),
    [
        (8, 1, 0, 8),
        (8, 1, 1, 4),
        (8, 1, 3, 2),
        (8, 3, 1, 6),
        (10, 1, 2, 4),
        (3, 1, 1, 2),
        (8, 0.25, 1e9, 1),
        (6, 0.1, 0.5, 1),
    ],
)
def test_a_share_goes_by_weight_among_those_that_compete_in_whole_places(
    limit: int, weight: float, others: float, share: int
) -> None:
    assert strict_share(limit, weight, others) == share


def test_a_group_alone_has_everything_and_owes_nothing() -> None:
    gate = Gate(8)
    gate.put("a", 20)

    assert gate.held() == {"a": 8}
    assert gate.debt("a") == 0


def test_groups_with_enough_to_do_have_their_shares_by_weight() -> None:
    gate = Gate(12)
    for group, weight in (("a", 3.0), ("b", 2.0), ("c", 1.0)):
        gate.gate.enqueue([make_task(f"{group}{n}", group, weight=weight) for n in range(50)])
    gate.start()

    assert gate.held() == {"a": 6, "b": 4, "c": 2}


# -- borrowing


def test_what_a_peer_does_not_use_is_borrowed_and_owed() -> None:
    gate = Gate(8)
    gate.put("peer")
    gate.put("a", 20)

    assert gate.held() == {"peer": 1, "a": 7}
    assert gate.debt("a") == 3, "its share is 4 while the peer competes"


def test_with_debt_and_a_waiting_peer_it_gets_nothing_more() -> None:
    gate = Gate(8)
    gate.put("peer")
    gate.put("a", 20)
    gate.put("peer", 10)

    assert gate.end("a", 3) == ["peer", "peer", "peer"]
    assert gate.held() == {"peer": 4, "a": 4}


def test_once_the_peer_has_its_share_both_keep_theirs() -> None:
    gate = Gate(8)
    gate.put("peer")
    gate.put("a", 40)
    gate.put("peer", 40)
    gate.end("a", 3)

    for group in ("a", "peer", "peer", "a", "a"):
        assert gate.end(group) == [group]
    assert gate.held() == {"peer": 4, "a": 4}


def test_a_group_that_had_everything_gives_back_too_although_it_owed_nothing() -> None:
    gate = Gate(8)
    gate.put("a", 40)
    gate.put("late", 40)

    assert gate.end("a", 4) == ["late"] * 4
    assert gate.end("a") == ["a"]


def test_any_completion_of_the_group_repays() -> None:
    gate = Gate(8)
    gate.put("peer")
    gate.put("a", 7)
    for debt in (2, 1, 0, 0):
        gate.end("a")
        assert gate.debt("a") == debt


def test_when_the_peers_have_gone_the_next_lease_owes_nothing_more() -> None:
    gate = Gate(8)
    gate.put("peer")
    gate.put("a", 20)
    gate.end("peer")

    assert gate.held() == {"a": 8}
    assert gate.debt("a") == 0


def test_a_task_may_take_its_group_above_a_share_that_it_had_not_reached() -> None:
    gate = Gate(9, {"gpu": 9})
    for group in ("a", "b"):
        gate.gate.enqueue([make_task(f"{group}{n}", group, {"gpu": 3}) for n in range(9)])
    gate.start()
    more, less = sorted(gate.held("gpu"), key=gate.held("gpu").__getitem__, reverse=True)

    assert gate.held("gpu") == {more: 6, less: 3}, "a share of 5 is two such tasks, for the one that comes first"
    assert gate.debt(more, "gpu") == 1
    assert gate.end(more) == [less], "and then it is the other's turn"


def test_borrowers_share_what_is_left_in_fair_order_and_none_keeps_it() -> None:
    gate = Gate(12)
    gate.put("idle")
    for group in ("a", "b"):
        gate.gate.enqueue([make_task(f"{group}{n}", group) for n in range(200)])
    gate.start()

    for lease in [lease for lease in gate.gate.out if lease.item.group.key != group_key("idle")]:
        held = gate.held()
        assert abs(held["a"] - held["b"]) <= 1
        gate.gate.release(lease)
        gate.start()


def test_a_peer_that_waits_for_something_else_keeps_no_place_empty() -> None:
    gate = Gate(8, {"gpu": 1})
    gate.put("peer", 5, {"gpu": 1})
    gate.put("a", 20)

    assert gate.held() == {"peer": 1, "a": 7}


def test_shares_are_those_of_each_resource() -> None:
    gate = Gate(20, {"gpu": 4})
    gate.put("peer", 1, {"gpu": 1})
    gate.put("a", 20, {"gpu": 1})
    assert gate.held("gpu") == {"peer": 1, "a": 3}
    assert (gate.debt("a", "gpu"), gate.debt("a")) == (1, 0)

    gate.put("peer", 5, {"gpu": 1})
    assert gate.end("a") == ["peer"]
    gate.put("plain", 9)
    assert gate.held()["plain"] == 9, "who wants no gpu is not concerned"


def test_a_light_group_among_many_has_a_place_at_least() -> None:
    gate = Gate(4)
    for group in ("w", "x", "y", "z"):
        gate.put(group, 5, weight=100.0)
    gate.put("light", 5, weight=0.01)
    while "light" not in gate.held():
        gate.end(max(gate.held(), key=gate.held().__getitem__))

    assert gate.held()["light"] == 1


def test_a_task_that_ends_repays_as_much_as_it_held() -> None:
    gate = Gate(8)
    gate.put("peer")
    gate.put("a", 7, {"submission": 2})
    assert (gate.held(), gate.debt("a")) == ({"peer": 1, "a": 6}, 2)
    gate.gate.discard("a5")
    gate.gate.discard("a6")
    gate.gate.discard("a7")
    gate.gate.discard("a4")

    gate.end("a")
    assert (gate.held(), gate.debt("a")) == ({"peer": 1, "a": 4}, 0)


def test_a_group_in_debt_keeps_nobody_else_from_borrowing() -> None:
    gate = Gate(12)
    gate.put("idle")
    gate.put("b")
    gate.put("a", 20)
    gate.put("b", 20)
    gate.end("a", 3)
    assert gate.held() == {"idle": 1, "a": 7, "b": 4}, "a has a debt of 3, and b has its share"
    gate.gate.release(next(lease for lease in gate.gate.out if lease.item.group.key == group_key("a")))

    policy, queue_view = BoundedBorrowPolicy(), gate.gate.queue.view()
    verdicts = {
        task.group.key.identity[1]: policy.evaluate(task, queue_view, gate.view, 0.0).denied
        for task in gate.gate.queued.values()
    }
    assert verdicts["b"] is None
    assert verdicts["a"] is not None


# -- what is said


def test_a_refusal_says_who_refuses_for_whom_and_what_would_end_it() -> None:
    gate = Gate(8)
    gate.put("peer")
    gate.put("a", 20)
    gate.put("peer", 10)
    task = next(task for task in gate.gate.queued.values() if task.group.key == group_key("a"))

    gate.gate.release(next(lease for lease in gate.gate.out if lease.item.group.key == group_key("a")))
    (denied,) = gate.gate.controller.why_not(task, gate.gate.queue.view(), 0.0)

    assert (denied.reason, denied.by, denied.scope) == ("borrow_debt", "bounded-borrow", "shape")
    assert denied.detail == "6 of submission held, its share is 4, and a peer waits for it"
    assert denied.until == {Released(group_key("a")), Backlog("submission")}


# -- the ceiling


def test_a_ceiling_keeps_places_for_those_that_compete() -> None:
    gate = Gate(8, ceiling=1.5)
    gate.put("peer")
    gate.put("a", 20)

    assert gate.held() == {"peer": 1, "a": 6}
    (blocked,) = gate.blocked()
    assert (blocked.denied.reason, blocked.denied.detail) == (
        "borrow_debt",
        "6 of submission held, and its ceiling is 6",
    )


def test_a_ceiling_does_not_bind_a_group_alone() -> None:
    gate = Gate(8, ceiling=1.0)
    gate.put("a", 20)

    assert gate.held() == {"a": 8}


def test_when_a_peer_leaves_all_at_their_ceilings_go_on() -> None:
    gate = Gate(12, ceiling=1.0)
    gate.put("peer")
    for group in ("a", "b"):
        gate.put(group, 20)
    gate.end("a", 2)
    assert gate.held() == {"peer": 1, "a": 4, "b": 4}

    gate.end("peer")
    assert gate.held() == {"a": 6, "b": 6}


def test_when_a_peer_leaves_one_that_is_still_at_its_ceiling_does_not_keep_others_from_going_on() -> None:
    gate = Gate(42, ceiling=1.0)
    gate.put("peer", weight=0.5)
    gate.put("a", 90, weight=2.0)
    gate.put("b", 90)
    gate.end("a", 6)
    assert gate.held() == {"peer": 1, "a": 28, "b": 12}, "one place is free: above 24 and 12 nobody may go"

    gate.end("peer")
    assert gate.held() == {"a": 28, "b": 14}


def test_under_a_ceiling_a_peer_with_a_large_task_comes_through() -> None:
    gate = Gate(8, ceiling=1.0)
    gate.put("a", 40)
    gate.put("large", 1, {"submission": 4})

    assert gate.end("a", 4) == ["large"]

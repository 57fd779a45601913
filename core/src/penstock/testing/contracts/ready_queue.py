"""The contract suite of ready queues: what every one must do, as tests. For plugin authors and for our own queues
alike.

Make a subclass in a test file, give it the factory, and pytest runs the suite:

    class TestMyQueue(ReadyQueueContract):
        def make_queue(self, limits):
            return MyQueue(limits)

A queue that has a `check_invariants()` is held against it on the way. Plain asserts: no test framework is imported. The
order of a queue is its own affair, but for the order of arrival within a group. What is refused is in
`parking.py`; `queue_machine.py` tests a queue against a naive model, and needs Hypothesis.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from penstock.tasks.ready_queue import QueueView, ReadyQueue
from penstock.tasks.records import SchedulableTask
from penstock.testing.contracts.parking import ParkingContract
from penstock.testing.contracts.queue_suite import MUCH, refused, selected
from penstock.testing.task_making import anything_goes, group_key, make_task, take_all, take_one
from penstock.words.verdicts import At, Denied, Signal

__all__ = ["ReadyQueueContract"]


class ReadyQueueContract(ParkingContract):
    """The suite of one ready queue. Subclass it and give it `make_queue`."""

    # -- membership

    def test_the_same_id_again_is_no_error_and_no_second_entry(self) -> None:
        queue = self.queue_with(make_task("a"))
        assert queue.enqueue([make_task("a"), make_task("b"), make_task("b")], 0.0) == ("b",)
        assert sorted(take_all(queue)) == ["a", "b"]

    def test_an_id_that_was_taken_may_come_again(self) -> None:
        queue = self.queue_with(make_task("a"))
        assert take_all(queue) == ["a"]
        assert queue.enqueue([make_task("a")], 0.0) == ("a",)

    def test_tasks_of_a_group_come_in_the_order_of_arrival(self) -> None:
        queue = self.queue_with(*(make_task(f"{n}", needs={"gpu": 1 + n % 3}) for n in range(9)))
        assert take_all(queue) == [f"{n}" for n in range(9)]

    def test_a_discarded_task_is_gone_and_given_back(self) -> None:
        tasks = [make_task(name) for name in "abc"]
        queue = self.queue_with(*tasks)
        assert queue.discard("b", 0.0) is tasks[1]
        assert queue.discard("b", 0.0) is None
        self.check(queue)
        assert take_all(queue) == ["a", "c"]

    def test_an_empty_queue_selects_nothing(self) -> None:
        queue = self.queue_with()
        assert queue.is_empty()
        assert queue.select_next(anything_goes, 0.0) is None
        assert queue.next_change(0.0) is None

    # -- selecting and committing

    def test_select_changes_no_membership_no_order_and_no_version(self) -> None:
        queue = self.queue_with(make_task("a", "g"), make_task("b", "h"), make_task("c", "g"))
        before = json.dumps(queue.view().snapshot(), sort_keys=True)
        first, second = selected(queue, anything_goes, 0.0), selected(queue, anything_goes, 0.0)
        assert (first.item, first.sequence_version) == (second.item, second.sequence_version)
        assert json.dumps(queue.view().snapshot(), sort_keys=True) == before
        assert queue.commit(second, 0.0) is second.item

    def test_a_refusal_changes_no_membership_and_no_version(self) -> None:
        queue = self.queue_with(make_task("a", "g"), make_task("b", "h"))
        first = selected(queue, anything_goes, 0.0)
        assert queue.select_next(refused(Signal("x")), 0.0) is None
        assert queue.view().queued_total == 2
        queue.wake(Signal("x"), MUCH, 0.0)
        again = selected(queue, anything_goes, 0.0)
        assert first.sequence_version == again.sequence_version
        assert first.item is again.item

    def test_a_commit_is_stale_after_any_change_of_membership(self) -> None:
        changes: list[Callable[[ReadyQueue], object]] = [
            lambda queue: queue.enqueue([make_task("new")], 0.0),
            lambda queue: queue.discard("a", 0.0),
            lambda queue: queue.discard("b", 0.0),
            take_one,
        ]
        for change in changes:
            queue = self.queue_with(make_task("a"), make_task("b"))
            selection = selected(queue, anything_goes, 0.0)
            change(queue)
            total = queue.view().queued_total
            assert queue.commit(selection, 0.0) is None
            assert queue.view().queued_total == total

    def test_an_equal_id_that_was_discarded_and_enqueued_again_is_a_change(self) -> None:
        old, new = make_task("a"), make_task("a")
        queue = self.queue_with(old)
        selection = selected(queue, anything_goes, 0.0)
        queue.discard("a", 0.0)
        queue.enqueue([new], 0.0)
        assert queue.commit(selection, 0.0) is None
        assert take_one(queue) is new

    def test_a_selection_commits_once(self) -> None:
        queue = self.queue_with(make_task("a"), make_task("b"))
        selection = selected(queue, anything_goes, 0.0)
        assert queue.commit(selection, 0.0) is selection.item
        assert queue.commit(selection, 0.0) is None
        assert queue.view().queued_total == 1

    def test_taking_the_candidate_out_while_it_is_asked_does_no_harm(self) -> None:
        for answer in (None, Denied("policy_denial", {Signal("x")})):
            queue = self.queue_with(make_task("a"), make_task("b"))

            def meddle(task: SchedulableTask, view: QueueView, answer: Denied | None = answer) -> Denied | None:
                queue.discard(task.task_id, 0.0)  # noqa: B023 - called in this round only
                return answer

            selection = queue.select_next(meddle, 0.0)
            assert selection is None or queue.commit(selection, 0.0) is None
            self.check(queue)
            queue.wake(Signal("x"), MUCH, 0.0)
            self.check(queue)

    # -- reporting

    def test_blocked_says_what_is_kept_back_by_what_since_when(self) -> None:
        queue = self.queue_with(make_task("a1"), make_task("a2"), make_task("b", "other", {"gpu": 1}))
        groups = {group_key("g"), group_key("other")}
        scopes: dict[str, set[Any]] = {"task": {"a1", "a2", "b"}, "group": groups, "all": {"all"}}
        for scope, expected in scopes.items():
            queue.select_next(refused(Signal("go"), scope=scope), 7.0)
            blocked = list(queue.blocked())
            assert {block.scope_key for block in blocked} == expected
            assert sum(block.tasks for block in blocked) == 3
            assert all(block.since == 7.0 and block.denied.scope == scope for block in blocked)
            queue.wake(Signal("go"), MUCH, 8.0)
            assert list(queue.blocked()) == []
        queue.select_next(refused(Signal("go"), scope="shape"), 7.0)
        keys = {block.scope_key for block in queue.blocked()}
        assert len(keys) == 2
        assert all(isinstance(key, tuple) and key[0] in groups for key in keys)

    def test_views_are_live_read_only_and_say_what_is_queued(self) -> None:
        queue = self.queue_with()
        view = queue.view()
        first = make_task("a", "g", {"gpu": 2})
        queue.enqueue([first, make_task("b", "g"), make_task("c", "h", {"gpu": 1})], 0.0)
        assert view.queued_total == 3
        assert dict(view.queued_by_group) == {group_key("g"): 2, group_key("h"): 1}
        assert dict(view.queued_resource_demand_by_group[group_key("g")]) == {"gpu": 2, "submission": 2}
        assert dict(view.queued_peer_demand_by_resource) == {"gpu": 3, "submission": 3}
        assert view.first_candidate_by_group[group_key("g")] is first
        assert set(view.ready_groups_by_resource["gpu"]) == {group_key("g"), group_key("h")}
        json.dumps(view.snapshot())
        for mapping in (
            view.queued_by_group, view.queued_peer_demand_by_resource, view.first_candidate_by_group,
            view.ready_groups_by_resource, view.queued_resource_demand_by_group,
        ):  # fmt: skip
            assert not hasattr(mapping, "__setitem__"), "a view is to be read"
        queue.select_next(refused(Signal("go"), scope="group"), 0.0)
        assert not view.ready_groups_by_resource
        assert view.queued_total == 3

    # -- leaving no trace

    def test_groups_leave_no_trace_however_their_tasks_left(self) -> None:
        def discarded(queue: ReadyQueue) -> None:
            for number in range(10):
                queue.discard(f"{number}", 0.0)

        def refused_and_discarded(queue: ReadyQueue) -> None:
            queue.select_next(refused(Signal("go"), At(1e9), scope="shape", cohort="c"), 0.0)
            discarded(queue)

        ways: list[Callable[[ReadyQueue], object]] = [take_all, discarded, refused_and_discarded]
        for leave in ways:
            queue = self.queue_with(*(make_task(f"{n}", f"g{n % 7}", {"gpu": 1 + n % 2}) for n in range(10)))
            leave(queue)
            self.check(queue)
            view = queue.view()
            assert not view.queued_by_group
            assert not view.queued_peer_demand_by_resource
            assert not view.first_candidate_by_group
            assert not view.ready_groups_by_resource
            assert list(queue.blocked()) == []

    def test_many_tasks_that_were_refused_one_by_one_come_back_at_once(self) -> None:
        queue = self.queue_with(*(make_task(f"{n}") for n in range(3000)))
        asked = refused(At(60.0))
        assert queue.select_next(asked, 0.0) is None
        assert len(asked.ids) == 3000
        assert take_all(queue, 60.0) == [f"{n}" for n in range(3000)]

"""What every ready queue must do, as tests. For plugin authors and for our own queues alike.

Make a subclass in a test file, give it the factory, and pytest runs the suite:

    class TestMyQueue(ReadyQueueContract):
        def make_queue(self, limits):
            return MyQueue(limits)
 A queue that has a `check_invariants()` is held against it on the way. Plain asserts: no test framework is
imported. The order of a queue is its own affair, but for the order of arrival within a group;
`queue_machine.py` tests a queue against a naive model, and needs Hypothesis."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Callable, Mapping
from typing import Any

from penstock.ready_queue import QueueView, ReadyQueue
from penstock.tasks import SchedulableTask
from penstock.testing.task_making import anything_goes, group_key, make_task, take_all, take_one
from penstock.verdicts import At, Backlog, Condition, Denied, Released, Signal

__all__ = ["ReadyQueueContract"]

MUCH = 1 << 30


class Asked:
    """An `is_eligible` that refuses by a rule and remembers whom it was asked about."""

    def __init__(self, rule: Callable[[SchedulableTask, QueueView], Denied | None]) -> None:
        self.rule = rule
        self.ids: list[str] = []

    def __call__(self, task: SchedulableTask, view: QueueView) -> Denied | None:
        self.ids.append(task.task_id)
        return self.rule(task, view)


def refused(*until: Condition, **options: Any) -> Asked:
    """Refuses everybody."""
    return Asked(lambda task, view: Denied("policy_denial", until, **options))


def no_room(task: SchedulableTask, free: Mapping[str, int]) -> Denied | None:
    """The refusal that the task gate gives for want of room."""
    for resource, amount in task.resource_request.amounts.items():
        if amount > free.get(resource, MUCH):
            cohort = ("no_capacity", resource, amount)
            return Denied("no_capacity", {Released(resource)}, "shape", cohort=cohort, amount=amount)
    return None


class ReadyQueueContract:
    """The suite. Subclass it and give it `make_queue`."""

    def make_queue(self, limits: dict[str, int]) -> ReadyQueue:
        """An empty queue."""
        raise NotImplementedError("make_queue: an empty queue for these limits")

    def queue_with(self, *tasks: SchedulableTask) -> ReadyQueue:
        """A queue with these tasks in it."""
        queue = self.make_queue({"submission": 16, "gpu": 4})
        queue.enqueue(tasks, 0.0)
        return queue

    def check(self, queue: ReadyQueue) -> None:
        """What must hold whenever the queue is at rest."""
        checker = getattr(queue, "check_invariants", None)
        if checker is not None:
            checker()
        view = queue.view()
        assert view.queued_total == sum(view.queued_by_group.values())
        assert queue.is_empty() == (view.queued_total == 0)

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
        first, second = queue.select_next(anything_goes, 0.0), queue.select_next(anything_goes, 0.0)
        assert first is not None
        assert second is not None
        assert (first.item, first.sequence_version) == (second.item, second.sequence_version)
        assert json.dumps(queue.view().snapshot(), sort_keys=True) == before
        assert queue.commit(second, 0.0) is second.item

    def test_a_refusal_changes_no_membership_and_no_version(self) -> None:
        queue = self.queue_with(make_task("a", "g"), make_task("b", "h"))
        first = queue.select_next(anything_goes, 0.0)
        assert queue.select_next(refused(Signal("x")), 0.0) is None
        assert queue.view().queued_total == 2
        queue.wake(Signal("x"), MUCH, 0.0)
        again = queue.select_next(anything_goes, 0.0)
        assert first is not None
        assert again is not None
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
            selection = queue.select_next(anything_goes, 0.0)
            assert selection is not None
            change(queue)
            total = queue.view().queued_total
            assert queue.commit(selection, 0.0) is None
            assert queue.view().queued_total == total

    def test_an_equal_id_that_was_discarded_and_enqueued_again_is_a_change(self) -> None:
        old, new = make_task("a"), make_task("a")
        queue = self.queue_with(old)
        selection = queue.select_next(anything_goes, 0.0)
        assert selection is not None
        queue.discard("a", 0.0)
        queue.enqueue([new], 0.0)
        assert queue.commit(selection, 0.0) is None
        assert take_one(queue) is new

    def test_a_selection_commits_once(self) -> None:
        queue = self.queue_with(make_task("a"), make_task("b"))
        selection = queue.select_next(anything_goes, 0.0)
        assert selection is not None
        assert queue.commit(selection, 0.0) is selection.item
        assert queue.commit(selection, 0.0) is None
        assert queue.view().queued_total == 1

    def test_whoever_takes_the_candidate_out_while_being_asked_does_no_harm(self) -> None:
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

    # -- parking and waking

    def test_a_refused_task_is_not_asked_again_until_its_condition_comes_true(self) -> None:
        for condition in (Released("gpu"), Signal("go"), Backlog("elsewhere")):
            queue = self.queue_with(make_task("a"))
            asked = refused(condition)
            assert queue.select_next(asked, 0.0) is None
            assert queue.select_next(asked, 1.0) is None
            assert asked.ids == ["a"]
            queue.wake(Signal("another"), MUCH, 2.0)
            queue.wake(Released("another"), MUCH, 2.0)
            assert queue.select_next(asked, 2.0) is None
            assert asked.ids == ["a"]
            queue.wake(condition, MUCH, 3.0)
            assert take_all(queue, 3.0) == ["a"]

    def test_the_first_of_several_conditions_ends_a_refusal(self) -> None:
        until: set[Condition] = {Released("gpu"), Signal("go"), At(10.0)}
        for condition in until:
            queue = self.queue_with(make_task("a"))
            queue.select_next(refused(*until), 0.0)
            if isinstance(condition, At):
                assert take_all(queue, 9.9) == []
                assert take_all(queue, 10.0) == ["a"]
            else:
                queue.wake(condition, MUCH, 1.0)
                assert take_all(queue, 1.0) == ["a"]
            self.check(queue)
            assert queue.next_change(2.0) is None

    def test_a_moment_wakes_by_now_alone_and_is_announced(self) -> None:
        queue = self.queue_with(make_task("a", "g"), make_task("b", "h"))
        asked = Asked(lambda task, view: Denied("policy_denial", {At(5.0 if task.task_id == "a" else 3.0)}))
        assert queue.select_next(asked, 0.0) is None
        assert queue.next_change(0.0) == 3.0
        assert take_all(queue, 3.0) == ["b"]
        assert queue.next_change(3.0) == 5.0
        assert take_all(queue, 5.0) == ["a"]

    def test_who_needs_more_than_is_free_is_not_woken(self) -> None:
        queue = self.queue_with(make_task("a", needs={"gpu": 3}))
        asked = Asked(lambda task, view: no_room(task, {"gpu": 0}))
        queue.select_next(asked, 0.0)
        queue.wake(Released("gpu"), 2, 1.0)
        assert queue.select_next(asked, 1.0) is None
        assert asked.ids == ["a"]
        queue.wake(Released("gpu"), 3, 1.0)
        assert take_all(queue, 1.0) == ["a"]

    def test_a_release_asks_as_many_as_could_fit_and_one(self) -> None:
        queue = self.queue_with(*(make_task(f"{n}", f"g{n}", {"gpu": 1}) for n in range(50)))
        free = {"gpu": 0}
        asked = Asked(lambda task, view: no_room(task, free))
        assert queue.select_next(asked, 0.0) is None
        for amount in (1, 3):
            asked.ids.clear()
            free["gpu"] = amount
            queue.wake(Released("gpu"), amount, 1.0)
            while (selection := queue.select_next(asked, 1.0)) is not None:
                assert queue.commit(selection, 1.0) is not None
                free["gpu"] -= 1
            assert free["gpu"] == 0
            assert len(asked.ids) <= amount + 1
            self.check(queue)

    def test_two_releases_before_the_next_selection_wake_for_both(self) -> None:
        queue = self.queue_with(*(make_task(f"{n}", f"g{n}", {"gpu": 1}) for n in range(5)))
        free = {"gpu": 0}
        asked = Asked(lambda task, view: no_room(task, free))
        assert queue.select_next(asked, 0.0) is None
        for _ in range(2):
            free["gpu"] += 1
            queue.wake(Released("gpu"), free["gpu"], 1.0)
        taken = 0
        while (selection := queue.select_next(asked, 1.0)) is not None:
            assert queue.commit(selection, 1.0) is not None
            free["gpu"] -= 1
            taken += 1
        assert taken == 2

    def test_a_line_is_asked_one_at_a_time(self) -> None:
        queue = self.queue_with(*(make_task(f"{n}", f"g{n}") for n in range(20)))
        asked = refused(Signal("go"), scope="group", cohort="all of us")
        queue.select_next(asked, 0.0)
        assert len(asked.ids) == 20
        queue.wake(Signal("go"), MUCH, 1.0)
        assert queue.select_next(asked, 1.0) is None
        assert len(asked.ids) == 21
        queue.wake(Signal("go"), MUCH, 2.0)
        assert len(take_all(queue, 2.0)) == 20

    def test_the_queue_itself_wakes_for_a_change_of_backlog(self) -> None:
        def changes(queue: ReadyQueue) -> list[Callable[[], object]]:
            return [
                lambda: queue.enqueue([make_task("new", "other", {"gpu": 1})], 1.0),
                lambda: queue.discard("peer", 1.0),
                lambda: take_one(queue, 1.0),
            ]

        for condition in (Backlog("gpu"), Backlog(group_key("other"))):
            for number in range(3):
                queue = self.queue_with(make_task("a"), make_task("peer", "other", {"gpu": 1}))
                only_a = Asked(lambda task, view: Denied("policy_denial", {condition}) if task.task_id == "a" else None)  # noqa: B023
                assert queue.select_next(only_a, 0.0) is not None
                only_a.ids.clear()
                queue.select_next(only_a, 0.5)
                assert "a" not in only_a.ids
                changes(queue)[number]()
                queue.select_next(only_a, 1.0)
                assert "a" in only_a.ids
                self.check(queue)

    def test_who_waits_for_a_peer_to_be_parked_is_asked_while_it_is(self) -> None:
        queue = self.queue_with(make_task("first", "a", {"gpu": 1}), make_task("peer", "b", {"gpu": 1}))

        def rule(task: SchedulableTask, view: QueueView) -> Denied | None:
            if task.task_id == "peer":
                return Denied("policy_denial", {Backlog("gpu")})
            peers = view.ready_groups_by_resource.get("gpu", {}).keys() - {task.group.key}
            return Denied("group_cap", {Backlog("gpu")}) if peers else None

        selection = queue.select_next(rule, 0.0)
        assert selection is not None
        assert selection.item.task_id == "first"

    def test_two_rules_that_watch_each_other_come_to_rest(self) -> None:
        queue = self.queue_with(make_task("a", "a"), make_task("b", "b"))
        other = {"a": "b", "b": "a"}
        asked = Asked(lambda task, view: Denied("policy_denial", {Backlog(group_key(other[task.task_id]))}))
        assert queue.select_next(asked, 0.0) is None
        assert len(asked.ids) <= 10
        assert {block.scope_key for block in queue.blocked()} == {"a", "b"}
        asked.ids.clear()
        assert queue.select_next(asked, 1.0) is None
        assert asked.ids == [], "at rest means that nobody is asked until something changes"
        self.check(queue)

    # -- scopes

    def test_scope_task_covers_that_task_alone(self) -> None:
        queue = self.queue_with(make_task("a"))
        asked = Asked(lambda task, view: Denied("policy_denial", {Signal("go")}) if task.task_id == "a" else None)
        assert queue.select_next(asked, 0.0) is None
        queue.enqueue([make_task("b")], 1.0)
        selection = queue.select_next(asked, 1.0)
        assert selection is not None
        assert selection.item.task_id == "b"
        assert asked.ids == ["a", "b"]

    def test_scope_shape_covers_the_group_with_that_shape(self) -> None:
        queue = self.queue_with(
            make_task("a1", needs={"gpu": 1}),
            make_task("a2", needs={"gpu": 1}),
            make_task("b"),
            make_task("c", "other"),
        )
        asked = refused(Signal("go"), scope="shape")
        queue.select_next(asked, 0.0)
        assert sorted(asked.ids) == ["a1", "b", "c"]
        queue.enqueue([make_task("a3", needs={"gpu": 1})], 1.0)
        queue.select_next(asked, 1.0)
        assert len(asked.ids) == 3

    def test_scope_group_covers_the_group_and_what_joins_it(self) -> None:
        queue = self.queue_with(make_task("a1", needs={"gpu": 1}), make_task("a2"), make_task("c", "other"))
        asked = refused(Signal("go"), scope="group")
        queue.select_next(asked, 0.0)
        assert len(asked.ids) == 2
        queue.enqueue([make_task("a3", needs={"gpu": 2})], 1.0)
        queue.select_next(asked, 1.0)
        assert len(asked.ids) == 2
        queue.wake(Signal("go"), MUCH, 2.0)
        assert sorted(take_all(queue, 2.0)) == ["a1", "a2", "a3", "c"]

    def test_scope_all_covers_everything(self) -> None:
        queue = self.queue_with(make_task("a"), make_task("b", "other"))
        asked = refused(Signal("go"), scope="all")
        queue.select_next(asked, 0.0)
        queue.enqueue([make_task("c", "third")], 1.0)
        queue.select_next(asked, 1.0)
        assert len(asked.ids) == 1
        queue.wake(Signal("go"), MUCH, 2.0)
        assert sorted(take_all(queue, 2.0)) == ["a", "b", "c"]

    def test_a_head_that_cannot_run_does_not_hide_a_task_of_its_group_that_asks_for_something_else(self) -> None:
        queue = self.queue_with(
            make_task("big", needs={"gpu": 1}), make_task("small"), make_task("big2", needs={"gpu": 1})
        )
        selection = queue.select_next(lambda task, view: no_room(task, {"gpu": 0}), 0.0)
        assert selection is not None
        assert selection.item.task_id == "small"

    def test_a_task_can_be_parked_after_it_was_selected(self) -> None:
        for scope in ("task", "shape", "group", "all"):
            queue = self.queue_with(make_task("a"), make_task("b", "other"))
            selection = queue.select_next(anything_goes, 0.0)
            assert selection is not None
            queue.park(selection.item, Denied("policy_denial", {Signal("go")}, scope), 0.0)
            following = queue.select_next(anything_goes, 0.0)
            assert following is None or following.item is not selection.item
            self.check(queue)
            queue.wake(Signal("go"), MUCH, 1.0)
            assert sorted(take_all(queue, 1.0)) == ["a", "b"]

    def test_parked_tasks_can_be_discarded(self) -> None:
        for options in (
            {},
            {"scope": "shape"},
            {"scope": "group"},
            {"scope": "all"},
            {"scope": "shape", "cohort": "c"},
        ):
            queue = self.queue_with(make_task("a"), make_task("b"), make_task("c", "other"))
            queue.select_next(refused(Signal("go"), At(9.0), **options), 0.0)
            for task_id in "abc":
                assert queue.discard(task_id, 1.0) is not None
                self.check(queue)
            assert queue.is_empty()
            assert not list(queue.blocked())

    def test_a_refusal_of_all_outlives_those_who_met_it(self) -> None:
        queue = self.queue_with(make_task("a"))
        queue.select_next(refused(Signal("go"), scope="all"), 0.0)
        queue.discard("a", 0.0)
        queue.enqueue([make_task("b")], 0.0)
        assert take_all(queue) == []
        queue.wake(Signal("go"), MUCH, 0.0)
        assert take_all(queue) == ["b"]

    # -- telling

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

    def test_who_listens_hears_of_every_group_that_is_ready(self) -> None:
        heard: dict[object, set[object]] = {}

        class Listener:
            def ready_changed(self, resource: object, group: object, begins: bool, cohort: object = None) -> None:
                if cohort is None:
                    groups = heard.setdefault(resource, set())
                    assert (group in groups) != begins
                    groups ^= {group}

            def line_changed(self, cohort: object, opens: bool) -> None:
                return None

        queue = self.queue_with(make_task("a", "g", {"gpu": 1}), make_task("b", "h"))
        view = queue.view()
        view.listen_ready(Listener())

        def agrees() -> bool:
            ready = {key: set(groups) for key, groups in view.ready_groups_by_resource.items()}
            return {key: groups for key, groups in heard.items() if groups} == ready

        assert agrees()
        queue.enqueue([make_task("c", "i", {"gpu": 1})], 0.0)
        assert agrees()
        queue.select_next(refused(Signal("go"), scope="shape"), 0.0)
        assert agrees()
        queue.wake(Signal("go"), MUCH, 0.0)
        assert agrees()
        take_all(queue)
        assert agrees()

    # -- leaving no trace

    def test_drained_groups_leave_no_trace(self) -> None:
        queue = self.queue_with(*(make_task(f"{n}", f"g{n}") for n in range(10)))
        take_all(queue)
        view = queue.view()
        assert (
            len(view.queued_by_group) == len(view.first_candidate_by_group) == len(view.ready_groups_by_resource) == 0
        )
        assert list(queue.blocked()) == []

    def test_memory_is_back_after_a_flood_however_it_left(self) -> None:
        def flood(queue: ReadyQueue, number: int) -> None:
            queue.enqueue([make_task(f"{number}/{n}", f"g{n % 1500}", {"gpu": 1 + n % 2}) for n in range(3000)], 0.0)

        def taken(queue: ReadyQueue) -> None:
            take_all(queue)

        def discarded(queue: ReadyQueue) -> None:
            queue.select_next(refused(Signal("go"), At(1e9), scope="shape", cohort="c"), 0.0)
            for number in range(3000):
                queue.discard(f"0/{number}", 0.0)

        def discarded_unseen(queue: ReadyQueue) -> None:
            for number in range(3000):
                queue.discard(f"0/{number}", 0.0)

        for leave in (taken, discarded, discarded_unseen):
            queue = self.make_queue({"submission": 16, "gpu": 4})
            queue.enqueue([make_task("warm")], 0.0)
            take_all(queue)
            tracemalloc.start()
            flood(queue, 0)
            held = tracemalloc.get_traced_memory()[0]
            leave(queue)
            gc.collect()
            left = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()
            assert left < 0.05 * held, f"{leave.__name__}: {left:,} of {held:,} bytes are left"

    def test_streams_of_fresh_groups_leave_no_trace_while_another_group_waits(self) -> None:
        queue = self.make_queue({"submission": 16, "gpu": 4})
        queue.enqueue([make_task("waits", "old")], 0.0)
        queue.select_next(refused(Signal("never")), 0.0)

        def stream(name: str) -> None:
            for number in range(500):
                needs = {"gpu": 1} if number % 2 else None
                queue.enqueue([make_task(f"{name}{number}/{n}", f"{name}{number}", needs) for n in range(2)], 0.0)
                queue.select_next(lambda task, view: no_room(task, {"gpu": 0}), 0.0)
                queue.wake(Released("gpu"), 2, 0.0)
                assert len(take_all(queue)) == 2

        stream("warm")
        tracemalloc.start()
        stream("flood")
        gc.collect()
        left = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert left < 50_000, f"{left:,} bytes are left of 500 groups that have gone"

    def test_many_tasks_that_were_refused_one_by_one_come_back_at_once(self) -> None:
        steps = 0
        queue = self.queue_with(*(make_task(f"{n}") for n in range(3000)))
        asked = refused(At(60.0))
        assert queue.select_next(asked, 0.0) is None
        assert len(asked.ids) == 3000
        while (task := take_one(queue, 60.0)) is not None:
            assert task.task_id == f"{steps}"
            steps += 1
        assert steps == 3000

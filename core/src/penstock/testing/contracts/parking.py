"""The contract of ready queues on refusals, as tests: parking, waking, scopes. A part of `ReadyQueueContract`."""

from __future__ import annotations

from collections.abc import Callable

from penstock.tasks.ready_queue import QueueView, ReadyQueue
from penstock.tasks.records import SchedulableTask
from penstock.testing.contracts.queue_suite import MUCH, Asked, QueueSuite, no_room, refused, selected
from penstock.testing.task_making import anything_goes, group_key, make_task, take_all, take_one
from penstock.words.verdicts import At, Backlog, Condition, Denied, Released, Signal

__all__ = ["ParkingContract"]


class ParkingContract(QueueSuite):
    """The tests of what a ready queue does with refusals."""

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

    def test_a_release_asks_as_many_as_could_fit_and_one(self) -> None:
        queue = self.queue_with(*(make_task(f"{n}", f"g{n}", {"gpu": 1}) for n in range(50)))
        free = {"gpu": 0}
        asked = Asked(lambda task, view: no_room(task, free))
        assert queue.select_next(asked, 0.0) is None
        for amount in (1, 3):
            asked.ids.clear()
            free["gpu"] = amount
            queue.wake(Released("gpu"), amount, 1.0)
            assert self._start_all(queue, asked, free) == amount
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
        assert self._start_all(queue, asked, free) == 2

    def _start_all(self, queue: ReadyQueue, asked: Asked, free: dict[str, int]) -> int:
        """The number of tasks that are selected and committed, each of which takes a `gpu`."""
        before = free["gpu"]
        while (selection := queue.select_next(asked, 1.0)) is not None:
            assert queue.commit(selection, 1.0) is not None
            free["gpu"] -= 1
        return before - free["gpu"]

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
                lambda: queue.discard("contender", 1.0),
                lambda: take_one(queue, 1.0),
            ]

        for condition in (Backlog("gpu"), Backlog(group_key("other"))):
            for number in range(3):
                queue = self.queue_with(make_task("a"), make_task("contender", "other", {"gpu": 1}))
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
        queue = self.queue_with(make_task("first", "a", {"gpu": 1}), make_task("contender", "b", {"gpu": 1}))

        def rule(task: SchedulableTask, view: QueueView) -> Denied | None:
            if task.task_id == "contender":
                return Denied("policy_denial", {Backlog("gpu")})
            contenders = view.ready_groups_by_resource.get("gpu", {}).keys() - {task.group.key}
            return Denied("group_cap", {Backlog("gpu")}) if contenders else None

        selection = selected(queue, rule, 0.0)
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
        assert asked.ids == [], "at rest means that no task is asked until something changes"
        self.check(queue)

    # -- scopes

    def test_scope_task_covers_that_task_alone(self) -> None:
        queue = self.queue_with(make_task("a"))
        asked = Asked(lambda task, view: Denied("policy_denial", {Signal("go")}) if task.task_id == "a" else None)
        assert queue.select_next(asked, 0.0) is None
        queue.enqueue([make_task("b")], 1.0)
        selection = selected(queue, asked, 1.0)
        assert selection.item.task_id == "b"
        assert asked.ids == ["a", "b"]

    def test_a_task_that_was_refused_alone_stands_in_its_place_again(self) -> None:
        queue = self.queue_with(*(make_task(name) for name in "abcd"))
        asked = Asked(lambda task, view: Denied("policy_denial", {Signal("go")}) if task.task_id in "ac" else None)
        for expected in "bd":
            selection = selected(queue, asked, 0.0)
            assert selection.item.task_id == expected
            if expected == "b":
                assert queue.commit(selection, 0.0) is selection.item
        queue.wake(Signal("go"), MUCH, 1.0)
        self.check(queue)
        again = refused(Signal("go"), scope="shape")
        assert queue.select_next(again, 1.0) is None
        assert again.ids == ["a"], "it stands with those of its shape, and a refusal of the shape covers all"
        queue.enqueue([make_task("e")], 1.0)
        queue.wake(Signal("go"), MUCH, 2.0)
        assert take_all(queue, 2.0) == ["a", "c", "d", "e"]

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
        selection = selected(queue, lambda task, view: no_room(task, {"gpu": 0}), 0.0)
        assert selection.item.task_id == "small"

    def test_a_task_can_be_parked_after_it_was_selected(self) -> None:
        for scope in ("task", "shape", "group", "all"):
            queue = self.queue_with(make_task("a"), make_task("b", "other"))
            selection = selected(queue, anything_goes, 0.0)
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

"""Readiness, against a graph that is looked through anew each time."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock import ConfigError, SchedulableTask
from penstock.readiness.completion import CompletionTracker, TaskNode
from penstock.testing import make_task


def node(
    task_id: str, *after: str, members_of: Sequence[str] = (), row_group: str | None = None
) -> TaskNode[SchedulableTask]:
    return TaskNode(make_task(task_id), after, members_of, row_group)


def tracker_with(*nodes: TaskNode[SchedulableTask]) -> CompletionTracker[SchedulableTask]:
    tracker: CompletionTracker[SchedulableTask] = CompletionTracker()
    tracker.add(nodes)
    tracker.check_invariants()
    return tracker


def frontier(tracker: CompletionTracker[SchedulableTask]) -> list[str]:
    return [task.task_id for task in tracker.ready_frontier()]


def ids(tasks: Sequence[SchedulableTask]) -> list[str]:
    return [task.task_id for task in tasks]


def test_a_task_is_ready_when_all_that_it_comes_after_is_complete() -> None:
    tracker = tracker_with(node("a"), node("b"), node("c", "a", "b"))
    assert frontier(tracker) == ["a", "b"]
    assert tracker.mark_complete("a") == []
    assert ids(tracker.mark_complete("b")) == ["c"]
    assert frontier(tracker) == ["c"]


def test_an_acknowledged_task_leaves_the_frontier_and_does_not_come_back() -> None:
    tracker = tracker_with(node("a"), node("b"))
    tracker.mark_enqueued(["a", "unheard of"])
    tracker.mark_enqueued(["a"])
    assert frontier(tracker) == ["b"]
    tracker.mark_complete("a")
    tracker.add([node("a")])
    assert frontier(tracker) == ["b"]


def test_the_frontier_keeps_no_memory_of_tasks_that_the_ready_queue_has() -> None:
    tracker: CompletionTracker[SchedulableTask] = CompletionTracker()
    tracemalloc.start()
    try:
        for number in range(1, 3001):
            tracker.add_one(make_task(f"task-{number}"), number=number)
        enqueued = [task.task_id for task in tracker.ready_frontier()]
        before, _ = tracemalloc.get_traced_memory()
        tracker.mark_enqueued(enqueued)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert before - after > 3000 * 16, "a key and a value for each"


def test_edges_inside_a_batch_may_point_forward() -> None:
    tracker = tracker_with(node("c", "b"), node("b", "a"), node("a"))
    assert frontier(tracker) == ["a"]


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        ([node("x"), node("y", "nobody")], "'y' comes after 'nobody'"),
        ([node("x", "y"), node("y", "z"), node("z", "x")], "wait for each other: x -> y -> z -> x"),
        ([node("x", "x")], "x -> x"),
        ([node("on its way", "x"), node("x", "y"), node("y", "x")], "wait for each other: x -> y -> x"),
        ([node("x"), node("x")], "twice in one batch"),
        ([node("x"), node("old")], "'old' is there already"),
        ([node("x", members_of=("old",))], "no open barrier"),
        ([node("x", members_of=("sealed",))], "no open barrier"),
        ([node("x", "after-gather", members_of=("gather",))], "wait for each other"),
        ([node("x", "y", members_of=("gather",)), node("y", "gather")], "wait for each other"),
        ([TaskNode(make_task("x"), ("y",), (), None, True), node("y", members_of=("x",)), node("z", "x")], None),
        ([TaskNode(make_task("x"), (), (), None, True), node("y", "x", members_of=("x",))], "wait for each other"),
    ],
)
def test_a_batch_is_taken_whole_or_not_at_all(batch: list[TaskNode[SchedulableTask]], said: str | None) -> None:
    tracker = tracker_with(node("old"))
    tracker.barrier(make_task("gather"))
    tracker.barrier(make_task("sealed"))
    tracker.seal("sealed")
    tracker.add([node("after-gather", "gather")])
    before = (frontier(tracker), sorted(tracker.unfinished()))
    if said is None:
        tracker.add(batch)
        return
    with pytest.raises(ConfigError, match=said):
        tracker.add(batch)
    assert (frontier(tracker), sorted(tracker.unfinished())) == before
    tracker.check_invariants()


def test_a_cycle_through_two_barriers_is_found() -> None:
    tracker: CompletionTracker[SchedulableTask] = CompletionTracker()
    tracker.barrier(make_task("one"))
    tracker.barrier(make_task("two"))
    tracker.add([node("m", "one", members_of=("two",))])
    with pytest.raises(ConfigError):
        tracker.add([node("x", "two", members_of=("one",))])
    assert {task_id for task_id, *_ in tracker.unfinished()} == {"one", "two", "m"}


def test_the_same_task_again_is_no_error_and_another_payload_is() -> None:
    same = node("a")
    tracker = tracker_with(same)
    tracker.add([same])
    assert len(tracker) == 1
    with pytest.raises(ConfigError, match="another payload"):
        tracker.add([node("a")])


def test_what_is_finished_never_becomes_ready_again() -> None:
    tracker = tracker_with(node("a"), node("b"), node("c", "b"))
    tracker.mark_complete("a")
    assert ids(tracker.drop("b")) == ["b", "c"]
    for _ in range(2):
        assert tracker.mark_complete("a") == []
        assert tracker.drop("b") == []
        assert tracker.mark_complete("b") == []
        tracker.defer("a", 1.0)
    tracker.add([node("a"), node("b")])
    assert frontier(tracker) == []
    assert tracker.advance(2.0) == []
    assert len(tracker) == 0


def test_what_depends_on_something_dropped_is_dropped_however_late_it_comes() -> None:
    tracker = tracker_with(node("a"))
    tracker.drop("a")
    assert ids(tracker.add([node("c", "b"), node("b", "a"), node("d")])) == ["b", "c"]
    assert frontier(tracker) == ["d"]
    assert ids(tracker.barrier(make_task("gather"), ("a",))) == ["gather"]


def test_a_circle_through_something_dropped_is_none_and_all_in_it_is_dropped() -> None:
    tracker: CompletionTracker[SchedulableTask] = CompletionTracker()
    tracker.barrier(make_task("all"))
    tracker.add([node("a", "all")])
    assert ids(tracker.drop("a")) == ["a"]
    assert set(ids(tracker.add([node("b", "a", members_of=("all",))]))) == {"b", "all"}


def test_a_barrier_takes_members_until_it_is_sealed() -> None:
    tracker: CompletionTracker[SchedulableTask] = CompletionTracker()
    tracker.barrier(make_task("all"))
    tracker.add([node("after", "all")])
    tracker.add([node("m1", members_of=("all",))])
    tracker.mark_complete("m1")
    tracker.add([node("m2", members_of=("all",))])
    assert ids(tracker.seal("all")) == []
    assert ids(tracker.seal("all")) == []
    assert ids(tracker.mark_complete("m2")) == ["all"]
    assert ids(tracker.mark_complete("all")) == ["after"]


def test_a_barrier_without_members_is_ready_when_it_is_sealed() -> None:
    tracker: CompletionTracker[SchedulableTask] = CompletionTracker()
    tracker.barrier(make_task("all"))
    assert frontier(tracker) == []
    assert ids(tracker.seal("all")) == ["all"]
    assert frontier(tracker) == ["all"]


def test_a_barrier_may_be_a_member_of_another_and_come_after_tasks_of_its_batch() -> None:
    tracker: CompletionTracker[SchedulableTask] = CompletionTracker()
    tracker.add(
        [
            TaskNode(make_task("inner"), ("late",), ("outer",), None, True),
            TaskNode(make_task("outer"), (), (), None, True),
            node("late"),
        ]
    )
    tracker.seal("outer")
    assert frontier(tracker) == ["late"]
    tracker.mark_complete("late")
    assert ids(tracker.seal("inner")) == ["inner"]
    assert ids(tracker.mark_complete("inner")) == ["outer"]


def test_a_dropped_member_takes_the_barrier_along() -> None:
    tracker: CompletionTracker[SchedulableTask] = CompletionTracker()
    tracker.barrier(make_task("all"))
    tracker.add([node("m", members_of=("all",)), node("after", "all")])
    assert sorted(ids(tracker.drop("m"))) == ["after", "all", "m"]


def test_deferred_work_comes_back_at_its_moment_through_the_frontier() -> None:
    tracker = tracker_with(node("a"), node("b"))
    tracker.mark_enqueued(["a", "b"])
    tracker.defer("a", 5.0)
    tracker.defer("b", 3.0)
    assert tracker.next_change(0.0) == 3.0
    assert tracker.advance(3.0) == ["b"]
    assert tracker.next_change(3.0) == 5.0
    assert tracker.next_change(6.0) == 6.0
    assert tracker.advance(6.0) == ["a"]
    assert frontier(tracker) == ["b", "a"]
    assert tracker.next_change(6.0) is None


def test_the_last_deferral_holds() -> None:
    tracker = tracker_with(node("a"))
    tracker.mark_enqueued(["a"])
    tracker.defer("a", 5.0)
    tracker.defer("a", 9.0)
    assert tracker.advance(5.0) == []
    assert tracker.next_change(5.0) == 9.0
    assert tracker.advance(9.0) == ["a"]
    tracker.mark_enqueued(["a"])
    tracker.defer("a", 2.0)
    tracker.drop("a")
    assert tracker.next_change(0.0) is None


def test_a_completion_costs_the_tasks_that_it_readies_whatever_else_waits() -> None:
    looked_at: list[str] = []

    class Watched(str):
        __slots__ = ()

        def __hash__(self) -> int:
            looked_at.append(str(self))
            return str.__hash__(self)

        def __eq__(self, other: object) -> bool:
            return str.__eq__(self, other)

        def __ne__(self, other: object) -> bool:
            return not self == other

    tracker: CompletionTracker[SchedulableTask] = CompletionTracker()
    tracker.add([node(Watched("a")), node(Watched("b"))])
    tracker.add([node(Watched(f"waits/{n}"), "b") for n in range(2000)])
    tracker.add([node(Watched("next"), "a")])
    looked_at.clear()
    assert ids(tracker.mark_complete("a")) == ["next"]
    assert len(looked_at) < 20


def test_many_finished_cells_take_the_room_of_their_columns() -> None:
    tracker: CompletionTracker[SchedulableTask] = CompletionTracker()
    for group in range(100):
        names = [f"{column}/{row}" for row in range(group * 50, group * 50 + 50) for column in ("x", "y")]
        tracker.add([node(name, row_group=f"rg{group}") for name in names])
        for name in names:
            tracker.mark_complete(name)
        tracker.seal_row_group(f"rg{group}")
        tracker.check_invariants()
        assert tracker.kept_ids() <= 2
    assert tracker.is_finished("x/4999")
    assert not tracker.is_finished("x/5000")


def test_finished_tasks_of_no_row_group_fold_too() -> None:
    tracker: CompletionTracker[SchedulableTask] = CompletionTracker()
    for number in range(20_000):
        tracker.add_one(make_task(f"task-{number}"))
        tracker.mark_complete(f"task-{number}")
    assert tracker.kept_ids() < 5000
    assert all(tracker.is_finished(f"task-{number}") for number in range(20_000))


def test_a_row_group_folds_only_when_sealed_and_finished_and_remembers_what_was_dropped() -> None:
    tracker = tracker_with(node("x/1", row_group="g"), node("x/2", row_group="g"))
    tracker.seal_row_group("g")
    tracker.drop("x/1")
    tracker.mark_complete("x/2")
    assert ids(tracker.add([node("late", "x/1")])) == ["late"]
    tracker.add([node("fine", "x/2")])
    assert frontier(tracker) == ["fine"]


class TrackerMachine(RuleBasedStateMachine):
    """The naive model: every task with what it waits for, looked through in full whenever asked."""

    def __init__(self) -> None:
        super().__init__()
        self.tracker: CompletionTracker[SchedulableTask] = CompletionTracker()
        self.needs: dict[str, set[str]] = {}
        self.open: set[str] = set()
        self.barriers: set[str] = set()
        self.complete: set[str] = set()
        self.dropped: set[str] = set()
        self.enqueued: set[str] = set()
        self.deferred: dict[str, float] = {}
        self.now = 0.0
        self.numbered = 0

    @property
    def unfinished(self) -> list[str]:
        return [task_id for task_id in self.needs if task_id not in self.complete | self.dropped]

    def ready(self) -> set[str]:
        return {
            task_id
            for task_id in self.unfinished
            if self.needs[task_id] <= self.complete
            and task_id not in self.open | self.enqueued
            and task_id not in self.deferred
        }

    def has_cycle(self, needs: dict[str, set[str]]) -> bool:
        ended = self.complete | self.dropped
        left = {t: {n for n in needed if n in needs and n not in ended} for t, needed in needs.items()}
        while True:
            free = [task_id for task_id, needed in left.items() if not needed & left.keys()]
            if not free:
                return bool(left)
            for task_id in free:
                del left[task_id]

    @rule(data=st.data(), count=st.integers(1, 4))
    def add(self, data: st.DataObject, count: int) -> None:
        fresh = [f"t/{self.numbered + n}" for n in range(count)]
        self.numbered += count
        known = [*self.needs, *fresh]
        batch = []
        needs = {task_id: set(needed) for task_id, needed in self.needs.items()}
        valid = True
        new_barriers = set(data.draw(st.lists(st.sampled_from(fresh), max_size=1)))
        for task_id in fresh:
            after = data.draw(st.lists(st.sampled_from(known), max_size=3))
            joinable = sorted(self.open | self.barriers | new_barriers)
            members_of = data.draw(st.lists(st.sampled_from(joinable), max_size=2)) if joinable else []
            valid = valid and set(members_of) <= (self.open - self.complete - self.dropped) | new_barriers
            needs.setdefault(task_id, set()).update(after)
            for barrier in members_of:
                needs.setdefault(barrier, set()).add(task_id)
            row_group = data.draw(st.sampled_from((None, "g1", "g2")))
            batch.append(TaskNode(make_task(task_id), after, members_of, row_group, task_id in new_barriers))
        if not valid or self.has_cycle(needs):
            with pytest.raises(ConfigError):
                self.tracker.add(batch)
            return
        dropped = ids(self.tracker.add(batch))
        self.needs = needs
        self.open |= new_barriers
        self.barriers |= new_barriers
        doomed = {task_id for task_id in fresh if needs[task_id] & self.dropped}
        assert set(dropped) == self.drop_in_model(doomed)

    def drop_in_model(self, doomed: set[str]) -> set[str]:
        gone = {task_id for task_id in doomed if task_id in self.unfinished}
        while True:
            more = {t for t in self.unfinished if t not in gone and self.needs[t] & gone}
            if not more:
                break
            gone |= more
        self.dropped |= gone
        for task_id in gone:
            self.open.discard(task_id)
            self.deferred.pop(task_id, None)
        return gone

    @precondition(lambda self: self.needs)
    @rule(data=st.data())
    def complete_one(self, data: st.DataObject) -> None:
        able = sorted((self.ready() | self.enqueued | set(self.deferred) | self.complete) - self.dropped)
        if not able:
            return
        task_id = data.draw(st.sampled_from(able))
        before = self.ready()
        readied = {task.task_id for task in self.tracker.mark_complete(task_id)}
        self.complete.add(task_id)
        self.enqueued.discard(task_id)
        self.deferred.pop(task_id, None)
        assert readied == self.ready() - before

    @precondition(lambda self: self.needs)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        task_id = data.draw(st.sampled_from(sorted(self.needs)))
        dropped = ids(self.tracker.drop(task_id))
        assert len(set(dropped)) == len(dropped)
        assert set(dropped) == self.drop_in_model({task_id})
        assert not dropped or dropped[0] == task_id

    @rule(share=st.floats(0, 1))
    def enqueue(self, share: float) -> None:
        ready = [task.task_id for task in self.tracker.ready_frontier()]
        taken = ready[: int(len(ready) * share) + 1]
        self.tracker.mark_enqueued(taken)
        self.enqueued |= set(taken)

    @precondition(lambda self: self.enqueued)
    @rule(data=st.data(), delay=st.sampled_from((1.0, 2.0)))
    def defer(self, data: st.DataObject, delay: float) -> None:
        able = sorted(self.enqueued - self.complete - self.dropped)
        if able:
            task_id = data.draw(st.sampled_from(able))
            self.tracker.defer(task_id, self.now + delay)
            self.enqueued.discard(task_id)
            self.deferred[task_id] = self.now + delay

    @rule(step=st.sampled_from((0.5, 1.0)))
    def time_passes(self, step: float) -> None:
        self.now += step
        due = {task_id for task_id, moment in self.deferred.items() if moment <= self.now}
        assert set(self.tracker.advance(self.now)) == due
        for task_id in due:
            del self.deferred[task_id]
        assert self.tracker.next_change(self.now) == min(self.deferred.values(), default=None)

    @precondition(lambda self: self.barriers)
    @rule(data=st.data())
    def seal(self, data: st.DataObject) -> None:
        task_id = data.draw(st.sampled_from(sorted(self.barriers)))
        before = self.ready()
        self.open.discard(task_id)
        assert {task.task_id for task in self.tracker.seal(task_id)} == self.ready() - before

    @rule(name=st.sampled_from(("g1", "g2")))
    def seal_row_group(self, name: str) -> None:
        self.tracker.seal_row_group(name)

    @invariant()
    def they_agree(self) -> None:
        self.tracker.check_invariants()
        assert set(frontier(self.tracker)) == self.ready()
        assert len(self.tracker) == len(self.unfinished)
        assert {task_id for task_id, _, _ in self.tracker.unfinished()} == set(self.unfinished)
        for task_id in self.needs:
            assert self.tracker.is_finished(task_id) == (task_id in self.complete | self.dropped)


TestTrackerAgainstAGraph = TrackerMachine.TestCase
TestTrackerAgainstAGraph.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)

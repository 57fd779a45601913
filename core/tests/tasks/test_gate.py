"""The doors of the task gate, one by one, over a queue of lanes and over one that somebody else wrote."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any

import pytest

from penstock import (
    NEVER,
    At,
    ConfigError,
    Denied,
    FifoTaskQueue,
    PluginError,
    QueueSelection,
    QueueView,
    ReadyQueue,
    Released,
    SchedulableTask,
    Signal,
    TaskAdmissionConfig,
    TaskAdmissionController,
    TaskGate,
    TaskGroupSpec,
)
from penstock.tasks.standing import explain
from penstock.testing import make_task
from penstock_model.list_queue import ListQueue

MakeGate = Callable[..., TaskGate]


class Rule:
    """Refuses the tasks of `refusals`, by id or by group."""

    def __init__(self) -> None:
        self.refusals: dict[str, Denied] = {}

    def __call__(self, task: SchedulableTask, queue: Any, view: Any, now: float) -> Denied | None:
        return self.refusals.get(task.task_id) or self.refusals.get(task.group.key.identity[1])


@pytest.fixture
def rule() -> Rule:
    return Rule()


def gate_of(queue: ReadyQueue, rule: Rule, places: int = 4, **resources: int) -> TaskGate:
    return TaskGate(queue, TaskAdmissionController(TaskAdmissionConfig(places, resources), rule=rule))


class WatchedQueue(FifoTaskQueue):
    """Lanes, but chosen in a way that is written anew: the gate does not know what it does, and watches it."""

    selected = 0

    def select_next(
        self, is_eligible: Callable[[SchedulableTask, QueueView], Denied | None], now: float
    ) -> QueueSelection | None:
        self.selected += 1
        return super().select_next(is_eligible, now)


@pytest.fixture(params=[FifoTaskQueue, WatchedQueue, ListQueue], ids=["of lanes", "watched", "naive"])
def make_gate(request: pytest.FixtureRequest, rule: Rule) -> MakeGate:
    """A gate with these places and resources, over each kind of queue."""
    return lambda places=4, **resources: gate_of(request.param(), rule, places, **resources)


def started(gate: TaskGate, now: float = 0.0) -> list[str]:
    """Who may go now, in order; they keep their leases."""
    ids = []
    while (lease := gate.next(now)) is not None:
        ids.append(lease.item.task_id)
    gate.check_invariants()
    return ids


def given_up(gate: TaskGate) -> list[tuple[str, str]]:
    return [(task.task_id, denied.reason) for task, denied in gate.take_given_up()]


def refused(*until: Any, scope: Any = "task") -> Denied:
    return Denied("policy_denial", until, scope, by="rule")


# -- offer, next, finish


def test_what_is_offered_goes_once_and_its_room_comes_back(make_gate: MakeGate) -> None:
    gate = make_gate(1)
    task = make_task("a")
    assert gate.offer([task, make_task("b")], 0.0) == ("a", "b")
    assert gate.offer([task], 0.0) == ()

    first = gate.next(0.0)
    assert first is not None
    assert first.item is task
    assert gate.next(0.0) is None
    result = gate.finish(first, 1.0)
    assert result.released
    assert started(gate, 1.0) == ["b"]

    assert not gate.finish(first, 1.0).released
    assert gate.controller.in_flight == 1


def test_a_closed_gate_admits_nobody_and_takes_leases_back(make_gate: MakeGate) -> None:
    gate = make_gate()
    gate.offer([make_task("a"), make_task("b")], 0.0)
    first = gate.next(0.0)
    gate.close()

    assert gate.next(0.0) is None
    assert gate.next_change(0.0) is None
    assert first is not None
    assert gate.finish(first, 0.0).released
    assert gate.next(0.0) is None
    assert given_up(gate) == []
    assert gate.view.queued_total == 1
    gate.check_invariants()


# -- set_limits


def test_a_raised_limit_lets_those_go_who_wait_for_it(make_gate: MakeGate) -> None:
    gate = make_gate(gpu=1)
    gate.offer([make_task(str(n), needs={"gpu": 1}) for n in range(4)], 0.0)
    assert started(gate) == ["0"]

    gate.set_limits({"submission": 4, "gpu": 3})
    gate.wake(Released("gpu"), 0.0)

    assert started(gate) == ["1", "2"]


def test_under_a_limit_lowered_below_what_is_out_nobody_goes_until_enough_came_back(make_gate: MakeGate) -> None:
    gate = make_gate(gpu=3)
    gate.offer([make_task(str(n), needs={"gpu": 1}) for n in range(5)], 0.0)
    leases = [lease for _ in range(3) if (lease := gate.next(0.0)) is not None]

    gate.set_limits({"submission": 4, "gpu": 1})

    went = []
    for lease in leases:
        went.append(started(gate))
        gate.finish(lease, 0.0)
    assert went == [[], [], []]
    assert started(gate) == ["3"]


def test_a_limit_raised_for_one_resource_leaves_the_others_as_they_are(make_gate: MakeGate) -> None:
    gate = make_gate(gpu=1, disk=1)
    gate.offer([make_task(f"{r}{n}", needs={r: 1}) for n in range(2) for r in ("gpu", "disk")], 0.0)
    assert started(gate) == ["gpu0", "disk0"]

    gate.set_limits({"submission": 4, "gpu": 2, "disk": 1})
    gate.wake(Released("gpu"), 0.0)
    gate.wake(Released("disk"), 0.0)

    assert started(gate) == ["gpu1"]


def test_a_gate_of_no_places_lets_those_go_whom_a_raised_limit_has_room_for() -> None:
    """All that is free is gone when the limit falls: the next choice must not look at what was."""
    gate = gate_of(FifoTaskQueue(), Rule(), 2)
    gate.offer([make_task(str(n)) for n in range(4)], 0.0)
    assert started(gate) == ["0", "1"]
    gate.set_limits({"submission": 1})
    assert started(gate) == []
    gate.set_limits({"submission": 3})
    assert started(gate) == ["2"]


def test_who_waits_for_room_needs_no_word_of_a_raised_limit(rule: Rule) -> None:
    gate = gate_of(FifoTaskQueue(), rule, gpu=1)
    gate.offer([make_task(str(n), needs={"gpu": 1}) for n in range(3)], 0.0)
    assert started(gate) == ["0"]
    gate.set_limits({"submission": 4, "gpu": 2})
    assert started(gate) == ["1"]


def test_what_fitted_once_is_given_up_when_it_is_offered_under_a_limit_it_can_never_fit(
    make_gate: MakeGate, rule: Rule
) -> None:
    gate = make_gate(gpu=4)
    rule.refusals = {"held": refused(Signal("go"))}
    gate.offer([make_task("held"), make_task("before", needs={"gpu": 3})], 0.0)
    assert started(gate) == ["before"]

    gate.set_limits({"submission": 4, "gpu": 2})

    assert gate.offer([make_task("after", needs={"gpu": 3}), make_task("small", needs={"gpu": 2})], 0.0) == (
        "after", "small",
    )  # fmt: skip
    assert given_up(gate) == [("after", "never_fits")]
    assert gate.view.queued_total == 2


def test_what_could_never_fit_once_is_taken_under_a_larger_limit(make_gate: MakeGate) -> None:
    gate = make_gate(gpu=1)
    gate.offer([make_task("a", needs={"gpu": 2})], 0.0)
    assert given_up(gate) == [("a", "never_fits")]

    gate.set_limits({"submission": 4, "gpu": 2})
    gate.offer([make_task("a", needs={"gpu": 2})], 0.0)

    assert started(gate) == ["a"]
    assert given_up(gate) == []


def test_of_what_is_queued_when_a_limit_falls_below_it_others_are_not_kept_back(make_gate: MakeGate) -> None:
    """A plan refuses such a change while the task is there; a program that makes it keeps the task waiting alone."""
    gate = make_gate(gpu=2)
    gate.offer([make_task("holder", needs={"gpu": 1}), make_task("large", "b", {"gpu": 2})], 0.0)
    assert started(gate) == ["holder"]
    gate.set_limits({"submission": 4, "gpu": 1})
    gate.offer([make_task("plain", "c")], 0.0)
    assert started(gate) == ["plain"]


def test_limits_that_cannot_be_set_change_nothing(make_gate: MakeGate) -> None:
    gate = make_gate(gpu=1)
    gate.offer([make_task("a", needs={"gpu": 1}), make_task("b", needs={"gpu": 1})], 0.0)
    assert started(gate) == ["a"]
    with pytest.raises(ConfigError, match="gpu"):
        gate.set_limits({"submission": 4, "gpu": 0})
    with pytest.raises(ValueError, match="gpu"):
        gate.set_limits({"submission": 9})
    assert started(gate) == []
    assert dict(gate.controller.view().resource_limits) == {"submission": 4, "gpu": 1}


# -- wake, next_change


def test_a_condition_that_comes_true_ends_the_refusals_that_named_it(rule: Rule) -> None:
    gate = gate_of(FifoTaskQueue(), rule)
    rule.refusals = {"a": refused(Signal("go")), "b": refused(Signal("come"))}
    gate.offer([make_task("a"), make_task("b")], 0.0)
    assert started(gate) == []
    rule.refusals.clear()

    gate.wake(Signal("elsewhere"), 0.0)
    assert started(gate) == []
    gate.wake(Signal("come"), 0.0)
    assert started(gate) == ["b"]
    gate.wake(Signal("go"), 0.0)
    assert started(gate) == ["a"]


def test_the_next_change_is_the_earliest_moment_that_somebody_waits_for(make_gate: MakeGate, rule: Rule) -> None:
    gate = make_gate()
    assert gate.next_change(0.0) is None
    rule.refusals = {"a": refused(At(9.0), Signal("go")), "b": refused(At(5.0)), "c": refused(Signal("come"))}
    gate.offer([make_task("a"), make_task("b"), make_task("c")], 0.0)
    started(gate)
    assert gate.next_change(0.0) == 5.0
    rule.refusals.pop("b")
    assert started(gate, 5.0) == ["b"]
    assert gate.next_change(5.0) == 9.0
    gate.discard("a", 6.0)
    assert gate.next_change(6.0) is None


# -- what an event costs


@pytest.mark.parametrize("tasks", [1000, 1001])
def test_an_event_for_which_more_than_a_thousand_are_asked_in_vain_is_told(
    tasks: int, make_gate: MakeGate, rule: Rule
) -> None:
    gate = make_gate()
    gate.offer([make_task(str(n), f"g{n}") for n in range(tasks)], 0.0)
    rule.refusals = {str(n): refused(Signal("go")) for n in range(tasks)}
    started(gate, 5.0)

    told = explain(gate, 12.0, unfinished=tasks)

    assert told.asked_in_vain == (None if tasks == 1000 else (1001, 7.0))
    assert ("  1,001 tasks were asked in vain for one event, 7.0 s ago" in str(told)) == (tasks == 1001)


def test_what_several_events_cost_is_not_added_up(rule: Rule) -> None:
    gate = gate_of(FifoTaskQueue(), rule)
    rule.refusals = {str(n): refused(Signal("go")) for n in range(2000)}
    for first in (0, 1000):
        gate.offer([make_task(str(n)) for n in range(first, first + 1000)], 0.0)
        started(gate)
    assert explain(gate, 0.0, unfinished=2000).asked_in_vain is None
    gate.wake(Signal("go"), 0.0)
    started(gate)
    assert explain(gate, 1.0, unfinished=2000).asked_in_vain == (2000, 1.0)


def test_who_goes_was_not_asked_in_vain(rule: Rule) -> None:
    gate = gate_of(FifoTaskQueue(), rule, 2000)
    gate.offer([make_task(str(n)) for n in range(2000)], 0.0)
    started(gate)
    assert explain(gate, 0.0, unfinished=2000).asked_in_vain is None


# -- on_refused


def test_the_refusal_that_holds_is_the_one_that_on_refused_returns(make_gate: MakeGate, rule: Rule) -> None:
    gate = make_gate()
    seen: list[tuple[str, str, float]] = []

    def sooner(task: SchedulableTask, denied: Denied, now: float) -> Denied:
        seen.append((task.task_id, denied.detail, now))
        return refused(At(3.0))

    gate.on_refused = sooner
    rule.refusals = {"a": Denied("policy_denial", {At(60.0)}, "task", "until the night", by="rule")}
    gate.offer([make_task("a"), make_task("b")], 1.0)

    assert started(gate, 1.0) == ["b"]

    assert set(seen) == {("a", "until the night", 1.0)}
    assert gate.next_change(1.0) == 3.0
    assert [blocked.denied.next_moment() for blocked in gate.blocked()] == [3.0]


def test_on_refused_may_refuse_for_good(make_gate: MakeGate, rule: Rule) -> None:
    gate = make_gate()
    gate.on_refused = lambda task, denied, now: Denied("policy_denial", {NEVER}, by="in vain")
    rule.refusals = {"a": refused(Signal("go"))}
    gate.offer([make_task("a"), make_task("b")], 0.0)

    assert started(gate) == ["b"]

    assert given_up(gate) == [("a", "policy_denial")]
    assert gate.view.queued_total == 0


def test_of_who_is_admitted_on_refused_is_told_nothing() -> None:
    gate = gate_of(FifoTaskQueue(), Rule(), 1)
    gate.on_refused = lambda task, denied, now: pytest.fail(f"{task.task_id} was not refused")
    gate.offer([make_task("a"), make_task("b")], 0.0)
    assert started(gate) == ["a"]


# -- discard, take_given_up


def test_who_is_discarded_never_goes_and_leaves_no_demand(make_gate: MakeGate) -> None:
    gate = make_gate(1, gpu=1)
    tasks = [make_task("a"), make_task("b", needs={"gpu": 1}), make_task("c")]
    gate.offer(tasks, 0.0)
    assert gate.discard("b", 0.0) is tasks[1]
    assert gate.discard("b", 0.0) is None
    assert gate.discard("never offered", 0.0) is None
    assert dict(gate.view.queued_peer_demand_by_resource) == {"submission": 2}
    first = gate.next(0.0)
    assert first is not None
    gate.finish(first, 0.0)
    assert (first.item.task_id, started(gate)) == ("a", ["c"])


def test_who_is_discarded_may_be_offered_again(make_gate: MakeGate) -> None:
    gate = make_gate()
    gate.offer([make_task("a")], 0.0)
    gate.discard("a", 0.0)
    assert gate.offer([make_task("a")], 0.0) == ("a",)
    assert started(gate) == ["a"]


@pytest.mark.parametrize("answer", [None, refused(Signal("go")), refused(NEVER)])
def test_who_is_discarded_by_a_rule_that_is_asked_about_it_does_not_go(answer: Denied | None) -> None:
    def discards_the_first(task: SchedulableTask, *_: object) -> Denied | None:
        return answer if gate.discard("a", 0.0) is not None else None

    controller = TaskAdmissionController(TaskAdmissionConfig(4), rule=discards_the_first)
    gate = TaskGate(FifoTaskQueue(), controller)
    gate.offer([make_task("a"), make_task("b"), make_task("c", "another")], 0.0)

    assert started(gate) == ["b", "c"]
    assert given_up(gate) == []


def test_those_who_were_refused_one_by_one_keep_their_order_when_one_of_them_is_discarded(rule: Rule) -> None:
    gate = gate_of(FifoTaskQueue(), rule)
    rule.refusals = {name: refused(Signal("go")) for name in "abcd"}
    gate.offer([make_task(name) for name in "abcd"], 0.0)
    started(gate)
    rule.refusals.clear()
    gate.wake(Signal("go"), 0.0)
    gate.discard("d", 0.0)
    assert started(gate) == ["a", "b", "c"]


@pytest.mark.parametrize("scope", ["task", "shape", "group"])
def test_when_the_one_who_was_refused_is_discarded_those_behind_it_are_asked(scope: str, rule: Rule) -> None:
    """The refusal was that of the first: nobody knows what the rule says of the others."""
    gate = gate_of(FifoTaskQueue(), rule)
    rule.refusals = {"a": refused(Signal("go"), scope=scope)}
    gate.offer([make_task("a"), make_task("b"), make_task("c")], 0.0)
    before = started(gate)
    gate.discard("a", 0.0)
    assert before + started(gate) == ["b", "c"]
    assert not list(gate.blocked())


def test_what_was_given_up_is_told_once(make_gate: MakeGate, rule: Rule) -> None:
    gate = make_gate()
    assert gate.take_given_up() == []
    rule.refusals = {"a": refused(NEVER)}
    gate.offer([make_task("a"), make_task("too large", needs={"submission": 9})], 0.0)
    started(gate)
    assert given_up(gate) == [("too large", "never_fits"), ("a", "policy_denial")]
    assert gate.take_given_up() == []
    assert gate.discard("a", 0.0) is None


def test_who_is_given_up_leaves_no_demand(make_gate: MakeGate, rule: Rule) -> None:
    gate = make_gate(gpu=1)
    rule.refusals = {"a": refused(NEVER), "b": refused(Signal("go"))}
    gate.offer([make_task("a", needs={"gpu": 1}), make_task("b")], 0.0)
    started(gate)
    assert dict(gate.view.queued_peer_demand_by_resource) == {"submission": 1}


# -- abandon_queue and the books


def test_an_abandoned_queue_is_asked_nothing_and_leases_come_back(rule: Rule) -> None:
    class Broken(ListQueue):
        broken = False

        def select_next(self, is_eligible: Any, now: float) -> QueueSelection | None:
            assert not self.broken
            return super().select_next(is_eligible, now)

        def wake(self, condition: Any, amount: int, now: float) -> None:
            assert not self.broken

    queue = Broken()
    gate = gate_of(queue, rule)
    gate.offer([make_task("a"), make_task("b")], 0.0)
    first = gate.next(0.0)
    queue.broken = True

    gate.abandon_queue()

    assert started(gate) == []
    assert gate.view.queued_total == 0
    assert first is not None
    assert gate.finish(first, 0.0).released
    gate.offer([make_task("c")], 0.0)
    assert started(gate) == ["c"]


def test_groups_that_are_gone_leave_nothing_in_the_books(make_gate: MakeGate) -> None:
    """Less than one block of memory is left for each of them."""
    gate = make_gate()

    def use_each_once(first: int, groups: int) -> int:
        for n in range(first, first + groups):
            gate.offer([make_task(str(n), f"g{n}")], 0.0)
            lease = gate.next(0.0)
            assert lease is not None
            gate.finish(lease, 0.0)
        gc.collect()
        return sys.getallocatedblocks()

    before = use_each_once(0, 1500)
    assert use_each_once(1500, 6000) - before < 4000


# -- a queue that somebody else wrote


def test_in_a_naive_queue_a_group_at_its_limit_is_no_peer(rule: Rule) -> None:
    gate = gate_of(ListQueue(), rule)
    busy, other = TaskGroupSpec.named("busy", admitted_limit=1), TaskGroupSpec.named("other")
    gate.offer([make_task(str(n), group=busy) for n in range(2)], 0.0)
    view = gate.controller.view()
    assert view.runnable_peers("submission", other.key) == 1
    first = gate.next(0.0)
    assert view.runnable_peers("submission", other.key) == 0
    assert first is not None
    gate.finish(first, 0.0)
    assert view.runnable_peers("submission", other.key) == 1


def test_in_a_naive_queue_who_does_not_fit_keeps_nobody_back(rule: Rule) -> None:
    gate = gate_of(ListQueue(), rule, gpu=1)
    tasks = [make_task("a", needs={"gpu": 1}), make_task("b", needs={"gpu": 1}), make_task("c")]
    gate.offer(tasks, 0.0)
    assert started(gate) == ["a", "c"]
    assert [blocked.denied.reason for blocked in gate.blocked()] == ["no_capacity"]


@pytest.mark.parametrize("queue", [WatchedQueue, ListQueue])
def test_of_a_queue_that_is_watched_a_refusal_for_good_takes_the_one_who_was_asked(
    queue: type[ReadyQueue], rule: Rule
) -> None:
    gate = gate_of(queue(), rule)
    rule.refusals = {"a": refused(NEVER, scope="all")}
    gate.offer([make_task("a"), make_task("b", "other")], 0.0)
    assert started(gate) == ["b"]
    assert given_up(gate) == [("a", "policy_denial")]


def test_a_queue_that_selects_without_asking_gets_no_lease_past_a_rule(rule: Rule) -> None:
    class Blind(ListQueue):
        """Selects the first that is not parked."""

        parked: dict[str, Denied]

        def select_next(self, is_eligible: Any, now: float) -> QueueSelection | None:
            return super().select_next(lambda task, view: self.parked.get(task.task_id), now)

        def park(self, task: SchedulableTask, denied: Denied, now: float) -> None:
            self.parked[task.task_id] = denied

    queue = Blind()
    queue.parked = {}
    gate = gate_of(queue, rule)
    told: list[tuple[str, str]] = []
    gate.on_denied = lambda task, denied, now: told.append((task.task_id, denied.by))
    rule.refusals = {"a": refused(Signal("go"))}
    gate.offer([make_task("a"), make_task("b")], 0.0)

    assert started(gate) == ["b"]
    assert told == [("a", "rule")]


def test_a_queue_whose_selections_are_stale_gets_its_leases_taken_back_and_is_named_at_the_third(rule: Rule) -> None:
    class Forgetful(ListQueue):
        def commit(self, selection: QueueSelection, now: float) -> SchedulableTask | None:
            return None

    gate = gate_of(Forgetful(), rule)
    taken_back: list[bool] = []
    gate.on_stale = lambda lease, result, now: taken_back.append(result.released)
    gate.offer([make_task("a")], 0.0)

    with pytest.raises(PluginError, match="'Forgetful': its selections were outdated three times in a row"):
        gate.next(0.0)

    assert taken_back == [True, True, True]
    assert gate.controller.in_flight == 0


def test_stale_selections_with_a_good_one_between_are_no_error(rule: Rule) -> None:
    class NowAndThen(ListQueue):
        commits = 0

        def commit(self, selection: QueueSelection, now: float) -> SchedulableTask | None:
            self.commits += 1
            return None if self.commits % 3 else super().commit(selection, now)

    gate = gate_of(NowAndThen(), rule, 8)
    gate.offer([make_task(str(n)) for n in range(4)], 0.0)
    assert started(gate) == ["0", "1", "2", "3"]


def test_a_queue_that_selects_what_is_no_selection_is_named(rule: Rule) -> None:
    class Odd(ListQueue):
        def select_next(self, is_eligible: Any, now: float) -> Any:
            return make_task("a")

    with pytest.raises(PluginError, match="'Odd': select_next must return a QueueSelection or None"):
        gate_of(Odd(), rule).next(0.0)


def test_what_a_queue_raises_when_it_is_woken_is_raised_by_next_and_loses_no_lease(rule: Rule) -> None:
    class Sleepy(ListQueue):
        def wake(self, condition: Any, amount: int, now: float) -> None:
            raise ZeroDivisionError

    gate = gate_of(Sleepy(), rule)
    gate.offer([make_task("a"), make_task("b")], 0.0)
    first = gate.next(0.0)
    assert first is not None
    assert gate.finish(first, 0.0).released
    assert gate.controller.in_flight == 0
    with pytest.raises(ZeroDivisionError):
        gate.next(0.0)


def test_a_queue_derived_from_ours_that_selects_in_its_own_way_is_called(rule: Rule) -> None:
    queue = WatchedQueue()
    gate = gate_of(queue, rule, 1)
    gate.offer([make_task("a"), make_task("b")], 0.0)
    assert started(gate) == ["a"]
    assert queue.selected == 2

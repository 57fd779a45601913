"""The law of refusals at the task gate: the smallest ways to what once went wrong, and what an event costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from penstock import (
    NEVER,
    Backlog,
    Condition,
    Denied,
    FifoTaskQueue,
    RefusalScope,
    Released,
    SchedulableTask,
    Signal,
    TaskAdmissionConfig,
    TaskAdmissionController,
    TaskAdmissionView,
    Uncontested,
)
from penstock.testing import TaskGate, group_key, make_task

Rule = Callable[[SchedulableTask], Denied | None]


class Asked:
    """A rule that remembers whom it was asked about."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.ids: list[str] = []
        self.most = 10_000

    def __call__(self, task: SchedulableTask, queue: Any, view: TaskAdmissionView, now: float) -> Denied | None:
        self.ids.append(task.task_id)
        assert len(self.ids) < self.most, "it asks for ever"
        return self.rule(task)


def gate_with(rule: Rule, places: int = 8, **resources: int) -> TaskGate:
    config = TaskAdmissionConfig(places, resources)
    return TaskGate(FifoTaskQueue(), TaskAdmissionController(config, rule=Asked(rule)))


def refused(*until: Condition, scope: RefusalScope = "task", cohort: str | None = None) -> Denied:
    return Denied("policy_denial", until, scope, cohort=cohort, by="rule")


def name(task: SchedulableTask) -> str:
    return task.group.key.identity[1]


# -- nobody sleeps who could go, and `next` ends


@pytest.mark.parametrize("shapes", [({}, {"gpu": 1}), ({"gpu": 1}, {"gpu": 2})])
def test_next_ends_where_all_wait_for_a_change_of_the_backlog(shapes: tuple[dict[str, int], ...]) -> None:
    gate = gate_with(lambda task: refused(Backlog("submission")), gpu=8)
    gate.enqueue([make_task(f"{n}{at}", needs=needs) for n in range(2) for at, needs in enumerate(shapes)])

    assert gate.start_all() == []


def test_a_refusal_that_has_ended_is_not_put_on_who_comes_later() -> None:
    shut = {"group"}

    def rule(task: SchedulableTask) -> Denied | None:
        if "group" in shut:
            return refused(Signal("group"), scope="group", cohort="c")
        plain = len(task.resource_request.shape) == 1
        return refused(Signal("plain"), scope="shape") if plain and "plain" in shut else None

    gate = gate_with(rule, gpu=1)
    gate.enqueue([make_task("plain")])
    gate.start_all()
    shut.clear()
    shut.add("plain")
    gate.wake(Signal("group"))
    gate.start_all()

    gate.enqueue([make_task("of another shape", needs={"gpu": 1})])

    assert gate.start_all() == ["of another shape"]


@pytest.mark.parametrize("groups", ["aaaaa", "abcde"])
@pytest.mark.parametrize("until", [Signal("go"), Released("gpu")])
def test_when_a_class_is_opened_all_go_whom_nothing_refuses(groups: str, until: Condition) -> None:
    shut = [True]
    gate = gate_with(lambda task: refused(until, cohort="c") if shut and name(task) != "z" else None, gpu=1)
    gate.enqueue([make_task("holder", "z", {"gpu": 1})])
    gate.start_all()
    gate.enqueue([make_task(str(n), group) for n, group in enumerate(groups)])
    assert gate.start_all() == []

    shut.clear()
    if isinstance(until, Released):
        gate.release(gate.out[0])
    else:
        gate.wake(until)

    assert gate.start_all() == ["0", "1", "2", "3", "4"]


def test_a_class_waits_for_what_is_one_member_s_own_group_too() -> None:
    """While one of b runs neither a nor b may: what ends that is a release of b, for b and for a."""

    def rule(task: SchedulableTask) -> Denied | None:
        runs = gate.controller.view().running(group_key("b"))
        return refused(Released(group_key("b")), scope="shape", cohort="c") if runs else None

    gate = gate_with(rule)
    gate.enqueue([*(make_task(f"b{n}", "b") for n in range(3)), make_task("a", "a")])
    order = gate.start_all()
    while gate.out:
        gate.release(gate.out[0])
        order += gate.start_all()

    assert sorted(order) == ["a", "b0", "b1", "b2"]


def test_a_place_that_a_policy_keeps_for_peers_is_given_when_none_of_them_fits_any_more() -> None:
    """The peer needs gpu and disk, and somebody else takes the disk: that is no change of what is queued for gpus."""

    def rule(task: SchedulableTask) -> Denied | None:
        polite = name(task) == "polite" and gate.controller.view().runnable_peers("gpu", task.group.key)
        return refused(Uncontested("gpu")) if polite else None

    gate = gate_with(rule, gpu=1, disk=1)
    gate.enqueue([make_task("polite", "polite", {"gpu": 1}), make_task("disk", "other", {"disk": 1})])
    gate.enqueue([make_task("both", "peer", {"gpu": 1, "disk": 1})])

    assert gate.start_all() == ["disk", "polite"]


def test_what_is_refused_for_good_leaves_with_all_that_the_refusal_covers_and_is_not_remembered() -> None:
    doomed = [True]
    gate = gate_with(lambda task: refused(NEVER, scope="group") if doomed and name(task) == "a" else None)
    gate.enqueue([make_task("1", "a"), make_task("2", "a", {"submission": 2}), make_task("3", "b")])
    assert gate.start_all() == ["3"]
    assert not gate.queued

    doomed.clear()
    gate.enqueue([make_task("4", "a")])

    assert gate.start_all() == ["4"]


def test_what_could_never_fit_is_given_up_when_it_is_offered() -> None:
    gate = gate_with(lambda task: None, gpu=1)
    gate.gate.offer([make_task("a", needs={"gpu": 2}), make_task("b")], 0.0)

    ((task, denied),) = gate.gate.take_given_up()

    assert (task.task_id, denied.reason) == ("a", "never_fits")
    assert gate.gate.view.queued_total == 1


def test_a_group_that_is_covered_twice_is_asked_when_both_refusals_are_over() -> None:
    shut = {"shape", "group"}

    def rule(task: SchedulableTask) -> Denied | None:
        if "shape" in shut and len(task.resource_request.shape) == 1:
            return refused(Signal("shape"), scope="shape", cohort="s")
        return refused(Signal("group"), scope="group", cohort="g") if "group" in shut else None

    gate = gate_with(rule, gpu=1)
    gate.enqueue([make_task("plain"), make_task("gpu", needs={"gpu": 1})])
    assert gate.start_all() == []
    shut.remove("shape")
    gate.wake(Signal("shape"))
    assert gate.start_all() == []
    shut.remove("group")
    gate.wake(Signal("group"))
    assert gate.start_all() == ["plain", "gpu"]


def test_a_drained_resource_is_no_demand() -> None:
    gate = gate_with(lambda task: None, places=1, gpu=1)
    gate.enqueue([make_task("a", needs={"gpu": 1}), make_task("b")])
    gate.start_all()

    assert dict(gate.queue.view().queued_peer_demand_by_resource) == {"submission": 1}


# -- what an event costs


class CountingGate(TaskGate):
    """A gate whose rule can be asked what it was asked."""

    def __init__(self, rule: Rule, places: int = 8, **resources: int) -> None:
        self.controller_rule = Asked(rule)
        config = TaskAdmissionConfig(places, resources)
        super().__init__(FifoTaskQueue(), TaskAdmissionController(config, rule=self.controller_rule))


def questions(gate: CountingGate, event: Callable[[], object]) -> int:
    """How many questions an event leads to, until the gate is at rest."""
    gate.start_all()
    asked = gate.controller_rule.ids
    asked.clear()
    event()
    gate.start_all()
    return len(asked)


def test_who_does_not_fit_is_not_asked() -> None:
    gate = CountingGate(lambda task: None, gpu=1)
    gate.enqueue([make_task(f"{n}", f"g{n}", {"gpu": 1}) for n in range(1000)])
    assert questions(gate, lambda: gate.release(gate.out[0])) == 1


def test_a_refusal_without_a_cohort_that_ends_is_one_question_for_each() -> None:
    gate = CountingGate(lambda task: refused(Signal("go")))
    gate.enqueue([make_task(f"{n}", f"g{n}") for n in range(50)])
    assert questions(gate, lambda: gate.wake(Signal("go"))) == 50
    assert questions(gate, lambda: gate.wake(Signal("another"))) == 0


def test_a_class_that_is_opened_is_one_question_and_one_for_each_that_is_admitted() -> None:
    allowed = [0]

    def rule(task: SchedulableTask) -> Denied | None:
        return refused(Signal("go"), cohort="c") if gate.controller.in_flight >= allowed[0] else None

    gate = CountingGate(rule)
    gate.enqueue([make_task(f"{n}", f"g{n}") for n in range(1000)])
    assert questions(gate, lambda: gate.wake(Signal("go"))) == 1
    allowed[0] = 3
    assert questions(gate, lambda: gate.wake(Signal("go"))) == 4


def test_who_looks_at_the_queue_is_asked_once_more_at_rest_and_then_no_more() -> None:
    gate = CountingGate(lambda task: refused(Backlog("gpu")), gpu=1)
    gate.enqueue([make_task(f"{n}", f"g{n}", {"gpu": 1}) for n in range(10)])
    gate.start_all()
    assert questions(gate, lambda: None) == 0
    assert questions(gate, lambda: gate.discard("0")) <= 2 * 9

"""The law of refusals at the task gate: the smallest ways to what once went wrong, and what an event costs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from penstock import (
    NEVER,
    At,
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
    TaskGroupSpec,
    Uncontested,
)
from penstock.testing import TaskBench, group_key, make_task

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


def gate_with(rule: Rule, places: int = 8, **resources: int) -> TaskBench:
    config = TaskAdmissionConfig(places, resources)
    return TaskBench(FifoTaskQueue(), TaskAdmissionController(config, rule=Asked(rule)))


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


def test_who_was_admitted_from_an_opened_class_is_not_in_it_when_it_closes() -> None:
    shut = {"a", "b"}

    def rule(task: SchedulableTask) -> Denied | None:
        return refused(Signal("go"), scope="group", cohort="c") if name(task) in shut else None

    gate = gate_with(rule)
    gate.enqueue([make_task("a1", "a"), make_task("b", "b"), make_task("a2", "a")])
    assert gate.start_all() == []
    shut.remove("a")
    gate.wake(Signal("go"))

    assert gate.start_all() == ["a1", "a2"]


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


def test_of_a_member_of_a_class_is_told_what_the_latest_answer_named_and_what_ends_it_for_its_own_group() -> None:
    def rule(task: SchedulableTask) -> Denied | None:
        until: Condition = At(9.0) if name(task) == "b" else Signal("go")
        return refused(until, Released(task.group.key), scope="group", cohort="c")

    gate = gate_with(rule)
    gate.enqueue([make_task("a", "a"), make_task("b", "b")])
    gate.start_all()

    assert {blocked.group: blocked.denied.until for blocked in gate.gate.blocked()} == {
        group_key("a"): {At(9.0), Released(group_key("a")), Released(group_key("b"))},
        group_key("b"): {At(9.0), Released(group_key("b"))},
    }


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


def test_when_the_last_who_could_run_comes_to_its_limit_who_waits_for_that_is_asked_at_once() -> None:
    """The peer has another task queued, which came later: it could run, but its group is at its limit."""

    def rule(task: SchedulableTask) -> Denied | None:
        polite = name(task) == "polite" and gate.controller.view().runnable_peers("gpu", task.group.key)
        return refused(Uncontested("gpu")) if polite else None

    gate = gate_with(rule, gpu=3)
    peer = TaskGroupSpec.named("peer", admitted_limit=1)
    gate.enqueue([make_task("polite", "polite", {"gpu": 1})])
    gate.enqueue([make_task(f"peer{n}", group=peer, needs={"gpu": 1}) for n in range(2)])

    assert gate.start_all() == ["peer0", "polite", "peer1"]


@pytest.mark.parametrize("cohort", [None, "c"])
def test_a_refusal_of_all_ends_like_any_other(cohort: str | None) -> None:
    shut = [True]
    gate = gate_with(lambda task: refused(Signal("go"), scope="all", cohort=cohort) if shut else None)
    gate.enqueue([make_task("1", "a"), make_task("2", "b")])
    assert gate.start_all() == []
    shut.clear()
    gate.enqueue([make_task("3", "c")])
    assert gate.start_all() == []
    gate.wake(Signal("go"))
    assert gate.start_all() == ["1", "2", "3"]


def test_who_looks_at_the_queue_is_asked_again_when_somebody_has_left_it() -> None:
    def rule(task: SchedulableTask) -> Denied | None:
        if name(task) == "rival":
            return refused(Signal("never"))
        return refused(Uncontested("gpu")) if group_key("rival") in gate.gate.view.queued_by_group else None

    gate = gate_with(rule, gpu=1)
    gate.enqueue([make_task("polite", "polite", {"gpu": 1}), make_task("rival", "rival", {"gpu": 1})])
    assert gate.start_all() == []
    gate.discard("rival")
    assert gate.start_all() == ["polite"]


@pytest.mark.parametrize(
    ("scope", "left"), [("task", ["2", "3", "4"]), ("shape", ["3", "4"]), ("group", ["4"]), ("all", [])]
)
def test_a_refusal_for_good_takes_all_that_its_scope_covers(scope: RefusalScope, left: list[str]) -> None:
    doomed = [True]
    gate = gate_with(lambda task: refused(NEVER, scope=scope) if doomed and doomed.pop() else None)
    plain, large = {"submission": 1}, {"submission": 2}
    gate.enqueue([make_task("1", "a", plain), make_task("2", "a", plain), make_task("3", "a", large)])
    gate.enqueue([make_task("4", "b", plain)])

    assert gate.start_all() == left
    assert not gate.queued


def test_those_who_were_set_apart_alone_are_covered_by_a_refusal_of_their_group() -> None:
    """Two were refused for their own sake; their own refusals are over while their whole group is refused."""
    shut = {"1", "2"}

    def rule(task: SchedulableTask) -> Denied | None:
        if "group" in shut:
            return refused(Signal("group"), scope="group")
        return refused(Signal("task")) if task.task_id in shut else None

    gate = gate_with(rule)
    gate.enqueue([make_task(str(n), "a") for n in range(1, 3)])
    assert gate.start_all() == []
    shut.add("group")
    gate.enqueue([make_task("3", "a")])
    assert gate.start_all() == []
    shut.clear()
    gate.wake(Signal("task"))
    assert gate.start_all() == []
    gate.wake(Signal("group"))
    assert gate.start_all() == ["1", "2", "3"]


def test_in_the_pass_at_rest_nobody_could_run() -> None:
    """a and b are held back for who comes later, and c is refused. Then both are asked once more: a not for b."""

    def rule(task: SchedulableTask) -> Denied | None:
        if name(task) == "c":
            return refused(Signal("never"))
        return refused(Uncontested("gpu")) if gate.controller.view().runnable_peers("gpu", task.group.key) else None

    gate = gate_with(rule, gpu=2)
    gate.enqueue([make_task(group, group, {"gpu": 1}) for group in "abc"])
    assert gate.start_all() == ["a", "b"]


def test_the_reservation_of_a_group_hides_no_peer_from_it() -> None:
    """large has all gpus reserved, and a rule holds it back while others could run: it gives up its own for them."""
    polite: list[bool] = []

    def rule(task: SchedulableTask) -> Denied | None:
        peers = gate.controller.view().runnable_peers("gpu", task.group.key)
        return refused(Signal("later")) if polite and name(task) == "large" and peers else None

    gate = gate_with(rule, gpu=2)
    gate.enqueue([make_task("holder", "small", {"gpu": 1})])
    gate.start_all()
    gate.enqueue([make_task("large", "large", {"gpu": 2}), make_task("small", "small", {"gpu": 1})])
    assert gate.start_all() == []
    polite.append(True)
    gate.enqueue([make_task("small too", "small", {"gpu": 1})])
    assert gate.start_all() == ["small"]


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


class CountingGate(TaskBench):
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


@pytest.mark.parametrize("refused_otherwise", ["01", "012"])
def test_those_of_an_opened_class_that_are_refused_otherwise_are_one_question_each(refused_otherwise: str) -> None:
    otherwise: set[str] = set()

    def rule(task: SchedulableTask) -> Denied | None:
        if task.task_id in otherwise:
            return refused(Signal("another"))
        return refused(Signal("go"), cohort="c")

    gate = CountingGate(rule)
    gate.enqueue([make_task(f"{n}", f"g{n}") for n in range(1000)])
    gate.start_all()
    otherwise.update(refused_otherwise)
    assert questions(gate, lambda: gate.wake(Signal("go"))) == len(refused_otherwise) + 1


def test_what_older_answers_of_a_class_named_is_no_question() -> None:
    """a is refused until one signal, and b later under the same cohort until another: that is what both wait for."""
    gate = CountingGate(lambda task: refused(Signal(name(task)), scope="group", cohort="c"))
    gate.enqueue([make_task("1", "a"), make_task("2", "b")])
    assert questions(gate, lambda: gate.wake(Signal("a"))) == 0
    assert questions(gate, lambda: gate.wake(Signal("b"))) == 1


def test_a_reservation_that_holds_somebody_back_is_one_question_of_each_choice() -> None:
    gate = CountingGate(lambda task: None, gpu=2)
    gate.enqueue([make_task("holder", needs={"gpu": 1})])
    gate.start_all()
    gate.enqueue([make_task("large", needs={"gpu": 2}), *(make_task(f"small{n}", "b", {"gpu": 1}) for n in range(50))])
    assert gate.start_all() == []
    assert gate.controller.view().reserved == {"gpu": 2}
    assert questions(gate, lambda: gate.enqueue([make_task("one more", "b", {"gpu": 1})])) == 1
    asked = questions(gate, lambda: gate.enqueue([make_task("plain", "b")]))
    assert asked == 3, "the one that went, and the reservation before it and after it"


def test_who_is_covered_by_another_refusal_when_his_own_is_over_is_no_question() -> None:
    def rule(task: SchedulableTask) -> Denied | None:
        plain = len(task.resource_request.shape) == 1
        return refused(Signal("shape" if plain else "group"), scope="shape" if plain else "group", cohort=f"{plain}")

    gate = CountingGate(rule, gpu=1)
    gate.enqueue([make_task("plain"), make_task("gpu", needs={"gpu": 1})])
    assert questions(gate, lambda: gate.wake(Signal("shape"))) == 0
    assert questions(gate, lambda: gate.wake(Signal("group"))) == 2


def test_what_nobody_waits_for_is_no_question() -> None:
    gate = CountingGate(lambda task: refused(Signal("go"), Released("gpu"), scope="group"), gpu=1)
    gate.enqueue([make_task(f"{n}", f"g{n % 5}") for n in range(50)])
    others: tuple[Condition, ...] = (Signal("come"), Released("submission"), Backlog("gpu"), Uncontested("gpu"))
    for condition in others:
        assert questions(gate, partial(gate.wake, condition)) == 0
    assert questions(gate, lambda: gate.wake(Released("gpu"))) == 5

"""The suites find what does harm, and nothing in what is honest."""

from __future__ import annotations

from typing import Any, cast

import pytest

from penstock import (
    At,
    Backlog,
    Denied,
    LimiterSnapshot,
    Released,
    RequestLimiter,
    SchedulableTask,
    Signal,
    TaskAdmissionPolicy,
    TaskAdmissionPolicyDecision,
    TaskAdmissionView,
    hookimpl,
)
from penstock.testing import RequestLimiterContract, TaskPolicyContract, TaskRuleContract

HOUR = 3600.0


class Places:
    """A limiter of two places, whose refusals name what they are told to."""

    def __init__(self, scope: Any, names: str) -> None:
        self.scope, self.names, self.out = scope, names, 0

    def check(self, item: object, now: float) -> Denied | None:
        if self.out < 2:
            return None
        until = {At(now + HOUR)} if self.names == "an hour" else {Released(self.scope)}
        return Denied("no_capacity", until)

    def acquire(self, lease: object, now: float) -> object:
        self.out += 1
        return lease

    def release(self, lease: object, token: object, outcome: object, now: float) -> tuple[()]:
        self.out -= 1
        return ()

    def next_change(self, now: float) -> float | None:
        return now + HOUR if self.out >= 2 and self.names == "an hour" else None

    def set_cap(self, cap: int | None, now: float) -> tuple[()]:
        return ()

    def snapshot(self, now: float) -> LimiterSnapshot:
        return LimiterSnapshot(effective_max=2)


@pytest.mark.parametrize("names", ["an hour", "a release"])
def test_a_limiter_that_sleeps_for_an_hour_beside_a_place_that_came_free(names: str) -> None:
    class Suite(RequestLimiterContract):
        def make_limiter(self, cap: int | None, seed: int) -> RequestLimiter:
            return cast(RequestLimiter, Places(self.scope, names))

    suite = Suite()
    if names == "a release":
        suite.test_a_refusal_ends_only_by_what_it_named()
    else:
        with pytest.raises(AssertionError, match="a call would go out that sleeps, being no_capacity"):
            suite.test_a_refusal_ends_only_by_what_it_named()


class Policy:
    """A policy that refuses as it is told to."""

    def __init__(self, refuse: Any) -> None:
        self.refuse = refuse

    def evaluate(
        self, task: SchedulableTask, queue: object, admission: TaskAdmissionView, now: float
    ) -> TaskAdmissionPolicyDecision:
        return TaskAdmissionPolicyDecision(self.refuse(task, admission, now))

    def on_acquire(self, *_: object) -> None: ...
    def on_release(self, *_: object) -> None: ...


class Rule:
    """A rule that refuses as it is told to."""

    def __init__(self, refuse: Any) -> None:
        self.refuse = refuse

    @hookimpl
    def penstock_task_eligible(self, task: SchedulableTask, admission: TaskAdmissionView, now: float) -> Denied | None:
        denied: Denied | None = self.refuse(task, admission, now)
        return denied


def quiet_hours(task: SchedulableTask, admission: TaskAdmissionView, now: float) -> Denied | None:
    """Nothing starts in the second half of a minute."""
    return Denied("policy_denial", {At(now - now % 60 + 60)}, "all") if now % 60 >= 30 else None


def one_at_a_time(until: Any) -> Any:
    """Of each group one task runs at a time; what else is refused until what `until` makes of the group."""

    def refuse(task: SchedulableTask, admission: TaskAdmissionView, now: float) -> Denied | None:
        key = task.group.key
        return Denied("group_cap", {until(key)}, "group") if admission.running(key) else None

    return refuse


def suites(refuse: Any, *, time_based: bool = False, begins_at: float = 0.0) -> list[Any]:
    """Both suites, of a policy and of a rule that refuse so."""

    class OfPolicy(TaskPolicyContract):
        work_conserving = False

        def make_policy(self) -> TaskAdmissionPolicy:
            return cast(TaskAdmissionPolicy, Policy(refuse))

    class OfRule(TaskRuleContract):
        def make_plugin(self) -> object:
            return Rule(refuse)

    made: list[Any] = [OfPolicy(), OfRule()]
    for suite in made:
        suite.time_based, suite.begins_at = time_based, begins_at
    return made


def run(suite: Any) -> None:
    for name in dir(suite):
        if name.startswith("test_"):
            getattr(suite, name)()


def test_honest_ones_pass() -> None:
    for suite in (*suites(one_at_a_time(Released)), *suites(quiet_hours, time_based=True, begins_at=45.0)):
        run(suite)


@pytest.mark.parametrize("until", [Backlog, lambda _: Signal("never"), lambda _: At(1e9)])
def test_who_names_what_does_not_end_it_is_found(until: Any) -> None:
    for suite in suites(one_at_a_time(until)):
        with pytest.raises(AssertionError, match=r"would be let go at 0\.0, and sleep|are left, nothing is out"):
            run(suite)


def test_who_refuses_for_ever_is_found_and_hangs_nothing() -> None:
    def never(task: SchedulableTask, admission: TaskAdmissionView, now: float) -> Denied:
        return Denied("policy_denial", {At(now + 1)})

    for suite in suites(never, time_based=True):
        suite.moments = 50
        with pytest.raises(AssertionError, match="did not start within 50 moments"):
            suite.test_a_task_alone_is_admitted()


def test_who_says_that_it_leaves_no_place_empty_is_held_to_it() -> None:
    for suite in suites(one_at_a_time(Released)):
        suite.work_conserving = True
        with pytest.raises(AssertionError, match="would fit, and none was started"):
            suite.test_nobody_sleeps_who_would_be_let_go()


def test_what_a_rule_raises_fails_its_suite() -> None:
    def broken(task: SchedulableTask, admission: TaskAdmissionView, now: float) -> None:
        raise ZeroDivisionError

    for suite in suites(broken):
        with pytest.raises(ZeroDivisionError):
            suite.test_a_task_alone_is_admitted()


def test_a_rule_whose_answers_change_by_being_asked_is_found() -> None:
    asked: list[int] = []

    def counting(task: SchedulableTask, admission: TaskAdmissionView, now: float) -> Denied | None:
        asked.append(1)
        return Denied("policy_denial", {Signal("x")}, detail=f"asked {len(asked)} times")

    suite = suites(counting)[1]
    with pytest.raises(AssertionError, match="asked three times"):
        suite.test_asking_is_pure_and_answers_by_the_rules()

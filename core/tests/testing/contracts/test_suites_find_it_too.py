"""The suites find rules of calls, what is shared, what costs more and more, and queues that never end."""

from __future__ import annotations

from typing import Any, cast

import pytest

from penstock import (
    At,
    Denied,
    FifoTaskQueue,
    LimiterSnapshot,
    LimiterTicket,
    Released,
    RequestLimiter,
    Signal,
    hookimpl,
)
from penstock.testing import (
    ReadyQueueContract,
    RequestLimiterContract,
    RequestRuleContract,
    TaskRuleContract,
    make_task,
    take_all,
)


def run(suite: Any, *names: str) -> None:
    for name in names or [name for name in dir(suite) if name.startswith("test_")]:
        getattr(suite, name)()


# ------------------------------------------------------------------------------------------------------ rules of calls


class CallRule:
    """A rule that refuses as it is told to."""

    def __init__(self, refuse: Any) -> None:
        self.refuse = refuse

    @hookimpl
    def penstock_request_eligible(self, item: Any, pressure: Any, now: float) -> Denied | None:
        denied: Denied | None = self.refuse(item, pressure, now)
        return denied


def one_of_a_resource(until: Any) -> Any:
    """One call at a time to each resource; others are refused until what `until` makes of it."""

    def refuse(item: Any, pressure: Any, now: float) -> Denied | None:
        snapshot = pressure.snapshot(item.resource, now)
        busy = snapshot is not None and snapshot.in_flight_count > 0
        return Denied("hard_policy_denial", {until(item.resource)}, scope="shape") if busy else None

    return refuse


def quiet(_: Any, __: Any, now: float) -> Denied | None:
    """No call goes out in the second half of a minute."""
    return Denied("hard_policy_denial", {At(now - now % 60 + 60)}, scope="all") if now % 60 >= 30 else None


def calls(refuse: Any, *, time_based: bool = False, begins_at: float = 0.0) -> RequestRuleContract:
    class Suite(RequestRuleContract):
        def make_plugin(self) -> object:
            return CallRule(refuse)

    suite = Suite()
    suite.time_based, suite.begins_at = time_based, begins_at
    return suite


def test_honest_rules_of_calls_pass() -> None:
    run(calls(one_of_a_resource(Released)))
    run(calls(one_of_a_resource(lambda resource: Released(resource.provider))))
    run(calls(quiet, time_based=True, begins_at=45.0))


@pytest.mark.parametrize("until", [lambda _: Signal("never"), lambda _: At(1e9), lambda _: Released("gpu")])
def test_a_rule_of_calls_that_names_what_does_not_end_it_is_found(until: Any) -> None:
    with pytest.raises(AssertionError, match="would go out that sleeps, being hard_policy_denial"):
        run(calls(one_of_a_resource(until)), "test_a_refusal_ends_only_by_what_it_named")


def test_a_rule_of_calls_that_lets_none_out_is_found() -> None:
    def never(*_: Any) -> Denied:
        return Denied("hard_policy_denial", {Signal("never")}, scope="all")

    with pytest.raises(AssertionError, match="nothing is out, and a call to acme/small/chat is refused"):
        run(calls(never), "test_a_call_alone_goes_out")


def test_a_rule_of_calls_that_answers_otherwise_each_time_is_found() -> None:
    turns = iter(range(10_000))

    def fickle(item: Any, _: Any, now: float) -> Denied | None:
        return Denied("hard_policy_denial", {Released(item.resource)}) if next(turns) % 2 else None

    with pytest.raises(AssertionError, match=r"asked three times it answered|would go out that sleeps"):
        run(calls(fickle), "test_asking_is_pure_and_answers_by_the_rules")


def test_a_rule_of_calls_that_raises_is_found() -> None:
    with pytest.raises(ZeroDivisionError):
        run(calls(lambda *_: 1 / 0), "test_a_call_alone_goes_out")


# --------------------------------------------------------------------------------------------------- what costs, shares


def test_a_rule_of_calls_that_remembers_all_it_was_asked_is_found() -> None:
    class Suite(RequestRuleContract):
        def make_plugin(self) -> object:
            seen: list[Any] = []

            def remembers(item: Any, *_: Any) -> Denied | None:
                seen.append(item)
                for _ in seen:
                    pass
                return None

            return CallRule(remembers)

    with pytest.raises(AssertionError, match=r"an answer took \d+ lines of Python after 10 calls, and \d+ after 1000"):
        run(Suite(), "test_the_cost_of_an_answer_does_not_grow_with_what_happened")


def test_a_rule_that_goes_through_the_queue_is_found() -> None:
    class Scans:
        @hookimpl
        def penstock_task_eligible(self, queue: Any) -> None:
            for _ in range(queue.queued_total):
                pass

    class Suite(TaskRuleContract):
        def make_plugin(self) -> object:
            return Scans()

    with pytest.raises(AssertionError, match=r"lines of Python beside 16 tasks, and \d+ beside 1024"):
        run(Suite(), "test_the_cost_of_an_answer_does_not_grow_with_the_queue")


class Places:
    """A limiter of four places, which counts in a list that may be others' too."""

    def __init__(self, scope: Any, out: list[Any], *, goes_through_all: bool = False) -> None:
        self.scope, self.out, self.past = scope, out, [object()] if goes_through_all else None

    def check(self, item: Any, now: float) -> Denied | None:
        for _ in self.past or ():
            pass
        return Denied("no_capacity", {Released(self.scope)}, scope="shape") if len(self.out) >= 4 else None

    def acquire(self, lease: Any, now: float) -> LimiterTicket:
        self.out.append(lease)
        if self.past is not None:
            self.past.append(lease)
        return LimiterTicket()

    def release(self, lease: Any, token: Any, outcome: Any, now: float) -> tuple[()]:
        self.out.remove(lease)
        return ()

    def set_cap(self, cap: int | None, now: float) -> tuple[()]:
        return ()

    def next_change(self, now: float) -> float | None:
        return None

    def snapshot(self, now: float) -> LimiterSnapshot:
        return LimiterSnapshot(current_limit=4)


SAME_ANSWERS = "test_the_same_seed_and_calls_give_the_same_answers"


def test_a_limiter_whose_state_is_shared_is_found_unless_it_says_so() -> None:
    shared: list[Any] = []

    class Silent(RequestLimiterContract):
        def make_limiter(self, cap: int | None, seed: int) -> RequestLimiter:
            return cast(RequestLimiter, Places(self.scope, shared))

    class Honest(Silent):
        shared_state = True

        def forget(self) -> None:
            shared.clear()

    with pytest.raises(AssertionError, match=r"is its state shared|with nothing in flight"):
        run(Silent(), SAME_ANSWERS)
    run(Honest(), SAME_ANSWERS, "test_asking_changes_nothing", "test_a_fresh_limiter_lets_a_call_out")


def test_a_limiter_that_goes_through_all_that_ever_happened_is_found() -> None:
    class Suite(RequestLimiterContract):
        def make_limiter(self, cap: int | None, seed: int) -> RequestLimiter:
            return cast(RequestLimiter, Places(self.scope, [], goes_through_all=True))

    with pytest.raises(AssertionError, match=r"after 10 calls, and \d+ after 1000"):
        run(Suite(), "test_the_cost_of_an_answer_does_not_grow_with_what_happened")


# ------------------------------------------------------------------------------------------------------ what never ends


class GivesAgain(FifoTaskQueue):
    """A queue from which nobody ever goes."""

    def commit(self, selection: Any, now: float) -> Any:
        super().commit(selection, now)
        self.enqueue([selection.item], now)
        return selection.item


def test_a_queue_that_gives_the_same_task_for_ever_is_found_and_does_not_hang() -> None:
    queue = GivesAgain()
    queue.enqueue([make_task("a")], 0.0)
    with pytest.raises(AssertionError, match="a was committed, and is selected again"):
        take_all(queue)

    class Suite(ReadyQueueContract):
        def make_queue(self, limits: dict[str, int]) -> Any:
            return GivesAgain()

    with pytest.raises(AssertionError, match="was committed, and is selected again"):
        run(Suite(), "test_tasks_of_a_group_come_in_the_order_of_arrival")

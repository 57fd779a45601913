"""Earliest deadline first within a group: the contract of any queue of waiters, and a model that scans."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings, strategies as st

from penstock import (
    Backlog,
    ConfigError,
    Denied,
    PluginManager,
    Released,
    RequestAdmissionItem,
    RequestGroupSpec,
    RequestResourceKey,
    RequestWaiter,
    RequestWaiterQueue,
    load_config,
)
from penstock.testing import RequestWaiterQueueContract
from penstock_fairqueue import FairRequestWaiters

CHAT = RequestResourceKey("provider", "model", "chat")
EMBEDDING = RequestResourceKey("provider", "model", "embedding")


class TestContract(RequestWaiterQueueContract):
    def make_queue(self) -> RequestWaiterQueue:
        return FairRequestWaiters(within_group="deadline")


class Waiters:
    """A queue by deadlines, with waiters that are distinguished by their number."""

    def __init__(self) -> None:
        self.queue = FairRequestWaiters(within_group="deadline")
        self.joined: list[RequestWaiter] = []

    def join(
        self,
        deadline: float | None = None,
        *,
        group: str = "a",
        weight: float = 1.0,
        at: RequestResourceKey = CHAT,
    ) -> RequestWaiter:
        item = RequestAdmissionItem(at, RequestGroupSpec(group, weight), deadline=deadline)
        waiter = RequestWaiter(item, 0.0, len(self.joined))
        self.joined.append(waiter)
        self.queue.enqueue(waiter, 0.0)
        return waiter

    def serve(self, refused: frozenset[RequestResourceKey] = frozenset()) -> RequestWaiter | None:
        def ask(item: RequestAdmissionItem) -> Denied | None:
            if item.resource not in refused:
                return None
            return Denied("no_capacity", {Released(item.resource)}, scope="shape", cohort=item.resource)

        selection = self.queue.select_next(ask, 0.0)
        return None if selection is None else self.queue.commit(selection, 0.0)

    def serve_all(self) -> list[RequestWaiter]:
        served = []
        while (waiter := self.serve()) is not None:
            served.append(waiter)
        return served


def test_the_earliest_deadline_goes_first_and_those_without_one_last() -> None:
    waiters = Waiters()
    undated, late, early = waiters.join(), waiters.join(30.0), waiters.join(10.0)
    assert waiters.serve_all() == [early, late, undated]


def test_of_equal_deadlines_the_oldest_goes_first() -> None:
    waiters = Waiters()
    joined = [waiters.join(5.0) for _ in range(5)]
    assert waiters.serve_all() == joined


def test_an_urgent_call_for_another_domain_of_the_model_goes_before_its_group() -> None:
    waiters = Waiters()
    chat, embedding = waiters.join(20.0), waiters.join(10.0, at=EMBEDDING)
    assert waiters.serve_all() == [embedding, chat]


def test_who_joins_a_refused_lane_with_an_earlier_deadline_goes_first_when_it_is_woken() -> None:
    waiters = Waiters()
    late = waiters.join(20.0)
    assert waiters.serve(frozenset({CHAT})) is None
    early = waiters.join(10.0)
    assert waiters.serve() is None, "nothing was released"
    waiters.queue.wake(Released(CHAT), 2, 0.0)
    assert waiters.serve_all() == [early, late]


def test_whose_coming_ends_the_refusal_of_another_of_its_lane_takes_its_place_behind_it() -> None:
    waiters = Waiters()
    first = waiters.join()
    refused = Denied("policy_denial", {Backlog(CHAT)}, scope="task")
    assert waiters.queue.select_next(lambda item: refused, 0.0) is None
    second = waiters.join()
    assert waiters.serve_all() == [first, second]


def test_hurrying_gives_a_group_no_more_than_its_share() -> None:
    waiters = Waiters()
    for number in range(90):
        waiters.join(group="relaxed", weight=2.0)
        waiters.join(float(number), group="hurried")
    served = [waiters.serve() for _ in range(60)]
    groups = [waiter.item.group.key for waiter in served if waiter is not None]
    assert groups.count("relaxed") == 40
    assert groups.count("hurried") == 20


def test_a_stream_of_ever_more_urgent_calls_leaves_the_other_groups_their_turns() -> None:
    waiters = Waiters()
    for _ in range(20):
        waiters.join(group="relaxed")
    served = []
    for number in range(20):
        waiters.join(1000.0 - number, group="hurried")
        waiters.join(900.0 - number, group="hurried")
        served.append(waiters.serve())
    assert sum(waiter is not None and waiter.item.group.key == "relaxed" for waiter in served) == 10


def test_a_queue_of_which_most_give_up_keeps_nothing_of_them() -> None:
    waiters = Waiters()
    first = waiters.join(0.0)
    for number in range(500):
        waiters.queue.remove(waiters.join(float(number + 1)), 0.0)
    waiters.queue.check_invariants()
    assert waiters.serve_all() == [first]


@pytest.mark.parametrize(("key", "value"), [("within_group", "urgent"), ("tokens_per_request", 0)])
def test_a_setting_that_makes_no_sense_is_refused_at_its_key(key: str, value: object) -> None:
    config = {"plugins": {"fair": {key: value}}}
    with pytest.raises(ConfigError) as caught:
        PluginManager.from_config(load_config(config).config)
    assert [problem.path for problem in caught.value.records] == [("plugins", "fair", key)]


DEADLINES = st.sampled_from([None, -1.5, 0.0, 1.0, 2.5, 2.5, 1e9])
LEAVING = st.tuples(st.just("leave"), st.integers(0, 30))
OF_ONE_DOMAIN: st.SearchStrategy[tuple[object, ...]] = st.one_of(
    st.tuples(st.just("join"), DEADLINES, st.just(CHAT)),
    st.tuples(st.just("serve"), st.sampled_from([frozenset(), frozenset({CHAT})])),
    LEAVING,
)
OF_TWO_DOMAINS: st.SearchStrategy[tuple[object, ...]] = st.one_of(
    st.tuples(st.just("join"), DEADLINES, st.sampled_from([CHAT, EMBEDDING])),
    st.tuples(st.just("serve"), st.just(frozenset())),
    LEAVING,
)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.lists(OF_ONE_DOMAIN, max_size=60), st.lists(OF_TWO_DOMAINS, max_size=60)))
def test_one_group_is_served_as_by_a_scan_of_everybody(steps: list[tuple[object, ...]]) -> None:
    """The model looks at all who wait and takes the smallest (deadline, number) that is not refused."""
    waiters = Waiters()
    waiting: list[RequestWaiter] = []
    for step in steps:
        match step:
            case ("join", float() | None as deadline, RequestResourceKey() as resource):
                waiting.append(waiters.join(deadline, at=resource))
            case ("serve", frozenset() as refused):
                waiters.queue.wake(Released(CHAT), 100, 0.0)
                expected = None if refused else min(waiting, key=_place, default=None)
                assert waiters.serve(refused) is expected
                if expected is not None:
                    waiting.remove(expected)
            case ("leave", int() as number) if number < len(waiting):
                assert waiters.queue.remove(waiting.pop(number), 0.0)
        waiters.queue.check_invariants()
    waiters.queue.wake(Released(CHAT), 100, 0.0)
    assert waiters.serve_all() == sorted(waiting, key=_place)


def _place(waiter: RequestWaiter) -> tuple[float, int]:
    deadline = waiter.item.deadline
    return (math.inf if deadline is None else deadline), waiter.sequence

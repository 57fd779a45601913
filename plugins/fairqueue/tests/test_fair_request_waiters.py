"""The fair queue of request waiters: everything that any queue of waiters must do, and shares by weight and cost."""

from __future__ import annotations

from penstock import (
    RequestAdmissionItem,
    RequestCost,
    RequestGroupSpec,
    RequestResourceKey,
    RequestWaiter,
    RequestWaiterQueue,
)
from penstock.testing import RequestWaiterQueueContract
from penstock_fairqueue import FairRequestWaiters

CHAT = RequestResourceKey("provider", "model", "chat")
OTHER = RequestResourceKey("provider", "other", "chat")


class TestContract(RequestWaiterQueueContract):
    def make_queue(self) -> RequestWaiterQueue:
        return FairRequestWaiters()


def join(
    queue: FairRequestWaiters, group: RequestGroupSpec, count: int, *, tokens: int = 0, at: RequestResourceKey = CHAT
) -> None:
    for number in range(count):
        item = RequestAdmissionItem(at, group, RequestCost(1, tokens))
        queue.enqueue(RequestWaiter(item, 0.0, number), 0.0)


def served(queue: FairRequestWaiters, count: int) -> list[object]:
    groups = []
    for _ in range(count):
        selection = queue.select_next(lambda item: None, 0.0)
        assert selection is not None
        waiter = queue.commit(selection, 0.0)
        assert waiter is not None
        groups.append(waiter.item.group.key)
    return groups


def test_groups_that_share_a_model_are_served_by_weight() -> None:
    queue = FairRequestWaiters()
    for name, weight in (("a", 1.0), ("b", 2.0), ("c", 5.0)):
        join(queue, RequestGroupSpec(name, weight), 100)
    order = served(queue, 80)
    assert {name: order.count(name) for name in "abc"} == {"a": 10, "b": 20, "c": 50}


def test_a_group_of_large_calls_gets_its_share_in_tokens_and_not_in_calls() -> None:
    queue = FairRequestWaiters(tokens_per_request=1000)
    join(queue, RequestGroupSpec("large"), 50, tokens=4000)
    join(queue, RequestGroupSpec("small"), 200)
    order = served(queue, 100)
    assert order.count("large") == 20
    assert order.count("small") == 80


def test_a_large_call_is_not_starved_by_a_stream_of_small_ones() -> None:
    queue = FairRequestWaiters(tokens_per_request=1000)
    join(queue, RequestGroupSpec("large"), 1, tokens=8000)
    order = []
    for _ in range(20):
        join(queue, RequestGroupSpec("small"), 1)
        order += served(queue, 1)
    assert order.index("large") <= 9


def test_what_a_tenant_used_of_one_model_counts_for_nothing_at_another() -> None:
    queue = FairRequestWaiters()
    join(queue, RequestGroupSpec("a"), 10)
    assert served(queue, 10) == ["a"] * 10
    join(queue, RequestGroupSpec("a"), 10, at=OTHER)
    join(queue, RequestGroupSpec("b"), 10, at=OTHER)
    assert served(queue, 10).count("a") == 5

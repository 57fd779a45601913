"""Nobody waits while there is a place for it, whoever's release, cap or moment it was that made the place."""

from __future__ import annotations

import pytest

from penstock import (
    Condition,
    Denied,
    FifoRequestWaiters,
    Released,
    RequestAdmissionItem,
    RequestPressureSnapshotProvider,
    RequestResourceKey,
)
from penstock.testing import QueueDriver, RequestBench
from penstock.testing.request_bench import CHAT

EMBEDDING = RequestResourceKey("p", "m", "embedding")
OTHER = RequestResourceKey("p", "n", "chat")


def test_a_place_of_the_model_goes_to_whichever_domain_has_room_for_it() -> None:
    bench = RequestBench()
    bench.controller.register("p", "m", 4, 0.0, domain_caps={"chat": 1})
    bench.lease(CHAT)
    embeddings = [bench.lease(EMBEDDING) for _ in range(2)]
    waiters = [bench.wait(CHAT, group=group) for group in "xyz"]
    bench.controller.signal("-", 0.0)

    bench.controller.register("p", "m", 4, 0.0, domain_caps={"chat": 4})
    for lease in embeddings:
        bench.release(lease)

    assert all(waiter.lease for waiter in waiters)


def test_a_limit_that_grew_while_its_model_was_full_is_used_when_another_domain_makes_room() -> None:
    bench = RequestBench()
    bench.controller.register("p", "m", 3, 0.0, domains=["chat", "embedding"])
    bench.limiters[CHAT].places = 1
    chat = bench.lease(CHAT)
    waiters = [bench.wait(CHAT, group=group) for group in "xy"]
    bench.controller.signal("-", 0.0)
    embeddings = [bench.lease(EMBEDDING) for _ in range(2)]

    bench.limiters[CHAT].places = 3
    for lease in (chat, *embeddings):
        bench.release(lease)

    assert all(waiter.lease for waiter in waiters)


def test_a_cap_that_was_lowered_under_load_is_used_again_when_all_came_back() -> None:
    bench = RequestBench()
    bench.controller.register("p", "m", 6, 0.0, domain_caps={"chat": 2})
    leases = [bench.lease(CHAT) for _ in range(2)] + [bench.lease(EMBEDDING) for _ in range(3)]
    waiters = [bench.wait(CHAT, group="x") for _ in range(2)]
    bench.controller.signal("-", 0.0)

    bench.controller.register("p", "m", 2, 0.0, domain_caps={"chat": 2})
    for lease in leases:
        bench.release(lease)

    assert all(waiter.lease for waiter in waiters)


@pytest.mark.parametrize("group", [None, "tenant"])
@pytest.mark.parametrize("waiting", [OTHER, EMBEDDING], ids=str)
@pytest.mark.parametrize("condition", [Released(CHAT), Released(CHAT.provider_model)], ids=str)
def test_who_waits_for_a_release_elsewhere_is_asked_again_after_it(
    condition: Condition, waiting: RequestResourceKey, group: str | None
) -> None:
    def rule(item: RequestAdmissionItem, pressure: RequestPressureSnapshotProvider, now: float) -> Denied | None:
        there = pressure.snapshot(CHAT, now)
        busy = item.resource == waiting and there is not None and there.in_flight_count
        return Denied("hard_policy_denial", {condition}) if busy else None

    bench = RequestBench({CHAT: 5, OTHER: 5}, rule=rule)
    lease = bench.lease(CHAT, group=group)
    waiter = bench.wait(waiting, group="another")

    assert bench.release(lease) == [waiter]


@pytest.mark.parametrize("groups", [1, 7, 100])
def test_a_large_call_is_not_overtaken_by_those_who_came_after_it(groups: int) -> None:
    bench = RequestBench({CHAT: 4}, listen=False)
    leases = [bench.lease(CHAT, group="x") for _ in range(4)]
    large = bench.wait(CHAT, group="large", requests=3)
    for number in range(100):
        bench.wait(CHAT, group=f"g{number % groups}")

    assert [waiter for lease in leases[:3] for waiter in bench.release(lease)] == [large]


def test_a_queue_lets_no_waiter_go_that_is_in_another() -> None:
    queues = [FifoRequestWaiters(), FifoRequestWaiters()]
    here, there = map(QueueDriver, queues)
    here.join()
    waiter = there.join()
    selection = queues[1].select_next(lambda item: None, 0.0)
    assert selection is not None

    assert not queues[0].remove(waiter, 0.0)
    assert queues[0].commit(selection, 0.0) is None
    assert queues[1].commit(selection, 0.0) is waiter


def test_callers_of_another_provider_who_are_of_one_cohort_are_asked_again_too() -> None:
    """A rule refuses calls to p and q alike until something comes back at p."""
    shut = [True]

    def rule(item: RequestAdmissionItem, _: RequestPressureSnapshotProvider, now: float) -> Denied | None:
        busy = shut and item.group.key != "before"
        return Denied("hard_policy_denial", {Released(CHAT.provider)}, "shape", cohort="c") if busy else None

    elsewhere = RequestResourceKey("q", "m", "chat")
    bench = RequestBench(rule=rule)
    for provider in ("p", "q"):
        bench.controller.register(provider, "m", 4, 0.0)
    first, second = bench.lease(CHAT, group="before"), bench.lease(CHAT, group="before")
    here, there = bench.wait(CHAT, group="a"), bench.wait(elsewhere, group="b")
    bench.release(first)
    bench.controller.cancel(here, 0.0)
    bench.controller.advance(0.0)

    shut.clear()
    bench.release(second)

    assert there.lease is not None

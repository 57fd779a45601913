"""Who comes late and goes first takes nothing from those who were waiting."""

from __future__ import annotations

from penstock import (
    At,
    Denied,
    EventStream,
    RequestAdmissionController,
    RequestAdmissionItem,
    RequestGroupSpec,
    RequestPressureSnapshotProvider,
    RequestResourceKey,
)
from penstock_fairqueue import FairRequestWaiters

CHAT = RequestResourceKey("p", "m", "chat")


def until_five(item: RequestAdmissionItem, _: RequestPressureSnapshotProvider, now: float) -> Denied | None:
    return Denied("cooldown", {At(5.0)}, scope="all") if now < 5.0 else None


def test_a_newcomer_that_goes_first_at_a_moment_leaves_it_to_the_others_too() -> None:
    gate = RequestAdmissionController(EventStream("request"), rule=until_five, waiters=FairRequestWaiters())
    gate.register("p", "m", 10, 0.0)
    waiters = [gate.enqueue(RequestAdmissionItem(CHAT, RequestGroupSpec("a")), 1.0) for _ in range(3)]

    newcomer = gate.enqueue(RequestAdmissionItem(CHAT, RequestGroupSpec("b", weight=4.0)), 5.0)

    assert newcomer.lease is not None
    assert gate.next_change(5.0) == 5.0
    gate.advance(5.0)
    assert all(waiter.lease for waiter in waiters)

"""A waiter queue that is not ours: it is served like ours, and what it does wrong is told in its name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from penstock import (
    Denied,
    FifoRequestWaiters,
    PluginError,
    RequestAdmissionItem,
    RequestQueueSelection,
    RequestWaiter,
)
from penstock.testing import RequestBench
from penstock.testing.request_bench import CHAT


class Hesitant(FifoRequestWaiters):
    """Does not commit what it has just selected, `times` in a row."""

    times = 0

    def commit(self, selection: RequestQueueSelection, now: float) -> RequestWaiter | None:
        if self.times:
            self.times -= 1
            return None
        return super().commit(selection, now)


class Forgetful(FifoRequestWaiters):
    """Selects one who has left, once it has a `ghost`."""

    ghost: RequestWaiter | None = None

    def select_next(
        self, is_eligible: Callable[[RequestAdmissionItem], Denied | None], now: float
    ) -> RequestQueueSelection | None:
        selection = super().select_next(is_eligible, now)
        return selection if self.ghost is None else RequestQueueSelection(self.ghost, 0)


def test_waiters_are_served_in_its_order_as_leases_come_back() -> None:
    bench = RequestBench({CHAT: 1}, waiters=Hesitant())
    lease = bench.lease()
    waiters = [bench.wait(group=group) for group in "abc"]
    for waiter in waiters:
        assert bench.release(lease) == [waiter]
        assert waiter.lease is not None
        lease = waiter.lease


def test_of_two_who_ask_for_the_same_one_gives_up_and_the_other_goes() -> None:
    bench = RequestBench({CHAT: 1}, waiters=Hesitant())
    lease, item = bench.lease(), bench.item()
    first, second = [bench.controller.enqueue(item, 0.0) for _ in range(2)]
    assert bench.controller.cancel(first, 0.0)
    assert bench.release(lease) == [second]


def test_a_queue_that_will_not_commit_what_it_selected_is_named() -> None:
    queue = Hesitant()
    bench = RequestBench({CHAT: 1}, waiters=queue)
    lease = bench.lease()
    bench.wait()
    queue.times = 100
    with pytest.raises(PluginError) as caught:
        bench.release(lease)
    assert caught.value.plugin == "Hesitant"
    assert queue.times == 97


def test_stale_selections_with_a_good_one_between_are_no_error() -> None:
    queue = Hesitant()
    bench = RequestBench({CHAT: 1}, waiters=queue)
    lease = bench.lease()
    for _ in range(3):
        waiter = bench.wait()
        queue.times = 2
        assert bench.release(lease) == [waiter]
        assert waiter.lease is not None
        lease = waiter.lease


def test_a_queue_that_selects_one_who_does_not_wait_is_named() -> None:
    queue = Forgetful()
    bench = RequestBench({CHAT: 1}, waiters=queue)
    lease, ghost = bench.lease(), bench.wait()
    bench.wait(group="another")
    assert bench.controller.cancel(ghost, 0.0)
    queue.ghost = ghost
    with pytest.raises(PluginError, match=r"select_next must return a \w+ of a waiter in the queue") as caught:
        bench.release(lease)
    assert caught.value.plugin == "Forgetful"


def test_a_queue_that_names_the_moment_at_which_it_has_just_selected_nobody_is_named() -> None:
    class Impatient(FifoRequestWaiters):
        def next_change(self, now: float) -> float | None:
            return 5.0

    bench = RequestBench({CHAT: 1}, waiters=Impatient())
    bench.lease()
    bench.wait()
    bench.controller.advance(4.0)
    assert bench.controller.next_change(4.0) == 5.0
    bench.controller.advance(5.0)
    with pytest.raises(PluginError, match="next_change must be later"):
        bench.controller.next_change(5.0)

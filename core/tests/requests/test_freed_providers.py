"""The providers at which calls may meet less pressure: named in the effects of what freed them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from penstock import ProviderKey, RequestAdmissionEffects, RequestResourceKey
from penstock.requests.outcomes import SUCCESS
from penstock.testing import RequestBench
from penstock.testing.request_bench import CHAT

ELSEWHERE = RequestResourceKey("q", "m", "chat")
P, Q = ProviderKey("p"), ProviderKey("q")


def release(bench: RequestBench) -> RequestAdmissionEffects:
    lease = bench.lease()
    return bench.controller.release(lease, SUCCESS, 1.0)


@pytest.mark.parametrize(
    "change",
    [
        release,
        lambda bench: bench.controller.register("p", "m", 5, 1.0),
        lambda bench: bench.controller.reconfigure(bench.make_limiters, 1.0),
        lambda bench: bench.controller.abandon(1.0),
    ],
    ids=["release", "register", "reconfigure", "abandon"],
)
def test_a_change_names_the_provider_that_it_frees(
    bench: RequestBench, change: Callable[[RequestBench], RequestAdmissionEffects]
) -> None:
    assert set(change(bench).freed_providers) == {P}


def test_a_wait_that_ends_frees_its_provider(bench: RequestBench) -> None:
    bench.lease(requests=2)
    bench.wait(timeout=1.0)
    assert bench.controller.advance(0.5).freed_providers == []
    assert bench.controller.advance(1.0).freed_providers == [P]
    bench.wait()
    assert bench.controller.close(2.0).freed_providers == [P]


def test_what_a_first_use_or_a_cancelled_wait_frees_is_named_by_the_next_advance_which_is_due_at_once(
    bench: RequestBench,
) -> None:
    for free in (
        lambda: bench.lease(RequestResourceKey("p", "m", "embedding")),
        lambda: bench.controller.cancel(bench.wait(requests=2), 0.0),
    ):
        free()
        assert bench.controller.next_change(3.0) == 3.0
        assert bench.controller.advance(3.0).freed_providers == [P]
        assert bench.controller.next_change(3.0) is None


def test_nothing_is_freed_at_other_providers() -> None:
    bench = RequestBench({CHAT: 1, ELSEWHERE: 1})
    lease = bench.lease(ELSEWHERE)
    bench.lease()
    bench.wait()
    assert bench.controller.release(lease, SUCCESS, 1.0).freed_providers == [Q]

"""What a probe is stands in its lease, before any limiter counts the call and when it comes back."""

from __future__ import annotations

from penstock import RequestReleaseOutcome
from penstock.testing import RequestBench
from penstock.testing.request_bench import CHAT


def test_a_lease_says_to_every_limiter_that_the_call_is_a_probe_in_whatever_order_they_stand(
    bench: RequestBench,
) -> None:
    bench.limiters[CHAT].probing = True  # the narrowest scope: it stands last

    lease = bench.lease()

    assert lease.probe
    assert [limiter.probes for limiter in bench.limiters.values()] == [[lease.lease_id]] * 3
    bench.controller.release(lease, RequestReleaseOutcome(kind="rate_limited"), 0.1)
    assert [limiter.outcomes[-1].kind for limiter in bench.limiters.values()] == ["rate_limited"] * 3


def test_the_call_after_a_probe_is_none(bench: RequestBench) -> None:
    limiter = bench.limiters[CHAT]
    limiter.probing = True
    bench.lease()
    limiter.probing = False

    assert not bench.lease().probe


def test_a_waiter_that_is_let_out_by_time_may_be_the_probe(bench: RequestBench) -> None:
    limiter = bench.limiters[CHAT]
    limiter.blocked_until, limiter.probing = 5.0, True
    waiter = bench.controller.enqueue(bench.item(), 0.0)
    bench.controller.advance(5.0)

    assert waiter.lease is not None
    assert waiter.lease.probe

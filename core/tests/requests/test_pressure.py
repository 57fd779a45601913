"""What the other gate, rules and people see of the request gate."""

from __future__ import annotations

import attrs
import pytest

from penstock import ProviderKey, RequestPressureSnapshotProvider, RequestReleaseOutcome, RequestResourceKey
from penstock.testing import RequestBench
from penstock.testing.request_bench import CHAT

EMBEDDING = RequestResourceKey("p", "m", "embedding")


def test_a_snapshot_says_what_is_in_flight_who_waits_and_what_holds_them_back(bench: RequestBench) -> None:
    bench.controller.register("p", "m", 4, 0.0)
    lease = bench.lease(requests=2, now=1.0)
    bench.lease(EMBEDDING, now=2.0)
    bench.limiters[ProviderKey("p")].blocked_until = 9.0
    bench.limiters[CHAT].places = 3
    bench.wait(now=2.0)
    snapshot = bench.controller.pressure.snapshot(CHAT, 4.0)
    assert snapshot is not None
    assert (snapshot.captured_at, snapshot.resource) == (4.0, CHAT)
    assert (snapshot.effective_max, snapshot.current_limit) == (4, 3)
    assert (snapshot.in_flight_count, snapshot.active_lease_count, snapshot.waiters) == (2, 1, 1)
    assert (snapshot.blocked_until, snapshot.cooldown_remaining) == (9.0, 5.0)
    assert snapshot.last_outcome is None
    assert snapshot.leak_diagnostics == {"acquired": 1, "released": 0, "oldest_lease_seconds": 3.0}
    bench.controller.release(lease, RequestReleaseOutcome(kind="rate_limited"), 5.0)
    later = bench.controller.pressure.snapshot(CHAT, 10.0)
    assert later is not None
    assert (later.last_outcome, later.blocked_until, later.cooldown_remaining) == ("rate_limited", None, 0.0)
    assert later.sequence > snapshot.sequence


def test_of_several_cooldowns_the_one_that_ends_last_is_shown(bench: RequestBench) -> None:
    bench.lease()
    bench.limiters[ProviderKey("p")].blocked_until = 9.0
    bench.limiters[CHAT].blocked_until = 7.0
    snapshot = bench.controller.pressure.snapshot(CHAT, 4.0)
    assert snapshot is not None
    assert (snapshot.blocked_until, snapshot.cooldown_remaining) == (9.0, 5.0)


def test_a_models_snapshot_is_the_sum_of_its_domains(bench: RequestBench) -> None:
    bench.lease(CHAT)
    bench.lease(EMBEDDING)
    model = bench.controller.pressure.global_snapshot("p", "m", 0.0)
    assert model is not None
    assert (model.cap, model.aggregate_in_flight, model.aggregate_leases) == (2, 2, 2)
    assert set(model.domains) == {"chat", "embedding"}
    assert set(bench.controller.pressure.snapshots(0.0)) == {CHAT, EMBEDDING}


def test_asking_about_what_is_not_known_leaves_no_trace(bench: RequestBench) -> None:
    pressure = bench.controller.pressure
    before = (list(pressure.snapshots(0.0)), list(pressure.global_snapshots(0.0)), list(bench.limiters))
    assert pressure.snapshot(RequestResourceKey("x", "y", "chat"), 0.0) is None
    assert pressure.snapshot(EMBEDDING, 0.0) is None
    assert pressure.global_snapshot("x", "y", 0.0) is None
    assert (list(pressure.snapshots(0.0)), list(pressure.global_snapshots(0.0)), list(bench.limiters)) == before


def test_a_snapshot_does_not_change_and_cannot_be_changed(bench: RequestBench) -> None:
    snapshot = bench.controller.pressure.snapshot(CHAT, 0.0)
    assert snapshot is not None
    bench.lease()
    assert snapshot.in_flight_count == 0
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        snapshot.in_flight_count = 5  # type: ignore[misc]


def test_the_controllers_pressure_is_a_snapshot_provider(bench: RequestBench) -> None:
    assert isinstance(bench.controller.pressure, RequestPressureSnapshotProvider)

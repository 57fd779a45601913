"""Sizes that take no time."""

from __future__ import annotations

import attrs
import pytest

from penstock_bench import QUICK, Sizes


@pytest.fixture
def tiny() -> Sizes:
    return attrs.evolve(
        QUICK,
        peer_cap=5.0,
        groups=(1, 3),
        tasks=40,
        many_tasks=60,
        many_groups=8,
        drift_tasks=90,
        drift_part=30,
        trivial=20,
        columns=3,
        rows=4,
        queued=100,
        cycles=10,
        cap=2,
        callers=5,
        crowd=6,
        each=2,
        waiters=6,
        handovers=20,
        cpu_seconds=0.01,
    )

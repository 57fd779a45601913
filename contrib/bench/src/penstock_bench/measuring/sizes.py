"""How much is measured: in full, as the targets say, or shortened, to see whether all is well."""

from __future__ import annotations

from typing import Final

import attrs

__all__ = ["FULL", "QUICK", "Sizes"]


@attrs.frozen(kw_only=True)
class Sizes:
    """Numbers of tasks, groups, cycles and calls; `competitor_cap` is in seconds."""

    competitor_cap: float

    # dispatch
    groups: tuple[int, ...]
    """From one on; the largest is the one that the targets name."""
    tasks: int
    many_tasks: int
    many_groups: int
    """Groups of the rows that ask whether a cycle's cost grows with them."""
    drift_tasks: int
    drift_part: int

    # tasks
    trivial: int
    columns: int
    rows: int
    queued: int
    """Tasks whose memory is measured."""

    # requests
    cycles: int
    cap: int
    callers: int
    crowd: int
    each: int
    waiters: int
    handovers: int
    cpu_seconds: float

    # worker
    lines: int

    # batch
    batch_rows: int
    batch_kept: int
    batch_cells: int
    """Cells in one store."""

    # gateway
    gateway_seconds: int
    """Of load, each time."""
    gateway_streams: int
    gateway_many: int
    """Calls over which its memory must not grow."""


FULL: Final = Sizes(
    competitor_cap=20.0,
    groups=(1, 8, 64, 256),
    tasks=10_000,
    many_tasks=100_000,
    many_groups=16_384,
    drift_tasks=1_000_000,
    drift_part=100_000,
    trivial=10_000,
    columns=64,
    rows=500,
    queued=1_000_000,
    cycles=10_000,
    cap=32,
    callers=1_000,
    crowd=10_000,
    each=10,
    waiters=10_000,
    handovers=20_000,
    cpu_seconds=5.0,
    lines=20_000,
    batch_rows=20_000,
    batch_kept=200_000,
    batch_cells=1_000_000,
    gateway_seconds=5,
    gateway_streams=500,
    gateway_many=1_000_000,
)

QUICK: Final = attrs.evolve(
    FULL,
    competitor_cap=2.0,
    tasks=2_000,
    many_tasks=50_000,
    drift_tasks=100_000,
    drift_part=10_000,
    trivial=2_000,
    columns=16,
    rows=100,
    queued=50_000,
    cycles=2_000,
    callers=200,
    crowd=2_000,
    handovers=5_000,
    cpu_seconds=1.0,
    lines=1_000,
    batch_rows=1_000,
    batch_kept=2_000,
    batch_cells=20_000,
    gateway_seconds=2,
    gateway_streams=50,
    gateway_many=2_000,
)

"""The rows of `penstock bench requests`: what admission of a call costs, alone and in a crowd."""

from __future__ import annotations

from functools import partial

from penstock_bench.measuring.records import CPU_SHARE, PER_SECOND, SECONDS, Sample
from penstock_bench.measuring.rows import Competitor, Local, Measure, Row
from penstock_bench.measuring.sizes import Sizes
from penstock_bench.requests.cells import bare_kernel, contended, handover, parked_cpu, try_uncontended, uncontended
from penstock_bench.requests.doors import calls_under_asyncio, calls_under_trio

__all__ = ["requests_rows"]

FEW = 10

DOOR_CALLERS = 100


def requests_rows(sizes: Sizes) -> list[Row]:
    """The rows, in the order of the table."""
    return [*_uncontended(sizes), *_contended(sizes), *_waiting(sizes), *_doors(sizes)]


def _uncontended(sizes: Sizes) -> list[Row]:
    parameters = {"cycles": sizes.cycles, "cap": sizes.cap}
    return [
        Row(
            name="uncontended",
            title="acquire + release, uncontended",
            ours=lambda _: uncontended(sizes.cycles, sizes.cap),
            other=Competitor("uncontended", parameters),
        ),
        Row(
            name="try-uncontended",
            title="try_acquire + release, uncontended",
            ours=lambda _: try_uncontended(sizes.cycles, sizes.cap),
            other=Competitor("try_uncontended", parameters),
        ),
    ]


def _contended(sizes: Sizes) -> list[Row]:
    def crowd(_: int | None) -> Sample:
        return Sample(1, contended(sizes.crowd, sizes.each, sizes.cap).amount)

    return [
        Row(
            name="contended",
            title=f"{sizes.callers:,} tasks × {sizes.each} acquisitions, cap {sizes.cap}",
            ours=partial(contended, sizes.callers, sizes.each, sizes.cap),
            other=Competitor("contended", {"tasks": sizes.callers, "each": sizes.each, "cap": sizes.cap}),
            unit=PER_SECOND,
        ),
        Row(
            name="contended-kernel",
            title=f"the same {sizes.callers:,} × {sizes.each}, beside a bare kernel that parks, wakes and counts",
            ours=partial(contended, sizes.callers, sizes.each, sizes.cap),
            other=Local("bare kernel", lambda _: bare_kernel(sizes.callers, sizes.each, sizes.cap)),
        ),
        Row(
            name="crowd",
            title=f"{sizes.crowd:,} tasks × {sizes.each} acquisitions, cap {sizes.cap}, to the end",
            ours=crowd,
            unit=SECONDS,
        ),
    ]


def _waiting(sizes: Sizes) -> list[Row]:
    return [
        Row(
            name="parked-cpu",
            title=f"{sizes.waiters:,} parked waiters: use of the processor",
            ours=lambda _: parked_cpu(sizes.waiters, sizes.cpu_seconds),
            unit=CPU_SHARE,
        ),
        Row(
            name="handover",
            title=f"one admission with {sizes.waiters:,} waiters, beside one with {FEW}",
            ours=lambda _: handover(sizes.waiters, sizes.handovers),
            other=Local(f"{FEW} waiters", lambda _: handover(FEW, sizes.handovers)),
        ),
    ]


def _doors(sizes: Sizes) -> list[Row]:
    def under(callers: int) -> tuple[Measure, Local]:
        amounts = callers, sizes.cycles // callers, sizes.cap
        return (
            lambda _: calls_under_asyncio(*amounts),
            Local("under trio", lambda _: calls_under_trio(*amounts)),
        )

    alone, alone_under_trio = under(1)
    crowd, crowd_under_trio = under(DOOR_CALLERS)
    return [
        Row(
            name="asyncio-alone",
            title="one call after the other under asyncio, beside trio",
            ours=alone,
            other=alone_under_trio,
        ),
        Row(
            name="asyncio",
            title=f"calls of {DOOR_CALLERS} tasks under asyncio, beside trio, cap {sizes.cap}",
            ours=crowd,
            other=crowd_under_trio,
        ),
    ]

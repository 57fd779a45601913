"""The rows of `penstock bench worker`: what a task on standard input costs, and that many run at a time."""

from __future__ import annotations

from typing import Final

from penstock_bench.measuring.records import SECONDS
from penstock_bench.measuring.rows import Local, Measure, Row
from penstock_bench.measuring.sizes import Sizes
from penstock_bench.worker.cells import three_waits, through

__all__ = ["worker_rows"]

IN_FLIGHT: Final = 64
WORKERS: Final = 8


def worker_rows(sizes: Sizes) -> list[Row]:
    """The rows, in the order of the table."""
    bare = Local("a bare loop over sys.stdin", _measure("bare", sizes.lines))
    return [
        Row(
            name="three-waits",
            title=f"three tasks of 0.5 s, {WORKERS} workers",
            ours=lambda _: three_waits(0.5, WORKERS),
            unit=SECONDS,
        ),
        *(
            Row(
                name=f"lines-{kind}",
                title=f"{sizes.lines:,} {kind} tasks that do nothing, {IN_FLIGHT} in flight, {WORKERS} workers",
                ours=_measure(kind, sizes.lines),
                other=bare,
            )
            for kind in ("async", "plain")
        ),
    ]


def _measure(kind: str, tasks: int) -> Measure:
    return lambda _: through(kind, tasks, IN_FLIGHT, WORKERS)

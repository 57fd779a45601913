"""The rows of `penstock bench batch`: what a row costs that is asked, and a call by the client alone, what a row
costs that is kept, the memory, and whether a store grows slow.
"""

from __future__ import annotations

from penstock_bench.batch.cells import bare, cookbook, filling, kept, run
from penstock_bench.batch.clients import by_httpx2, by_the_wire
from penstock_bench.batch.store_growth import IN_A_COMMIT, grown
from penstock_bench.measuring.records import MEGABYTES, PER_SECOND, Sample
from penstock_bench.measuring.rows import Local, Row
from penstock_bench.measuring.sizes import Sizes

__all__ = ["batch_rows"]


def batch_rows(sizes: Sizes) -> list[Row]:
    """The rows, in the order of the table."""
    asked, many = sizes.batch_rows, sizes.batch_kept
    title = f"{asked:,} rows, one chat step, a server of no latency: processor's time of a row"
    return [
        Row(
            name="asked",
            title=title,
            ours=lambda _: run(asked),
            other=Local("a bare loop of trio and httpx2", lambda _: bare(asked)),
            rounds=3,
        ),
        Row(
            name="asked-cookbook",
            title=title,
            ours=lambda _: run(asked),
            other=Local("the cookbook's way, asyncio and aiohttp", lambda _: cookbook(asked), environment=True),
            rounds=1,
        ),
        Row(
            name="client",
            title=f"{asked:,} calls, a server of no latency: processor's time of a call by the client alone",
            ours=lambda _: by_the_wire(asked),
            other=Local("httpx2", lambda _: by_httpx2(asked)),
            rounds=3,
        ),
        Row(
            name="memory",
            title=f"{many:,} rows, one chat step: memory at most",
            ours=lambda _: filling(many),
            unit=MEGABYTES,
            rounds=1,
        ),
        Row(
            name="kept",
            title=f"{many:,} rows that are all kept but one, by the processor's time",
            ours=lambda _: kept(many),
            unit=PER_SECOND,
            rounds=3,
        ),
        Row(
            name="store",
            title=f"a commit of {IN_A_COMMIT} cells, the last hundredth of {sizes.batch_cells:,}",
            ours=lambda _: Sample(1, grown(sizes.batch_cells).last),
            other=Local("the first hundredth", lambda _: Sample(1, grown(sizes.batch_cells).first)),
            rounds=1,
        ),
        Row(
            name="store-memory",
            title=f"{sizes.batch_cells:,} cells in a store: memory at most",
            ours=lambda _: Sample(1, grown(sizes.batch_cells).peak),
            unit=MEGABYTES,
            rounds=1,
        ),
    ]

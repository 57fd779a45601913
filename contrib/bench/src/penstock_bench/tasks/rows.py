"""The rows of `penstock bench tasks`: tasks from end to end, and what they weigh."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

from penstock_bench.measuring.records import BYTES, PER_SECOND, PERCENT, Sample
from penstock_bench.measuring.rows import COMPETITOR, Competitor, Local, Measure, Row
from penstock_bench.measuring.sizes import Sizes
from penstock_bench.tasks.cells import bare_nursery, columns, columns_with_jsonl, columns_with_otel, trivial, waiting
from penstock_bench.tasks.memory import Weighed, in_a_process

__all__ = ["tasks_rows"]

Weigh = Callable[[str, int], Weighed]


def tasks_rows(sizes: Sizes, weigh: Weigh = in_a_process) -> list[Row]:
    """The rows, in the order of the table."""
    return [*_trivial(sizes), *_columns(sizes), *_memory(sizes, weigh)]


def _trivial(sizes: Sizes) -> list[Row]:
    title = f"{sizes.trivial:,} trivial tasks"
    ours = partial(trivial, sizes.trivial)
    bare = Local("bare nursery", lambda _: bare_nursery(sizes.trivial))
    waits = Local("bare nursery", lambda _: bare_nursery(sizes.trivial, waits=True))
    competitor = Competitor("columns", {"columns": 1, "rows": sizes.trivial})
    return [
        Row(name="trivial-peer", title=f"{title}, beside {COMPETITOR}", ours=ours, other=competitor, unit=PER_SECOND),
        Row(name="trivial-bare", title=f"{title}, beside a bare nursery", ours=ours, other=bare, unit=PER_SECOND),
        Row(
            name="waiting-bare",
            title=f"{sizes.trivial:,} tasks that wait once, beside a bare nursery",
            ours=lambda _: waiting(sizes.trivial),
            other=waits,
            unit=PER_SECOND,
        ),
    ]


def _columns(sizes: Sizes) -> list[Row]:
    size = sizes.columns, sizes.rows
    title = f"{sizes.columns} columns × {sizes.rows} rows"
    ours = partial(columns, *size)
    jsonl, otel = partial(columns_with_jsonl, *size), partial(columns_with_otel, *size)
    parameters = {"columns": sizes.columns, "rows": sizes.rows}
    plain, no_op = Competitor("columns", parameters), Competitor("columns", {**parameters, "sink": True})
    without = Local("without a sink", ours)
    rows: list[tuple[str, str, Measure, Competitor | Local]] = [
        ("columns-peer", f"no sink, beside {COMPETITOR} without", ours, plain),
        ("columns-jsonl-peer", f"JSON Lines sink, beside {COMPETITOR} with a no-op sink", jsonl, no_op),
        ("columns-jsonl-without", "JSON Lines sink, beside ours without", jsonl, without),
        ("columns-otel-without", "OpenTelemetry sink and SDK, beside ours without", otel, without),
    ]
    return [Row(name=n, title=f"{title}, {t}", ours=o, other=p, unit=PER_SECOND) for n, t, o, p in rows]


def _memory(sizes: Sizes, weigh: Weigh) -> list[Row]:
    weighed = cache(weigh)  # weight does not vary, and weighing takes long
    tasks = sizes.queued

    def each(what: str) -> Measure:
        return lambda _: Sample(1, weighed(what, tasks).each)

    def left(what: str) -> Measure:
        return lambda _: Sample(1, weighed(what, tasks).left)

    rows: list[tuple[str, str, Measure]] = [
        ("queue", "in the ready queue", each("queue")),
        ("scheduler", "handed to the scheduler", each("scheduler")),
    ]
    drained: list[tuple[str, str, Measure]] = [
        ("queue", "through the ready queue", left("queue")),
        ("scheduler", "through the scheduler", left("scheduler")),
    ]
    return [
        *(
            Row(name=f"memory-{n}", title=f"{tasks:,} tasks {t}: what each weighs", ours=o, unit=BYTES, rounds=1)
            for n, t, o in rows
        ),
        *(
            Row(name=f"drained-{n}", title=f"{tasks:,} tasks {t}: what is left", ours=o, unit=PERCENT, rounds=1)
            for n, t, o in drained
        ),
    ]

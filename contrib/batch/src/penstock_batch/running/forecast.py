"""What a run would find: which cells of each step are kept, which are new, and what of the store nobody asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

import attrs

from penstock_batch.calls.claims import Claims
from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.rows.reader import Row
from penstock_batch.running.kept_rows import KeptRow, KeptRows
from penstock_batch.store.reading import StoreReader

__all__ = ["Forecast", "forecast", "looked_at"]

LOOKED_AT = 256
"""Rows of which it is seen together what is kept."""


@attrs.frozen
class Forecast:
    """Of one step: the cells that are `kept`, those that are `new` and will be asked, and those of the store that no
    row asks for any more.
    """

    kept: int
    new: int
    gone: int

    def __str__(self) -> str:
        gone = f", {self.gone:,} of the store asked for no more" if self.gone else ""
        return f"{self.kept:,} kept, {self.new:,} new{gone}"


def forecast(pipeline: Pipeline, store: StoreReader) -> dict[str, Forecast]:
    """The forecast of each step; of steps that the store knows and the pipeline has no more too."""
    kept: Counter[str] = Counter()
    rows = 0
    found: dict[str, set[bytes]] = {step.name: set() for step in pipeline.steps if step.share}
    asked_for: Counter[str] = Counter()
    claims = Claims(store, pipeline.facts.digests)
    for row in looked_at(pipeline, KeptRows(pipeline.steps, pipeline.needs, claims), None):
        rows += 1
        kept.update(row.finished.keys())  # those too that the row does not want, which are empty
        for name, claim in (*row.kept.items(), *row.claims.items()):
            for each in claim.samples:
                if each.answers and (name not in found or each.key not in found[name]):
                    asked_for[each.answers[-1].step] += 1
                if name in found:
                    found[name].add(each.key)
    there = dict(store.ask("SELECT step, count(DISTINCT key) FROM answers WHERE NOT retired GROUP BY step"))
    names = dict.fromkeys([*(step.name for step in pipeline.steps), *there])
    own = pipeline.needs
    return {
        name: Forecast(kept[name], rows - kept[name] if name in own else 0, there.get(name, 0) - asked_for[name])
        for name in names
    }


def looked_at(pipeline: Pipeline, kept: KeptRows, limit: int | None) -> Iterator[KeptRow]:
    """The rows of the input that can be read, with what is kept of each."""
    rows = (row for row in pipeline.rows() if limit is None or row.index < limit)
    sound = (row for row in rows if isinstance(row, Row))
    while some := list(islice(sound, LOOKED_AT)):
        yield from kept.of(some)

"""What a run would find: which cells of each step are kept, which are new, and what of the store nobody asks for."""

from __future__ import annotations

from collections import Counter

import attrs

from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.running.kept_stages import kept_stages
from penstock_batch.store.reading import StoreReader

__all__ = ["Forecast", "forecast"]


@attrs.frozen
class Forecast:
    """Of one step: the cells that are `kept`, those that are `new` and will be asked, those that are `empty`, since
    their rows do not want them, and those of the store that no row asks for any more. Where not `whole`, more rows will
    come, of which nothing is known yet. `made` is what a step that makes other rows of rows makes of those that are
    whole.
    """

    kept: int = 0
    new: int = 0
    gone: int = 0
    empty: int = 0
    whole: bool = True
    made: str = ""
    has_cells: bool = True

    def __str__(self) -> str:
        gone = f", {self.gone:,} of the store asked for no more" if self.gone and self.whole else ""
        empty = f", {self.empty:,} empty" if self.empty else ""
        cells = f"{self.kept:,} kept, {self.new:,} new{empty}{gone}" if self.has_cells else ""
        said = ", ".join(part for part in (self.made, cells) if part)
        if self.whole:
            return said
        return f"{said}, as far as rows are known before the run" if said else "over rows that are not known yet"


def forecast(pipeline: Pipeline, store: StoreReader) -> dict[str, Forecast]:
    """The forecast of each step; of steps that the store knows and the pipeline has no more too."""
    found: dict[str, Forecast] = {}
    keys: dict[str, set[bytes]] = {step.name: set() for step in pipeline.steps if step.share}
    asked_for: Counter[str] = Counter()
    for each in kept_stages(pipeline, store):
        kept: Counter[str] = Counter()
        over: Counter[str] = Counter()
        rows = 0
        for row in each.rows:
            rows += 1
            kept.update(row.kept.keys())
            over.update(row.finished.keys())
            for name, claim in (*row.kept.items(), *row.claims.items()):
                for sample in claim.samples:
                    if sample.answers and (name not in keys or sample.key not in keys[name]):
                        asked_for[sample.answers[-1].step] += 1
                    if name in keys:
                        keys[name].add(sample.key)
        made = ""
        if each.change is not None and each.made is not None:
            made = each.made.told.removeprefix(f"{each.change.name}: ")
            found[each.change.name] = Forecast(whole=each.whole, made=made, has_cells=False)
        for name in each.pipeline.needs:
            of_gather = made if each.change is not None and name == each.change.name else ""
            found[name] = Forecast(
                kept[name], rows - over[name], empty=over[name] - kept[name], whole=each.whole, made=of_gather
            )
    for step in (*pipeline.steps, *pipeline.changes):
        found.setdefault(step.name, Forecast(whole=False, has_cells=False))
    there = dict(store.ask("SELECT step, count(DISTINCT key) FROM answers WHERE NOT retired GROUP BY step"))
    names = dict.fromkeys([*found, *there])
    return {
        name: attrs.evolve(found.get(name, Forecast()), gone=there.get(name, 0) - asked_for[name]) for name in names
    }

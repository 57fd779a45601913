"""What a run looks like, given to the store once a second."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Final

import attrs

from penstock import AsyncCapacityPlan
from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.store.reading import StoreReader
from penstock_batch.store.samples import RunRecord, Sample, begin_run, put_sample, runs, tell_run
from penstock_batch.store.spent import LOST, SPENT, spent_of
from penstock_batch.store.store import Store

__all__ = ["ASKED_BY", "Sampling", "asked_by"]

ASKED_BY: Final = "asked_by"
"""The name of the fact that says by which input and TOML the last run asked."""


def asked_by(pipeline: Pipeline) -> str:
    """What changes where the input or the TOML does."""
    return blake2b(
        (b"" if pipeline.path is None else pipeline.path.read_bytes()) + pipeline.facts.sha256.encode(), digest_size=16
    ).hexdigest()


class Sampling:
    """The record of one run in the store. `on_added` is called after what is to be committed."""

    def __init__(self, store: Store, pipeline: Pipeline, on_added: Callable[[], None]) -> None:
        self._store = store
        self._on_added = on_added
        with StoreReader(store.path) as reader:
            self.spent = spent_of(reader.ask)
            """What the answers of earlier runs have cost."""
            number = max((record.run for record in runs(reader.ask)), default=0) + 1
        self._lost = dict(self.spent.lost)
        store.note(SPENT, self.spent.as_text())
        store.note(ASKED_BY, asked_by(pipeline))
        self.record = RunRecord(run=number, started=time.time())
        store.put(*begin_run(number, self.record.started))

    def keep(
        self,
        sample: Sample,
        limits: Mapping[str, float],
        failures: Mapping[str, int],
        plan: Callable[[], AsyncCapacityPlan],
    ) -> None:
        """Keep a sample, and how far the run is. `plan` gives what limits it."""
        self.record = attrs.evolve(self.record, limits=dict(limits), failures=dict(failures), capacity=plan())
        self._store.put(*put_sample(self.record.run, sample))
        self._tell()

    def lost(self, step: str, cost: float) -> None:
        """Keep what was paid for an answer that could not be used."""
        self._lost[step] = self._lost.get(step, 0.0) + cost
        self._store.note(LOST, json.dumps(self._lost))
        self._on_added()

    def end(self) -> None:
        """Note that the run has ended."""
        self.record = attrs.evolve(self.record, ended=time.time())
        self._tell()

    def _tell(self) -> None:
        self._store.put(*tell_run(self.record))
        self._on_added()

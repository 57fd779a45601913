"""The cells that an earlier release kept in a journal, put into a store once: each under what its row asks.

The journal has to be of the same input and steps. It is renamed when that is done, so that it is not looked at again.
"""

from __future__ import annotations

from pathlib import Path

from penstock_batch.calls.claims import Claim, Claims
from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.rows.reader import Row
from penstock_batch.store.answer import Answer
from penstock_batch.store.encoding import rounded
from penstock_batch.store.old_journal import old_values
from penstock_batch.store.store import Store

__all__ = ["take_over"]


def take_over(pipeline: Pipeline, store: Store) -> int:
    """How many cells have been taken over from the journal beside the output, if there is one that fits."""
    values = old_values(pipeline.journal, pipeline.identity)
    if values is None:
        return 0
    count = 0
    claims = Claims(store, pipeline.facts.digests)
    for row in pipeline.rows():
        if not isinstance(row, Row):
            continue
        known = dict(row.values)
        identity = claims.identity(row.digest)
        for step in pipeline.steps:
            if (row.index, step.name) not in values or not all(need in known for need in pipeline.needs[step.name]):
                continue
            value = values[row.index, step.name]
            if step.kind == "embedding":
                value = rounded(value)  # as it is kept, and as those see it that need it
            claim = claims.claim_all(step, [(identity, known, row.values)])[0]
            if isinstance(claim, Claim):
                known |= {step.name: value, **step.members(value)}
                text = value if step.kind == "chat" and isinstance(value, str) else None
                by = None if step.model is None else step.model.name
                answer = Answer(value=value, text=text, by=by, row=claim.row)
                store.add(claim.key, step.name, answer, vector=step.kind == "embedding")
                claims.release(claim)
                count += 1
    store.commit()
    pipeline.journal.replace(_taken(pipeline.journal))
    return count


def _taken(journal: Path) -> Path:
    return journal.with_name(f"{journal.name}.taken-over")

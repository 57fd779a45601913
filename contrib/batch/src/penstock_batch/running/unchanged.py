"""Whether anything has changed since the last run that did all there was to do."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any, Final

from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.rows.target import STANDARD
from penstock_batch.store.store import Store

__all__ = ["WHOLE", "note_whole", "unchanged"]

WHOLE: Final = "whole run"
"""The name of the fact in the store."""


def unchanged(pipeline: Pipeline, store: Store) -> bool:
    """Whether input, TOML, code, store and output are those of the last whole run: then there is nothing to do."""
    fact = store.fact(WHOLE)
    return fact is not None and fact == _state(pipeline, store)


def note_whole(pipeline: Pipeline, store: Store) -> None:
    """Remember that a run has done all there was to do. Raises `StoreLost`."""
    store.note(WHOLE, _state(pipeline, store) or "")
    store.commit()


def _state(pipeline: Pipeline, store: Store) -> str | None:
    target = pipeline.target
    if pipeline.path is None or target.path == STANDARD or target.table is not None:
        return None  # whether the output is still there cannot be seen
    try:
        output = target.path.stat()
        said = blake2b(pipeline.path.read_bytes(), digest_size=16).hexdigest()
    except OSError:
        return None
    state: list[Any] = [pipeline.facts.sha256, said, store.last, output.st_size, output.st_mtime_ns]
    return json.dumps([*state, *([step.name, step.code, *step.seen] for step in (*pipeline.steps, *pipeline.changes))])

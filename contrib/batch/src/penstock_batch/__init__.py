"""Rows in, rows out, resumable at every cell: the command `penstock run PIPELINE.toml`, and `run` for programs.

The way of a run, room by room: `pipeline` reads the TOML and finds everything that is wrong with it, `rows` and
`providers` with it; `running` reads rows into memory and gives each cell to the scheduler; `calls` does one; `store`
keeps its answer under what was asked; `running` assembles the answers in order, and reports. `api` is the way in from
Python.

What is exported is imported when it is asked for: the command looks at this package whenever it lists its plugins.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from penstock_batch.api.results import BatchResult, BatchSummary, RowFailure
    from penstock_batch.api.running import BatchRows, run

__all__ = ["BatchResult", "BatchRows", "BatchSummary", "RowFailure", "run"]

_HOMES: Final = {
    "BatchResult": "penstock_batch.api.results",
    "BatchRows": "penstock_batch.api.running",
    "BatchSummary": "penstock_batch.api.results",
    "RowFailure": "penstock_batch.api.results",
    "run": "penstock_batch.api.running",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The command `penstock run PIPELINE.toml`: rows in, rows out, resumable at every cell.

The way of a run, room by room: `pipeline` reads the TOML and finds everything that is wrong with it, `rows` and
`providers` with it; `run` reads rows into memory and gives each cell to the scheduler; `calls` does one; `store` keeps
its answer under what was asked; `run` assembles the answers in order, and reports.
"""

from __future__ import annotations

__all__: list[str] = []

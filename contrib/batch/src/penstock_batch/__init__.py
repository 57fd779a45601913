"""The command `penstock run PIPELINE.toml`: rows in, rows out, resumable at every cell.

The way of a run, file by file: `pipeline` reads the TOML and finds everything that is wrong with it (`config`,
`steps`, `templates`, `functions`, `graph`, `endpoints`, and `reader` for the input); `runner` reads rows into
memory (`window`) and gives each cell to the scheduler; `cells` does one; `journal` keeps it; `giving_up` says when a
provider is dead; `output` assembles the answers in order; `progress` and `summary` report it.
"""

from __future__ import annotations

__all__: list[str] = []

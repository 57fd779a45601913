"""Executes cells on request: one JSON object per line in, `{"cell": ..., "seconds": ..., ...}`, and one per line
out.

A cell whose time is up is answered with what was done until then, and the process ends, since nothing could
stop the cell itself; whoever asks starts another. Whatever the competitor prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from penstock_bench.competitor_side.progress import Progress

__all__ = ["Cell", "main", "serve"]

Cell = Callable[..., None]
"""Is given the `Progress` and the parameters of the request by name."""


def main() -> None:
    """Serve the cells of the competitor until standard input ends."""
    from penstock_bench.competitor_side.dispatch import dispatch
    from penstock_bench.competitor_side.requests import contended, try_uncontended, uncontended
    from penstock_bench.competitor_side.scenarios import scenario
    from penstock_bench.competitor_side.tasks import columns

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    cells: Mapping[str, Cell] = {
        "dispatch": dispatch,
        "columns": columns,
        "uncontended": uncontended,
        "try_uncontended": try_uncontended,
        "contended": contended,
        "scenario": scenario,
    }

    def answer(fields: Mapping[str, object]) -> None:
        answers.write(json.dumps(fields) + "\n")
        answers.flush()

    answer({"ready": version("data-designer-engine")})
    serve(sys.stdin, answer, cells, leave=lambda: os._exit(0))


def serve(
    requests: Any, answer: Callable[[Mapping[str, object]], None], cells: Mapping[str, Cell], leave: Callable[[], None]
) -> None:
    """Execute the cells that are asked for. `leave` ends the process after a cell was cut."""

    def cut(fields: Mapping[str, object]) -> None:
        answer(fields)
        leave()

    for line in requests:
        request = json.loads(line)
        progress = Progress(request.pop("seconds"), cut)
        try:
            cells[request.pop("cell")](progress, **request)
        except Exception as error:
            traceback.print_exc()
            answer({"error": f"{type(error).__name__}: {error}"})
        else:
            answer(progress.end())

"""What a run was measured on, and how: so that figures of two runs are not compared that cannot be."""

from __future__ import annotations

import gc
import os
import platform
from collections.abc import Mapping
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import files, version
from typing import Final

__all__ = ["GARBAGE", "compiled", "facts", "headline"]

COMPILED: Final = ("penstock-core", "penstock-fairqueue")
"""What there are compiled wheels of, of what is measured."""

GARBAGE = "garbage is collected before the clock runs, and collection stays on while it is timed, on both sides"


def compiled() -> bool:
    """Whether what is measured is compiled: the core, and the fair queue."""
    return all(any(f.name.endswith(tuple(EXTENSION_SUFFIXES)) for f in files(name) or ()) for name in COMPILED)


def facts(
    *, bench: str, rounds: int, shortened: bool, competitor: str | None, competitor_cap: float
) -> Mapping[str, object]:
    """The facts for the JSON file. `load` is the machine's load average when the run began, where there is one."""
    return {
        "bench": bench,
        "rounds": rounds,
        "shortened": shortened,
        "peer": competitor,
        "peer_cap_seconds": competitor_cap,
        "python": platform.python_version(),
        "compiled": compiled(),
        "machine": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "clock": "time.perf_counter",
        "garbage": GARBAGE if gc.isenabled() else "collection is off",
        "versions": {name: version(name) for name in ("penstock-core", "penstock-fairqueue", "trio")},
    }


def headline(facts: Mapping[str, object]) -> str:
    """The line above the table."""
    load = facts["load"]
    parts = [
        f"penstock bench {facts['bench']}: {facts['rounds']} rounds{', shortened' if facts['shortened'] else ''}",
        f"{'compiled' if facts['compiled'] else 'pure'}, Python {facts['python']}, {facts['cores']} cores",
        *([f"load {load[0]:.1f}"] if isinstance(load, list) else []),
        str(facts["garbage"]),
    ]
    return "; ".join(parts)

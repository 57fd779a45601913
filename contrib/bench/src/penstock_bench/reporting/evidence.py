"""The evidence beside a bench's figures: on which machine and commit, with which seeds, which gates were passed, and
what limited the runs that were measured. One shape for all benches: `docs/reference/bench-evidence.schema.json`.
"""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs

from penstock import AsyncCapacityPlan

__all__ = ["NO_RUN", "SCHEMA_VERSION", "Gate", "evidence"]

SCHEMA_VERSION: Final = 1
"""Grows when a reader of an older one could not read it any more."""

NO_RUN: Final = "what was measured is no scheduler's run in this process"
GIT_SECONDS: Final = 10.0


@attrs.frozen(kw_only=True)
class Gate:
    """A bound, and whether a figure passed it: `passed` is `None` where `value` is not known, and `missing_reason` says
    why."""

    name: str
    bound: str
    value: float | str | None
    passed: bool | None
    missing_reason: str | None = None


def evidence(
    bench: str,
    gates: Iterable[Gate],
    plans: Mapping[str, AsyncCapacityPlan],
    *,
    seeds: Sequence[int],
    shortened: bool,
) -> Mapping[str, Any]:
    """The evidence of a bench, as plain data. `plans` are those of the runs that it measured, by row or scenario.

    What the bench configured is told as `benchmark_override` in them. `passed` is `None` if no gate could be judged.
    """
    judged = [*gates]
    known = [gate.passed for gate in judged if gate.passed is not None]
    return {
        "schema_version": SCHEMA_VERSION,
        "bench": bench,
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "shortened": shortened,
        "machine": {
            "system": platform.system(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
            "python": platform.python_version(),
        },
        "commit": _commit(Path(__file__).parent),
        "seeds": [*seeds],
        "gates": [attrs.asdict(gate) for gate in judged],
        "passed": all(known) if known else None,
        "capacity_plans": {name: _overridden(plan.as_dict()) for name, plan in plans.items()},
        "capacity_missing_reason": None if plans else NO_RUN,
    }


def _commit(folder: Path) -> Mapping[str, Any]:
    """What is checked out where this code lies, and whether anything there differs from it."""
    try:
        return {
            "id": _git(folder, "rev-parse", "HEAD").strip(),
            "changed": bool(_git(folder, "status", "--porcelain").strip()),
            "missing_reason": None,
        }
    except (OSError, subprocess.SubprocessError):
        return {"id": None, "changed": None, "missing_reason": "it was not measured in a checkout with git"}


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=GIT_SECONDS, check=True)
    return done.stdout


def _overridden(told: Any) -> Any:
    """A plan in which what a run was configured to is told as the bench's."""
    if not isinstance(told, dict):
        return told
    found = {name: _overridden(each) for name, each in told.items()}
    return found | {"source": "benchmark_override"} if found.get("source") == "run_config" else found

"""What `penstock bench runners` does, from its options to the exit code."""

from __future__ import annotations

import attrs

from penstock_bench.reporting.console import announce, rows_named, verdict_of
from penstock_bench.reporting.tables import markdown_table
from penstock_bench.runners.rows import ROWS, Found

__all__ = ["RunnerOptions", "runners_command"]


@attrs.frozen(kw_only=True)
class RunnerOptions:
    """What was asked for. `seconds`: how long a row may take, roughly."""

    seconds: float = 60.0
    only: tuple[str, ...] = ()
    check: bool = False


def runners_command(options: RunnerOptions) -> int:
    """The exit code, when the table has been printed."""
    found: dict[str, Found] = {}
    lines = []
    for row in rows_named(ROWS, options.only):
        announce(f"{row.name} …")
        each = found[row.name] = row.measure(options.seconds)
        lines.append((row.title, each.figure, each.wanted, "met" if each.met else "MISSED"))
    print(markdown_table(("row", "found", "wanted", ""), lines))
    missed = [f"{name}: {each.figure}, wanted {each.wanted}" for name, each in found.items() if not each.met]
    return verdict_of(missed) if options.check else 0

"""How fast Penstock is: the cells of `penstock bench`, and what is to be reached.

A row holds something of ours against something else; the rounds measure every row in turns; the targets bound the
medians. The competitor runs in a process and an environment of its own.
"""

from __future__ import annotations

from penstock_bench.measuring.records import Figure, Outcome, Sample, Unit
from penstock_bench.measuring.rounds import run_rounds
from penstock_bench.measuring.rows import Competitor, Local, Row
from penstock_bench.measuring.sizes import FULL, QUICK, Sizes
from penstock_bench.plugin import BenchPlugin
from penstock_bench.reporting.outcomes import as_markdown
from penstock_bench.reporting.targets import Target, Verdict, judge, load_targets

__all__ = [
    "FULL",
    "QUICK",
    "BenchPlugin",
    "Competitor",
    "Figure",
    "Local",
    "Outcome",
    "Row",
    "Sample",
    "Sizes",
    "Target",
    "Unit",
    "Verdict",
    "as_markdown",
    "judge",
    "load_targets",
    "run_rounds",
]

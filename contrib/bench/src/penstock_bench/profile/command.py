"""What `penstock bench profile` does: where a cycle of three workloads goes, one beside many that wait, and a call."""

from __future__ import annotations

import click

from penstock_bench.dispatch.cells import gate_with_capped, gate_with_short_shapes
from penstock_bench.dispatch.workloads import all_fits, window
from penstock_bench.profile.calls import call_profiles
from penstock_bench.profile.opcodes import cycles_beside, cycles_of, profile_text

__all__ = ["profile_command"]

WARM_UP = 1000
"""Cycles of the window before any is counted: by then its preferred groups are at their limits."""


def profile_command(cycles: int, places: int) -> None:
    """Print the profile of so many cycles of each workload, with the largest places."""
    tasks = WARM_UP + cycles + 4000
    for title, workload in (
        ("all fits, 1 group", all_fits(1, tasks)),
        ("all fits, 256 groups", all_fits(256, tasks)),
        ("64 held, 32 blocked, 256 groups", window(256, tasks)),
    ):
        click.echo(f"{profile_text(title, cycles_of(workload, WARM_UP, cycles), places)}\n")
    for title, driver in (
        ("beside 10 groups at their caps", gate_with_capped(10)),
        ("beside 10,000 groups at their caps", gate_with_capped(10_000)),
        ("beside 1 shape without room", gate_with_short_shapes(1)),
        ("beside 100 shapes without room", gate_with_short_shapes(100)),
    ):
        click.echo(f"{profile_text(title, cycles_beside(driver, 100, cycles), places)}\n")
    for title, profile in call_profiles(cycles).items():
        click.echo(f"{profile_text(title, profile, places)}\n")

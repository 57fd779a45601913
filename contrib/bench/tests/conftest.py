"""What the tests of several benches need: sizes that take no time, the command, a clock, fabricated figures."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from types import ModuleType

import attrs
import click
import pytest
from click.testing import CliRunner, Result

from penstock_bench import QUICK, BenchPlugin, Figure, Outcome, Sizes
from penstock_bench.measuring import stopwatch
from penstock_bench.measuring.records import MICROSECONDS


@pytest.fixture
def tiny() -> Sizes:
    return attrs.evolve(
        QUICK,
        competitor_cap=5.0,
        groups=(1, 3),
        tasks=40,
        many_tasks=60,
        many_groups=8,
        drift_tasks=90,
        drift_part=30,
        trivial=20,
        columns=3,
        rows=4,
        queued=100,
        cycles=200,
        cap=2,
        callers=5,
        crowd=6,
        each=2,
        waiters=6,
        handovers=20,
        cpu_seconds=0.01,
        lines=20,
        batch_rows=5,
        batch_kept=5,
        batch_cells=200,
    )


@pytest.fixture
def bench() -> Callable[..., Result]:
    """`penstock bench` with these arguments."""
    cli = click.Group()
    BenchPlugin().penstock_cli(cli)
    return lambda *arguments: CliRunner().invoke(cli, ["bench", *arguments])


@pytest.fixture
def each_look_takes_a_second(monkeypatch: pytest.MonkeyPatch) -> Callable[[ModuleType], None]:
    """Makes the clock of a module of cells one second later each time it is looked at."""
    ticks = count()

    def patch(cells: ModuleType) -> None:
        for module in (stopwatch, cells):
            monkeypatch.setattr(module, "perf_counter", lambda: float(next(ticks)))

    return patch


@pytest.fixture
def outcome() -> Callable[..., Outcome]:
    """An outcome of a row with these figures."""

    def make(row: str = "r", *, ours: float = 1.0, ratio: tuple[float, ...] = ()) -> Outcome:
        return Outcome(
            row=row, title=row, unit=MICROSECONDS, ours=Figure((ours,)), ratio=Figure(ratio) if ratio else None
        )

    return make

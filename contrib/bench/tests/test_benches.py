"""The rows of every bench run at a tiny size, and every target is of a row that there is."""

from __future__ import annotations

import pytest

from penstock_bench import FULL, QUICK, Local, Row, Sizes, load_targets
from penstock_bench.command import BENCHES
from penstock_bench.tasks.memory import Weighed
from penstock_bench.tasks.rows import tasks_rows


def weighs_nothing(what: str, tasks: int) -> Weighed:
    return Weighed(tasks, before=1000, queued=1000 + 500 * tasks, after=1010)


def rows_of(bench: str, sizes: Sizes) -> list[Row]:
    return tasks_rows(sizes, weighs_nothing) if bench == "tasks" else BENCHES[bench](sizes)


@pytest.mark.parametrize("name", BENCHES)
def test_every_row_of_a_bench_measures_something(name: str, tiny: Sizes) -> None:
    for row in rows_of(name, tiny):
        if isinstance(row.other, Local) and not row.other.environment:
            assert row.other.measure(None).cost > 0, row.name

        assert row.ours(None).cost > 0, row.name


@pytest.mark.parametrize("name", BENCHES)
@pytest.mark.parametrize("sizes", [FULL, QUICK], ids=["full", "quick"])
def test_every_target_is_of_a_row_that_there_is(name: str, sizes: Sizes) -> None:
    names = [row.name for row in rows_of(name, sizes)]
    wanted = {target.row for target in load_targets() if target.bench == name}

    assert wanted <= set(names)
    assert len(names) == len(set(names))

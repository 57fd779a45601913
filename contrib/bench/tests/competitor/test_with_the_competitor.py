"""Each cell of the competitor's at a tiny size, where there is its environment: `penstock bench dispatch` makes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.testing import ProviderLimits, Scenario
from penstock_bench import Competitor, Sizes
from penstock_bench.command import BENCHES
from penstock_bench.competitor.client import CompetitorProcess
from penstock_bench.competitor.environment import CLOSEST, CompetitorUnavailable, cache_folder
from penstock_bench.scenarios.competitor import competitor_result

pytestmark = pytest.mark.loopback


@pytest.fixture
def competitor(tmp_path: Path) -> Iterator[CompetitorProcess]:
    def leave_it(folder: Path, log: Path, packages: tuple[str, ...]) -> None:
        raise OSError(f"there is no {folder}; `penstock bench dispatch --quick` makes it")

    try:
        python = CLOSEST.python(cache_folder(), lambda _: None, leave_it)
    except CompetitorUnavailable as error:
        pytest.skip(str(error))
    with CompetitorProcess(python, 60.0, tmp_path / "competitor.log") as process:
        yield process


def test_every_cell_of_the_competitors_does_all_of_its_work(competitor: CompetitorProcess, tiny: Sizes) -> None:
    for bench, rows in BENCHES.items():
        for row in rows(tiny):
            if isinstance(row.other, Competitor):
                sample = competitor.measure(row.other.cell, row.other.parameters)

                assert sample.complete, f"{bench}: {row.title}"
                assert sample.units > 0, f"{bench}: {row.title}"


@pytest.mark.parametrize("queue", [False, True])
def test_the_competitors_gate_runs_a_scenario_and_a_seed_gives_the_same_again(
    competitor: CompetitorProcess, queue: bool
) -> None:
    limits = ProviderLimits(slots=2, queue=queue, hang_share=0.1, retry_after=None if queue else 1.0)
    scenario = Scenario(
        name="s", providers={"provider": limits}, caps={"provider": 6}, calls=60, client_timeout=9.0, ideal=60.0
    )

    result = competitor_result(competitor, scenario, 1)

    assert result is not None
    assert result.figures["lost"] == 0
    assert (result.figures["refused"] > 0) is not queue
    assert competitor_result(competitor, scenario, 1) == result

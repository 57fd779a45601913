"""Each cell of the peer's runs at a tiny size. Only where its environment is: `penstock bench dispatch` makes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.testing import ProviderLimits, Scenario
from penstock_bench import Peer, Sizes
from penstock_bench.command import BENCHES
from penstock_bench.peer_client import PeerProcess
from penstock_bench.peer_environment import PeerUnavailable, cache_folder, peer_python
from penstock_bench.scenario_peer import peer_result

pytestmark = pytest.mark.loopback


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[PeerProcess]:
    def leave_it(folder: Path, log: Path) -> None:
        raise OSError(f"there is no {folder}; `penstock bench dispatch --quick` makes it")

    try:
        python = peer_python(cache_folder(), lambda _: None, leave_it)
    except PeerUnavailable as error:
        pytest.skip(str(error))
    with PeerProcess(python, 60.0, tmp_path / "peer.log") as process:
        yield process


def test_every_cell_of_the_peers_does_all_of_its_work(peer: PeerProcess, tiny: Sizes) -> None:
    for bench, rows in BENCHES.items():
        for row in rows(tiny):
            if isinstance(row.other, Peer):
                sample = peer.measure(row.other.cell, row.other.parameters)

                assert sample.complete, f"{bench}: {row.title}"
                assert sample.units > 0, f"{bench}: {row.title}"


@pytest.mark.parametrize("queue", [False, True])
def test_the_peers_gate_runs_a_scenario_and_a_seed_gives_the_same_again(peer: PeerProcess, queue: bool) -> None:
    limits = ProviderLimits(slots=2, queue=queue, hang_share=0.1, retry_after=None if queue else 1.0)
    scenario = Scenario(
        name="s", providers={"provider": limits}, caps={"provider": 6}, calls=60, client_timeout=9.0, ideal=60.0
    )

    result = peer_result(peer, scenario, 1)

    assert result is not None
    assert result.figures["lost"] == 0
    assert (result.figures["refused"] > 0) is not queue
    assert peer_result(peer, scenario, 1) == result

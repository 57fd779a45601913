"""Each cell of the peer's runs at a tiny size. Only where its environment is: `penstock bench dispatch` makes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock_bench import Peer, Sizes
from penstock_bench.command import BENCHES
from penstock_bench.peer_client import PeerProcess
from penstock_bench.peer_environment import PeerUnavailable, cache_folder, peer_python

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

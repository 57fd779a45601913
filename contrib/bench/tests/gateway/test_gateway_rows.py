"""The rows of the gateway's bench: every target has one, and what cannot be measured is told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from penstock import PenstockError
from penstock_bench import load_targets
from penstock_bench.competitor.environment import CompetitorUnavailable
from penstock_bench.gateway.client import Wrk
from penstock_bench.gateway.contenders import ANSWER, CALL
from penstock_bench.gateway.processes import Server, free_port
from penstock_bench.gateway.rows import gateway_rows

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads /proc")


def test_every_target_is_of_a_row_that_there_is() -> None:
    nothing: Any = None
    names = [row.name for row in gateway_rows(nothing, streams=1, many=1, workers=True)]
    assert {target.row for target in load_targets() if target.bench == "gateway"} <= set(names)
    assert len(names) == len(set(names))


def test_a_call_has_300_bytes_and_its_answer_400() -> None:
    assert (len(CALL), len(ANSWER)) == (300, 400)


def test_without_wrk_nothing_is_measured_and_how_to_have_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path=None: None)
    with pytest.raises(CompetitorUnavailable, match=r"wrk is not installed.*apt install wrk"):
        Wrk(tmp_path)


@LINUX
@pytest.mark.loopback
def test_a_server_that_does_not_serve_is_told_in_its_own_words(tmp_path: Path) -> None:
    command = [sys.executable, "-S", "-c", "raise SystemExit('no such key')"]
    with pytest.raises(PenstockError, match="it does not serve: no such key"):
        Server("it", command, free_port(), tmp_path)

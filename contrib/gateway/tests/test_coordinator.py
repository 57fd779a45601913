"""The coordinator of a gateway by several processes, with workers that are none."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from penstock_gateway.control import BEAT, Control, hand_over
from penstock_gateway.coordinator import coordinate
from penstock_gateway.loading import load_gateway
from penstock_gateway.prepared import Prepared
from penstock_gateway.pulse import MOST_MISSED

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="several processes need Linux")

FILE = """
[providers.mock]
kind = "openai"
base_url = "http://127.0.0.1:9/v1"
[providers.mock.models.small]
max_parallel_requests = 1
[gateway]
workers = 2
port = 0
"""


@pytest.fixture
def idler() -> Iterator[subprocess.Popen[bytes]]:
    """A process that says nothing."""
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as process:
        yield process
        process.kill()


async def test_a_worker_that_hangs_before_it_is_ready_is_ended_by_force(
    tmp_path: Path, autojump_clock: MockClock, idler: subprocess.Popen[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "gateway.toml").write_text(FILE, encoding="utf-8")
    serving = load_gateway(tmp_path / "gateway.toml", {})
    own, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    coordinators, workers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with own, other, coordinators, workers:
        assert hand_over(own, coordinators, idler.pid, 0)
        coordinators.close()
        with trio.move_on_after(BEAT * (MOST_MISSED + 2)):
            await coordinate(Control(other), [], Prepared(serving, {}), lambda: serving, lambda _: None, None)
    assert idler.wait(30) == -signal.SIGKILL
    assert caplog.messages == [f"a worker (process {idler.pid}) hangs, and is ended"]

"""What whoever started a gateway as a service is told."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from math import inf
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from penstock_gateway.service_manager import LIVES, READY, STOPPING, ServiceManager
from penstock_gateway.testing_processes import open_served

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")

ADDRESS = f"@penstock-test-of-a-service-{os.getpid()}"


@pytest.fixture
def manager() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + ADDRESS[1:])
        listening.settimeout(30)
        yield listening


async def test_it_says_twice_in_the_time_that_it_has_that_it_lives(
    manager: socket.socket, autojump_clock: MockClock
) -> None:
    told = ServiceManager({"NOTIFY_SOCKET": ADDRESS, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 7)
    with trio.move_on_after(31.0):
        await told.tell_life()
    manager.setblocking(False)
    assert [manager.recv(64) for _ in range(3)] == [LIVES] * 3
    with pytest.raises(BlockingIOError):
        manager.recv(64)


@pytest.mark.parametrize("microseconds", [2**64 - 1, 2**63])
def test_where_it_has_all_the_time_there_is_it_says_so_every_hour(microseconds: int) -> None:
    told = ServiceManager({"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": str(microseconds)}, 7)
    assert told.beat == 3600.0  # longer ones are more than the system can sleep


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "30000000"},
        {"NOTIFY_SOCKET": "/nowhere/at/all"},
        {"NOTIFY_SOCKET": "/" + "x" * 200, "WATCHDOG_USEC": "soon"},
        {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"},
        {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "0"},
        {"NOTIFY_SOCKET": "vsock:2:1234"},
    ],
)
def test_who_is_not_there_is_not_told_and_who_has_not_asked_hears_of_no_life(environment: dict[str, str]) -> None:
    told = ServiceManager(environment, 7)
    told.tell(READY)
    assert told.beat == inf


@pytest.mark.loopback
@pytest.mark.parametrize("workers", [1, 2])
async def test_a_gateway_says_when_it_serves_that_it_lives_and_when_it_ends(
    tmp_path: Path, manager: socket.socket, workers: int
) -> None:
    async with open_served(tmp_path) as served:
        served.describe(cap=1, workers=workers)
        await served.begin(NOTIFY_SOCKET=ADDRESS, WATCHDOG_USEC="400000")
        while (word := manager.recv(64)) == LIVES:  # of the first process, while it starts the others
            pass
        assert [word, *(manager.recv(64) for _ in range(2))] == [READY, LIVES, LIVES]
        served.process.send_signal(signal.SIGTERM)
        while (word := manager.recv(64)) == LIVES:
            pass
        assert word == STOPPING
        await served.process.wait()
        assert served.process.returncode == 0

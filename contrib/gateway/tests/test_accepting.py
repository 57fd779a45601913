"""A gateway that has no room for a connection more."""

from __future__ import annotations

import errno
import os

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from penstock_gateway.accepting import PAUSE, TOLD_EVERY, PatientListener


class Short(trio.abc.Listener[trio.SocketStream]):
    """A listener that raises so many times before it takes somebody in."""

    def __init__(self, times: int, number: int) -> None:
        self.times = times
        self.number = number

    async def accept(self) -> trio.SocketStream:
        await trio.lowlevel.checkpoint()
        self.times -= 1
        if self.times >= 0:
            raise OSError(self.number, os.strerror(self.number))
        return memory_stream_pair()[0]  # type: ignore[return-value]

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_whoever_connects_waits_for_room_and_a_line_a_minute_says_why(
    number: int, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    minutes = 3
    await PatientListener(Short(round(minutes * TOLD_EVERY / PAUSE), number)).accept()
    assert minutes <= len(caplog.records) <= minutes + 1
    assert all("clients wait to be connected" in line and "\n" not in line for line in caplog.messages)
    assert ("ulimit -n" in caplog.text) is (number in (errno.EMFILE, errno.ENFILE))
    assert "Traceback" not in caplog.text


async def test_what_is_no_want_of_room_is_raised() -> None:
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        await PatientListener(Short(1, errno.EBADF)).accept()

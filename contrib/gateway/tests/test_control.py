"""What the coordinator of a gateway says to the first process, over the socket between them."""

from __future__ import annotations

import socket
import sys

import pytest
import trio
from trio.testing import MockClock

from penstock_gateway.control import ALIVE, Control, heard
from penstock_gateway.supervision import HANGING

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="several processes need Linux")


async def test_it_says_several_times_that_it_lives_before_it_would_count_as_hanging(autojump_clock: MockClock) -> None:
    own, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with own, other:
        with trio.move_on_after(HANGING - 0.5):
            await Control(other).tell_life()
        words = []
        while (word := heard(own)) is not None:
            words.append(word)
    assert words == [ALIVE] * 6

"""Standard input and output, taken over for the protocol alone.

Whatever else the process does with the descriptors 0, 1 and 2, a `print` in a handler, a C library that writes to
descriptor 1, a program that is started and reads its input, cannot tear a line or eat a task: the pipes to the parent
are moved to private descriptors that no child inherits, descriptor 0 is at its end, and descriptor 1 is standard error.

Reading and writing block a thread and never the loop, and the pipes are not made non-blocking (which would
hold for every process that shares them). So they may be pipes, sockets, files or terminals.
"""

from __future__ import annotations

import io
import os
import select
import sys
from typing import Final

import trio

from penstock import PenstockError

__all__ = ["InputStream", "OutputStream", "Pipes", "take_over"]

ONE_READ: Final = 1 << 16

_taken: list[Pipes] = []


class Pipes:
    """The private descriptors of the pipes from and to the parent process."""

    def __init__(self, source: int, sink: int) -> None:
        self.source = source
        self.sink = sink


def take_over() -> Pipes:
    """The pipes to the parent, from now on the protocol's alone. Raises `PenstockError` the second time."""
    if _taken:
        raise PenstockError(
            "standard input belongs to a worker already: where a module is run by `penstock worker`, put run() under "
            'if __name__ == "__main__":'
        )
    try:
        source, sink = os.dup(0), os.dup(1)
    except OSError as error:
        raise PenstockError("a worker needs standard input and standard output, and one of them is closed") from error
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    try:
        os.dup2(2, 1)
    except OSError:  # a process without standard error
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
    os.close(nothing)
    if sys.stdout is not None:
        sys.stdout.flush()  # what was printed before and is still held goes to standard error too
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)  # as on standard error, so that what is printed is seen
    pipes = Pipes(source, sink)
    _taken.append(pipes)
    return pipes


class InputStream(trio.abc.ReceiveStream):
    """What comes on a descriptor. Reading blocks a thread, which is left alone when it is cancelled."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._threads = trio.CapacityLimiter(1)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return await trio.to_thread.run_sync(
            os.read, self._descriptor, max_bytes or ONE_READ, abandon_on_cancel=True, limiter=self._threads
        )

    async def aclose(self) -> None:
        """Nothing: a thread may still be reading. The descriptor ends with the process."""
        await trio.lowlevel.checkpoint()


class OutputStream(trio.abc.SendStream):
    """What goes to a descriptor. Writing blocks a thread, which is left alone when it is cancelled."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._threads = trio.CapacityLimiter(1)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            await trio.to_thread.run_sync(
                _write_all, self._descriptor, data, abandon_on_cancel=True, limiter=self._threads
            )
        except OSError as error:
            raise trio.BrokenResourceError(f"the parent reads no more: {error.strerror}") from error

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def broken(self) -> None:
        """A wait until nobody can read any more, also while nothing is written; for ever where that cannot be seen."""
        if not hasattr(select, "poll"):
            await trio.sleep_forever()
        await trio.to_thread.run_sync(_wait_until_broken, self._descriptor, abandon_on_cancel=True)

    async def aclose(self) -> None:
        """Nothing: a thread may still be writing. The descriptor ends with the process."""
        await trio.lowlevel.checkpoint()


def _write_all(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _wait_until_broken(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, 0)  # errors are told whatever is asked for
    poll.poll()

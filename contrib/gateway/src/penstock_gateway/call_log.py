"""A line of JSON per call, without what was said in it, written by a thread: a slow reader holds nobody up.

Lines go to the thread many at a time, in the one buffer that they were made in: to wake it for each would cost more
than to make it. Those beyond ten thousand that nobody has taken yet are lost, and counted.
"""

from __future__ import annotations

import errno
import os
import queue
import stat
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from math import inf
from os.path import exists, isdir
from pathlib import Path
from typing import IO, Final, cast

import msgspec

from penstock import ConfigError, opened_without_wait, printable
from penstock_gateway.metrics import Metrics
from penstock_gateway.saying import say
from penstock_wire import Poller

__all__ = ["TOGETHER", "CallLog", "check_log_place", "open_log", "open_log_file"]

MOST_LINES: Final = 10_000
GATHERING: Final = 0.1
"""Seconds that a line waits for others."""
TOGETHER: Final = 32 * 1024
"""Bytes of lines that do not wait."""
TOLD_EVERY: Final = 60.0
"""Seconds, at least, between two lines that say that the log cannot be written."""
CLOSING_SECONDS: Final = 5.0
ONE_WRITE: Final = 4096
"""Bytes that a pipe takes as a whole."""
LARGE_WRITE: Final = 1024 * 1024
"""Bytes that are given to a file at once, which takes any number as a whole where it is appended to."""


class CallLog:
    """The log of one gateway, over an open file; `None`: there is none."""

    def __init__(self, file: IO[bytes] | None, metrics: Metrics, poller: Poller) -> None:
        self._file = file
        self._metrics = metrics
        self._gathered = bytearray()
        self._count = 0
        """Lines in it."""
        self._moment = poller.moment(self._hand_over)
        self._failing = False
        self._told_at = -inf
        self._waiting = 0
        """Lines that the thread has been given, and has not written."""
        self._unwritten = 0
        """Lines that it is writing, and has not written whole."""
        self._torn = False
        """Whether the last line in the file is a part of one."""
        self._lines: queue.SimpleQueue[tuple[bytearray, int] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="penstock call log", daemon=True)
        self._one_write = ONE_WRITE if file is None or _may_mix(file) else LARGE_WRITE
        self._encode_into = msgspec.json.Encoder().encode_into
        if file is not None:
            self._thread.start()

    def write(self, line: object, now: float) -> None:
        """Add a line, made of a record. Waits for nothing."""
        if self._file is None:
            return
        gathered = self._gathered
        size = len(gathered)
        if not size:
            self._moment.set(now + GATHERING)
        try:
            self._encode_into(line, gathered, -1)
        except BaseException:
            del gathered[size:]  # what was made of it before
            raise
        gathered += b"\n"
        self._count += 1
        if len(gathered) >= TOGETHER:
            self._hand_over()

    def _hand_over(self) -> None:
        gathered, count = self._gathered, self._count
        self._gathered, self._count = bytearray(), 0
        if self._waiting + count > MOST_LINES:
            self._metrics.lost_lines += count
        elif count:
            self._waiting += count
            self._lines.put((gathered, count))

    def close(self) -> None:
        """Write what is left; not for longer than some seconds."""
        if self._file is not None:
            self._moment.drop()
            self._hand_over()
            self._lines.put(None)
            self._thread.join(CLOSING_SECONDS)

    def _write(self) -> None:
        assert self._file is not None
        while (given := self._lines.get()) is not None:
            lines, count = given
            self._unwritten = count
            try:
                for data in in_pieces(lines, self._one_write):
                    self._put(self._file, data)
            except (OSError, ValueError) as error:  # full, or closed by whoever read it: calls go on
                self._metrics.lost_lines += self._unwritten
                self._fails(str(error))
            else:
                self._fails("")
            self._waiting -= count

    def _put(self, file: IO[bytes], lines: bytes | bytearray) -> None:
        """Write lines. A line of which a part alone has got out is ended first, lest the next one stand behind it."""
        if self._torn:
            file.write(b"\n")
            self._torn = False
        done = 0
        try:
            while done < len(lines):
                taken = file.write(memoryview(lines)[done:])
                if not taken:
                    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
                done += taken
        finally:
            self._unwritten -= lines.count(b"\n", 0, done + 1)  # one that lacks its end alone has it with the next
            self._torn = lines[:done][-1:] not in (b"", b"\n")

    def _fails(self, why: str) -> None:
        """Tell that lines are lost, and that they are not any more."""
        now = time.monotonic()
        if bool(why) is self._failing or (why and now - self._told_at < TOLD_EVERY):
            return
        self._failing, self._told_at = bool(why), now
        if why:
            say(f"penstock: the log cannot be written, and calls go on: {printable(why)}")
        else:
            say("penstock: the log is written again")


def _may_mix(file: IO[bytes]) -> bool:
    """Whether what is written may be torn by what others write: at anything but a file."""
    try:
        return not stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except OSError:  # no file of the system's
        return False


def in_pieces(lines: bytes | bytearray, most: int) -> Iterator[bytes | bytearray]:
    """Lines, as many in each piece as are written as a whole: those of several processes do not mix.

    >>> list(in_pieces(b"one\\ntwo\\nthree and four\\n", 9))
    [b'one\\ntwo\\n', b'three and four\\n']
    """
    if len(lines) <= most:
        yield lines
        return
    begin = 0
    while begin < len(lines):
        end = lines.rfind(b"\n", begin, begin + most) + 1 or lines.index(b"\n", begin) + 1
        yield lines[begin:end]
        begin = end


def open_log_file(where: str | None) -> IO[bytes] | None:
    """The file of the log, without a buffer, since nobody would know of it what has got out: `-` is the standard
    output, nothing no log. Raises `ConfigError`.
    """
    if not where:
        return None
    try:
        if where == "-":
            sys.stdout.flush()
            return cast("IO[bytes]", getattr(sys.stdout.buffer, "raw", sys.stdout.buffer))
        return open(where, "ab", buffering=0, opener=opened_without_wait)
    except OSError as error:
        if error.errno == errno.ENXIO:
            what = 'it is a pipe that nobody reads, or a socket; the standard output is "-"'
            raise ConfigError(f"gateway.log: {where} cannot be written: {what}") from None
        raise ConfigError(f"gateway.log: {where} cannot be written: {error.strerror or error}") from None


def check_log_place(where: str | None) -> None:
    """Look whether there could be a log, without making one. Raises `ConfigError` where there could not."""
    path = Path(where or "-")
    if str(path) == "-":
        return
    try:
        path.stat()
    except FileNotFoundError:
        pass
    except OSError as error:  # too long a name, a link to itself
        raise ConfigError(f"gateway.log: {where} cannot be written: {error.strerror or error}") from None
    if isdir(path):
        raise ConfigError(f"gateway.log: {where} cannot be written: it is a folder")
    if not isdir(path.parent):
        raise ConfigError(f"gateway.log: {where} cannot be written: its folder is not there")
    if not os.access(path if exists(path) else path.parent, os.W_OK):
        raise ConfigError(f"gateway.log: {where} cannot be written by this user")


@asynccontextmanager
async def open_log(where: str | None, metrics: Metrics, poller: Poller) -> AsyncIterator[CallLog]:
    """The log while the block runs. Raises `ConfigError`."""
    file = open_log_file(where)
    log = CallLog(file, metrics, poller)
    try:
        yield log
    finally:
        log.close()
        if file is not None and where != "-":
            with suppress(OSError):
                file.close()

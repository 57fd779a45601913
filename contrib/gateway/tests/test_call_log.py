"""The log of a gateway where it cannot be written, and what is said where nobody can be told."""

from __future__ import annotations

import errno
import io
import os
import socket
import sys
import threading
from pathlib import Path
from typing import IO, Any, cast

import pytest

from penstock import ConfigError
from penstock_gateway.call_log import TOGETHER, CallLog, open_log_file
from penstock_gateway.metrics import Metrics
from penstock_gateway.saying import say
from penstock_wire import open_poller

linux = pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
FULL = Path("/dev/full")


@pytest.mark.skipif(sys.platform != "linux", reason="by /proc, as where systemd's journal is the standard output")
def test_a_socket_is_told_with_what_would_be_right() -> None:
    told = 'a socket; the standard output is "-"'
    with socket.socket(socket.AF_UNIX) as sock, pytest.raises(ConfigError, match=told):
        open_log_file(f"/proc/self/fd/{sock.fileno()}")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such pipes on Windows")
def test_a_pipe_that_nobody_reads_is_told_at_the_start_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match="it is a pipe that nobody reads"):
        open_log_file(str(pipe))
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    file = open_log_file(str(pipe))
    assert file is not None
    with file:
        assert os.get_blocking(file.fileno())
        file.write(b"a line\n")
    assert os.read(reader, 100) == b"a line\n"
    os.close(reader)


@linux
async def test_a_log_that_cannot_be_written_is_told_once_and_its_lines_are_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    metrics = Metrics()
    with FULL.open("ab", buffering=0) as full:
        async with open_poller() as poller:
            for _ in range(2):
                log = CallLog(full, metrics, poller)
                log.write({"call": 1}, 0.0)
                log.write({"call": 2}, 0.0)
                log.close()
    assert metrics.lost_lines == 4
    told = capsys.readouterr().err.splitlines()
    assert told == ["penstock: the log cannot be written, and calls go on: [Errno 28] No space left on device"] * 2


@linux
def test_nobody_can_be_told_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with FULL.open("w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stderr", full)
        say("a line")
        monkeypatch.undo()
        with pytest.raises(OSError, match="No space"):
            full.flush()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, full.fileno())  # lest its end fail too
        os.close(null)


async def test_a_line_that_cannot_be_made_leaves_nothing_among_the_others(tmp_path: Path) -> None:
    async with open_poller() as poller:
        with (tmp_path / "calls").open("ab", buffering=0) as file:
            log = CallLog(file, Metrics(), poller)
            log.write({"call": 1}, 0.0)
            with pytest.raises(UnicodeEncodeError):
                log.write({"call": 2, "model": "\ud800"}, 0.0)
            log.write({"call": 3}, 0.0)
            log.close()
    assert (tmp_path / "calls").read_bytes() == b'{"call":1}\n{"call":3}\n'


@linux
async def test_a_log_that_is_emptied_meanwhile_begins_anew_without_a_hole(tmp_path: Path) -> None:
    path = tmp_path / "calls"
    async with open_poller() as poller:
        file = open_log_file(str(path))
        assert file is not None
        with file:
            for number in (1, 2):
                log = CallLog(file, Metrics(), poller)
                log.write({"call": number}, 0.0)
                log.close()
                assert path.read_bytes() == b'{"call":%d}\n' % number
                os.truncate(path, 0)


class Small(io.RawIOBase):
    """A disk with so much `room`. `full` is set when it had none."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.data = b""
        self.full = threading.Event()

    def write(self, data: Any) -> int:
        taken = bytes(data)[: self.room]
        if not taken:
            self.full.set()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= len(taken)
        self.data += taken
        return len(taken)


@pytest.mark.parametrize("room", range(40))
async def test_on_a_full_disk_no_whole_line_is_spoilt_and_each_other_is_counted(room: int) -> None:
    metrics, disk = Metrics(), Small(room)
    async with open_poller() as poller:
        log = CallLog(cast("IO[bytes]", disk), metrics, poller)
        log.write({"call": 0}, 0.0)
        log.write({"call": 1, "long": "x" * TOGETHER}, 0.0)  # so both go to the thread now
        disk.full.wait()
        disk.room = 10_000
        log.write({"call": 2}, 0.0)
        log.write({"call": 3}, 0.0)
        log.close()
    whole = [line for line in disk.data.split(b"\n") if line.endswith(b"}")]
    assert whole[-2:] == [b'{"call":2}', b'{"call":3}']
    assert len(whole) + metrics.lost_lines == 4
    assert metrics.lost_lines == (1 if room >= len(b'{"call":0}') else 2)


class Reluctant(io.RawIOBase):
    """A file that is not written to before `taken` is set. It counts its lines."""

    def __init__(self) -> None:
        self.taken = threading.Event()
        self.lines = 0

    def write(self, data: Any) -> int:
        self.taken.wait()
        self.lines += bytes(data).count(b"\n")
        return len(data)


async def test_lines_beyond_ten_thousand_that_nobody_has_taken_are_lost_and_counted() -> None:
    metrics, file = Metrics(), Reluctant()
    async with open_poller() as poller:
        log = CallLog(cast("IO[bytes]", file), metrics, poller)
        for number in range(30_000):
            log.write({"call": number, "path": "/v1/chat/completions"}, 0.0)
        file.taken.set()
        log.close()
    assert file.lines + metrics.lost_lines == 30_000
    assert 9_000 < file.lines <= 10_000

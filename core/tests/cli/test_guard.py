"""The guard of the doctor: what is printed is kept, what hangs is interrupted, and all is as before afterwards."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from penstock.cli.doctor.guard import Left, Printed, guarded
from penstock.plugins.foreign_code import TookTooLong


def test_what_is_printed_is_kept_with_the_line_that_printed_it() -> None:
    kept: list[Printed | Left] = []
    out = sys.stdout
    with guarded(kept):
        print("one")
        print("two")

    assert sys.stdout is out
    one, two = (each for each in kept if isinstance(each, Printed))
    assert [(each.text, each.file) for each in (one, two)] == [("one", __file__), ("two", __file__)]
    assert two.line == one.line + 1


def hang() -> None:
    """Go on for ever, whatever `Exception` comes; the guard's timer goes off at once."""
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    while True:
        with suppress(Exception):
            while True:
                ...


def test_what_hangs_is_interrupted_though_it_catches_what_it_can() -> None:
    with pytest.raises(TookTooLong), guarded([]):
        hang()


def test_the_timer_and_its_handler_are_as_before() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with guarded([]):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0.0

    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0.0


def test_in_another_thread_nothing_is_timed_and_what_is_printed_is_kept() -> None:
    kept: list[Printed | Left] = []
    before = signal.getsignal(signal.SIGALRM)

    def run() -> None:
        with guarded(kept):
            assert signal.getsignal(signal.SIGALRM) is before
            print("here")

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert [each.text for each in kept if isinstance(each, Printed)] == ["here"]


def test_what_is_left_behind_is_told_and_the_folder_is_put_back(tmp_path: Path) -> None:
    kept: list[Printed | Left] = []
    here, end = Path.cwd(), threading.Event()
    thread = threading.Thread(target=end.wait, name="mine")
    with guarded(kept):
        os.chdir(tmp_path)
        os.write(1, b"past Python")
        thread.start()
    end.set()
    thread.join()

    assert Path.cwd() == here
    assert [each.what.partition(", ")[0] for each in kept if isinstance(each, Left)] == [
        "writes to the standard output of the process: 'past Python'",
        "changes the folder that the whole program works in",
        "starts the thread 'mine'",
    ]

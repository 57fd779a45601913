"""The worker as a process: the descriptors, the signals and the exit code are real, and so is the time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest

from penstock_worker.testing import Parent

pytestmark = pytest.mark.loopback

JOBS = """
import ctypes, os, subprocess, sys, threading, time

from penstock_worker import Worker, load, run, task

print("half a line", end="", flush=True)
app = Worker()

@load
def setup():
    print("loading")
    return {"factor": 2}

@task
def noisy(payload, context):
    print("a print", flush=True)
    ctypes.CDLL(None).puts(b"from C")
    ctypes.CDLL(None).fflush(None)
    os.write(1, b"to the descriptor")
    child = "import sys; sys.stdin.read(); print('from a child')"
    subprocess.run([sys.executable, "-c", child], check=True, timeout=20)
    return payload * context["factor"]

@task(name="waits")
def waits(payload, context):
    threading.Thread(target=time.sleep, args=(60,), daemon=False).start()  # which holds up the exit
    print("waiting", file=sys.stderr, flush=True)
    time.sleep(60)

@app.task
async def twice(payload):
    return payload * 2

if __name__ == "__main__":
    run()
"""

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts Python with these arguments in a folder that has `jobs.py`."""
    tmp_path.joinpath("jobs.py").write_text(JOBS, encoding="utf-8")
    started: list[subprocess.Popen[bytes]] = []

    def start_worker(*arguments: str, **environ: str) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=tmp_path,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env={**os.environ, **environ},
        )
        started.append(process)
        return process

    yield start_worker
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()


def pipe_of(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def read_until(parent: Parent, process: subprocess.Popen[bytes], condition: Callable[[], bool]) -> None:
    stdout = pipe_of(process.stdout)
    while not condition():
        data = os.read(stdout.fileno(), 1 << 16)
        assert data, pipe_of(process.stderr).read().decode()
        parent.read(data, time.monotonic())


def test_nothing_that_a_task_does_with_its_descriptors_reaches_the_parent_and_no_answer_is_lost(start: Start) -> None:
    process, parent = start("jobs.py", PENSTOCK_WORKERS="2"), Parent()
    lines = b"".join(parent.line(str(number), number) for number in range(4))
    pipe_of(process.stdin).write(lines)
    pipe_of(process.stdin).flush()

    read_until(parent, process, lambda: len(parent.outcomes) == 4)
    pipe_of(process.stdin).close()
    parent.exited(process.wait(), time.monotonic())

    assert {name: outcome.value for name, outcome in parent.outcomes.items()} == {str(n): 2 * n for n in range(4)}
    assert (parent.warnings, parent.exit_code) == ([], 0)
    noise = pipe_of(process.stderr).read()
    assert all(words in noise for words in (b"loading", b"a print", b"from C", b"to the descriptor", b"from a child"))


def test_sigterm_ends_it_with_zero_and_within_its_grace(start: Start, tmp_path: Path) -> None:
    tmp_path.joinpath("worker.toml").write_text("[worker]\ngrace = 0.2\n", encoding="utf-8")
    process, parent = start("-m", "penstock", "worker", "jobs", "--config", "worker.toml"), Parent()
    pipe_of(process.stdin).write(parent.line("a", kind="waits"))
    pipe_of(process.stdin).flush()
    while b"waiting" not in pipe_of(process.stderr).readline():
        pass

    process.send_signal(signal.SIGTERM)
    read_until(parent, process, lambda: bool(parent.outcomes))

    parent.exited(process.wait(timeout=9), time.monotonic())
    assert (parent.outcomes["a"].kind, parent.exit_code) == ("failure", 0)


def test_a_parent_that_dies_ends_it(start: Start) -> None:
    process, parent = start("-m", "penstock", "worker", "jobs"), Parent()
    pipe_of(process.stdin).write(parent.line("a", kind="waits"))
    pipe_of(process.stdin).flush()
    while b"waiting" not in pipe_of(process.stderr).readline():
        pass

    pipe_of(process.stdout).close()

    assert process.wait(timeout=9) == 1


def test_the_command_does_one_task_with_the_worker_that_it_is_told(start: Start) -> None:
    process, parent = start("-m", "penstock", "worker", "jobs:app", "--once"), Parent()
    pipe_of(process.stdin).write(parent.line("a", "ab") + parent.line("b", "cd"))
    pipe_of(process.stdin).flush()
    read_until(parent, process, lambda: bool(parent.outcomes))

    parent.exited(process.wait(timeout=9), time.monotonic())
    assert (parent.outcomes["a"].value, parent.exit_code) == ("abab", 0)
    assert parent.pending == {"b"}


def test_a_start_that_fails_is_told_to_the_parent(start: Start, tmp_path: Path) -> None:
    tmp_path.joinpath("broken.py").write_text("import sys\nsys.exit(7)\n", encoding="utf-8")
    process = start("-m", "penstock", "worker", "broken")
    out, _ = process.communicate()

    assert json.loads(out) == {"status": "error", "error": "SystemExit: 7"}
    assert process.returncode == 1

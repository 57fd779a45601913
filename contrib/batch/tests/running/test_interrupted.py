"""Ctrl+C once and twice, and kill -9: what was finished is on disk, and is not paid for twice.

The provider runs in the test's own loop, so that the test can wait until it has seen what is to happen first.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import attrs
import pytest
import trio

from penstock.testing import Latency, ProviderLimits
from penstock_batch.command import run_command
from penstock_batch.running import whole_run
from penstock_mockprovider import MockProvider, MockProviderConfig, serve

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder

pytestmark = pytest.mark.loopback

ROWS = 24


def provider(**limits: object) -> MockProviderConfig:
    return MockProviderConfig(
        models={
            "writer": ProviderLimits(slots=2, latency=Latency(0.05, 0.0), **{"retry_after": 0.02, **limits}),  # type: ignore[arg-type]
            "embedder": ProviderLimits(latency=Latency(0.001, 0.0)),
        }
    )


@asynccontextmanager
async def serving(folder: Folder, config: MockProviderConfig) -> AsyncIterator[tuple[Folder, MockProvider]]:
    async with serve(config) as mock:
        served = attrs.evolve(folder, provider_url=mock.base_url)
        served.rows(ROWS)
        served.write()
        yield served, mock


def command(folder: Folder, *options: str) -> list[str]:
    return [sys.executable, "-m", "penstock", "run", str(folder.toml), "--progress", "plain", *options]


async def started(folder: Folder) -> trio.Process:
    return await trio.lowlevel.open_process(command(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE)


async def said(stream: trio.abc.ReceiveStream | None) -> str:
    assert stream is not None
    return b"".join([part async for part in stream]).decode()


async def run_to_its_end(folder: Folder) -> subprocess.CompletedProcess[bytes]:
    return await trio.run_process(command(folder), capture_stdout=True, capture_stderr=True, check=False)


def completed(mock: MockProvider) -> int:
    return mock.report().models["writer"].total.completed


async def test_after_a_kill_nothing_that_was_finished_is_paid_for_again(folder: Folder) -> None:
    async with serving(folder, provider()) as (served, mock):
        process = await started(served)
        await mock.until(lambda report: report.models["writer"].total.completed >= 10)
        process.kill()
        await process.wait()
        await mock.until(lambda report: report.models["writer"].in_flight == 0)  # those on their way are paid too
        kept = served.cells().count("summary")
        paid = completed(mock)
        assert 0 < kept < ROWS
        assert paid - kept <= 2  # what two slots had on its way to a process that was no more
        assert (await run_to_its_end(served)).returncode == 0
        assert completed(mock) - paid == ROWS - kept
        assert [answer["id"] for answer in served.answers()] == list(range(ROWS))


async def test_ctrl_c_lets_the_calls_that_are_out_come_back(folder: Folder) -> None:
    async with serving(folder, provider()) as (served, mock):
        process = await started(served)
        await mock.until(lambda report: report.models["writer"].total.completed >= 6)
        process.send_signal(signal.SIGINT)
        out, err = await said(process.stdout), await said(process.stderr)
        assert await process.wait() == 130, err
        assert "stopping" in err
        assert "not done" in out
        assert "interrupted" in out
        assert "Traceback" not in err
        assert completed(mock) == served.cells().count("summary")
        assert mock.report().models["writer"].total.abandoned == 0
        assert (await run_to_its_end(served)).returncode == 0
        assert completed(mock) == ROWS


HEAD = """
[input]
path = "rows.jsonl"
[output]
path = "out/answers.jsonl"
"""
SPLIT = """
[[steps]]
name = "part"
kind = "split"
function = "PYTHON_STEPS:parts"
needs = ["id"]
"""
ASKED = """
[[steps]]
name = "summary"
kind = "chat"
model = "p/writer"
prompt = "Say {{ part }} of {{ id }}"
[[steps]]
name = "all"
kind = "gather"
function = "PYTHON_STEPS:together"
[[steps]]
name = "whole"
kind = "chat"
model = "p/writer"
prompt = "Say how many: {{ all | length }}"
[providers.p]
base_url = "BASE_URL"
[providers.p.models.writer]
max_parallel_requests = 16
"""
FUNCTIONS = """
def parts(id):
    return list(range(id))

def together(rows):
    return [row["summary"] for row in rows]
"""


def staged(folder: Folder, toml: str = HEAD + SPLIT + ASKED, functions: str = FUNCTIONS) -> None:
    """A pipeline of several stages in the place of the other one, over seven rows of 21 items."""
    folder.rows(7)
    folder.write(toml=toml)
    (module,) = folder.path.glob("steps_of_*.py")
    module.write_text(functions, encoding="utf-8")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
async def test_a_run_that_ended_in_a_later_stage_goes_on_there(folder: Folder, how: signal.Signals) -> None:
    async with serving(folder, provider()) as (served, mock):
        staged(served)
        process = await started(served)
        await mock.until(lambda report: report.models["writer"].total.completed >= 6)
        process.send_signal(how)
        out, err = await said(process.stdout), await said(process.stderr)
        code = await process.wait()
        await mock.until(lambda report: report.models["writer"].in_flight == 0)
        kept = served.cells().count("summary")
        paid = completed(mock)
        assert 0 < kept < 21
        if how == signal.SIGINT:
            assert code == 130, err
            assert "part: 21 rows of 7" in out
            assert "21 not done" in out  # those too that are done, which wait for the gather
            assert "answers: none yet, since all waits for all rows before it\n" in out
            assert not served.output.exists()
        else:
            assert list(served.output.parent.glob(".*.part"))
        assert (await run_to_its_end(served)).returncode == 0
        assert completed(mock) - paid == 21 - kept + 1
        (answer,) = served.answers()
        assert answer["all"] == [f"Say {part} of {of}" for of in range(7) for part in range(of)]
        assert not list(served.output.parent.glob(".*.part"))


STUCK = """
import sys, threading

def parts(id):
    print("stuck", file=sys.stderr, flush=True)
    threading.Event().wait()

def before(id):
    return id
"""
BEFORE = '[[steps]]\nname = "before"\nkind = "python"\nfunction = "PYTHON_STEPS:before"\nneeds = ["id"]\n'


@pytest.mark.parametrize("before", ["", BEFORE])
async def test_ctrl_c_waits_for_no_function_of_a_split(folder: Folder, before: str) -> None:
    staged(folder, HEAD + before + SPLIT, STUCK)
    process = await started(folder)
    assert process.stderr is not None
    first = b""
    while b"stuck" not in first:
        part = await process.stderr.receive_some()
        assert part, first
        first += part
    process.send_signal(signal.SIGINT)
    with trio.fail_after(20):
        out, err = await said(process.stdout), await said(process.stderr)
    assert await process.wait() == 130, err
    assert "Traceback" not in err
    assert "interrupted" in out + err


async def test_ctrl_c_waits_for_no_cooldown(folder: Folder) -> None:
    async with serving(folder, provider(outage=(0.0, 600.0), retry_after=600.0)) as (served, mock):
        process = await started(served)
        await mock.until(lambda report: report.models["writer"].total.refused >= 1)
        process.send_signal(signal.SIGINT)
        with trio.fail_after(25):  # less than `shutdown_grace`
            out, err = await said(process.stdout), await said(process.stderr)
        assert await process.wait() == 130, err
        assert f"{ROWS} not done" in out
        assert "Traceback" not in err


async def test_ctrl_c_twice_leaves_at_once(folder: Folder) -> None:
    async with serving(folder, provider(hang_share=1.0)) as (served, mock):
        process = await started(served)
        await mock.until(lambda report: report.models["writer"].in_flight > 0)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        first = b""
        while b"stopping" not in first:  # on a busy machine the watchdog may say something before
            part = await process.stderr.receive_some()
            assert part, first
            first += part
        process.send_signal(signal.SIGINT)
        out, err = await said(process.stdout), await said(process.stderr)
        assert await process.wait() == 130, err
        assert "leaving at once" in err
        assert f"{ROWS} not done" in out
        assert "Traceback" not in err


async def test_a_second_run_at_the_same_time_is_refused(folder: Folder) -> None:
    async with serving(folder, provider(hang_share=1.0)) as (served, mock):
        process = await started(served)
        await mock.until(lambda report: report.models["writer"].in_flight > 0)
        second = await run_to_its_end(served)
        assert second.returncode == 2
        assert b"is being written by another run" in second.stderr
        process.kill()
        await process.wait()


async def test_a_disk_that_is_full_ends_the_run_and_loses_nothing_that_was_written(folder: Folder) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (110_000, 110_000))"
    limited = f"{limit}; from penstock.cli.main import main; main()"
    async with serving(folder, provider()) as (served, mock):
        full = await trio.run_process(
            [sys.executable, "-c", limited, *command(served)[3:]], capture_stderr=True, capture_stdout=True, check=False
        )
        assert full.returncode == 1
        assert "answers.jsonl.store: cannot be written: " in full.stderr.decode().splitlines()[-1]
        kept = served.cells().count("summary")
        paid = completed(mock)
        assert 0 < kept < ROWS
        assert (await run_to_its_end(served)).returncode == 0
        assert completed(mock) - paid == ROWS - kept


@pytest.mark.parametrize("name", ["run", "check"])
async def test_bad_configuration_is_reported_in_one_line_with_exit_code_two(folder: Folder, name: str) -> None:
    folder.write(("{{ text }}", "{{ txt }}"))
    ended = await trio.run_process(
        [sys.executable, "-m", "penstock", name, str(folder.toml)], capture_stderr=True, check=False
    )
    assert ended.returncode == 2
    (line,) = ended.stderr.decode().splitlines()
    assert "steps.summary: 'txt' is neither a column of the input nor a step" in line


def test_an_interrupt_while_providers_are_opened_is_no_traceback(
    served: Folder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def interrupt() -> None:
        raise KeyboardInterrupt

    @asynccontextmanager
    async def opened(*_: object) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(interrupt)
        yield

    monkeypatch.setattr(whole_run, "open_endpoints", opened)
    served.rows(1)
    served.write()
    assert run_command(served.toml, limit=None, overwrite=False, plugins=(), progress="none") == 130
    assert capsys.readouterr().err == "interrupted\n"

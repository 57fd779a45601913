"""A run that is under way tells whoever of the same user asks what it waits for."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio
from click.testing import CliRunner, Result

import penstock
from penstock.cli.main import cli
from penstock.run.explain_socket import LONGEST_PATH, ask, runs_that_answer, runtime_folder

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no local sockets here"),
]
CONFIG = {"scheduler": {"explain_socket": True, "submission_capacity": 1}}


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a short name, as the paths of sockets must be."""
    with TemporaryDirectory(prefix="p", dir="/tmp") as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        yield Path(short, "penstock")


@asynccontextmanager
async def a_run(run_id: str) -> AsyncIterator[penstock.Scheduler]:
    """A run with one task at work and two that wait; the socket is there."""
    enough = trio.Event()
    async with penstock.open_scheduler(CONFIG, run_id=run_id) as scheduler:
        scheduler.start_soon(enough.wait, group="works")
        scheduler.start_soon(enough.wait, group="waits")
        scheduler.start_soon(enough.wait, group="waits")
        with trio.fail_after(5):
            while run_id not in await trio.to_thread.run_sync(runs_that_answer):
                await trio.lowlevel.checkpoint()
        yield scheduler
        enough.set()


async def explain(*arguments: str) -> Result:
    return await trio.to_thread.run_sync(lambda: CliRunner().invoke(cli, ["explain", *arguments]))


async def test_the_only_run_need_not_be_named(folder: Path) -> None:
    async with a_run("nightly"):
        told = await explain()
    assert told.exit_code == 0, told.output
    assert told.output.startswith("run nightly: 1 running, 2 queued, 3 unfinished; submission 0 of 1 free")
    assert "group local/waits: 2 queued, 0 running" in told.output
    assert "submission is full" in told.output
    assert list(folder.iterdir()) == [], "the socket goes with the run"


async def test_of_two_runs_one_must_be_named(folder: Path) -> None:
    async with a_run("first"), a_run("second"):
        told = await explain()
        assert told.exit_code == 2
        assert "under way are first, second; name one" in told.output
        told = await explain("second", "--group", "waits", "--json")
    records = json.loads(told.output)
    assert records["run_id"] == "second"
    assert [group["group"] for group in records["tasks"]["groups"]] == ["local/waits"]
    assert records["tasks"]["groups"][0]["queued"] == 2


async def test_without_a_run_it_says_what_to_do() -> None:
    told = await explain()
    assert told.exit_code == 2
    assert "no run of yours is under way" in told.output
    assert f"looked in {runtime_folder()}" in told.output
    told = await explain("nobody")
    assert told.exit_code == 2
    assert "there is no run 'nobody' under way" in told.output


async def test_only_its_user_may_ask(folder: Path) -> None:
    async with a_run("nightly"):
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "nightly.sock").stat().st_mode & 0o777 == 0o600


async def test_what_a_dead_run_left_behind_is_removed(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "dead.sock"))
    assert runs_that_answer() == {}
    assert not (folder / "dead.sock").exists()


async def test_who_asks_nonsense_or_nothing_disturbs_nobody(folder: Path) -> None:
    async with a_run("nightly"):
        silent = await trio.open_unix_socket(folder / "nightly.sock")
        rude = await trio.open_unix_socket(folder / "nightly.sock")
        await rude.send_all(b"what?\n")
        assert await rude.receive_some() == b""
        gone = await trio.open_unix_socket(folder / "nightly.sock")
        await gone.aclose()
        answer = await trio.to_thread.run_sync(ask, folder / "nightly.sock")
        assert "2 queued" in answer["text"]
        assert answer["records"]["health"]["queued"] == 2
        await rude.aclose()
        await silent.aclose()


async def test_a_folder_that_others_may_enter_is_not_used(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    async with penstock.open_scheduler(CONFIG) as scheduler:
        await scheduler.start_soon(trio.lowlevel.checkpoint)
        await trio.testing.wait_all_tasks_blocked()
    assert "can be entered by others" in caplog.text


async def test_a_path_that_is_too_long_is_told_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    deep = tmp_path / ("x" * LONGEST_PATH)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    async with penstock.open_scheduler(CONFIG) as scheduler:
        await scheduler.start_soon(trio.lowlevel.checkpoint)
        await trio.testing.wait_all_tasks_blocked()
    assert "too long for a socket; set XDG_RUNTIME_DIR" in caplog.text


def test_a_temporary_folder_with_a_path_too_long_for_sockets_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("x" * LONGEST_PATH)))
    assert runtime_folder() == Path(f"/tmp/penstock-{os.getuid()}")
    monkeypatch.setattr(tempfile, "tempdir", "/short")
    assert runtime_folder() == Path(f"/short/penstock-{os.getuid()}")


async def test_a_program_of_ones_own_has_no_socket_unless_it_asks_for_one() -> None:
    async with penstock.open_scheduler() as scheduler:
        await scheduler.start_soon(trio.lowlevel.checkpoint)
        assert not runtime_folder().exists()

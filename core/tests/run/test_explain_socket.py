"""A run that is under way tells whoever of the same user asks what it waits for, also where there are several."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner, Result
from trio.testing import MockClock, wait_all_tasks_blocked

import penstock
from penstock import At, Denied, StallError, hookimpl
from penstock.cli.main import cli
from penstock.run import watch
from penstock.run.explain_asking import find_runs
from penstock.run.reconfiguring import another_config
from penstock.run.socket_folder import LONGEST_FOLDER, possible_folders

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.usefixtures("folder"),
    pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no local sockets here"),
]
CONFIG = {"scheduler": {"explain_socket": True, "submission_capacity": 1}}
SOCKET = "0123456789abcdef.sock"


@asynccontextmanager
async def a_run(
    run_id: str, groups: Sequence[str] = ("works", "waits", "waits"), **tables: Any
) -> AsyncIterator[penstock.Scheduler]:
    """A run whose first task is at work and whose others wait; the socket is there."""
    enough = trio.Event()
    async with penstock.open_scheduler({**CONFIG, **tables}, run_id=run_id) as scheduler:
        for group in groups:
            scheduler.start_soon(enough.wait, group=group)
        await answers(run_id)
        yield scheduler
        enough.set()


async def answers(run_id: str) -> None:
    """Returns once the run is found, which listens at a moment of its own."""
    with trio.fail_after(60):
        while run_id not in [run.greeting.run_id for run in (await find_runs()).runs]:
            await trio.lowlevel.checkpoint()


async def explain(*arguments: str) -> Result:
    return await trio.to_thread.run_sync(lambda: CliRunner().invoke(cli, ["explain", *arguments]))


# ------------------------------------------------------------------------------------------------------- the command


async def test_a_run_tells_what_limits_it(folder: Path) -> None:
    async with a_run("nightly"):
        text = (await explain("--capacity")).output
        records = json.loads((await explain("--capacity", "--json")).output)
    assert text.startswith("run nightly: what limits it\nconfigured:\n")
    assert "tasks at a time  1 of 1" in text.partition("reached:")[2]
    assert records["configured"]["submission_capacity"]["source"] == "run_config"
    assert records["observed_maxima"]["queued_by_group"] == {"local/waits": 2, "local/works": 1}


async def test_the_only_run_need_not_be_named(folder: Path) -> None:
    async with a_run("nightly"):
        told = await explain()
    assert told.exit_code == 0, told.output
    assert told.output.startswith("run nightly: 1 running, 2 queued, 3 unfinished; submission 0 of 1 free")
    assert "group local/waits: 2 queued, 0 running" in told.output
    assert "submission is full" in told.output
    assert "no request is waiting" in told.output
    assert list(folder.iterdir()) == [], "the socket goes with the run"


async def test_of_several_runs_each_is_told_with_name_process_and_start() -> None:
    async with a_run("first"), a_run("second"):
        told = await explain()
        assert told.exit_code == 2
        head, *lines = told.stderr.splitlines()
        assert head == "penstock: 2 runs are under way; choose one by --run ID or --run PID"
        assert sorted(line.partition("  since 20")[0] for line in lines) == [
            f"penstock:   first  pid {os.getpid()}",
            f"penstock:   second  pid {os.getpid()}",
        ]
        told = await explain("--run", "second", "--group", "waits", "--json")
        records = json.loads(told.output)
        both = await explain("--run", str(os.getpid()))
        none = await explain("--run", "third")
    assert records["run_id"] == "second"
    assert [group["group"] for group in records["tasks"]["groups"]] == ["local/waits"]
    assert records["tasks"]["groups"][0]["queued"] == 2
    assert (both.exit_code, none.exit_code) == (2, 2)
    assert "2 runs are under way" in both.stderr, "both have this process id"
    assert "there is no run 'third' under way; there are\npenstock:   " in none.stderr


async def test_a_run_is_found_by_its_process_id() -> None:
    async with a_run("nightly"):
        told = await explain("--run", str(os.getpid()))
    assert told.output.startswith("run nightly: ")


async def test_the_records_have_both_gates_and_health() -> None:
    class Quiet:
        @hookimpl
        def penstock_request_eligible(self, item: Any, now: float) -> Denied | None:
            return Denied("hard_policy_denial", {At(now + 1e6)}, detail="quiet\x1b hours")

    async def call() -> None:
        async with penstock.request("p/m"):
            pass

    async with penstock.open_scheduler(CONFIG, plugins=[Quiet()], run_id="nightly") as scheduler:
        scheduler.requests.register("p", "m", cap=1)
        handle = scheduler.start_soon(call, task_id="caller", cancellable=True)
        await answers("nightly")
        told = await explain("--json")
        text = await explain()
        assert r"quiet\x1b hours" in scheduler.requests.explain()
        scheduler.cancel_task("caller")
        with pytest.raises(penstock.TaskCancelled):
            await handle
    records = json.loads(told.output)
    assert records["health"]["waiting_requests"] == 1
    (standing,) = records["requests"]["resources"]
    assert (standing["resource"], standing["waiting"], standing["cap"]) == ("p/m/chat", 1, 1)
    (refusal,) = standing["refusals"]
    assert (refusal["reason"], refusal["detail"]) == ("hard_policy_denial", "quiet\x1b hours")
    assert "s from now" in refusal["until"]
    assert r"quiet\x1b hours" in text.output


async def test_a_group_that_nobody_knows_is_told_with_the_nearest_name() -> None:
    async with a_run("nightly", ("works", "summaries")):
        told = await explain("--group", "sumaries")
        running = await explain("--group", "works")
    assert told.exit_code == 2
    assert "no task of group 'sumaries' is queued or runs; did you mean 'local/summaries'?" in told.stderr
    assert running.exit_code == 0


async def test_without_a_run_it_says_what_to_do() -> None:
    told = await explain()
    assert told.exit_code == 2
    assert "no run of yours is under way" in told.stderr
    assert all(str(folder) in told.stderr for folder in possible_folders())
    told = await explain("--run", "nobody")
    assert told.exit_code == 2
    assert "no run of yours is under way" in told.stderr


ODD = "\x1b]0;owned\x07\n  group local/forged: 0 queued\u202e\x9b"


async def test_names_do_not_reach_the_terminal_as_commands() -> None:
    async with a_run("nightly", ("works", ODD)):
        told = await explain()
    assert r"group local/\x1b]0;owned\x07\n  group local/forged: 0 queued\u202e\x9b: 1 queued" in told.output
    assert not any(character in told.output for character in "\x1b\x07\u202e\x9b")


async def test_names_do_not_reach_a_stall_as_commands(autojump_clock: MockClock) -> None:
    with pytest.raises(StallError) as stalled:
        async with penstock.open_scheduler(plugins=[NeverAgain()]) as scheduler:
            scheduler.start_soon(trio.lowlevel.checkpoint, group=ODD)
    assert r"group local/\x1b]0;owned\x07\n  group" in str(stalled.value)
    assert r"\x1b[31m" in str(stalled.value)
    assert not any(character in str(stalled.value) for character in "\x1b\x07\u202e\x9b")


class NeverAgain:
    """Refuses every task until a signal that nobody says."""

    @hookimpl
    def penstock_task_eligible(self, task: Any) -> Denied | None:
        return Denied("policy_denial", {penstock.Signal("never")}, detail="\x1b[31m")


# --------------------------------------------------------------------------------------------- the folder, both sides


async def test_only_its_user_may_ask(folder: Path) -> None:
    async with a_run("nightly"):
        assert folder.stat().st_mode & 0o777 == 0o700
        (made,) = folder.iterdir()
        assert stat.S_ISSOCK(made.stat().st_mode)
        assert made.stat().st_mode & 0o777 == 0o600


async def test_what_a_dead_run_left_behind_is_removed(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / SOCKET))
    found = await find_runs()
    assert (found.runs, found.notes) == ((), ())
    assert not (folder / SOCKET).exists()


async def test_through_a_link_nobody_elses_sockets_are_removed(folder: Path) -> None:
    others = folder.parent / "others"
    others.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(others / SOCKET))
    folder.symlink_to(others)
    told = await explain()
    assert (others / SOCKET).exists()
    assert told.exit_code == 2
    assert f"{folder} is a symbolic link, which is not followed" in told.stderr
    assert len(told.stderr.splitlines()) == 2


@pytest.mark.parametrize("kind", ["shared", "linked", "foreign"])
async def test_a_folder_that_is_not_safe_is_told_in_the_log_and_the_run_goes_on(
    folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (folder.parent / "target").mkdir(mode=0o700)
    if kind == "linked":
        folder.symlink_to(folder.parent / "target")
    else:
        folder.mkdir(mode=0o700)
        folder.chmod(0o755 if kind == "shared" else 0o700)
    if kind == "foreign":
        owner = os.geteuid()
        monkeypatch.delenv("XDG_RUNTIME_DIR")
        folder.rename(folder.parent / f"penstock-{owner + 1}")
        folder.parent.chmod(0o1777)
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    async with penstock.open_scheduler(CONFIG, run_id="nightly") as scheduler:
        await scheduler.start_soon(trio.lowlevel.checkpoint)
        await wait_all_tasks_blocked()
    (line,) = [record.getMessage() for record in caplog.records if record.name == "penstock.explain"]
    assert line.startswith("`penstock explain` cannot ask run nightly, which goes on without: ")
    wrong = {"shared": "can be entered by others", "linked": "symbolic link", "foreign": "belongs to another user"}
    assert wrong[kind] in line
    assert "XDG_RUNTIME_DIR" in line or "chmod 700" in line


async def test_a_runtime_folder_too_deep_for_a_socket_is_passed_over(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * LONGEST_FOLDER)
    deep.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    async with a_run("nightly"):
        assert (await explain()).exit_code == 0


async def test_a_run_in_the_temporary_folder_is_found_also_where_there_is_a_runtime_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    async with a_run("from-cron"):
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder.parent))
        assert (await explain()).output.startswith("run from-cron: ")


async def test_the_name_of_a_run_is_no_path(folder: Path) -> None:
    async with a_run("long" * 16):
        assert [path.parent for path in folder.rglob("*.sock")] == [folder]
        assert (await explain()).exit_code == 0
    with pytest.raises(penstock.ConfigError):
        async with a_run("../../long"):
            pass


async def test_a_program_of_ones_own_has_no_socket_unless_it_asks_for_one() -> None:
    async with penstock.open_scheduler() as scheduler:
        await scheduler.start_soon(trio.lowlevel.checkpoint)
        assert not any(folder.exists() for folder in possible_folders())


async def reconfigure(*arguments: str) -> Result:
    return await trio.to_thread.run_sync(lambda: CliRunner().invoke(cli, ["reconfigure", *arguments]))


async def test_a_run_takes_another_configuration_by_its_socket(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(
        "[scheduler]\nexplain_socket = true\nsubmission_capacity = 2\n[[steps]]\nname = 'a'\n", encoding="utf-8"
    )
    async with a_run("nightly") as scheduler:
        told = await reconfigure(str(file))
        assert told.output == "run nightly: limit submission: 1 -> 2\n"
        assert scheduler.progress["in_flight"] == 2
        told = await reconfigure(str(file), "--run", "nightly", "--json")
    assert told.exit_code == 0
    assert json.loads(told.output)["limits"] == {}


async def test_a_configuration_that_is_refused_is_told_with_every_problem(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("[scheduler]\nseed = 1\n[sinks]\nfailures = 1\n", encoding="utf-8")
    async with a_run("nightly") as scheduler:
        told = await reconfigure(str(file))
        assert scheduler.plugins.generation == 1
    assert told.exit_code == 2
    seed, sinks = told.output.splitlines()
    assert seed.startswith(f"penstock: {file}: scheduler.seed: cannot change while the run goes on")
    assert sinks.startswith(f"penstock: {file}: sinks.failures: cannot change")


async def test_how_a_provider_is_called_cannot_change(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('[providers.p]\nauth_header = "x-key"\nheaders = { "x-org" = "ORG" }\n', encoding="utf-8")
    async with a_run("nightly", providers={"p": {}}):
        told = await reconfigure(str(file))
    assert told.exit_code == 2
    header, headers = told.output.splitlines()
    assert header.startswith(f"penstock: {file}: providers.p.auth_header: cannot change while the run goes on")
    assert headers.startswith(f"penstock: {file}: providers.p.headers: cannot change while the run goes on")


async def test_plugins_of_the_command_line_are_not_left_out_of_a_reconfiguration_in_silence(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("[scheduler]\nexplain_socket = true\n", encoding="utf-8")
    for option in (("--plugin", "rule.py"), ("--no-plugin", "aimd")):
        told = await trio.to_thread.run_sync(CliRunner().invoke, cli, [*option, "reconfigure", str(file)])
        assert told.exit_code == 2
        assert "--plugin and --no-plugin belong to the start of a run" in told.output


async def test_a_configuration_that_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    async with a_run("nightly"):
        told = await reconfigure(str(tmp_path / "gone.toml"))
    assert told.exit_code == 2
    assert "gone.toml" in told.output


async def test_a_file_that_is_slow_to_read_holds_up_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, told = tmp_path / "run.toml", list[str]()
    file.write_text("[scheduler]\nexplain_socket = true\nsubmission_capacity = 2\n", encoding="utf-8")
    reading, answers_at_last = threading.Event(), threading.Event()

    def slow(*given: Any, **more: Any) -> penstock.PenstockConfig:
        reading.set()
        assert answers_at_last.wait(60), "it holds up who lets it go on"
        return another_config(*given, **more)

    async def change() -> None:
        told.append((await reconfigure(str(file))).output)

    monkeypatch.setattr(watch, "another_config", slow)
    async with a_run("nightly", []) as scheduler, trio.open_nursery() as nursery:
        nursery.start_soon(change)
        await trio.to_thread.run_sync(reading.wait)
        await scheduler.start_soon(trio.lowlevel.checkpoint)
        answers_at_last.set()
    assert told == ["run nightly: limit submission: 1 -> 2\n"]

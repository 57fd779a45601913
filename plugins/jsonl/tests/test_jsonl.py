"""The event file: what is in it, when it is there, and what is said of one that cannot be."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock import ConfigError, EventStream, PluginError, event_from_dict
from penstock.testing import SinkContract, one_of_each_event
from penstock_jsonl import JsonlConfig, JsonlPlugin


class TestContract(SinkContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = str(tmp_path / "events.jsonl")

    def make_sink(self) -> object:
        return JsonlPlugin(JsonlConfig(path=self.path))


def started(path: Path, *, append: bool = False) -> JsonlPlugin:
    plugin = JsonlPlugin(JsonlConfig(path=str(path), append=append))
    plugin.penstock_run_started()
    return plugin


def streams_into(plugin: JsonlPlugin) -> tuple[EventStream, EventStream]:
    scheduler, request = EventStream("scheduler"), EventStream("request")
    scheduler.subscribe(plugin.penstock_scheduler_event)
    request.subscribe(plugin.penstock_request_event)
    return scheduler, request


def record(stream: EventStream, kind: str, **fields: Any) -> None:
    stream.record(kind, 1.5, **fields)
    stream.deliver()


def test_a_file_that_is_emptied_meanwhile_goes_on_from_its_beginning(tmp_path: Path) -> None:
    path, kept = tmp_path / "events.jsonl", tmp_path / "events.jsonl.1"
    plugin = started(path, append=True)
    scheduler, _ = streams_into(plugin)
    for number in range(4):
        if number == 2:  # as logrotate does with copytruncate
            kept.write_bytes(path.read_bytes())
            os.truncate(path, 0)
        record(scheduler, "task_completed", task_id=str(number))
        plugin.flush()
    plugin.penstock_run_finished()
    assert [[line["task_id"] for line in lines_of(each)] for each in (kept, path)] == [["0", "1"], ["2", "3"]]


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_both_streams_go_into_one_file_in_the_order_of_delivery(tmp_path: Path) -> None:
    plugin = started(tmp_path / "e.jsonl")
    scheduler, request = streams_into(plugin)
    record(scheduler, "worker_spawned", task_id="t")
    record(request, "request_wait_started", resource="acme/small/chat")
    record(scheduler, "task_completed", task_id="t", reason_or_outcome="success")
    plugin.penstock_run_finished()
    assert lines_of(tmp_path / "e.jsonl") == [
        {
            "stream": "scheduler",
            "sequence": 1,
            "event_kind": "worker_spawned",
            "captured_at_monotonic": 1.5,
            "task_id": "t",
        },
        {
            "stream": "request",
            "sequence": 1,
            "event_kind": "request_wait_started",
            "captured_at_monotonic": 1.5,
            "resource": "acme/small/chat",
        },
        {
            "stream": "scheduler",
            "sequence": 2,
            "event_kind": "task_completed",
            "captured_at_monotonic": 1.5,
            "task_id": "t",
            "reason_or_outcome": "success",
        },
    ]


def test_every_kind_of_event_can_be_read_back_as_it_was(tmp_path: Path) -> None:
    plugin = started(tmp_path / "e.jsonl")
    events = one_of_each_event("scheduler")
    for event in events:
        plugin.penstock_scheduler_event(event)
    plugin.penstock_run_finished()
    assert [event_from_dict(line) for line in lines_of(tmp_path / "e.jsonl")] == events


def test_a_name_may_hold_any_character(tmp_path: Path) -> None:
    plugin = started(tmp_path / "e.jsonl")
    scheduler, _ = streams_into(plugin)
    name = "zwei\nZeilen \u2028 «ü»"
    record(scheduler, "selected", task_id=name)
    plugin.penstock_run_finished()
    (line,) = (tmp_path / "e.jsonl").read_bytes().splitlines()
    assert json.loads(line)["task_id"] == name


def test_an_event_that_is_no_json_is_left_out_and_told_and_all_others_are_written(tmp_path: Path) -> None:
    plugin = started(tmp_path / "e.jsonl")
    scheduler, _ = streams_into(plugin)
    for ratio in (0.5, float("nan"), 1.5):
        record(scheduler, "queue_empty", diagnostics={"ratio": ratio})
    with pytest.raises(PluginError, match=r"left out an event: .*JSON"):
        plugin.flush()
    plugin.flush()
    assert [line["diagnostics"]["ratio"] for line in lines_of(tmp_path / "e.jsonl")] == [0.5, 1.5]
    plugin.penstock_run_finished()


def test_what_was_flushed_is_in_the_file_while_the_run_goes_on(tmp_path: Path) -> None:
    plugin = started(tmp_path / "e.jsonl")
    scheduler, _ = streams_into(plugin)
    record(scheduler, "selected")
    plugin.flush()
    assert len(lines_of(tmp_path / "e.jsonl")) == 1
    plugin.penstock_run_finished()


def test_a_run_begins_the_file_anew(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text('{"old": true}\n', encoding="utf-8")
    started(tmp_path / "e.jsonl").penstock_run_finished()
    assert lines_of(tmp_path / "e.jsonl") == []


def test_append_keeps_what_the_file_holds(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text('{"old": true}\n', encoding="utf-8")
    plugin = started(tmp_path / "e.jsonl", append=True)
    record(streams_into(plugin)[0], "selected")
    plugin.penstock_run_finished()
    assert [line.get("sequence") for line in lines_of(tmp_path / "e.jsonl")] == [None, 1]


def test_making_the_plugin_touches_no_file(tmp_path: Path) -> None:
    JsonlPlugin(JsonlConfig(path=str(tmp_path / "e.jsonl")))
    assert list(tmp_path.iterdir()) == []


def test_a_relative_path_is_taken_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    started(Path("e.jsonl")).penstock_run_finished()
    assert (tmp_path / "e.jsonl").exists()


def test_a_folder_that_is_not_there_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    assert f"there is no folder '{tmp_path / 'no'}'" in refused(tmp_path / "no" / "e.jsonl")


def refused(path: Path | str) -> str:
    """What is wrong with a path."""
    with pytest.raises(ConfigError) as caught:
        JsonlPlugin(JsonlConfig(path=str(path)))
    (problem,) = caught.value.records
    assert problem.path == ("plugins", "jsonl", "path")
    return problem.what


@pytest.mark.parametrize("path", ["", "."])
def test_a_path_that_names_no_file_is_an_error_of_the_configuration(path: str) -> None:
    assert refused(path).startswith(f"must name a file, and '{path}' is none")


def test_a_file_that_may_not_be_written_to_is_an_error_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # an administrator may write everywhere
    assert "may not be written to" in refused(tmp_path / "e.jsonl")


def test_a_file_that_cannot_be_opened_after_all_is_an_error_of_the_plugin(tmp_path: Path) -> None:
    plugin = JsonlPlugin(JsonlConfig(path=str(tmp_path / "e.jsonl")))
    (tmp_path / "e.jsonl").mkdir()
    with pytest.raises(PluginError) as caught:
        plugin.penstock_run_started()
    assert caught.value.plugin == "jsonl"
    assert str(tmp_path / "e.jsonl") in caught.value.message
    assert isinstance(caught.value.__cause__, IsADirectoryError)


def test_an_event_outside_a_run_is_an_error(tmp_path: Path) -> None:
    plugin = JsonlPlugin(JsonlConfig(path=str(tmp_path / "e.jsonl")))
    with pytest.raises(PluginError) as caught:
        plugin.penstock_scheduler_event(one_of_each_event("scheduler")[0])
    assert caught.value.plugin == "jsonl"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_an_error_of_flush() -> None:
    plugin = started(Path("/dev/full"))
    record(streams_into(plugin)[0], "selected")
    for write in (plugin.flush, plugin.penstock_run_finished):
        with pytest.raises(OSError) as caught:  # noqa: PT011 - the number says which
            write()
        assert caught.value.errno == errno.ENOSPC


def test_a_write_that_stops_half_way_is_taken_up_where_it_stopped(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="needs a limit on the size of files")
    plugin = started(tmp_path / "e.jsonl")
    scheduler, _ = streams_into(plugin)
    for _ in range(5):
        record(scheduler, "selected")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150, hard))
    try:
        with pytest.raises(OSError) as caught:  # noqa: PT011 - the number says which
            plugin.flush()
        assert caught.value.errno == errno.EFBIG
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "e.jsonl").stat().st_size == 150
    plugin.penstock_run_finished()
    assert [line["sequence"] for line in lines_of(tmp_path / "e.jsonl")] == [1, 2, 3, 4, 5]


KILLED = """
import sys
from penstock import EventStream
from penstock_jsonl import JsonlConfig, JsonlPlugin

plugin = JsonlPlugin(JsonlConfig(path=sys.argv[1]))
plugin.penstock_run_started()
events = EventStream("scheduler")
events.subscribe(plugin.penstock_scheduler_event)
for _ in range(1000):
    events.record("selected", 0.0)
events.deliver()
plugin.flush()
events.record("queue_empty", 0.0)
events.deliver()
print("flushed", flush=True)
sys.stdin.read()
"""


@pytest.mark.loopback
def test_what_was_flushed_survives_a_kill_and_no_line_is_cut(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / "e.jsonl")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"flushed"
        process.kill()
    assert [line["sequence"] for line in lines_of(tmp_path / "e.jsonl")] == list(range(1, 1001))


@pytest.mark.skipif(sys.platform == "win32", reason="a name in the file system is no pipe there")
def test_a_pipe_that_nobody_reads_is_an_error_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    os.mkfifo(path)
    with pytest.raises(PluginError, match="it is a pipe that nobody reads"):
        JsonlPlugin(JsonlConfig(path=str(path))).penstock_run_started()

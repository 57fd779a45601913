"""A run told afterwards, from its record of events: torn, packed, in parts, of other versions; and what is said of
files that are no record.
"""

from __future__ import annotations

import gzip
import json
import re
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from click.testing import CliRunner, Result

import penstock
from penstock import ConfigError, ResponseFacts, Usage
from penstock_batch.report.cli import report as report_cli
from penstock_batch.report.commands import record_command
from penstock_batch.report.record.events import RecordFiles
from penstock_batch.report.record.run import MOST_SAMPLES, RecordedRun
from penstock_jsonl import JsonlConfig, JsonlPlugin

CONFIG = {
    "plugins": {"ready_queue": "fair", "task_policies": [], "request_limiters": []},
    "providers": {"acme": {"models": {"small": {"max_parallel_requests": 2}}}},
}
STARTED = datetime.fromisoformat("2026-11-29T12:00:00+00:00")


async def call(number: int) -> None:
    async with penstock.request("acme/small", group=f"tenant-{number % 2}") as attempt:
        await trio.sleep(10)
        if number == 3:
            attempt.answered(ResponseFacts(status=429))
        else:
            attempt.answered(ResponseFacts(status=200), Usage(100, 10))


async def run(path: Path, run_id: str, calls: int) -> None:
    clock = penstock.WallClock(STARTED, trio.current_time())
    plugin = JsonlPlugin(JsonlConfig(path=str(path), append=True))
    async with penstock.open_scheduler(CONFIG, plugins=[plugin], run_id=run_id, wall_clock=clock) as scheduler:
        for number in range(calls):
            scheduler.start_soon(partial(call, number), group="column")


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """Two runs in one file: of six calls, and of one."""
    path = tmp_path / "events.jsonl"
    trio.run(run, path, "first", 6, clock=trio.testing.MockClock(autojump_threshold=0))
    trio.run(run, path, "second", 1, clock=trio.testing.MockClock(autojump_threshold=0))
    return path


def page_of(*paths: Path, run: int | None = None) -> str:
    output = paths[0].parent / "report.html"
    assert record_command(paths, output, run=run) == 0
    text = output.read_text(encoding="utf-8")
    return text[: text.rindex("<script>")]


def table(page: str, name: str) -> list[list[str]]:
    found = re.search(rf'<table id="{name}">.*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    rows = [] if found is None else re.findall(r"<tr>(.*?)</tr>", found[1], re.DOTALL)
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows]


def state(page: str) -> str:
    found = re.search(r'<p id="state">(.*?)</p>', page, re.DOTALL)
    assert found is not None
    return found[1]


def test_a_run_is_told_with_its_calls_tenants_tasks_and_what_it_waited_for(record: Path) -> None:
    page = page_of(record, run=1)
    assert "<title>Report of run first</title>" in page
    assert state(page) == "Began 2026-11-29 12:00:00 UTC. Ended after 30.0 s."
    assert table(page, "models") == [["acme/small/chat", "6", "1", "0", "0", "500", "50", "20.0 s", "10.0 s"]]
    assert [row[:7] for row in table(page, "tenants")] == [
        ["tenant-0", "3", "0", "0", "0", "300", "30"],
        ["tenant-1", "3", "1", "0", "0", "200", "20"],
    ]
    assert table(page, "groups") == [["local/column", "6", "0", "0.0 s", "30.0 s"]]
    waited = {row[0]: row[1:] for row in table(page, "limited")}
    assert waited["limits of calls"] == ["20.0 s", "67%"]
    assert waited["answers of providers"] == ["10.0 s", "33%"]
    assert {"pressure", "refusals", "tokens", "limits", "held"} <= set(re.findall(r'id="chart-(\w+)"', page))


def test_without_a_number_it_is_the_last_run(record: Path) -> None:
    page = page_of(record)
    assert "Report of run second" in page
    assert table(page, "models")[0][:2] == ["acme/small/chat", "1"]
    assert state(page) == "Began 2026-11-29 12:00:00 UTC. Ended after 10.0 s."


def test_a_run_that_the_record_does_not_have_is_an_error(record: Path) -> None:
    with pytest.raises(ConfigError, match="has no run 3; it has 2 runs"):
        page_of(record, run=3)


def test_a_record_that_was_cut_off_is_told_up_to_there(record: Path) -> None:
    text = record.read_bytes()
    lines = text.splitlines(keepends=True)
    record.write_bytes(b"".join(lines[:40]) + lines[40][:50])
    page = page_of(record)
    assert "Its end is not in the record; the last event came after" in state(page)
    assert f"{record} ends in the middle of a line" in state(page)
    assert "could not be used" not in state(page)


def test_parts_are_put_in_order_also_packed(tmp_path: Path) -> None:
    record = tmp_path / "one.jsonl"
    trio.run(run, record, "first", 6, clock=trio.testing.MockClock(autojump_threshold=0))
    whole = page_of(record)
    lines = record.read_bytes().splitlines(keepends=True)
    parts = [record.with_name(name) for name in ("events.jsonl.2.gz", "events.jsonl.1", "now.jsonl")]
    for part, content in zip(parts, (lines[:20], lines[20:50], lines[50:]), strict=True):
        data = b"".join(content)
        part.write_bytes(gzip.compress(data) if part.suffix == ".gz" else data)
    assert page_of(*reversed(parts)) == whole
    empty = record.with_name("events.jsonl.0")
    empty.touch()
    assert page_of(empty, *parts) == whole
    packed = parts[0]
    packed.write_bytes(packed.read_bytes()[:-40])
    assert f"{packed} ends in the middle" in state(page_of(*parts))


def test_a_part_without_the_start_says_so(record: Path) -> None:
    lines = record.read_bytes().splitlines(keepends=True)
    record.write_bytes(b"".join(lines[10:30]))
    assert "The start of the run is not in the record." in state(page_of(record))
    assert "When it began is not told" in state(page_of(record))


def test_lines_of_other_versions_and_of_nobody_are_counted_and_passed_over(record: Path) -> None:
    lines = record.read_bytes().splitlines(keepends=True)
    end = len(lines) - 1
    last = json.loads(lines[end])
    after = {"stream": last["stream"], "captured_at_monotonic": 1e9, "colour": "red"}
    later = {**after, "sequence": last["sequence"] + 1, "event_kind": "teleported"}
    odd = {
        **after,
        "sequence": last["sequence"] + 2,
        "event_kind": "task_completed",
        "diagnostics": {"added_at": "soon"},
    }
    more = [json.dumps(later), json.dumps(odd), "what?", '{"a": 1}', "[1]", '{"stream": "scheduler"}', "", "1" * 5_000]
    record.write_bytes(b"".join([*lines, *(f"{line}\n".encode() for line in more)]))
    said = state(page_of(record))
    assert (
        "2 events mean something that this version does not know: &#39;task_completed&#39;, &#39;teleported&#39;"
        in said
    )
    assert f"5 lines could not be used; the first: {record}, line {end + 4}, is no JSON" in said


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"sequence": "1"}, "has no whole number as its sequence"),
        ({"captured_at_monotonic": None}, "has no number as its captured_at_monotonic"),
        ({"captured_at_monotonic": 10**400}, "has no number as its captured_at_monotonic"),
        ({"captured_at_monotonic": float("nan")}, "has no number as its captured_at_monotonic"),
        ({"task_id": 7}, "has a task_id that is no text"),
        ({"diagnostics": [1]}, "has diagnostics that are no JSON object"),
        ({"correlation": {"run_id": 3}}, "has a correlation that is not of texts"),
        ({"correlation": {}}, "has a correlation without run_id"),
        ({"stream": "river"}, "is no event of Penstock&#39;s"),
    ],
)
def test_a_line_that_is_nearly_an_event_says_what_is_wrong(record: Path, change: dict[str, Any], what: str) -> None:
    lines = record.read_text(encoding="utf-8").splitlines(keepends=True)
    wrong = json.dumps({**json.loads(lines[-2]), **change})
    record.write_text("".join([*lines[:-1], wrong + "\n", lines[-1]]), encoding="utf-8")
    assert f"1 line could not be used; the first: {record}, line {len(lines)}, {what}" in state(page_of(record))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"row,answer\n1,yes\n", "line 1 is no JSON"),
        (b'{"row": 1}\n{"row": 2}\n', "line 1 is no event of Penstock's"),
        (b'{"at": 1.0, "call": "a", "status": 200}\n', "is of a gateway's log of calls"),
        (b"[gateway]\nport = 0\n", "it seems to be TOML or a JSON array"),
        (b"<!DOCTYPE html>\n", "it seems to be a page or XML"),
        (b"SQLite format 3\0rest", "it seems to be an SQLite file"),
        (b"PAR1\0\0", "it seems to be a Parquet file"),
        (b"\x28\xb5\x2f\xfdrest", "packed with zstd"),
        (b"\x00\x01\x02\x03", "it seems to be binary"),
        (b"\x1f\x8bnot gzip at all", "is packed with gzip, and damaged"),
        (b"[" * 100_000 + b"\n", "it seems to be TOML or a JSON array"),
        (b'{"a":' * 100_000 + b"\n", "line 1 is no JSON"),
        (b"\xff\xfe{\x00}\x00", "it seems to be binary"),
        (gzip.compress(b"row,answer\n"), "line 1 is no JSON"),
    ],
)
def test_a_file_that_is_no_record_says_what_it_seems_to_be(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        page_of(path)
    assert what in str(caught.value)
    assert str(path) in str(caught.value)
    assert not (tmp_path / "report.html").exists()


def test_names_and_texts_in_a_record_are_only_text(record: Path) -> None:
    evil = "</script><script>alert(1)</script>\x1b[2J\u202e"
    lines = record.read_text(encoding="utf-8").replace("tenant-1", "tenant-one").splitlines()
    changed = [
        json.dumps({**data, "group": evil} if data.get("group") == "tenant-one" else data)
        for data in map(json.loads, lines)
    ]
    record.write_text("\n".join(changed) + "\n", encoding="utf-8")
    page = page_of(record, run=1)
    assert "<script>alert" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page


# -- the command --


def report(*arguments: str | Path) -> Result:
    return CliRunner().invoke(report_cli, [*map(str, arguments)])


def test_the_page_never_takes_the_place_of_the_record(record: Path) -> None:
    before = record.read_bytes()
    told = report(record, "-o", record)
    assert isinstance(told.exception, ConfigError)
    assert record.read_bytes() == before


def test_a_record_and_a_pipeline_are_not_mixed(record: Path) -> None:
    assert report(record, "pipeline.toml").exit_code == 2
    assert "has no rows" in report(record, "--rows", "3").stderr
    missing = report(record.with_name("nothing.jsonl"))
    assert isinstance(missing.exception, ConfigError)
    assert "No such file" in str(missing.exception)
    assert isinstance(report(record.parent).exception, ConfigError)


def test_as_text_it_is_told_without_charts(record: Path) -> None:
    told = report(record, "--text", "--run", "1")
    assert told.exit_code == 0, told.output
    lines = [line.split() for line in told.stdout.splitlines()]
    assert lines[0] == ["Report", "of", "run", "first"]
    assert ["429s:", "1", "(16.7%)"] in lines
    assert ["acme/small/chat", "6", "1", "0", "0", "500", "50", "20.0", "s", "10.0", "s"] in lines
    assert not record.with_name("report.html").exists()


def event(sequence: int, run_id: str | None = None, kind: str = "selected") -> penstock.RuntimeEvent:
    correlation = None if run_id is None else penstock.RuntimeCorrelation(run_id)
    return penstock.RuntimeEvent(
        stream="scheduler", event_kind=kind, captured_at_monotonic=1.0, sequence=sequence, correlation=correlation
    )


@pytest.mark.parametrize(
    ("before", "next_event", "goes_on"),
    [
        ([event(1, "a")], event(2, "a"), True),
        ([event(1, "a")], event(2), True),
        ([event(7, "a")], event(9, "a"), True),
        ([event(7, "a")], event(7, "a"), False),
        ([event(7, "a")], event(1), False),
        ([event(7, "a")], event(8, "b"), False),
        ([event(7)], event(8, "b"), True),
        ([event(7, "a", "scheduler_job_completed")], event(8, "a"), True),
    ],
)
def test_a_run_begins_where_numbers_begin_anew_or_the_name_is_another(
    before: list[penstock.RuntimeEvent], next_event: penstock.RuntimeEvent, goes_on: bool
) -> None:
    recorded = RecordedRun()
    for each in before:
        recorded.add(each)
    assert recorded.goes_on_with(next_event) is goes_on


# -- a long run --


def test_memory_does_not_grow_with_the_length_of_a_run() -> None:
    run = RecordedRun()
    for number in range(1, 5_001):
        moment = number**2 / 10
        for sequence, kind in ((2 * number, "request_lease_acquired"), (2 * number + 1, "request_lease_released")):
            run.add(
                penstock.RuntimeEvent(
                    stream="request",
                    event_kind=kind,
                    captured_at_monotonic=moment,
                    sequence=sequence,
                    request_lease_id=f"l{number}",
                    resource=f"acme/m{number}/chat",
                    group=f"g{number}",
                )
            )
    run.finish()
    assert len(run.samples) <= MOST_SAMPLES + 1
    assert len(run.models) == len(run.tenants) == 101
    assert sum(each.calls for each in run.models.values()) == 5_000
    ats = [sample.at for sample in run.samples]
    assert ats == sorted(ats)
    assert ats[-1] == run.seconds


def test_a_line_of_any_length_does_not_fill_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock_batch.report.record.events.LONGEST_LINE", 100)
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"x" * 1_000)
    with pytest.raises(ConfigError):
        list(RecordFiles([path]).events())


def test_what_says_something_of_the_page_is_refused_where_there_is_none(record: Path) -> None:
    for option in (("-o", "page.html"), ("--rows", "3")):
        for file in (record, "pipeline.toml"):
            told = report(file, "--text", *option)
            assert told.exit_code == 2
            assert "leave --rows and --output out" in told.stderr

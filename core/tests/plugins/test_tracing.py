"""Tracing of decisions: who was asked, what he answered, and that nothing else changes by it."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

import penstock
from penstock import (
    ConfigError,
    Denied,
    LimiterSnapshot,
    LimiterTicket,
    Released,
    RequestCounter,
    TaskAdmissionPolicyDecision,
    hookimpl,
)
from penstock.plugins.tracing import DecisionTrace

PROVIDERS = {"acme": {"models": {"m": {"max_parallel_requests": 8}}}}


class Once:
    """A limiter of one call at a time, with slots, as attrs makes them."""

    __slots__ = ("out", "scope")

    def __init__(self, scope: Any) -> None:
        self.scope, self.out = scope, 0

    def check(self, item: Any, now: float) -> Denied | None:
        return Denied("no_capacity", {Released(self.scope)}, scope="shape", cohort="x") if self.out else None

    def acquire(self, lease: Any, now: float) -> LimiterTicket:
        self.out += 1
        return LimiterTicket()

    def release(self, lease: Any, token: Any, outcome: Any, now: float) -> tuple[()]:
        self.out -= 1
        return ()

    def set_cap(self, cap: int | None, now: float) -> tuple[()]:
        return ()

    def next_change(self, now: float) -> None:
        return None

    def snapshot(self, now: float) -> LimiterSnapshot:
        return LimiterSnapshot(current_limit=1)


class Yes:
    stateless = True

    def evaluate(self, task: Any, queue: Any, admission: Any, now: float) -> TaskAdmissionPolicyDecision:
        return TaskAdmissionPolicyDecision()

    def on_acquire(self, *_: object) -> None: ...

    def on_release(self, *_: object) -> None: ...


class All:
    """A plugin that is asked at every door."""

    made: list[Any]

    def __init__(self) -> None:
        self.made = []

    @hookimpl
    def penstock_task_eligible(self, task: Any) -> Denied | None:
        if task.task_id.endswith("bad"):
            raise RuntimeError("sk-secret")
        return None

    @hookimpl
    def penstock_task_policy(self) -> Yes:
        self.made.append(Yes())
        policy: Yes = self.made[-1]
        return policy

    @hookimpl
    def penstock_request_limiter(self, scope: Any) -> Once | None:
        if not hasattr(scope, "domain"):
            return None
        self.made.append(Once(scope))
        limiter: Once = self.made[-1]
        return limiter


def alone(**plugins: Any) -> dict[str, Any]:
    lists = {"ready_queue": "fifo", "request_waiters": "fifo", "task_policies": [], "request_limiters": []}
    return {"scheduler": {"stall_timeout": 5.0}, "providers": PROVIDERS, "plugins": {**lists, **plugins}}


async def run(config: dict[str, Any], plugin: object, tasks: int = 3) -> penstock.Scheduler:
    async def call() -> None:
        async with penstock.request("acme/m"):
            await trio.sleep(1.0)

    async with penstock.open_scheduler(config, plugins=[plugin]) as scheduler:
        for _ in range(tasks):
            scheduler.start_soon(call)
    return scheduler


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


async def test_each_question_has_a_line_and_the_figures_come_last(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    file = tmp_path / "trace.jsonl"
    scheduler = await run(alone(trace=1.0, trace_file=str(file)), All())
    asked = [line for line in lines(file) if "answer" in line]
    assert Counter((line["hook"], line["answer"]) for line in asked) == {
        ("penstock_task_policy.evaluate", "agreed"): 3,
        ("penstock_task_eligible", "agreed"): 3,
        ("penstock_request_limiter.check", "agreed"): 3,
        ("penstock_request_limiter.check", "refused"): 4,
    }
    (first, *_), refused = asked, next(line for line in asked if line["answer"] == "refused")
    assert first["plugin"] == "All"
    assert first["task_id"]
    assert first["seconds"] >= 0.0
    assert (refused["reason"], refused["resource"]) == ("no_capacity", "acme/m/chat")
    assert refused["until"] == ["a release of acme/m/chat"]
    figures = {each.hook: (each.questions, each.refusals, each.errors) for each in scheduler.plugins.trace.figures}
    assert figures["penstock_request_limiter.check"] == (7, 4, 0)
    last = lines(file)[-1]
    assert (last["hook"], last["questions"]) == ("penstock_request_limiter.check", 7)


async def test_where_nothing_is_traced_nothing_is_there(autojump_clock: trio.testing.MockClock) -> None:
    plugin = All()
    scheduler = await run(alone(), plugin)
    assert scheduler.plugins.trace.figures == ()
    assert {type(made) for made in plugin.made} == {Yes, Once}
    assert DecisionTrace().asking("p", "h", max) is max


async def test_what_is_traced_is_in_everything_else_what_it_was(autojump_clock: trio.testing.MockClock) -> None:
    plugin = All()
    await run(alone(trace=1.0), plugin)
    for made in plugin.made:
        assert isinstance(made, Yes | Once)
        assert not isinstance(made, RequestCounter)
        assert type(made).__name__ in ("Yes", "Once")


async def test_a_share_is_drawn_by_the_seed_and_of_one_task_all_is_traced(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    found = []
    for name in ("one", "again"):
        file = tmp_path / name
        await run(alone(trace=0.3, trace_file=str(file)), All(), tasks=100)
        found.append([line for line in lines(file) if "task_id" in line])
    assert [line["task_id"] for line in found[0]] == [line["task_id"] for line in found[1]]
    asked = Counter(line["task_id"] for line in found[0])
    assert 10 < len(asked) < 60
    assert set(asked.values()) == {2}, "the policy and the rule"


async def test_an_error_is_named_by_its_type_alone(
    autojump_clock: trio.testing.MockClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "trace.jsonl"
    with caplog.at_level(logging.CRITICAL):
        async with penstock.open_scheduler(alone(trace=1.0, trace_file=str(file)), plugins=[All()]) as scheduler:
            handle = scheduler.start_soon(trio.sleep, 1.0, task_id="a-bad")
            with pytest.raises(penstock.PluginError):
                await handle
    raised = [line for line in lines(file) if line.get("answer") == "raised"]
    assert {line["error"] for line in raised} == {"RuntimeError"}
    assert "sk-secret" not in file.read_text(encoding="utf-8")
    assert next(each.errors for each in scheduler.plugins.trace.figures if each.hook.endswith("eligible")) == len(
        raised
    )


async def test_a_file_that_is_none_or_something_else_is_left_alone(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    precious = tmp_path / "pipeline.toml"
    precious.write_text("[input]\n", encoding="utf-8")
    for file, words in ((precious, "would be overwritten, and is no trace"), (tmp_path, "cannot be written to")):
        with pytest.raises(ConfigError, match=rf"plugins\.trace_file: .*{words}"):
            await run(alone(trace=1.0, trace_file=str(file)), All())
    assert precious.read_text(encoding="utf-8") == "[input]\n"
    trace = tmp_path / "trace.jsonl"
    for _ in range(2):  # its own it writes anew
        await run(alone(trace=1.0, trace_file=str(trace)), All())


def test_a_share_is_one() -> None:
    with pytest.raises(ConfigError, match=r"plugins\.trace: must be a share from 0 to 1, not 2"):
        penstock.load_config(alone(trace=2))


class Full:
    """A file on a disk that is full."""

    def write(self, _: str) -> None:
        raise OSError(28, "No space left on device")

    def close(self) -> None:
        raise OSError(28, "No space left on device")


async def test_a_disk_that_is_full_ends_the_trace_and_not_the_run(
    autojump_clock: trio.testing.MockClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("penstock.plugins.tracing.open", lambda *_, **__: Full(), raising=False)
    scheduler = await run(alone(trace=1.0, trace_file=str(tmp_path / "trace.jsonl")), All())
    assert scheduler.report is not None
    assert scheduler.report.completed == 3
    assert sum("trace of decisions ends here" in record.message for record in caplog.records) == 1


def test_the_question_that_took_most_of_a_time_is_known_once(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, 1.0, 1.5, 4.5, 5.0, 5.0, 5.0])
    monkeypatch.setattr("penstock.plugins.tracing.perf_counter", lambda: next(moments))
    trace = DecisionTrace(1.0)
    for plugin in ("quick", "slow"):
        trace.asking(plugin, "penstock_task_eligible", lambda _: None)((None,))
    assert trace.longest_within(4.0) == ("slow", "penstock_task_eligible")
    assert trace.longest_within(4.0) is None


@pytest.mark.skipif(sys.platform == "win32", reason="a name in the file system is no pipe there")
async def test_a_pipe_that_nobody_reads_is_an_error_and_not_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    os.mkfifo(file)
    with pytest.raises(ConfigError, match=r"plugins\.trace_file: .*it is a pipe that nobody reads"):
        await run(alone(trace=1.0, trace_file=str(file)), All())

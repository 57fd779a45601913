"""What happens when a plugin raises, by hook and by what it does: who waits, what is told, and that nothing is lost.

Every run has the same work: one task of the group `bad`, which calls `acme/bad`, and four of the group `good`, which
call `acme/good`. The faulty plugin goes wrong for `bad` where its hook can distinguish them.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NoReturn

import attrs
import pytest
import trio
from trio.testing import MockClock

import penstock
from penstock import (
    FifoRequestWaiters,
    FifoTaskQueue,
    Hints,
    LimiterChange,
    LimiterSnapshot,
    PluginError,
    ProviderModelKey,
    RequestAdmissionItem,
    ResponseFacts,
    RunReport,
    RuntimeEvent,
    SchedulableTask,
    Scheduler,
    Scope,
    TaskAdmissionPolicyDecision,
    hookimpl,
)

TASKS_WAIT: Final = 20.0
CALLS_WAIT: Final = 30.0
MODELS = {name: {"max_parallel_requests": 1} for name in ("bad", "good")}


def config(*, runners: Mapping[str, str] | None = None, **tables: object) -> dict[str, Any]:
    plugins = {"task_policies": [], "request_limiters": [], "ready_queue": "", "request_waiters": "", "sinks": []}
    return {
        "scheduler": {"stall_timeout": TASKS_WAIT, "submission_capacity": 3, "runners": dict(runners or {})},
        "requests": {"stall_timeout": CALLS_WAIT},
        "providers": {"acme": {"kind": "openai", "models": MODELS}},
        "plugins": {name: value for name, value in plugins.items() if value != ""} | tables,
    }


async def later() -> None:
    """A coroutine that a hook may return by mistake."""


def raises(error: Callable[[], BaseException]) -> Callable[[], Any]:
    def go_wrong() -> Any:
        raise error()

    return go_wrong


class NoTraceback(Exception):
    @property
    def __traceback__(self) -> NoReturn:  # type: ignore[override]
        raise ValueError("traceback")


WAYS: Final[Mapping[str, Callable[[], Any]]] = {
    "ValueError": raises(lambda: ValueError("secret words")),
    "SystemExit": raises(lambda: SystemExit(3)),
    "KeyboardInterrupt": raises(KeyboardInterrupt),
    "GeneratorExit": raises(GeneratorExit),
    "a group": raises(lambda: BaseExceptionGroup("secret words", [KeyboardInterrupt(), ValueError()])),
    "an error whose traceback raises": raises(NoTraceback),
    "nonsense": lambda: "secret words",
    "a coroutine": later,
}


class Faulty:
    """A plugin that goes wrong in one hook, or in one method of what its factory makes."""

    plugin_name = "faulty"

    def __init__(self, way: str, method: str = "") -> None:
        self.way = WAYS[way]
        self.method = method
        self.times = 0

    def wrong(self, method: str = "") -> Any:
        """The wrong thing, if this is where it goes wrong; otherwise `None`."""
        if method != self.method:
            return None
        self.times += 1
        return self.way()


class FaultyTaskRule(Faulty):
    @hookimpl
    def penstock_task_eligible(self, task: SchedulableTask) -> Any:
        return self.wrong() if "bad" in task.group.key.identity else None


class FaultyRequestRule(Faulty):
    @hookimpl
    def penstock_request_eligible(self, item: RequestAdmissionItem) -> Any:
        return self.wrong() if item.resource.model_id == "bad" else None


class FaultyPolicy(Faulty):
    @hookimpl
    def penstock_task_policy(self) -> Any:
        return self

    def evaluate(self, task: SchedulableTask, queue: object, admission: object, now: float) -> Any:
        bad = self.method == "evaluate" and "bad" in task.group.key.identity
        return self.wrong("evaluate") if bad else TaskAdmissionPolicyDecision()

    def on_acquire(self, lease: Any, decision: object, now: float) -> Any:
        return self.wrong("on_acquire")

    def on_release(self, lease: Any, now: float) -> Any:
        return self.wrong("on_release")


class FaultyLimiter(Faulty):
    @hookimpl
    def penstock_request_limiter(self, scope: Scope) -> Any:
        return Limiter(scope, self) if scope == ProviderModelKey("acme", "bad") else None


class Limiter:
    def __init__(self, scope: Scope, faulty: Faulty) -> None:
        self.scope = scope
        self._wrong = faulty.wrong

    def check(self, item: RequestAdmissionItem, now: float) -> Any:
        return self._wrong("check")

    def acquire(self, lease: object, now: float) -> Any:
        return self._wrong("acquire")

    def release(self, lease: object, token: object, outcome: object, now: float) -> Any:
        return self._wrong("release") or ()

    def observe(self, hints: object, now: float) -> Any:
        return self._wrong("observe") or ()

    def set_cap(self, cap: object, now: float) -> Sequence[LimiterChange]:
        return self._wrong("set_cap") or ()

    def next_change(self, now: float) -> Any:
        return self._wrong("next_change")

    def snapshot(self, now: float) -> Any:
        return self._wrong("snapshot") or LimiterSnapshot(current_limit=1)


class FaultyClassifier(Faulty):
    @hookimpl
    def penstock_classify_outcome(self, response: ResponseFacts | None) -> Any:
        return self.wrong()


class FaultySink(Faulty):
    @hookimpl
    def penstock_scheduler_event(self, event: RuntimeEvent) -> Any:
        return self.wrong("penstock_scheduler_event")

    @hookimpl
    def penstock_request_event(self, event: RuntimeEvent) -> Any:
        return self.wrong("penstock_request_event")

    def flush(self) -> Any:
        return self.wrong("flush")


class FaultyNotes(Faulty):
    @hookimpl
    def penstock_run_started(self) -> Any:
        return self.wrong("penstock_run_started")

    @hookimpl
    def penstock_run_finished(self) -> Any:
        return self.wrong("penstock_run_finished")


class FaultyRunner(Faulty):
    @hookimpl
    def penstock_task_runner(self) -> Any:
        return self

    def check(self, fn: object, args: object) -> None: ...

    def run(self, task: SchedulableTask, lease: object) -> Any:
        return self.wrong("run") if "bad" in task.group.key.identity else task.payload()


class FaultyAwaitedRunner(FaultyRunner):
    async def run(self, task: SchedulableTask, lease: object) -> Any:
        return await task.payload() if "bad" not in task.group.key.identity else self.wrong("run")


class FaultyWaiters(Faulty):
    @hookimpl
    def penstock_request_waiters(self) -> Any:
        faulty = self

        class Waiters(FifoRequestWaiters):
            def select_next(self, *args: Any) -> Any:
                return faulty.wrong("select_next") or super().select_next(*args)

            def next_change(self, now: float) -> Any:
                return faulty.wrong("next_change") or super().next_change(now)

        return Waiters()


class FaultyQueue(Faulty):
    @hookimpl
    def penstock_ready_queue(self) -> Any:
        faulty = self

        class Queue(FifoTaskQueue):
            def select_next(self, *args: Any) -> Any:
                return faulty.wrong("select_next") or super().select_next(*args)

            def wake(self, *args: Any) -> Any:
                return faulty.wrong("wake") or super().wake(*args)

        return Queue()


class Witness:
    """A sink that keeps what it is told, and the report."""

    plugin_name = "witness"

    def __init__(self) -> None:
        self.events: list[RuntimeEvent] = []
        self.report: RunReport | None = None

    @hookimpl
    def penstock_scheduler_event(self, event: RuntimeEvent) -> None:
        self.events.append(event)

    @hookimpl
    def penstock_request_event(self, event: RuntimeEvent) -> None:
        self.events.append(event)

    @property
    def errors(self) -> list[tuple[str, Mapping[str, Any]]]:
        return [(e.stream, e.diagnostics or {}) for e in self.events if e.event_kind == "plugin_error"]


@attrs.define
class Ended:
    """How a run ended."""

    results: dict[str, object] = attrs.field(factory=dict)
    """Task id to its result, or to what it raised."""
    at: dict[str, float] = attrs.field(factory=dict)
    explained: list[str] = attrs.field(factory=list)
    scheduler: Scheduler | None = None

    @property
    def report(self) -> RunReport:
        assert self.scheduler is not None
        assert self.scheduler.report is not None
        return self.scheduler.report


async def call(model: str) -> str:
    async with penstock.request(f"acme/{model}") as attempt:
        await trio.sleep(1)
        attempt.observe(Hints())
        attempt.answered(ResponseFacts(status=200))
    return "done"


@asynccontextmanager
async def run_of(plugin: object, witness: Witness, **tables: object) -> AsyncIterator[Ended]:
    """The work of every test, done; the block is inside the run, after it."""
    ended = Ended()

    async def collect(name: str, handle: Any) -> None:
        try:
            ended.results[name] = await handle
        except Exception as error:
            ended.results[name] = error
        ended.at[name] = trio.current_time()

    runners = dict.fromkeys(("local/bad", "local/good"), "faulty") if isinstance(plugin, FaultyRunner) else {}
    async with penstock.open_scheduler(config(runners=runners, **tables), plugins=[plugin, witness]) as scheduler:
        ended.scheduler = scheduler
        async with trio.open_nursery() as nursery:
            nursery.start_soon(collect, "bad", scheduler.start_soon(call, "bad", group="bad"))
            for number in range(4):
                nursery.start_soon(collect, f"good{number}", scheduler.start_soon(call, "good", group="good"))
            await trio.sleep(6)
            ended.explained = scheduler.explain().splitlines()
        yield ended


def log_lines(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [each for each in caplog.records if each.exc_info]


def case(kind: type[Faulty], hook: str, ends: str, method: str = "", *ways: str) -> Any:
    return [
        pytest.param(kind, hook, ends, method, way, id=f"{hook}, {way}")
        for way in (ways or tuple(WAYS))
    ]  # fmt: skip


LOUD = tuple(way for way in WAYS if way not in ("nonsense",))
"""A hook whose answer nobody reads can return nonsense."""

TABLE = [
    *case(FaultyTaskRule, "penstock_task_eligible", "task"),
    *case(FaultyPolicy, "penstock_task_policy.evaluate", "task", "evaluate"),
    *case(FaultyPolicy, "penstock_task_policy.on_acquire", "well", "on_acquire"),
    *case(FaultyPolicy, "penstock_task_policy.on_release", "well", "on_release"),
    *case(FaultyRequestRule, "penstock_request_eligible", "call"),
    *case(FaultyLimiter, "penstock_request_limiter.check", "call", "check"),
    *case(FaultyLimiter, "penstock_request_limiter.acquire", "call", "acquire", *LOUD),
    *case(FaultyLimiter, "penstock_request_limiter.release", "well", "release"),
    *case(FaultyLimiter, "penstock_request_limiter.observe", "well", "observe"),
    *case(FaultyLimiter, "penstock_request_limiter.snapshot", "well", "snapshot"),
    *case(FaultyClassifier, "penstock_classify_outcome", "well"),
    *case(FaultySink, "penstock_scheduler_event", "well", "penstock_scheduler_event", *LOUD),
    *case(FaultySink, "penstock_request_event", "well", "penstock_request_event", *LOUD),
    *case(FaultyNotes, "penstock_run_started", "well", "penstock_run_started", *LOUD),
    *case(FaultyRunner, "penstock_task_runner.run", "at once", "run", *(way for way in WAYS if way != "a coroutine")),
]


@pytest.mark.parametrize(("kind", "hook", "ends", "method", "way"), TABLE)
async def test_a_plugin_that_goes_wrong(
    kind: type[Faulty],
    hook: str,
    ends: str,
    method: str,
    way: str,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is told once in the log, by events, and with its count; who waits for it ends in time; all others finish."""
    faulty, witness = kind(way, method), Witness()
    async with run_of(faulty, witness) as ended:
        counted = dict(ended.scheduler.health().plugin_errors)  # type: ignore[union-attr]
    bad = ended.results.pop("bad")
    assert ended.results == {f"good{number}": "done" for number in range(4)}
    assert max(ended.at[name] for name in ended.results) == 4.0, "nobody else is kept waiting"
    if ends == "well":
        assert bad == "done"
    else:
        assert isinstance(bad, PluginError)
        assert bad.plugin == "faulty"
        assert ended.at["bad"] == {"task": TASKS_WAIT, "call": CALLS_WAIT, "at once": 0.0}[ends]

    assert [line.getMessage().partition(" at ")[0] for line in log_lines(caplog)] == [
        f"plugin 'faulty' raised in {hook}"
    ]
    told = [each for _, each in witness.errors if each["count"] == 1]
    gate = "request" if "_request_" in hook or "classify" in hook else "scheduler"
    if hook != "penstock_run_started":  # before any sink is listening
        assert [stream for stream, _ in witness.errors][:1] == [gate]
        assert [(each["plugin"], each["hook"]) for each in told] == [("faulty", hook)]
        assert told[0]["place"].startswith("test_plugin_errors.py:")
    assert "secret" not in str(witness.events)
    assert [(each.plugin, each.hook) for each in ended.report.plugin_failures] == [("faulty", hook)]
    assert ended.report.plugin_failures[0].count == faulty.times == counted["faulty"]

    assert ended.report.leases == (5, 5) if ends != "task" else (4, 4)
    issued, returned = ended.report.request_leases
    assert issued == returned
    line = next(line for line in ended.explained if line.startswith("plugin faulty raised"))
    assert f"in {hook} at test_plugin_errors.py:" in line
    assert "secret" not in "\n".join(ended.explained)
    assert ("wait until the signal 'reconfigured'" in line) == (
        ends in ("task", "call") or hook.endswith("limiter.release")
    )


@pytest.mark.parametrize("way", LOUD)
async def test_a_note_at_the_end_of_a_run_that_goes_wrong_is_logged(
    way: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with run_of(FaultyNotes(way, "penstock_run_finished"), Witness()) as ended:
        pass
    assert set(ended.results.values()) == {"done"}
    assert [line.getMessage().partition(" at ")[0] for line in log_lines(caplog)] == [
        "plugin 'faulty' raised in penstock_run_finished"
    ]


@pytest.mark.parametrize("way", ["SystemExit", "GeneratorExit"])
async def test_a_runner_that_wants_to_exit_ends_its_task_alone(way: str, autojump_clock: MockClock) -> None:
    async with run_of(FaultyAwaitedRunner(way, "run"), Witness()) as ended:
        pass
    assert isinstance(ended.results.pop("bad"), PluginError)
    assert set(ended.results.values()) == {"done"}
    assert [each.hook for each in ended.report.plugin_failures] == ["penstock_task_runner.run"]


async def test_what_a_task_raises_is_not_the_runners(autojump_clock: MockClock) -> None:
    async def fails() -> None:
        raise ValueError("the task's own")

    async with penstock.open_scheduler(config(), plugins=[FaultyAwaitedRunner("ValueError")]) as scheduler:
        with pytest.raises(ValueError, match="the task's own"):
            await scheduler.start_soon(fails, runner="faulty")
    assert scheduler.report is not None
    assert scheduler.report.plugin_failures == ()


@pytest.mark.parametrize("way", ["ValueError", "SystemExit", "KeyboardInterrupt"])
@pytest.mark.parametrize("method", ["select_next", "wake"])
async def test_a_ready_queue_that_goes_wrong_ends_the_run_and_is_named(
    way: str, method: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(PluginError, match=r"its ready queue: raised .* \(given as an object\)") as caught:
        async with run_of(FaultyQueue(way, method), Witness()):
            pass
    assert caught.value.plugin == "faulty"
    assert len(log_lines(caplog)) == 1


async def test_a_ready_queue_that_selects_nonsense_is_named(autojump_clock: MockClock) -> None:
    with pytest.raises(PluginError, match="select_next must return a QueueSelection or None") as caught:
        async with run_of(FaultyQueue("nonsense", "select_next"), Witness()):
            pass
    assert caught.value.plugin == "faulty"


@pytest.mark.parametrize("way", ["ValueError", "SystemExit", "KeyboardInterrupt", "nonsense"])
async def test_a_waiter_queue_that_goes_wrong_ends_the_gate_and_is_named(
    way: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    witness = Witness()
    with pytest.raises(PluginError) as caught:
        async with run_of(FaultyWaiters(way, "select_next"), witness) as ended:
            results = ended.results
    assert caught.value.plugin == "faulty"
    assert "(given as an object)" in caught.value.message
    errors = [each for each in results.values() if each != "done"]
    assert errors
    assert all(isinstance(each, PluginError) and each.plugin == "faulty" for each in errors)
    assert len(log_lines(caplog)) == 1
    assert [(stream, told["hook"]) for stream, told in witness.errors] == [("request", "penstock_request_waiters")]


# -- in shadow --


@pytest.mark.parametrize(
    ("kind", "hook", "method"),
    [
        (FaultyLimiter, "penstock_request_limiter.check", "check"),
        (FaultyLimiter, "penstock_request_limiter.acquire", "acquire"),
        (FaultyPolicy, "penstock_task_policy.evaluate", "evaluate"),
        (FaultyPolicy, "penstock_task_policy.on_release", "on_release"),
    ],
)
@pytest.mark.parametrize("way", ["ValueError", "SystemExit", "KeyboardInterrupt"])
async def test_a_plugin_in_shadow_that_goes_wrong_is_told_and_holds_nobody_up(
    kind: type[Faulty], hook: str, method: str, way: str, autojump_clock: MockClock
) -> None:
    async with run_of(kind(way, method), Witness(), faulty={"shadow": True}) as ended:
        pass
    assert set(ended.results.values()) == {"done"}
    assert [(each.plugin, each.hook) for each in ended.report.plugin_failures] == [("faulty", hook)]


# -- a real Ctrl+C --


async def call_and_end_it_later(model: str) -> None:
    async with penstock.request(f"acme/{model}") as attempt:
        attempt.observe(Hints())
        attempt.answered(ResponseFacts(status=200))
        end = attempt.detach()
    end.release()


@pytest.mark.parametrize("work", [call, call_and_end_it_later])
@pytest.mark.parametrize(
    ("kind", "method"),
    [
        (FaultyTaskRule, ""),
        (FaultyPolicy, "evaluate"),
        (FaultyPolicy, "on_release"),
        (FaultyRequestRule, ""),
        (FaultyLimiter, "check"),
        (FaultyLimiter, "release"),
        (FaultyLimiter, "observe"),
        (FaultyClassifier, ""),
        (FaultySink, "penstock_scheduler_event"),
        (FaultySink, "penstock_request_event"),
        (FaultySink, "flush"),
        (FaultyNotes, "penstock_run_started"),
    ],
)
def test_a_ctrl_c_that_comes_while_a_plugin_is_asked_ends_the_run_and_is_not_the_plugins(
    kind: type[Faulty], method: str, work: Callable[[str], Any], caplog: pytest.LogCaptureFixture
) -> None:
    faulty = kind("nonsense", method)
    pressed: list[int] = []

    def press_once() -> object:
        if not pressed:
            pressed.append(1)
            signal.raise_signal(signal.SIGINT)
        return TaskAdmissionPolicyDecision() if method == "evaluate" else None

    faulty.way = press_once
    run: list[Scheduler] = []

    async def main() -> None:
        async with penstock.open_scheduler(config(), plugins=[faulty]) as scheduler:
            run.append(scheduler)
            await scheduler.start_soon(work, "bad", group="bad")

    with pytest.raises(BaseException) as caught:  # noqa: PT011 - alone or in a group
        trio.run(main, clock=MockClock(autojump_threshold=0))
    assert pressed
    assert isinstance(caught.value, KeyboardInterrupt) or caught.group_contains(KeyboardInterrupt)
    assert log_lines(caplog) == []
    for scheduler in run:
        assert scheduler.report is not None
        assert scheduler.report.plugin_failures == ()
        assert scheduler.report.request_leases[0] == scheduler.report.request_leases[1]

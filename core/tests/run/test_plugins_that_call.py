"""A rule or a limiter that calls the request gate while it is asked: that is its own error, and the others go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock

import penstock
from penstock import (
    LimiterSnapshot,
    PenstockError,
    ProviderModelKey,
    RequestAdmissionItem,
    RequestResourceKey,
    Scheduler,
    Scope,
    TaskCancelled,
    hookimpl,
)

CONFIG: Final[dict[str, Any]] = {
    "requests": {"stall_timeout": 30.0},
    "providers": {"acme": {"models": {name: {"max_parallel_requests": 1} for name in ("bad", "good")}}},
    "plugins": {"sinks": []},
}
GOOD: Final = RequestResourceKey("acme", "good", "chat")
Act = Callable[[Scheduler], object]


class Asked:
    """Acts at each question about a call to `acme/bad`."""

    plugin_name = "caller"
    scheduler: Scheduler

    def __init__(self, act: Act) -> None:
        self.act = act
        self.said: set[str] = set()

    def ask(self) -> None:
        try:
            self.act(self.scheduler)
        except PenstockError as error:
            self.said.add(str(error))
            raise


class Rule(Asked):
    @hookimpl
    def penstock_request_eligible(self, item: RequestAdmissionItem) -> None:
        if item.resource.model_id == "bad":
            self.ask()


class Limiter(Asked):
    @hookimpl
    def penstock_request_limiter(self, scope: Scope) -> Any:
        self.scope = scope
        return self if scope == ProviderModelKey("acme", "bad") else None

    def check(self, item: object, now: float) -> None:
        self.ask()

    def acquire(self, lease: object, now: float) -> None: ...

    def release(self, lease: object, token: object, outcome: object, now: float) -> tuple[()]:
        return ()

    def set_cap(self, cap: object, now: float) -> tuple[()]:
        return ()

    def next_change(self, now: float) -> None: ...

    def snapshot(self, now: float) -> LimiterSnapshot:
        return LimiterSnapshot()


async def call(model: str) -> str:
    async with penstock.request(f"acme/{model}"):
        await trio.sleep(1)
    return "done"


ACTS: Final[dict[str, Act]] = {
    "signal": lambda scheduler: scheduler.signal("x"),
    "register": lambda scheduler: scheduler.requests.register("acme", "new", cap=1),
    "acquire": lambda scheduler: scheduler.requests.try_acquire(RequestAdmissionItem(GOOD)),
    "ask": lambda scheduler: scheduler.requests.ask(GOOD, lambda _: None),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("kind", [Rule, Limiter])
async def test_who_calls_the_gate_while_it_is_asked_has_failed_and_nobody_else(
    autojump_clock: MockClock, kind: type[Asked], act: str
) -> None:
    plugin = kind(ACTS[act])
    async with penstock.open_scheduler(CONFIG, plugins=[plugin]) as scheduler:
        plugin.scheduler = scheduler
        good = [scheduler.start_soon(call, "good", group=name) for name in ("a", "b", "c")]
        bad = scheduler.start_soon(call, "bad")
        assert [await each for each in good] == ["done"] * 3
        with pytest.raises(penstock.PluginError, match="plugin 'caller'"):
            await bad
        scheduler.check_invariants()
    assert scheduler.report is not None
    assert scheduler.report.request_leases == (3, 3)
    (said,) = plugin.said
    assert "must not call the gate" in said


async def test_who_is_cancelled_by_a_rule_that_is_asked_about_it_leaves_and_the_others_go_on(
    autojump_clock: MockClock,
) -> None:
    asked: list[float] = []

    class Canceller:
        @hookimpl
        def penstock_request_eligible(self, item: RequestAdmissionItem, now: float) -> None:
            if item.labels is not None:
                asked.append(now)
                scheduler.cancel_task("b")

    async with penstock.open_scheduler(CONFIG, plugins=[Canceller()]) as scheduler:
        tasks = []
        for name in "abcd":
            labels = {"name": name} if name == "b" else None
            tasks.append(scheduler.start_soon(call, "bad", task_id=name, cancellable=True, labels=labels))
            await trio.sleep(0.1)  # so that they come in this order
        with pytest.raises(TaskCancelled):
            await tasks.pop(1)
        assert asked == [trio.current_time()] == [1.0]
        assert [await each for each in tasks] == ["done"] * 3
        assert trio.current_time() == 3.0
        scheduler.check_invariants()
    assert scheduler.report is not None
    assert scheduler.report.request_leases[0] == scheduler.report.request_leases[1]

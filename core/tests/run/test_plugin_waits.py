"""How long whoever waits for a plugin that failed waits, what is said of it meanwhile, and how often it is told."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock

import penstock
from penstock import (
    LimiterSnapshot,
    PluginError,
    ProviderModelKey,
    RequestAdmissionItem,
    ResponseFacts,
    RuntimeEvent,
    Scope,
    hookimpl,
)

TASKS_WAIT: Final = 20.0
CALLS_WAIT: Final = 30.0
CONFIG: Final = {
    "scheduler": {"stall_timeout": TASKS_WAIT},
    "requests": {"stall_timeout": CALLS_WAIT},
    "providers": {
        "acme": {"kind": "openai", "models": {name: {"max_parallel_requests": 1} for name in ("bad", "good")}}
    },
    "plugins": {"task_policies": [], "request_limiters": [], "sinks": []},
}


class FaultyTaskRule:
    plugin_name = "faulty"

    @hookimpl
    def penstock_task_eligible(self) -> None:
        raise ValueError("secret words")


class RecoveringTaskRule:
    """Raises as many times as it is told to."""

    plugin_name = "faulty"
    left = 0

    @hookimpl
    def penstock_task_eligible(self) -> None:
        if self.left:
            self.left -= 1
            raise ValueError("secret words")


class FaultyRequestRule:
    plugin_name = "faulty"

    @hookimpl
    def penstock_request_eligible(self, item: RequestAdmissionItem) -> None:
        if item.resource.model_id == "bad":
            raise ValueError("secret words")


class FaultyClassifier:
    plugin_name = "faulty"

    @hookimpl
    def penstock_classify_outcome(self) -> None:
        raise ValueError("secret words")


class FaultyLimiter:
    """Limits nothing, and raises in one method, as many times as it is told to."""

    plugin_name = "faulty"

    def __init__(self, method: str, times: int = 1000) -> None:
        self._method = method
        self._left = times
        self.scope: Scope = ProviderModelKey("acme", "bad")

    @hookimpl
    def penstock_request_limiter(self, scope: Scope) -> Any:
        return self if scope == self.scope else None

    def fail(self, times: int) -> None:
        """Raise so many times more."""
        self._left = times

    def _called(self, method: str) -> None:
        if method == self._method and self._left:
            self._left -= 1
            raise ValueError("secret words")

    def check(self, item: object, now: float) -> None:
        self._called("check")

    def acquire(self, lease: object, now: float) -> None:
        self._called("acquire")

    def release(self, lease: object, token: object, outcome: object, now: float) -> tuple[()]:
        self._called("release")
        return ()

    def observe(self, hints: object, now: float) -> tuple[()]:
        return ()

    def set_cap(self, cap: object, now: float) -> tuple[()]:
        return ()

    def next_change(self, now: float) -> None:
        return None

    def snapshot(self, now: float) -> LimiterSnapshot:
        return LimiterSnapshot()


class Witness:
    """A sink that keeps what it is told of plugins' errors."""

    plugin_name = "witness"

    def __init__(self) -> None:
        self.errors: list[Mapping[str, Any]] = []

    @hookimpl
    def penstock_scheduler_event(self, event: RuntimeEvent) -> None:
        self.penstock_request_event(event)

    @hookimpl
    def penstock_request_event(self, event: RuntimeEvent) -> None:
        if event.event_kind == "plugin_error":
            self.errors.append(event.diagnostics or {})


async def call(model: str) -> str:
    async with penstock.request(f"acme/{model}") as attempt:
        await trio.sleep(1)
        attempt.answered(ResponseFacts(status=200))
    return "done"


def log_lines(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [each for each in caplog.records if each.exc_info]


async def test_a_call_goes_when_the_limiter_that_failed_has_recovered_by_the_end_of_the_wait(
    autojump_clock: MockClock,
) -> None:
    async with penstock.open_scheduler(CONFIG, plugins=[FaultyLimiter("check", times=2)]):
        assert await call("bad") == "done"
        assert trio.current_time() == CALLS_WAIT + 1


async def test_a_call_that_waits_for_a_broken_limiter_is_explained_by_it(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(CONFIG, plugins=[FaultyLimiter("check")]) as scheduler:
        handle = scheduler.start_soon(call, "bad")
        await trio.sleep(6)
        explained = scheduler.explain().splitlines()
        with pytest.raises(PluginError):
            await handle
    at = next(number for number, line in enumerate(explained) if line.startswith("acme/bad/chat: 1 waiting"))
    why = "1 refused, hard_policy_denial by faulty: raised ValueError at test_plugin_waits.py:"
    assert explained[at + 1].strip().startswith(why)
    assert explained[at + 1].endswith("for 6.0 s, until 24.0 s from now or the signal 'reconfigured' (local/default)")
    assert not any("wait for their turn: nothing" in line or "secret" in line for line in explained)
    assert scheduler.health().plugin_errors == {"faulty": 3}


@pytest.mark.parametrize("faulty", [FaultyRequestRule(), FaultyTaskRule()])
async def test_a_reconfiguration_without_the_broken_plugin_lets_go_who_waited_for_it(
    faulty: object, autojump_clock: MockClock
) -> None:
    async with penstock.open_scheduler(CONFIG, plugins=[faulty]) as scheduler:
        handle = scheduler.start_soon(call, "bad", group="bad")
        await trio.sleep(6)
        scheduler.reconfigure(plugins=[])
        assert await handle == "done"
        assert trio.current_time() == 7.0


@pytest.mark.parametrize("faulty", [FaultyRequestRule(), FaultyTaskRule()])
async def test_after_a_reconfiguration_that_mends_nothing_the_wait_begins_anew(
    faulty: object, autojump_clock: MockClock
) -> None:
    waits = CALLS_WAIT if isinstance(faulty, FaultyRequestRule) else TASKS_WAIT
    async with penstock.open_scheduler(CONFIG, plugins=[faulty]) as scheduler:
        handle = scheduler.start_soon(call, "bad", group="bad")
        await trio.sleep(6)
        scheduler.reconfigure(plugins=[faulty])
        with pytest.raises(PluginError, match="raised ValueError at test_plugin_waits") as caught:
            await handle
        assert caught.value.plugin == "faulty"
        assert trio.current_time() == 6 + waits


async def test_a_limiter_whose_counts_are_in_doubt_ends_later_calls_as_soon_as_the_first(
    autojump_clock: MockClock,
) -> None:
    async with penstock.open_scheduler(CONFIG, plugins=[FaultyLimiter("release")]) as scheduler:
        await call("bad")
        for asked_at in (10.0, 40.0):
            await trio.sleep_until(asked_at)
            with pytest.raises(PluginError) as caught:
                await call("bad")
            assert caught.value.plugin == "faulty"
            assert trio.current_time() == max(asked_at, 1.0 + CALLS_WAIT)
        assert await call("good") == "done"
    assert scheduler.requests.leases == (2, 2)


async def test_a_call_that_would_not_wait_that_long_is_refused_as_ever(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(CONFIG, plugins=[FaultyLimiter("check")]):
        with pytest.raises(penstock.RequestAdmissionError) as caught:
            async with penstock.request("acme/bad", timeout=5):
                pass
        assert caught.value.reason == "queue_timeout"
        assert trio.current_time() == 5.0


# -- how often it is told --


async def test_a_plugin_that_keeps_raising_is_told_once_a_second_and_logged_every_ten_minutes(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    faulty, witness = FaultyClassifier(), Witness()
    async with penstock.open_scheduler(CONFIG, plugins=[faulty, witness]):
        for _ in range(8):
            async with penstock.request("acme/good") as attempt:
                await trio.sleep(0.25)
                attempt.answered(ResponseFacts(status=200))
        assert [told["count"] for told in witness.errors] == [1, 5]
        assert len(log_lines(caplog)) == 1
        await trio.sleep(600)
        await call("good")
    assert len(log_lines(caplog)) == 2
    assert "(9 so far)" in log_lines(caplog)[1].getMessage()


class FaultyWitness(Witness):
    """A sink that keeps what it is told and goes wrong each time."""

    plugin_name = "faulty"

    @hookimpl
    def penstock_scheduler_event(self, event: RuntimeEvent) -> None:
        super().penstock_scheduler_event(event)
        raise ValueError("secret words")


async def test_a_sink_is_not_told_of_its_own_errors_and_others_are(autojump_clock: MockClock) -> None:
    faulty, witness = FaultyWitness(), Witness()
    async with penstock.open_scheduler(CONFIG, plugins=[faulty, witness]) as scheduler:
        await scheduler.start_soon(call, "good")
    assert faulty.errors == []
    assert {told["hook"] for told in witness.errors} == {"penstock_scheduler_event"}


async def test_calls_that_come_later_do_not_wait_anew_for_what_has_failed_long_enough(
    autojump_clock: MockClock,
) -> None:
    async with penstock.open_scheduler(CONFIG, plugins=[FaultyRequestRule()]):
        with pytest.raises(PluginError):
            await call("bad")
        assert trio.current_time() == CALLS_WAIT
        with pytest.raises(PluginError, match="having waited 0"):
            await call("bad")
        assert trio.current_time() == CALLS_WAIT
        assert await call("good") == "done"


async def test_tasks_of_a_group_that_come_later_do_not_wait_anew_for_what_has_failed_long_enough(
    autojump_clock: MockClock,
) -> None:
    async with penstock.open_scheduler(CONFIG, plugins=[FaultyTaskRule()]) as scheduler:
        for group, ended in (("a", TASKS_WAIT), ("a", TASKS_WAIT), ("b", 2 * TASKS_WAIT)):
            with pytest.raises(PluginError):
                await scheduler.start_soon(trio.sleep, 0, group=group)
            assert trio.current_time() == ended


async def test_a_task_waits_again_for_what_has_let_its_group_through_meanwhile(autojump_clock: MockClock) -> None:
    rule = RecoveringTaskRule()
    async with penstock.open_scheduler(CONFIG, plugins=[rule]) as scheduler:
        for times in (1, 2):
            rule.left = 1
            await scheduler.start_soon(trio.sleep, 0, group="a")
            assert trio.current_time() == times * TASKS_WAIT


async def test_what_has_failed_for_long_is_asked_again_by_each_call_and_waited_for_again_once_it_answered(
    autojump_clock: MockClock,
) -> None:
    limiter = FaultyLimiter("check", times=2)
    async with penstock.open_scheduler(CONFIG, plugins=[limiter]):
        assert await call("bad") == "done"
        limiter.fail(2)
        before = trio.current_time()
        assert await call("bad") == "done"
        assert trio.current_time() == before + CALLS_WAIT + 1

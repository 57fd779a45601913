"""Plugins in shadow: asked about what goes, counted beside how it ended, and without a say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import pytest
import trio
import trio.testing

import penstock
from penstock import (
    At,
    Denied,
    Hints,
    LimiterChange,
    LimiterSnapshot,
    ProviderModelKey,
    RequestAdmissionItem,
    RequestAdmissionLease,
    RequestReleaseOutcome,
    ResponseFacts,
    RuntimeEvent,
    Scheduler,
    Scope,
    SinkSpec,
    hookimpl,
)

PROVIDERS = {"acme": {"kind": "openai", "models": {"m": {"max_parallel_requests": 8}}}}


class TwoAtATime:
    """A limiter of two calls in flight; raises where it is told to."""

    def __init__(self, scope: Scope, raises: str = "") -> None:
        self.scope = scope
        self.raises = raises
        self.in_flight = 0

    def _may_raise(self, method: str) -> None:
        if method == self.raises:
            raise RuntimeError("secret words")

    def check(self, item: RequestAdmissionItem, now: float) -> Denied | None:
        self._may_raise("check")
        if self.in_flight < 2:
            return None
        return Denied("no_capacity", {At(now + 4.0)}, detail=f"{self.in_flight} in flight, limit 2")

    def acquire(self, lease: RequestAdmissionLease, now: float) -> object:
        self._may_raise("acquire")
        self.in_flight += 1
        return self.in_flight

    def release(
        self, lease: RequestAdmissionLease, token: object, outcome: RequestReleaseOutcome, now: float
    ) -> Sequence[LimiterChange]:
        self._may_raise("release")
        self.in_flight -= 1
        return [LimiterChange("request_limit_decreased", 2, 1)] if outcome.kind == "rate_limited" else []

    def observe(self, hints: Hints, now: float) -> Sequence[LimiterChange]:
        return ()

    def set_cap(self, cap: int | None, now: float) -> Sequence[LimiterChange]:
        return ()

    def next_change(self, now: float) -> float | None:
        return None

    def snapshot(self, now: float) -> LimiterSnapshot:
        return LimiterSnapshot(current_limit=2)


@attrs.frozen
class TwoConfig:
    raises: str = ""


class Two:
    """Makes `TwoAtATime` for each model."""

    plugin_name = "two"
    Config = TwoConfig

    def __init__(self, config: TwoConfig) -> None:
        self._config = config

    @hookimpl
    def penstock_request_limiter(self, scope: Scope) -> penstock.RequestLimiter | None:
        return TwoAtATime(scope, self._config.raises) if isinstance(scope, ProviderModelKey) else None


class Told:
    plugin_name = "told"
    sink = SinkSpec()

    def __init__(self) -> None:
        self.events: list[RuntimeEvent] = []

    @hookimpl
    def penstock_scheduler_event(self, event: RuntimeEvent) -> None:
        self.events.append(event)

    @hookimpl
    def penstock_request_event(self, event: RuntimeEvent) -> None:
        self.events.append(event)

    def notes(self, kind: str) -> list[Any]:
        return [(each.diagnostics or {}).get("shadow") for each in self.events if each.event_kind == kind]


def shadowed(**tables: Mapping[str, object]) -> dict[str, Any]:
    return {"providers": PROVIDERS, "plugins": {"request_limiters": [], "task_policies": [], **tables}}


async def four_calls(scheduler: Scheduler) -> int:
    """Four calls at a time, of which the last two are answered 429; how many were out at once at most."""
    out = most = 0

    async def call(number: int) -> None:
        nonlocal out, most
        async with penstock.request("acme/m") as attempt:
            out += 1
            most = max(most, out)
            await trio.sleep(1)
            out -= 1
            status = 429 if number >= 2 else 200
            attempt.answered(ResponseFacts(status=status))

    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(call, number)
            await trio.testing.wait_all_tasks_blocked()
    return most


async def test_a_limiter_in_shadow_refuses_nothing_and_is_counted_beside_what_happened(
    autojump_clock: trio.testing.MockClock,
) -> None:
    told = Told()
    async with penstock.open_scheduler(shadowed(two={"shadow": True}), plugins=[Two, told]) as scheduler:
        assert await four_calls(scheduler) == 4
    assert scheduler.report is not None
    (tally,) = scheduler.report.shadows
    assert (tally.plugin, tally.gate, tally.asked, tally.refused) == ("two", "requests", 4, 2)
    assert tally.reasons == {"no_capacity": 2}
    assert (tally.seconds, tally.timed) == (8.0, 2)
    assert tally.refused_ended == {"rate_limited": 2}
    assert tally.let_ended == {"success": 2}
    assert str(tally) == (
        "shadow two: would have refused 2 of 4 requests (2 no_capacity), for 4.0 s on average; "
        "of these 2 rate_limited; of the others 2 success"
    )
    first, second, third, fourth = told.notes("request_lease_acquired")
    assert first is second is None
    assert third == {
        "two": {
            "would_refuse": "no_capacity",
            "until": ["the moment 4.000"],
            "why": "2 in flight, limit 2",
            "for_seconds": 4.0,
        }
    }
    assert fourth["two"]["why"] == "3 in flight, limit 2"
    assert not told.notes("request_limit_decreased"), "no limit that holds was changed"


async def test_the_same_limiter_out_of_shadow_does_refuse(autojump_clock: trio.testing.MockClock) -> None:
    async with penstock.open_scheduler(shadowed(), plugins=[Two]) as scheduler:
        assert await four_calls(scheduler) == 2
    assert scheduler.report is not None
    assert scheduler.report.shadows == ()


async def test_a_call_that_waits_for_something_else_is_counted_once_and_its_explanation_names_the_shadow(
    autojump_clock: trio.testing.MockClock,
) -> None:
    config = shadowed(two={"shadow": True})
    config["providers"] = {"acme": {"models": {"m": {"max_parallel_requests": 3}}}}
    async with penstock.open_scheduler(config, plugins=[Two]) as scheduler, trio.open_nursery() as nursery:
        nursery.start_soon(four_calls, scheduler)
        await trio.sleep(0.5)
        text = scheduler.explain()
        assert "in shadow: no_capacity by two: 3 in flight, limit 2" in text
        assert "shadow two: would have refused 1 of 3 requests" in text
        (pressure,) = scheduler.requests.pressure.snapshots(trio.current_time()).values()
        assert pressure.current_limit is None
        assert [each.current_limit for each in pressure.shadows.values()] == [2]
        (tally,) = scheduler.explanation().shadows
        assert tally.asked == 3
    assert scheduler.report is not None
    assert (scheduler.report.shadows[0].asked, scheduler.report.shadows[0].refused) == (4, 2)


@pytest.mark.parametrize("method", ["check", "acquire", "release"])
async def test_a_limiter_that_raises_in_shadow_fails_nothing_and_is_named(
    method: str, autojump_clock: trio.testing.MockClock
) -> None:
    config = shadowed(two={"shadow": True, "raises": method})
    async with penstock.open_scheduler(config, plugins=[Two]) as scheduler:
        assert await four_calls(scheduler) == 4
    assert scheduler.report is not None
    (tally,) = scheduler.report.shadows
    assert tally.errors == (4 if method == "check" else 1), "one whose counts are in doubt is asked no more"
    assert tally.last_error == f"{method} of the limiter of acme/m raised RuntimeError"


class NoOddTasks:
    """Refuses tasks and calls of the group `odd`."""

    plugin_name = "no-odd"

    @hookimpl
    def penstock_task_eligible(self, task: penstock.SchedulableTask, now: float) -> Denied | None:
        return Denied("policy_denial", {At(now + 9.0)}) if "odd" in str(task.group.key) else None

    @hookimpl
    def penstock_request_eligible(self, item: RequestAdmissionItem, now: float) -> Denied | None:
        return Denied("hard_policy_denial", {At(now + 9.0)}) if item.group.key == "odd" else None


async def test_rules_in_shadow_are_counted_at_both_gates(autojump_clock: trio.testing.MockClock) -> None:
    told = Told()

    async def work(group: str) -> None:
        async with penstock.request("acme/m", group=penstock.RequestGroupSpec(group)) as attempt:
            attempt.answered(ResponseFacts(status=200))

    config = shadowed(**{"no-odd": {"shadow": True}})
    async with penstock.open_scheduler(config, plugins=[NoOddTasks, told]) as scheduler:
        for group in ("odd", "even", "odd"):
            scheduler.start_soon(work, group, group=group)
    assert trio.current_time() == 0.0, "nobody waited"
    assert scheduler.report is not None
    tasks, requests = scheduler.report.shadows
    assert (tasks.gate, tasks.asked, tasks.refused, tasks.reasons) == ("tasks", 3, 2, {"policy_denial": 2})
    assert (requests.gate, requests.asked, requests.refused) == ("requests", 3, 2)
    assert requests.refused_ended == {"success": 2}
    notes = [note for note in told.notes("task_lease_acquired") if note]
    assert [note["no-odd"]["would_refuse"] for note in notes] == ["policy_denial"] * 2


async def test_a_plugin_is_taken_out_of_shadow_while_the_run_goes_on(autojump_clock: trio.testing.MockClock) -> None:
    async with penstock.open_scheduler(shadowed(two={"shadow": True}), plugins=[Two]) as scheduler:
        assert await four_calls(scheduler) == 4
        scheduler.reconfigure(shadowed(two={"shadow": False}))
        assert await four_calls(scheduler) == 2
    assert scheduler.report is not None
    assert scheduler.report.shadows[0].asked == 4, "what was counted before is kept"


def test_a_policy_in_shadow_may_stand_beside_one_that_excludes_it() -> None:
    config = {
        "plugins": {"task_policies": ["strict-fair", "bounded-borrow"], "bounded-borrow": {"shadow": True}},
    }
    manager = penstock.PluginManager.from_config(penstock.load_config(config).config)
    assert manager.plugin("bounded-borrow").shadow
    assert not manager.plugin("strict-fair").shadow


@pytest.mark.parametrize("shadow", ["yes", 1])
def test_what_is_not_true_or_false_is_told_with_its_key(shadow: object) -> None:
    config = {"plugins": {"aimd": {"shadow": shadow}}}
    with pytest.raises(penstock.ConfigError, match=r"plugins\.aimd\.shadow: must be true or false, not"):
        penstock.PluginManager.from_config(penstock.load_config(config).config)


@pytest.mark.parametrize("plugin", ["fair", "jsonl"])
def test_a_plugin_that_cannot_be_in_shadow_is_told_with_its_key(plugin: str) -> None:
    config = {"plugins": {"sinks": [], plugin: {"shadow": True}}}
    with pytest.raises(penstock.ConfigError, match=rf"plugins\.{plugin}\.shadow: .*; take the key out"):
        penstock.PluginManager.from_config(penstock.load_config(config).config)


async def test_a_borrowing_policy_in_shadow_keeps_its_own_debts(autojump_clock: trio.testing.MockClock) -> None:
    config = {
        "scheduler": {"submission_capacity": 4},
        "plugins": {"task_policies": ["bounded-borrow"], "bounded-borrow": {"shadow": True}},
    }
    async with penstock.open_scheduler(config) as scheduler:
        for group in ("a", "a", "a", "a", "b", "b"):
            scheduler.start_soon(trio.sleep, 1, group=group)
        await trio.sleep(0.5)
        assert scheduler.admission.view().policy_debt_by_group_resource == {}
    assert scheduler.report is not None
    (tally,) = scheduler.report.shadows
    assert (tally.asked, tally.errors) == (6, 0)


@pytest.mark.parametrize("name", ["aimd", "cooldown", "latency", "token-budget"])
async def test_each_limiter_of_this_repository_bears_calls_that_it_would_have_refused(
    name: str, autojump_clock: trio.testing.MockClock
) -> None:
    table: dict[str, object] = {"shadow": True}
    if name == "token-budget":
        table["budgets"] = [{"provider": "acme", "requests": {"minute": 6}}]
    config = shadowed(**{name: table})
    config["plugins"]["request_limiters"] = [name]

    async def call(number: int) -> None:
        async with penstock.request("acme/m") as attempt:
            await trio.sleep(0.5)
            status = 429 if number % 3 == 0 else 200
            attempt.answered(ResponseFacts(status=status, headers={"retry-after": "2"}))

    async with penstock.open_scheduler(config) as scheduler:
        for number in range(60):
            scheduler.start_soon(call, number)
    assert trio.current_time() == pytest.approx(4.0), "eight at a time, and nobody was kept"
    assert scheduler.report is not None
    (tally,) = scheduler.report.shadows
    assert (tally.asked, tally.errors) == (60, 0)
    assert tally.refused > 0
    assert sum(tally.refused_ended.values()) == tally.refused
    assert sum(tally.let_ended.values()) == 60 - tally.refused


def test_a_plugin_may_not_have_the_key_itself() -> None:
    @attrs.frozen
    class OwnConfig:
        shadow: bool = False

    class Own:
        Config = OwnConfig

        @hookimpl
        def penstock_request_limiter(self, scope: Scope) -> None:
            return None

    with pytest.raises(penstock.PluginError, match="must not have the key 'shadow'"):
        penstock.PluginManager.from_config(penstock.PenstockConfig(), extra=[Own])


def test_a_plugin_in_no_list_is_in_no_shadow_either() -> None:
    config = {"plugins": {"request_limiters": [], "aimd": {"shadow": True}}}
    with pytest.raises(penstock.ConfigError, match=r"plugins\.aimd: this plugin is in no list"):
        penstock.PluginManager.from_config(penstock.load_config(config).config)

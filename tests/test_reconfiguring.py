"""A run that is given another configuration while it goes on, with the default stack, in virtual time."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import penstock
from penstock import (
    ConfigError,
    Denied,
    PluginError,
    RequestAdmissionError,
    RequestAdmissionItem,
    RequestReleaseOutcome,
    Scheduler,
    Settings,
    Signal,
    hookimpl,
)
from penstock.testing import ScriptedLimiter

CALL = penstock.RequestResourceKey("acme", "small", "chat")


def tables(**changes: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with one model; each of `changes` goes into the table of its name."""
    whole: dict[str, Any] = {
        "scheduler": {"submission_capacity": 8, "resources": {"gpu": 4}},
        "requests": {},
        "providers": {"acme": {"models": {"small": {"max_parallel_requests": 4}}}},
        "plugins": {"sinks": []},
    }
    return {name: {**table, **changes.get(name, {})} for name, table in whole.items()}


def capped(cap: int, **more: Any) -> dict[str, Any]:
    return {"acme": {"models": {"small": {"max_parallel_requests": cap, **more}}}}


class Door:
    """A rule that lets nobody in."""

    plugin_name = "door"

    @hookimpl
    def penstock_task_eligible(self) -> Denied | None:
        return Denied("policy_denial", {Signal("open")}, "all", detail="the door is shut")


class Harmless:
    """A rule with nothing to say."""

    plugin_name = "harmless"

    @hookimpl
    def penstock_request_eligible(self) -> Denied | None:
        return None


async def refused_call(retry_after: float) -> None:
    """A call that the provider refuses with this Retry-After."""
    async with penstock.request("acme/small") as attempt:
        attempt.outcome = RequestReleaseOutcome(kind="rate_limited", retry_after_seconds=retry_after)


async def call(seconds: float = 1.0) -> float:
    """A call that goes well; the moment at which it went out."""
    async with penstock.request("acme/small"):
        began = trio.current_time()
        await trio.sleep(seconds)
    return began


# -- all or nothing ----------------------------------------------------------------------------------------------------


class Unmakeable:
    """Its limiters cannot be made."""

    plugin_name = "unmakeable"

    @hookimpl
    def penstock_request_limiter(self) -> None:
        raise ZeroDivisionError


class Selfish:
    """Its limiters go on from no other."""

    plugin_name = "selfish"
    Config = penstock.ModelConfig

    @hookimpl
    def penstock_request_limiter(self, scope: Any, cap: int | None, settings: Settings) -> Any:
        limiter = ScriptedLimiter(scope)
        if settings.section.max_parallel_requests > 1:
            limiter.raises = {"adopt"}
        return limiter


@pytest.mark.parametrize("also", [Door(), Harmless()], ids=["a task rule", "a request rule"])
async def test_nothing_has_changed_where_a_factory_raises(autojump_clock: MockClock, also: object) -> None:
    plain: dict[str, Any] = {"request_limiters": []}
    async with penstock.open_scheduler(tables(plugins=plain)) as scheduler:
        await scheduler.start_soon(call)
        before = scheduler.plugins.active
        with pytest.raises(PluginError, match="penstock_request_limiter failed"):
            scheduler.reconfigure(tables(providers=capped(1), plugins=plain), plugins=[also, Unmakeable()])
        assert scheduler.plugins.active == before
        handles = [scheduler.start_soon(call) for _ in range(4)]
        assert [await handle for handle in handles] == [1.0] * 4
        assert scheduler.reconfigure().generation == 2


async def test_a_limiter_that_cannot_take_over_refuses_all(autojump_clock: MockClock) -> None:
    names = {"request_limiters": ["selfish"]}
    first = tables(plugins={**names, "selfish": {"max_parallel_requests": 1}})
    then = tables(plugins={**names, "selfish": {"max_parallel_requests": 2}}, scheduler={"submission_capacity": 1})
    async with penstock.open_scheduler(first, plugins=[Selfish()]) as scheduler:
        with pytest.raises(PluginError, match="adopt failed: ZeroDivisionError"):
            scheduler.reconfigure(then)
        assert scheduler.admission.view().resource_limits["submission"] == 8
        assert scheduler.plugins.config.sections["selfish"] == {"max_parallel_requests": 1}


async def test_every_problem_is_told_and_nothing_changes(autojump_clock: MockClock) -> None:
    wrong = tables(
        scheduler={"submission_capacity": 2, "resources": {"gpu": 1}, "seed": 3},
        providers=capped(1, domain_caps={"chat": 1}),
        plugins={"ready_queue": "fifo", "sinks": ["witness"]},
    )
    async with penstock.open_scheduler(tables()) as scheduler, trio.open_nursery() as nursery:
        scheduler.start_soon(trio.sleep, 5, needs={"gpu": 3})
        scheduler.start_soon(trio.sleep, 5, needs={"gpu": 2}, task_id="second")
        lease = scheduler.requests.try_acquire(RequestAdmissionItem(CALL, cost=penstock.RequestCost(4)))
        assert isinstance(lease, penstock.RequestAdmissionLease)
        nursery.start_soon(scheduler.requests.acquire, RequestAdmissionItem(CALL, cost=penstock.RequestCost(2)))
        await wait_all_tasks_blocked()
        with pytest.raises(ConfigError) as caught:
            scheduler.reconfigure(wrong, plugins=[Witness()])
        told = [str(problem).removeprefix("<mapping>: ").partition(": ")[0] for problem in caught.value.problems]
        assert told == [
            "scheduler.seed",
            "scheduler.resources.gpu",
            "providers.acme.models.small.max_parallel_requests",
            "plugins.ready_queue",
            "plugins.sinks",
        ]
        assert "must be at least 3, not 1: task 'task-1' and 1 more could then never run" in caught.value.problems[1]
        assert "must be at least 2, not 1: a call that waits asks for 2 at once" in caught.value.problems[2]
        wrong["plugins"]["task_policies"] = ["strict-fiar"]
        with pytest.raises(ConfigError) as caught:
            scheduler.reconfigure(wrong)
        assert len(caught.value.problems) == 5, "those of plugins beside the others"
        view = scheduler.admission.view()
        assert (view.resource_limits["submission"], view.resource_limits["gpu"]) == (8, 4)
        scheduler.requests.release(lease, RequestReleaseOutcome(kind="success"))


class Witness:
    plugin_name = "witness"

    @hookimpl
    def penstock_scheduler_event(self, event: object) -> None: ...


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"scheduler": {"seed": 1}}, "scheduler.seed"),
        ({"scheduler": {"explain_socket": True}}, "scheduler.explain_socket"),
        ({"plugins": {"ready_queue": "fifo"}}, "plugins.ready_queue"),
        ({"plugins": {"request_waiters": "fifo"}}, "plugins.request_waiters"),
        ({"plugins": {"fair": {"tokens_per_request": 5}}}, "plugins.fair"),
        ({"plugins": {"sinks": ["jsonl"], "jsonl": {"path": "x"}}}, "plugins.sinks"),
        ({"providers": {"acme": {"models": {}}}}, "providers.acme.models.small"),
        ({"providers": {"acme": {**capped(4)["acme"], "base_url": "https://b"}}}, "providers.acme.base_url"),
        ({"providers": capped(4, model="large")}, "providers.acme.models.small.model"),
    ],
)
async def test_what_cannot_change_is_refused_by_its_name(
    autojump_clock: MockClock, changes: Mapping[str, Any], path: str
) -> None:
    async with penstock.open_scheduler({**tables(), "scheduler": {"explain_socket": False}}) as scheduler:
        config = tables(**changes)
        config["scheduler"] = {"explain_socket": False, **changes.get("scheduler", {})}
        with pytest.raises(ConfigError) as caught:
            scheduler.reconfigure(config)
        (problem,) = caught.value.problems
        assert problem.startswith(f"<mapping>: {path}: cannot ")
        assert "put it back" in problem or "another name" in problem


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
async def test_a_run_does_not_wait_for_what_comes_by_a_pipe(autojump_clock: MockClock, tmp_path: Path) -> None:
    pipe = tmp_path / "run.toml"
    os.mkfifo(pipe)
    async with penstock.open_scheduler(tables()) as scheduler:
        with pytest.raises(ConfigError, match="is no plain file"):
            scheduler.reconfigure(pipe)


async def test_a_model_that_is_gone_is_refused_with_what_to_do(autojump_clock: MockClock) -> None:
    config = tables()
    del config["providers"]
    async with penstock.open_scheduler(tables()) as scheduler:
        with pytest.raises(
            ConfigError, match=r"providers\.acme: cannot be taken out while the run goes on; put it back"
        ):
            scheduler.reconfigure(config)


# -- what is known stays -----------------------------------------------------------------------------------------------


async def test_a_retry_after_outlives_a_rule_that_is_added(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(tables()) as scheduler:
        await refused_call(60.0)
        done = scheduler.reconfigure(plugins=[Harmless()])
        assert done.added == ("harmless",)
        assert (done.limiters["dropped"], done.limiters["made"]) == (0, 0)
        assert await call() == 60.0


async def test_a_retry_after_outlives_another_config_of_the_cooldown(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(tables()) as scheduler:
        await refused_call(60.0)
        done = scheduler.reconfigure(tables(plugins={"cooldown": {"maximum_seconds": 10.0, "default_seconds": 1.0}}))
        assert done.changed == ("cooldown",)
        assert (done.limiters["taken_over"], done.limiters["dropped"]) == (1, 0)
        assert await call() == 60.0


async def test_who_takes_over_hears_of_the_calls_that_were_out(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(tables()) as scheduler:
        async with penstock.request("acme/small") as attempt:
            scheduler.reconfigure(tables(plugins={"cooldown": {"default_seconds": 1.0}}))
            attempt.outcome = RequestReleaseOutcome(kind="rate_limited", retry_after_seconds=60.0)
        assert await call() == 60.0


async def test_a_days_budget_stays_spent(autojump_clock: MockClock) -> None:
    def budget(day: int) -> dict[str, Any]:
        table = {"budgets": [{"provider": "acme", "model": "small", "requests": {"day": day}}]}
        return {"request_limiters": ["token-budget"], "token-budget": table}

    async with penstock.open_scheduler(tables(plugins=budget(3))) as scheduler:
        for _ in range(3):
            await call()
        scheduler.reconfigure(plugins=[Harmless()])
        with pytest.raises(RequestAdmissionError):
            async with penstock.request("acme/small", timeout=0):
                raise AssertionError("the budget was forgotten")
        scheduler.reconfigure(tables(plugins=budget(5)), plugins=[])
        await call()
        await call()
        with pytest.raises(RequestAdmissionError):
            async with penstock.request("acme/small", timeout=0):
                raise AssertionError("what was spent of the smaller budget was forgotten")


async def test_a_learnt_limit_stays_and_fits_into_new_bounds(autojump_clock: MockClock) -> None:
    def learnt(scheduler: Scheduler) -> int | None:
        snapshot = scheduler.requests.pressure.snapshot(CALL, trio.current_time())
        assert snapshot is not None
        return snapshot.current_limit

    aimd = {"request_limiters": ["aimd"], "aimd": {"startup_ramp_seconds": 0.0}}
    async with penstock.open_scheduler(tables(plugins=aimd)) as scheduler:
        await refused_call(0.1)
        assert learnt(scheduler) == 3
        scheduler.reconfigure(plugins=[Harmless()])
        assert learnt(scheduler) == 3
        scheduler.reconfigure(tables(providers=capped(64), plugins=aimd))
        assert learnt(scheduler) == 3, "a raised cap is grown into"
        aimd["aimd"] = {"startup_ramp_seconds": 0.0, "effective_max": 2}
        scheduler.reconfigure(tables(providers=capped(64), plugins=aimd))
        assert learnt(scheduler) == 2


async def test_a_file_is_run_again_if_its_text_has_changed(autojump_clock: MockClock, tmp_path: Path) -> None:
    rules = tmp_path / "rules.py"
    text = "from penstock import *\n@hookimpl\ndef penstock_task_eligible(task):\n    return {}\n"
    rules.write_text(text.format("None"), encoding="utf-8")
    async with penstock.open_scheduler(tables(), plugins=[rules]) as scheduler:
        await scheduler.start_soon(trio.sleep, 1)
        assert "rules" in scheduler.reconfigure().kept
        rules.write_text(text.format("Denied('policy_denial', {Signal('open')}, detail='shut')"), encoding="utf-8")
        assert scheduler.reconfigure().changed == ("rules",)
        handle = scheduler.start_soon(trio.sleep, 1)
        await trio.sleep(5)
        assert handle.status == "pending"
        rules.write_text(text.format("1 / 0 if undefined else"), encoding="utf-8")
        with pytest.raises(PluginError, match="rules"):
            scheduler.reconfigure()
        rules.write_text(text.format("None"), encoding="utf-8")
        scheduler.reconfigure()
        await handle


# -- what can change ---------------------------------------------------------------------------------------------------


async def test_caps_limits_and_figures_change_and_are_told(autojump_clock: MockClock) -> None:
    limiters: dict[str, Any] = {"request_limiters": [], "task_policies": []}
    async with penstock.open_scheduler(tables(plugins=limiters)) as scheduler:
        calls = [scheduler.start_soon(call) for _ in range(20)]
        gpus = [scheduler.start_soon(trio.sleep, 1, needs={"gpu": 2}, group="gpu") for _ in range(2)]
        await trio.sleep(0.5)
        done = scheduler.reconfigure(
            tables(
                scheduler={
                    "submission_capacity": 32, "resources": {"gpu": 2, "disk": 1}, "stall_timeout": 5.0,
                    "max_attempts": 7, "retry_backoff": 2.0, "shutdown_grace": 1.0, "request_pressure": "ignore",
                },
                requests={"max_attempts": 9, "queue_wait_timeout": 50.0, "retry_budget": 0.5},
                providers={**capped(16), "other": {"models": {"m": {"max_parallel_requests": 1}}}},
                plugins=limiters,
            )
        )  # fmt: skip
        assert done.limits == {"submission": (8, 32), "gpu": (4, 2), "disk": (None, 1)}
        assert done.caps == {"acme/small": (4, 16), "other/m": (None, 1)}
        assert done.figures["scheduler.stall_timeout"] == (300.0, 5.0)
        assert done.figures["requests.retry_budget"] == (None, 0.5)
        assert json.loads(json.dumps(done.as_dict()))["caps"]["acme/small"] == [4, 16]
        assert "cap acme/small: 4 -> 16\n" in str(done)
        assert [await handle for handle in calls].count(0.5) == 12, "twelve more places, at once"
        for handle in gpus:
            await handle
        await scheduler.start_soon(trio.sleep, 1, needs={"disk": 1})
        async with penstock.request("other/m"):
            pass


async def test_more_than_a_lowered_limit_may_be_out(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(tables()) as scheduler:
        handles = [scheduler.start_soon(trio.sleep, 10) for _ in range(10)]
        await trio.sleep(1)
        scheduler.reconfigure(tables(scheduler={"submission_capacity": 1, "resources": {"gpu": 4}}))
        scheduler.check_invariants()
        for handle in handles:
            await handle
        assert trio.current_time() == 30.0
        scheduler.check_invariants()


async def test_a_stall_timeout_that_is_shorter_holds_at_once(autojump_clock: MockClock) -> None:
    with pytest.raises(penstock.StallError):  # noqa: PT012
        async with penstock.open_scheduler(tables(), plugins=[Door()]) as scheduler:
            scheduler.start_soon(trio.sleep, 1)
            scheduler.reconfigure(tables(scheduler={"stall_timeout": 7.0}))
    assert trio.current_time() == 7.0


async def test_an_admitted_limit_holds_for_tasks_that_are_queued(autojump_clock: MockClock) -> None:
    limits = {"submission_capacity": 8, "admitted_limits": {"local/a": 2}}
    async with penstock.open_scheduler(tables(scheduler={"submission_capacity": 8})) as scheduler:
        for name in "ab":
            for _ in range(40):
                scheduler.start_soon(trio.sleep, 1, group=name)
        await trio.sleep(0.5)
        scheduler.reconfigure(tables(scheduler=limits))
        await trio.sleep(1)
        running = scheduler.admission.view().running_counts_by_group
        assert {str(group): count for group, count in running.items()} == {"local/a": 2, "local/b": 6}


async def test_what_a_program_registered_by_itself_stays(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(tables()) as scheduler:
        scheduler.requests.register("acme", "small", cap=11)
        assert scheduler.reconfigure(tables(requests={"max_attempts": 9})).caps == {}
        snapshot = scheduler.requests.pressure.global_snapshot("acme", "small", 0.0)
        assert snapshot is not None
        assert snapshot.cap == 11


async def test_a_plugin_that_comes_under_way_is_told_of_the_run(autojump_clock: MockClock) -> None:
    class Noted:
        plugin_name = "noted"

        def __init__(self) -> None:
            self.told: list[str] = []

        @hookimpl
        def penstock_run_started(self) -> None:
            self.told.append("started")

        @hookimpl
        def penstock_run_finished(self) -> None:
            self.told.append("finished")

    first, second = Noted(), Noted()
    async with penstock.open_scheduler(tables(), plugins=[first]) as scheduler:
        scheduler.reconfigure(plugins=[first])
        scheduler.reconfigure(plugins=[second])
    assert (first.told, second.told) == (["started", "finished"],) * 2


# -- under load --------------------------------------------------------------------------------------------------------


def configurations(seed: int) -> Iterable[tuple[dict[str, Any], list[object]]]:
    """Random ones, of which some are wrong."""
    rng = Settings(seed=seed).rng("reconfigurations")
    rules: tuple[list[object], ...] = ([], [Harmless()], [Harmless(), Unmakeable()])
    while True:
        named = rng.sample(["cooldown", "aimd", "token-budget", "breaker", "latency"], rng.randrange(6))
        own: dict[str, dict[str, Any]] = {
            "cooldown": {"default_seconds": rng.choice((0.2, 1.0))},
            "aimd": {"successes_until_increase": rng.randrange(1, 5)},
            "token-budget": {"budgets": [{"provider": "acme", "requests": {"second": rng.randrange(5, 50)}}]},
            "breaker": {"minimum_calls": rng.randrange(5, 20)},
            "latency": {"initial_limit": rng.randrange(1, 9)},
        }
        shadows = {name: {**own[name], "shadow": rng.random() < 0.2} for name in named}
        policies = rng.choice((["strict-fair"], ["bounded-borrow"], []))
        config = tables(
            scheduler={
                "submission_capacity": rng.randrange(1, 12),
                "resources": {"gpu": rng.randrange(1, 4)},
                "seed": int(rng.random() < 0.1),
                "request_pressure": rng.choice(("advise", "ignore")),
                "admitted_limits": {"local/a": rng.randrange(1, 5)},
            },
            requests={"retry_budget": rng.choice((0.2, 0.9)), "max_attempts": 8},
            providers=capped(rng.randrange(1, 9)),
            plugins={"task_policies": policies, "request_limiters": named, **shadows},
        )
        yield config, rng.choice(rules)


@pytest.mark.parametrize("seed", range(12))
def test_reconfigurations_under_load_lose_no_lease_and_no_task(seed: int) -> None:
    rng = Settings(seed=seed).rng("load")
    ended = 0

    async def work() -> None:
        nonlocal ended
        for _ in range(3):
            async with penstock.request("acme/small") as attempt:
                await trio.sleep(rng.choice((0.0, 0.05, 0.3)))
                if rng.random() < 0.05:
                    attempt.outcome = RequestReleaseOutcome(kind="rate_limited", retry_after_seconds=0.5)
        ended += 1

    async def scenario() -> Scheduler:
        done = refused = 0
        async with penstock.open_scheduler(tables()) as scheduler:
            for number in range(120):
                needs = {"gpu": rng.randrange(1, 3)} if number % 5 == 0 else None
                scheduler.start_soon(work, group=rng.choice("abc"), needs=needs)
            for config, plugins in configurations(seed):
                try:
                    scheduler.reconfigure(config, plugins=plugins)
                    done += 1
                except (ConfigError, PluginError):
                    refused += 1
                scheduler.check_invariants()
                scheduler.requests.controller.check_invariants()
                await trio.sleep(rng.choice((0.0, 0.1, 0.4)))
                if done >= 15 and refused >= 2:
                    break
        return scheduler

    scheduler = trio.run(scenario, clock=MockClock(autojump_threshold=0))
    assert ended == 120
    report = scheduler.report
    assert report is not None
    assert (report.completed, report.not_done_count) == (120, 0)
    assert report.leases == (120, 120)
    assert report.request_leases == (360, 360)
    scheduler.requests.controller.check_invariants()


class Remembering:
    """A policy that counts how often it is made."""

    plugin_name = "remembering"

    def __init__(self) -> None:
        self.made = 0

    @hookimpl
    def penstock_task_policy(self, settings: Settings) -> Any:
        self.made += 1
        return Agreeing()


class Agreeing:
    def evaluate(self, *_: object) -> penstock.TaskAdmissionPolicyDecision:
        return penstock.TaskAdmissionPolicyDecision()

    def on_acquire(self, *_: object) -> None: ...

    def on_release(self, *_: object) -> None: ...


async def test_a_policy_stays_unless_the_limits_are_others(autojump_clock: MockClock) -> None:
    plugin = Remembering()
    async with penstock.open_scheduler(tables(), plugins=[plugin]) as scheduler:
        scheduler.reconfigure(tables(requests={"max_attempts": 9}))
        assert plugin.made == 1
        scheduler.reconfigure(tables(scheduler={"submission_capacity": 9}))
        assert plugin.made == 2


async def test_a_task_that_fitted_before_is_refused_at_the_door(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(tables()) as scheduler:
        await scheduler.start_soon(trio.sleep, 1, needs={"gpu": 3})
        scheduler.reconfigure(tables(scheduler={"resources": {"gpu": 2}}))
        with pytest.raises(penstock.TaskRefused, match="the limit is 2"):
            scheduler.start_soon(trio.sleep, 1, needs={"gpu": 3})


async def test_another_retry_budget_holds_for_what_is_left(autojump_clock: MockClock) -> None:
    calls = 0

    async def fails(attempt: penstock.Attempt) -> None:
        nonlocal calls
        calls += 1
        attempt.outcome = RequestReleaseOutcome(kind="provider_failure", status=500)
        raise ConnectionError

    async def tried(times: int) -> int:
        before = calls
        for _ in range(times):
            with pytest.raises(ConnectionError):
                await penstock.execute(fails, "acme/small", max_attempts=2)
        return calls - before

    plain: dict[str, Any] = {"request_limiters": []}
    async with penstock.open_scheduler(tables(plugins=plain, requests={"retry_budget": 0.0})) as scheduler:
        assert await tried(12) == 22, "ten retries are there from the start"
        scheduler.reconfigure(tables(plugins=plain, requests={"retry_budget": 1.0}))
        assert await tried(3) == 6


class Told(penstock.FifoTaskQueue):
    """A ready queue that wants to know of other limits."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: list[Mapping[str, int]] = []

    def limits_changed(self, limits: Mapping[str, int]) -> None:
        self.limits.append(limits)


async def test_a_ready_queue_is_told_of_other_limits(autojump_clock: MockClock) -> None:
    queue = Told()

    class Queue:
        @hookimpl
        def penstock_ready_queue(self) -> Told:
            return queue

    named = {"ready_queue": "Queue"}
    async with penstock.open_scheduler(tables(plugins=named), plugins=[Queue()]) as scheduler:
        scheduler.reconfigure(tables(plugins=named, requests={"max_attempts": 2}))
        scheduler.reconfigure(tables(plugins=named, scheduler={"submission_capacity": 9}))
    assert queue.limits == [{"submission": 9, "gpu": 4}]


async def test_how_long_a_call_waits_for_a_broken_rule_may_change(autojump_clock: MockClock) -> None:
    class Broken:
        @hookimpl
        def penstock_request_eligible(self) -> None:
            raise ZeroDivisionError

    async with penstock.open_scheduler(tables(), plugins=[Broken()]) as scheduler, trio.open_nursery() as nursery:

        async def fails() -> None:
            with pytest.raises(PluginError):
                await call()

        nursery.start_soon(fails)
        await wait_all_tasks_blocked()
        scheduler.reconfigure(tables(requests={"stall_timeout": 7.0}))
    assert trio.current_time() == 7.0

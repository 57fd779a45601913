"""Request pressure as advice, with the default stack and simulated providers, in virtual time.

64 places; provider `a` is in trouble, provider `b` is open with a cap of 32. What is held against what: the same run
in which `b` is alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
import trio
from trio.testing import MockClock

import penstock
from penstock import RuntimeEvent, SchedulingMetadata, hookimpl
from penstock.testing import Latency, ProviderLimits, SimulatedCalls

T = TypeVar("T")

A, B, C = "a/large", "b/small", "c/small"
EVER = 1e9
SECONDS = 150
THOUSANDS = 6000
ANSWERS = Latency(1.0, 0.5)


class Skipped:
    """Keeps the advisory events."""

    def __init__(self) -> None:
        self.events: list[RuntimeEvent] = []

    @hookimpl
    def penstock_scheduler_event(self, event: RuntimeEvent) -> None:
        if event.event_kind == "request_pressure_advisory_skipped":
            self.events.append(event)


def endpoints(*, outage: tuple[float, float] | None = None, cut_off: bool = False) -> SimulatedCalls:
    """`a`, which refuses with Retry-After 60 within the outage, and `b` and `c`, which never do."""
    in_trouble = ProviderLimits(outage=outage, retry_after=60.0, latency=ANSWERS, refusal_latency=0.05)
    healthy = ProviderLimits(latency=ANSWERS)
    return SimulatedCalls({A: in_trouble, B: healthy, C: healthy}, cut_off=cut_off)


def in_virtual_time(scenario: Callable[[], Awaitable[T]]) -> T:
    return trio.run(scenario, clock=MockClock(autojump_threshold=0))


async def pressed_run(
    calls: SimulatedCalls,
    mode: str = "advise",
    *,
    started: tuple[str, ...] = (A, B),
    caps: dict[str, int] | None = None,
    head_start: float = 0.0,
    seconds: float = SECONDS,
    **options: Any,
) -> None:
    """Thousands of tasks of each endpoint, for so long. The first endpoint has `head_start` seconds to itself."""
    config = calls.config(caps={A: 32, B: 32, C: 16, **(caps or {})}, request_pressure=mode)
    async with penstock.open_scheduler(config) as scheduler:
        for name in started:
            calls.start(scheduler, name, THOUSANDS, **options)
            await trio.sleep(head_start if name == started[0] else 0)
        await trio.sleep(seconds)
        scheduler.check_invariants()
        scheduler.cancel()


@pytest.fixture(scope="module")
def alone() -> int:
    """What `b` does when it has the places to itself."""
    calls = endpoints()
    in_virtual_time(lambda: pressed_run(calls, started=(B,)))
    return calls.done[B]


# -- one provider refuses everything -----------------------------------------------------------------------------------


@pytest.mark.parametrize("cap", [32, 256])
@pytest.mark.parametrize("head_start", [0.0, 5.0])
def test_a_provider_that_refuses_from_the_start_costs_the_other_nothing_and_itself_its_probes(
    alone: int, cap: int, head_start: float
) -> None:
    calls = endpoints(outage=(0, EVER))
    in_virtual_time(lambda: pressed_run(calls, caps={A: cap}, head_start=head_start))

    assert calls.done[B] >= 0.98 * alone
    first = calls.called_at[A][0]
    assert sum(moment < first + 1 for moment in calls.called_at[A]) <= 4, (
        "what the limiters let out before the first 429"
    )
    assert sum(moment > first + 1 for moment in calls.called_at[A]) == 2, "a probe every 60 s"


def test_without_advice_the_refused_tasks_take_all_places(alone: int) -> None:
    calls = endpoints(outage=(0, EVER))
    in_virtual_time(lambda: pressed_run(calls, "ignore"))

    assert calls.done[B] < 0.02 * alone


def test_a_provider_that_fails_in_the_middle_costs_the_other_nothing_within_its_share(alone: int) -> None:
    calls = endpoints(outage=(60, EVER), cut_off=True)
    in_virtual_time(lambda: pressed_run(calls))

    assert calls.done[B] >= 0.98 * alone
    assert sum(moment > 61 for moment in calls.called_at[A]) <= 3


def heavier(name: str, weight: float) -> dict[str, Any]:
    provider, _, model = name.partition("/")
    metadata = SchedulingMetadata.model(provider, model, weight=weight)
    return {"group": penstock.TaskSchedulingResolver().resolve(metadata).group}


async def run_with_weights(calls: SimulatedCalls, *, held: bool) -> float:
    """`a` has twice the weight of `b`, and fails after 60 s with all its calls; returns when the run began."""
    began = trio.current_time()
    async with penstock.open_scheduler(calls.config(caps={A: 64, B: 32})) as scheduler:
        calls.start(scheduler, A, THOUSANDS, held=held, **heavier(A, 64))
        calls.start(scheduler, B, THOUSANDS, held=held, **heavier(B, 32))
        await trio.sleep(SECONDS)
        scheduler.cancel()
    return began


def test_places_that_come_back_with_a_429_are_the_others_within_two_seconds() -> None:
    calls = endpoints(outage=(60, EVER), cut_off=True)
    began = in_virtual_time(lambda: run_with_weights(calls, held=False))

    assert calls.rate(B, began + 30, began + 60) < 23, "a third of the places"
    assert calls.rate(B, began + 62, began + SECONDS) > 30, "as many as its cap lets out"


def test_places_of_tasks_that_wait_inside_stay_taken_and_no_others_are() -> None:
    calls = endpoints(outage=(60, EVER), cut_off=True)
    began = in_virtual_time(lambda: run_with_weights(calls, held=True))

    assert 16 < calls.rate(B, began + 62, began + SECONDS) < 24, "the places that it had in that moment"


# -- it comes back -----------------------------------------------------------------------------------------------------


def test_a_provider_that_comes_back_has_its_tasks_at_once_and_none_is_lost() -> None:
    calls = endpoints(outage=(20, 50), cut_off=True)

    async def scenario() -> float:
        began = trio.current_time()
        async with penstock.open_scheduler(calls.config(caps={A: 32, B: 32})) as scheduler:
            calls.start(scheduler, A, 1500)
            calls.start(scheduler, B, 1500)
        assert scheduler.report is not None
        assert scheduler.report.completed == 3000
        assert scheduler.report.leases == (3000, 3000)
        return began

    began = in_virtual_time(scenario)
    assert calls.done == {A: 1500, B: 1500}
    opens = next(moment for moment in calls.called_at[A] if moment > began + 30)
    assert opens < began + 84, "60 s after the last call was refused, of those that were out"
    assert calls.rate(A, opens + 2, opens + 10) > 24, "before it was 30"


# -- others ------------------------------------------------------------------------------------------------------------


def test_of_a_full_a_cooling_and_an_open_provider_each_has_what_it_can_use() -> None:
    async def three(calls: SimulatedCalls, *started: str) -> dict[str, int]:
        config = calls.config(caps={A: 32, B: 32, C: 8})
        async with penstock.open_scheduler(config) as scheduler:
            for name in started:
                calls.start(scheduler, name, THOUSANDS)
            await trio.sleep(100)
            scheduler.cancel()
        return dict(calls.done)

    b_alone = in_virtual_time(lambda: three(endpoints(), B))[B]
    c_alone = in_virtual_time(lambda: three(endpoints(), C))[C]
    together = in_virtual_time(lambda: three(endpoints(outage=(0, EVER)), A, B, C))

    assert together[B] >= 0.98 * b_alone
    assert together[C] >= 0.98 * c_alone


def test_when_all_are_pressed_work_still_flows() -> None:
    calls = SimulatedCalls(
        {
            A: ProviderLimits(outage=(0, 20), retry_after=10.0, latency=ANSWERS),
            B: ProviderLimits(slots=2, retry_after=1.0, latency=ANSWERS),
        }
    )

    async def scenario() -> None:
        async with penstock.open_scheduler(calls.config(caps={A: 32, B: 32}, places=4)) as scheduler:
            calls.start(scheduler, A, 100)
            calls.start(scheduler, B, 100)

    in_virtual_time(scenario)
    assert calls.done == {A: 100, B: 100}


def test_a_task_for_no_model_goes_while_all_models_are_pressed() -> None:
    calls = endpoints(outage=(0, EVER))

    async def scenario() -> None:
        async with penstock.open_scheduler(calls.config(caps={A: 32}, places=2)) as scheduler:
            calls.start(scheduler, A, 50)
            await trio.sleep(1)
            with trio.fail_after(1):
                await scheduler.start_soon(trio.sleep, 0.5, group="local work")
            scheduler.cancel()

    in_virtual_time(scenario)


@pytest.mark.parametrize(("preparing", "answering", "cap"), [(0.0, 1.0, 32), (1.0, 0.1, 4), (0.0, 0.01, 1)])
def test_one_provider_alone_is_as_fast_with_advice_as_without(preparing: float, answering: float, cap: int) -> None:
    async def scenario(mode: str) -> int:
        calls = SimulatedCalls({A: ProviderLimits(latency=Latency(answering, 0.0))})

        async def work() -> None:
            await trio.sleep(preparing)
            await calls.work(A)

        group = SchedulingMetadata.model("a", "large")
        async with penstock.open_scheduler(calls.config(caps={A: cap}, request_pressure=mode)) as scheduler:
            for _ in range(2000):
                scheduler.start_soon(work, group=group)
            await trio.sleep(20)
            scheduler.cancel()
        return calls.done[A]

    advised = in_virtual_time(lambda: scenario("advise"))
    assert advised >= 0.99 * in_virtual_time(lambda: scenario("ignore"))


def test_a_capped_group_uses_the_places_of_one_that_stepped_back() -> None:
    calls = endpoints(outage=(0, EVER))

    async def scenario() -> int:
        limits = {"model/b/small/chat": 4}
        config = calls.config(caps={A: 32, B: 32}, admitted_limits=limits)
        async with penstock.open_scheduler(config) as scheduler:
            calls.start(scheduler, A, 1000)
            group = SchedulingMetadata.model("b", "small")
            calls.start(scheduler, B, 1000, group=group)
            await trio.sleep(10)
            at_work = calls.at_work[B]
            scheduler.cancel()
        return at_work

    assert in_virtual_time(scenario) >= 32, "its cap of 4 holds while a peer could run, and none can"


# -- being told, and being changed -------------------------------------------------------------------------------------


def test_a_group_that_steps_back_is_told_of_once_and_explained() -> None:
    calls = endpoints(outage=(0, EVER))
    skipped = Skipped()

    async def scenario() -> str:
        async with penstock.open_scheduler(calls.config(caps={A: 32}), plugins=[skipped]) as scheduler:
            calls.start(scheduler, A, 100, flow="summary")
            calls.start(scheduler, A, 100, flow="title")
            await trio.sleep(200)
            explained = scheduler.explain()
            scheduler.cancel()
        return explained

    explained = in_virtual_time(scenario)
    assert "policy_denial by request-pressure: a/large/chat is cooling down" in explained
    told = [(event.group, event.resource) for event in skipped.events]
    assert sorted(told) == [
        ("model/a/large/chat/summary", "a/large/chat"),
        ("model/a/large/chat/title", "a/large/chat"),
    ]
    for event in skipped.events:
        assert event.reason_or_outcome in ("cooldown", "no_capacity")
        assert event.correlation is not None
        assert event.correlation.scheduling_group_kind == "model"


def test_taking_the_cooldown_out_ends_it_at_the_task_gate_too() -> None:
    calls = endpoints(outage=(0, 1))

    async def scenario() -> None:
        async with penstock.open_scheduler(calls.config(caps={A: 32})) as scheduler:
            calls.start(scheduler, A, 100)
            await trio.sleep(5)
            scheduler.reconfigure()
            await trio.sleep(5)
            assert calls.done[A] == 0, "the cooldown stays as it is"
            scheduler.reconfigure(calls.config(caps={A: 32}, plugins={"request_limiters": []}))
            await trio.sleep(15)
            assert calls.done[A] == 100

    in_virtual_time(scenario)


def test_advice_outlives_a_change_of_the_plugins() -> None:
    calls = endpoints(outage=(0, EVER))

    async def scenario() -> int:
        async with penstock.open_scheduler(calls.config(caps={A: 32, B: 32})) as scheduler:
            scheduler.reconfigure()
            calls.start(scheduler, A, 1000)
            calls.start(scheduler, B, 1000)
            await trio.sleep(10)
            scheduler.signal("something else")
            scheduler.reconfigure()
            await trio.sleep(10)
            at_work = calls.at_work[A]
            scheduler.cancel()
        return at_work

    assert in_virtual_time(scenario) <= 2


def test_advice_is_heeded_for_as_long_as_the_configuration_says() -> None:
    calls = endpoints(outage=(0, EVER))

    async def scenario() -> list[int]:
        seen = []
        async with penstock.open_scheduler(calls.config(caps={A: 32, B: 32})) as scheduler:
            calls.start(scheduler, A, 1000)
            calls.start(scheduler, B, 1000)
            for mode in ("advise", "ignore"):
                scheduler.reconfigure(calls.config(caps={A: 32, B: 32}, request_pressure=mode))
                await trio.sleep(10)
                seen.append(calls.at_work[A])
            scheduler.cancel()
        return seen

    advised, ignored = in_virtual_time(scenario)
    assert advised <= 2
    assert ignored > 20


def test_a_model_that_is_made_known_late_is_heeded_from_then_on() -> None:
    calls = endpoints(outage=(0, EVER))

    async def scenario() -> int:
        async with penstock.open_scheduler(calls.config(caps={})) as scheduler:
            await scheduler.start_soon(trio.sleep, 1)
            scheduler.requests.register("a", "large", cap=32)
            calls.start(scheduler, A, 1000)
            await trio.sleep(10)
            at_work = calls.at_work[A]
            scheduler.cancel()
        return at_work

    assert in_virtual_time(scenario) == 1


def test_a_group_of_another_kind_says_itself_what_it_calls() -> None:
    calls = endpoints(outage=(0, EVER))
    named = penstock.TaskGroupSpec.named("mine", calls=[penstock.RequestResourceKey("a", "large", "chat")])

    async def scenario(group: penstock.TaskGroupSpec) -> int:
        async with penstock.open_scheduler(calls.config(caps={A: 32, B: 32})) as scheduler:
            calls.start(scheduler, A, 1000, group=group)
            await trio.sleep(10)
            at_work = calls.at_work[A]
            scheduler.cancel()
        calls.at_work.clear()
        return at_work

    assert in_virtual_time(lambda: scenario(penstock.TaskGroupSpec.named("unsaid"))) == 64
    assert in_virtual_time(lambda: scenario(named)) == 1

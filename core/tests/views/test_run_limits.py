"""Each moment of a run goes to the gate furthest downstream at which something waits."""

from __future__ import annotations

import pytest

from penstock.views.held_time import Cooldowns, HeldTime
from penstock.views.run_limits import RunLimits

MODEL = "acme/small/chat"


def a_run() -> tuple[RunLimits, Cooldowns]:
    cooldowns = Cooldowns()
    limits = RunLimits(cooldowns)
    limits.pass_time(0)
    return limits, cooldowns


def nonzero_seconds(limits: RunLimits) -> dict[str, float]:
    return {layer: seconds for layer, seconds in limits.seconds.items() if seconds}


def test_without_anything_to_do_a_run_waits_for_dependencies() -> None:
    limits, _ = a_run()
    limits.pass_time(3)
    assert nonzero_seconds(limits) == {"dependencies": 3}


def test_time_begins_with_the_first_moment_reported() -> None:
    limits = RunLimits(Cooldowns())
    limits.pass_time(1000)
    assert nonzero_seconds(limits) == {}


@pytest.mark.parametrize(("gate_blocked", "layer"), [(True, "task_capacity"), (False, "queue_order")])
def test_queued_tasks_wait_for_the_gate(gate_blocked: bool, layer: str) -> None:
    limits, _ = a_run()
    limits.phases["queued"] = 1
    limits.gate_blocked = gate_blocked
    limits.pass_time(2)
    assert nonzero_seconds(limits) == {layer: 2}


def test_of_several_things_that_stand_still_the_one_furthest_down_counts() -> None:
    limits, _ = a_run()
    moments = iter(range(1, 10))
    steps: list[str] = []

    def layer_now() -> None:
        before = dict(limits.seconds)
        limits.pass_time(next(moments))
        steps.extend(name for name, seconds in limits.seconds.items() if seconds != before[name])

    limits.phases["deferred"] = 1
    layer_now()
    limits.phases["running"] = 1
    layer_now()
    limits.acquire("l-1")
    layer_now()
    limits.phases["queued"] = 1
    layer_now()
    limits.start_wait("a-1", MODEL)
    layer_now()
    limits.end_wait("a-1")
    layer_now()
    assert steps == ["cooldown", "after", "provider", "queue_order", "request_wait", "queue_order"]


def test_a_wait_counts_as_a_cooldown_while_the_provider_asks_to_wait() -> None:
    limits, cooldowns = a_run()
    limits.start_wait("a-1", MODEL)
    cooldowns.hold(MODEL, 0, 2)
    limits.pass_time(5)
    assert nonzero_seconds(limits) == {"cooldown": 2, "request_wait": 3}


def test_the_resource_with_the_longest_line_speaks_for_the_run() -> None:
    limits, cooldowns = a_run()
    for attempt, resource in (("a-1", "acme/other/chat"), ("a-2", MODEL), ("a-3", MODEL)):
        limits.start_wait(attempt, resource)
    cooldowns.hold("acme/other/chat", 0, 5)
    limits.pass_time(5)
    assert nonzero_seconds(limits) == {"request_wait": 5}


def test_a_wait_that_is_reported_twice_is_one_wait() -> None:
    limits, _ = a_run()
    limits.start_wait("a-1", MODEL)
    limits.start_wait("a-1", MODEL)
    limits.end_wait("a-1")
    limits.end_wait("a-1")
    limits.pass_time(3)
    assert nonzero_seconds(limits) == {"dependencies": 3}


def test_a_call_that_is_back_is_out_no_longer() -> None:
    limits, _ = a_run()
    limits.acquire("l-1")
    limits.release("l-1")
    limits.release("l-1")
    limits.pass_time(3)
    assert nonzero_seconds(limits) == {"dependencies": 3}


# -- clocks --


def test_a_clock_runs_while_its_condition_holds() -> None:
    clock = HeldTime()
    assert clock.at(5) == 0
    clock.hold(5)
    assert clock.at(7) == 2
    clock.hold(8)
    clock.stop(9)
    assert clock.at(100) == 4


def test_of_two_ends_the_later_counts_and_an_end_in_the_past_is_none() -> None:
    clock = HeldTime()
    clock.hold(0, 3)
    clock.hold(1, 5)
    clock.hold(2, 4)
    assert clock.at(7) == 5
    clock.hold(7, 8)
    clock.hold(9, 8)
    assert clock.at(10) == 6


@pytest.mark.parametrize(
    ("scope", "cooled"),
    [("acme", 3), ("acme/small", 3), (MODEL, 3), ("acme/small/embedding", 0), ("acme/sma", 0), ("other", 0)],
)
def test_a_cooldown_of_a_provider_is_one_of_its_models(scope: str, cooled: float) -> None:
    cooldowns = Cooldowns()
    cooldowns.hold(scope, 0, 3)
    assert cooldowns.at(MODEL, 10) == cooled

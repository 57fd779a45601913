"""`penstock.request` and `penstock.execute`: what they take, and what a refusal tells; in virtual time."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import penstock
from penstock import At, ConfigError, Denied, RequestAdmissionError, RequestGroupSpec, hookimpl

CONFIG = {
    "providers": {"acme": {"models": {"small": {"max_parallel_requests": 1}}}},
    "plugins": {"request_limiters": [], "sinks": []},
}


class Keeper:
    """Keeps the groups of calls, and lets none go before the moment 60."""

    def __init__(self) -> None:
        self.groups: list[RequestGroupSpec] = []

    @hookimpl
    def penstock_request_eligible(self, item: penstock.RequestAdmissionItem, now: float) -> Denied | None:
        self.groups.append(item.group)
        return None if now >= 60 else Denied("hard_policy_denial", {At(60.0)}, detail="too early")


async def test_a_group_is_one_thing_behind_the_door(autojump_clock: MockClock) -> None:
    keeper = Keeper()
    await trio.sleep(60)
    async with penstock.open_scheduler(CONFIG, plugins=[keeper]):
        for group in ("a", RequestGroupSpec("a")):
            async with penstock.request("acme/small", group=group):
                pass
        wrong: Any = ["a"]
        with pytest.raises(ConfigError, match=r"group must be a name, a RequestGroupSpec or None, not \['a'\]"):
            penstock.request("acme/small", group=wrong)
    assert keeper.groups == [RequestGroupSpec("a"), RequestGroupSpec("a")]


async def test_a_misspelt_option_is_told_in_the_name_of_what_was_called(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(CONFIG):
        door: Any = penstock
        with pytest.raises(TypeError, match=r"request\(\) got an unexpected keyword argument 'time_out'"):
            door.request("acme/small", time_out=3)
        with pytest.raises(TypeError, match=r"execute\(\) got an unexpected keyword argument 'time_out'"):
            await door.execute(None, "acme/small", time_out=3)


async def test_a_refusal_tells_reason_words_conditions_and_one_moment(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(CONFIG, plugins=[Keeper()]):
        await trio.sleep(20)
        with pytest.raises(RequestAdmissionError) as raised:
            async with penstock.request("acme/small", timeout=0):
                pass
    refused = raised.value.denied
    assert (raised.value.reason, refused.reason) == ("hard_policy_denial", "hard_policy_denial")
    assert "too early" in refused.detail
    assert refused.until == {At(60.0)}
    assert (refused.retry_after_seconds, refused.available_after_monotonic) == (40.0, 60.0)


def test_outside_of_a_run_there_is_nobody_to_ask() -> None:
    with pytest.raises(RuntimeError, match="there is no run here"):
        penstock.request("acme/small")


async def test_a_pause_after_a_failed_attempt_is_told_with_its_end(autojump_clock: MockClock) -> None:
    async def fail(_: object) -> None:
        raise ValueError

    config = {**CONFIG, "requests": {"retry_on": ["unexpected_exception"], "retry_backoff": 8.0}}
    async with penstock.open_scheduler(config) as scheduler:
        scheduler.start_soon(penstock.execute, fail, "acme/small")
        await trio.sleep(1)
        (pause,) = scheduler.explanation().requests.pauses
        assert (pause.resource, pause.calls) == ("acme/small/chat", 1)
        assert 3.0 <= pause.ends_in == pause.moment - 1.0 <= 7.0
        assert "acme/small/chat: 1 call pauses after a failed attempt, until " in scheduler.explain()
        json.dumps(scheduler.explanation().as_dict(), allow_nan=False)
        scheduler.cancel()


async def test_who_waits_for_a_place_is_in_the_records_of_the_run(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(CONFIG) as scheduler, trio.open_nursery() as nursery:

        async def call(group: str) -> None:
            async with penstock.request("acme/small", group=group):
                await trio.sleep(10)

        for tenant in ("a", "b", "c"):
            nursery.start_soon(call, tenant)
        await trio.sleep(1)
        ((standing,), told) = (scheduler.explanation().requests.resources, scheduler.explain())
        assert [(refused.waiting, refused.reason) for refused in standing.refusals] == [(2, "no_capacity")]
        assert "2 refused, no_capacity by core" in told
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("name", ["acme/smal", "acmee/small", "acme/quik"])
async def test_a_model_that_is_not_configured_is_refused_with_what_was_probably_meant(
    autojump_clock: MockClock, name: str
) -> None:
    models = {"small": {"max_parallel_requests": 1}, "quick": {"model": "q-2026", "max_parallel_requests": 1}}
    async with penstock.open_scheduler({**CONFIG, "providers": {"acme": {"models": models}}}):
        with pytest.raises(RequestAdmissionError, match=r"did you mean 'acme/(small|quick)'") as raised:
            async with penstock.request(name):
                pass
        assert raised.value.reason == "never_fits"


async def test_a_model_that_is_like_no_other_is_refused_with_what_to_configure(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(CONFIG):
        with pytest.raises(RequestAdmissionError, match=r"not configured: add \[providers\.other\.models\.huge\]"):
            async with penstock.request("other/huge"):
                pass

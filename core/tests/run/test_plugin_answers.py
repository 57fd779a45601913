"""What plugins make may be of any kind: what cannot be looked at is named, and what is odd alone is taken as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
import trio
from trio.testing import MockClock

import penstock
from penstock import (
    LimiterChange,
    LimiterSnapshot,
    PluginError,
    PolicyStateDelta,
    ProviderModelKey,
    RuntimeEvent,
    Scope,
    TaskAdmissionPolicyDecision,
    hookimpl,
)

CONFIG: dict[str, Any] = {
    "requests": {"stall_timeout": 30.0},
    "providers": {"acme": {"models": {name: {"max_parallel_requests": 1} for name in ("bad", "good")}}},
}


class Policy:
    """A policy that agrees, and counts to whom."""

    def __init__(self) -> None:
        self.agreed = 0

    def evaluate(self, *_: object) -> Any:
        return TaskAdmissionPolicyDecision()

    def on_acquire(self, *_: object) -> PolicyStateDelta | None:
        self.agreed += 1
        return None

    def on_release(self, *_: object) -> None: ...


class Limiter:
    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def check(self, *_: object) -> Any:
        return None

    def acquire(self, *_: object) -> None: ...

    def release(self, *_: object) -> Any:
        return ()

    def set_cap(self, *_: object) -> Any:
        return ()

    def next_change(self, now: float) -> None: ...

    def snapshot(self, now: float) -> LimiterSnapshot:
        return LimiterSnapshot()


class Plugin:
    """A plugin of the policy and the limiter that it is given."""

    plugin_name = "odd"

    def __init__(self, policy: Any = None, limiter: Any = None) -> None:
        self._policy, self._limiter = policy, limiter

    @hookimpl
    def penstock_task_policy(self) -> Any:
        return None if self._policy is None else self._policy()

    @hookimpl
    def penstock_request_limiter(self, scope: Scope) -> Any:
        return self._limiter(scope) if self._limiter and scope == ProviderModelKey("acme", "bad") else None


class Looked:
    """It looks up among its own figures whatever it does not have."""

    def __getattr__(self, name: str) -> NoReturn:
        raise KeyError(name)


class LookedPolicy(Looked, Policy): ...


class LookedLimiter(Looked, Limiter): ...


@pytest.mark.parametrize("plugin", [Plugin(policy=LookedPolicy), Plugin(limiter=LookedLimiter)])
async def test_a_plugin_whose_product_cannot_be_looked_at_is_named_when_the_run_is_opened(
    plugin: Plugin, autojump_clock: MockClock
) -> None:
    with pytest.raises(PluginError) as caught:
        async with penstock.open_scheduler(CONFIG, plugins=[plugin]):
            pass
    assert caught.value.plugin == "odd"
    assert "KeyError" in str(caught.value)


class HasAll:
    """It has every attribute that it is asked for, and answers nonsense."""

    def __call__(self, *_: object) -> Any:
        return "nonsense"

    def __getattr__(self, name: str) -> HasAll:
        return HasAll()


class WrapsItself:
    __wrapped__: object

    def __call__(self, *_: object) -> Any:
        return "nonsense"


WrapsItself.__wrapped__ = WrapsItself()


@pytest.mark.parametrize("method", [HasAll(), WrapsItself()], ids=["has all", "wraps itself"])
@pytest.mark.parametrize("kind", ["policy", "limiter"])
async def test_a_wrong_answer_of_what_is_no_function_ends_who_waits_for_it_alone(
    kind: str, method: Any, autojump_clock: MockClock
) -> None:
    class OddPolicy(Policy): ...

    class OddLimiter(Limiter): ...

    OddPolicy.evaluate = OddLimiter.check = method  # type: ignore[method-assign]

    async def call() -> str:
        async with penstock.request("acme/bad"):
            return "done"

    async def other() -> str:
        async with penstock.request("acme/good"):
            return "done"

    plugin = Plugin(policy=OddPolicy) if kind == "policy" else Plugin(limiter=OddLimiter)
    config = CONFIG | {"scheduler": {"stall_timeout": 30.0}}
    async with penstock.open_scheduler(config, plugins=[plugin]) as scheduler:
        handles = scheduler.start_soon(call), scheduler.start_soon(other)
        with trio.fail_after(100):
            for handle in handles:
                await handle.wait()
        assert isinstance(handles[0].error, PluginError)
        if kind == "limiter":
            assert handles[1].result() == "done"
        else:
            assert isinstance(handles[1].error, PluginError)
        scheduler.check_invariants()
    assert {each.plugin for each in scheduler.report.plugin_failures} == {"odd"}  # type: ignore[union-attr]


class Heard:
    """It keeps the kinds of the events of the request gate."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    @hookimpl
    def penstock_request_event(self, event: RuntimeEvent) -> None:
        self.kinds.append(event.event_kind)


async def test_changes_that_a_limiter_yields_are_told_like_those_that_it_returns(autojump_clock: MockClock) -> None:
    class Yields(Limiter):
        def release(self, *_: object) -> Iterator[LimiterChange]:
            yield LimiterChange("request_limit_decreased", 2, 1)

    heard = Heard()
    plugins = [Plugin(limiter=Yields), heard]
    async with penstock.open_scheduler(CONFIG, plugins=plugins), penstock.request("acme/bad"):
        pass
    assert heard.kinds.count("request_limit_decreased") == 1


async def test_a_policy_that_counts_as_false_stays_when_others_are_reconfigured(autojump_clock: MockClock) -> None:
    made: list[Policy] = []

    class Empty(Policy):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

        def __len__(self) -> int:
            return 0

    async def nothing() -> None: ...

    plugin = Plugin(policy=Empty)
    async with penstock.open_scheduler(CONFIG, plugins=[plugin]) as scheduler:
        await scheduler.start_soon(nothing)
        scheduler.reconfigure(CONFIG | {"requests": {"stall_timeout": 31.0}})
        await scheduler.start_soon(nothing)
    assert [each.agreed for each in made] == [2]

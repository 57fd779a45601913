"""The run of a scenario: the request gate as users get it, scripted endpoints, and trio's virtual clock.

Nothing here is a model of Penstock: `open_scheduler` puts the gate together from a configuration, plugins included, and
every call is a trio task that awaits `execute`. trio shuffles tasks that are due at the same moment; that is
seeded here, so that a seed gives the same run again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import trio
from attrs import evolve, field, frozen
from trio._core import _run
from trio.testing import MockClock

from penstock.config.reading import PenstockConfig
from penstock.events.records import RuntimeEvent
from penstock.executor.attempt import Attempt
from penstock.executor.executor import ModelRequestExecutor
from penstock.plugins.discovery import Installed, installed
from penstock.plugins.manager import PluginManager
from penstock.requests.items import RequestAdmissionError, RequestCost, RequestGroupSpec
from penstock.requests.verdict import Usage
from penstock.run.opening import open_scheduler
from penstock.testing.scenarios.figures import figures_of, ideal_seconds
from penstock.testing.scenarios.log import RunLog
from penstock.testing.scenarios.scenario import AGAINST_ALONE, Scenario
from penstock.testing.scripted_endpoint import EndpointError, ScriptedEndpoint
from penstock.words.capacity_plan import AsyncCapacityPlan
from penstock.words.errors import ConfigError

__all__ = ["ScenarioResult", "missing_plugins", "run_scenario"]

MODEL: Final = "model"
TIMEOUT_FACTOR: Final = 10
"""The timeout of a run, as a multiple of the ideal; what is not done then is lost."""


@frozen
class ScenarioResult:
    """The figures of one scenario with one seed, by name.

    A figure that could not be measured (no window was long enough, no call succeeded) is missing.
    """

    scenario: str
    seed: int
    figures: Mapping[str, float]
    capacity: AsyncCapacityPlan | None = field(default=None, repr=False)
    """What limited the run."""


def missing_plugins(scenario: Scenario, there: Installed | None = None) -> list[str]:
    """The plugins of the scenario's stack that are not installed."""
    known = installed() if there is None else there
    return [name for name in scenario.stack if name not in known.plugins]


def run_scenario(scenario: Scenario, seed: int, plugins: Mapping[str, Any] | None = None) -> ScenarioResult:
    """The figures of a scenario, which is run in virtual time. `plugins` goes into the table of that name in the
    configuration.

    Raises `ConfigError` if a plugin of its stack is not installed. Not for use inside a trio run.
    """
    missing = missing_plugins(scenario)
    if missing:
        raise ConfigError(f"{scenario.name}: stack names {', '.join(missing)}, which is not installed")
    log = _log_of(scenario, seed, plugins or {})
    figures = figures_of(scenario, log)
    if scenario.large is not None and log.done:
        without = _log_of(evolve(scenario, large=None, must=()), seed, plugins or {})
        figures["against_without"] = log.done[-1].at / without.done[-1].at
    for name in scenario.compared:
        alone = evolve(scenario, providers={name: scenario.providers[name]}, caps={name: scenario.caps[name]}, must=())
        taken = _log_of(alone, seed, plugins or {}).done[-1].at
        mine = [done.at for done in log.done if done.provider == name]
        if len(mine) == scenario.calls:
            figures[name + AGAINST_ALONE] = taken / mine[-1]
    return ScenarioResult(scenario.name, seed, figures, log.capacity)


def _log_of(scenario: Scenario, seed: int, plugins: Mapping[str, Any]) -> RunLog:
    run = _Run(scenario, seed)
    with _seeded_trio(seed):
        trio.run(run.carry_out, _config(scenario, seed, plugins), clock=MockClock(autojump_threshold=0))
    return run.log


@contextmanager
def _seeded_trio(seed: int) -> Iterator[None]:
    """A block within which trio shuffles by `seed`, as Hypothesis and pytest-trio do it, since there is no public
    way."""
    before = _run._r.getstate(), _run._ALLOW_DETERMINISTIC_SCHEDULING
    _run._r.seed(seed)
    _run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    try:
        yield
    finally:
        _run._r.setstate(before[0])
        _run._ALLOW_DETERMINISTIC_SCHEDULING = before[1]  # type: ignore[misc]


def _config(scenario: Scenario, seed: int, plugins: Mapping[str, Any]) -> dict[str, Any]:
    limiters = PluginManager.from_config(PenstockConfig()).chosen.asked["request_limiters"]
    return {
        "scheduler": {"seed": seed},
        "requests": {"max_attempts": 1_000_000},
        "providers": {name: {"models": {MODEL: {"max_parallel_requests": cap}}} for name, cap in scenario.caps.items()},
        "plugins": {
            "sinks": [],
            "request_limiters": list(dict.fromkeys([*limiters, *scenario.stack])),
            **scenario.plugins,
            **plugins,
        },
    }


class _Run:
    """One run of a scenario."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.log = RunLog()
        self.scenario = scenario
        self._seed = seed
        self._quiet = scenario.quiet
        self._began = 0.0
        self._left = 0
        self._over = trio.CancelScope()

    async def carry_out(self, config: Mapping[str, Any]) -> None:
        scenario, log = self.scenario, self.log
        async with open_scheduler(config) as scheduler:
            scheduler.request_events.subscribe(self._count_decrease)
            self._began = trio.current_time()
            with self._over:
                async with trio.open_nursery() as nursery:
                    for provider, limits in scenario.providers.items():
                        endpoint = ScriptedEndpoint(limits, random.Random(f"{self._seed}/{provider}"))
                        self._start_large(nursery, provider, endpoint, scheduler.requests)
                        for tenant, group, calls in self._callers(provider):
                            log.waiting[tenant] = log.waiting.get(tenant, 0) + calls
                            if provider in scenario.judged:
                                self._left += calls
                            sizes = random.Random(f"{self._seed}/tokens of {tenant}")
                            for number in range(calls):
                                await self._quiet_until(number)
                                cost, tokens = RequestCost(), 0
                                if scenario.tokens is not None:
                                    estimate, tokens = scenario.tokens.draw(sizes)
                                    cost = RequestCost(input_tokens=estimate)
                                log.true_tokens += tokens
                                caller = _Caller(self, scheduler.requests, endpoint, provider, tenant, tokens)
                                nursery.start_soon(caller.call, group, cost)
                    self._over.deadline = self._began + self._timeout()
            issued, returned = scheduler.requests.leases
            log.leases_left, log.capacity = issued - returned, scheduler.capacity_plan()

    async def _quiet_until(self, number: int) -> None:
        """Wait for the moment of the call with this number, if it is of the quiet start, or the first after it."""
        quiet = self._quiet
        if quiet is not None and 0 < number <= quiet.calls:
            await trio.sleep_until(self._began + number * quiet.every)

    def now(self) -> float:
        return trio.current_time() - self._began

    def _start_large(
        self, nursery: trio.Nursery, provider: str, endpoint: ScriptedEndpoint, executor: ModelRequestExecutor
    ) -> None:
        large = self.scenario.large
        if large is None:
            return
        self._left += large.calls
        self.log.waiting[provider] = large.calls
        for number in range(large.calls):
            caller = _Caller(self, executor, endpoint, provider, provider, large.tokens, large=number)
            nursery.start_soon(caller.call_at, self._began + large.at)

    def count_end(self, provider: str) -> None:
        if provider in self.scenario.judged:
            self._left -= 1
            if self._left == 0:
                self._over.cancel()  # the calls that are left go to providers that are not judged

    def _callers(self, provider: str) -> list[tuple[str, RequestGroupSpec | None, int]]:
        tenants = self.scenario.tenants
        if not tenants:
            return [(provider, None, self.scenario.calls + (self._quiet.calls if self._quiet else 0))]
        return [(name, RequestGroupSpec(name, one.weight), one.calls) for name, one in tenants.items()]

    def _timeout(self) -> float:
        scenario = self.scenario
        ideal = max(ideal_seconds(scenario, name, scenario.calls, self.log.true_tokens) for name in scenario.judged)
        return (TIMEOUT_FACTOR * ideal if math.isfinite(ideal) else 0.0) + 3600.0

    def _count_decrease(self, event: RuntimeEvent) -> None:
        if event.event_kind == "request_limit_decreased":
            self.log.limit_falls += 1


class _Caller:
    """One call of a tenant, which is made until it succeeds."""

    def __init__(
        self,
        run: _Run,
        executor: ModelRequestExecutor,
        endpoint: ScriptedEndpoint,
        provider: str,
        tenant: str,
        tokens: int,
        *,
        large: int | None = None,
    ) -> None:
        self._run = run
        self._executor = executor
        self._endpoint = endpoint
        self._provider = provider
        self._tenant = tenant
        self._tokens = tokens
        self._large = large
        self._timeout = math.inf if run.scenario.client_timeout is None else run.scenario.client_timeout

    async def call(self, group: RequestGroupSpec | None, cost: RequestCost) -> None:
        run = self._run
        try:
            await self._executor.execute(self._once, f"{self._provider}/{MODEL}", cost=cost, group=group)
        except (EndpointError, RequestAdmissionError):
            if not run.scenario.gives_up:
                raise
            run.log.given_up += 1
        run.count_end(self._provider)

    async def call_at(self, moment: float) -> None:
        await trio.sleep_until(moment)
        await self.call(RequestGroupSpec("large"), RequestCost(input_tokens=self._tokens))

    async def _once(self, attempt: Attempt) -> None:
        log, sent_at = self._run.log, self._run.now()
        log.goes_out(self._provider, self._tenant, sent_at)
        facts = None
        with trio.move_on_after(self._timeout):
            facts = await self._endpoint.call(self._tenant, self._tokens)
        now = self._run.now()
        if facts is None:
            log.comes_back(self._provider, self._tenant, now, refused=False)
            raise TimeoutError("no answer in time")  # as a client's read timeout: the call had gone out
        attempt.answered(facts, Usage(self._tokens, 0) if facts.status == 200 else None)
        if facts.status == 200:
            log.succeeds(self._provider, self._tenant, sent_at, now)
        else:
            if self._large is not None:
                log.large_refused[self._large] = log.large_refused.get(self._large, 0) + 1
            log.comes_back(self._provider, self._tenant, now, refused=facts.status == 429 and self._large is None)
            raise EndpointError(f"{self._provider} answered {facts.status}")

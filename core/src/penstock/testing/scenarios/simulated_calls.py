"""The tasks of a run that call simulated endpoints, in virtual time: both gates and the provider, and no network.

    calls = SimulatedCalls({"acme/small": ProviderLimits(slots=8)})
    async with penstock.open_scheduler(calls.config(caps={"acme/small": 32})) as scheduler:
        calls.start(scheduler, "acme/small", 1000)
    assert calls.done["acme/small"] == 1000

Each task makes one call with `penstock.execute`, and so waits out every 429 where it stands; or, `held=False`, with
`penstock.request`: then a 429 is the task's own failure, and it waits at the first gate for its next try.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import trio

import penstock
from penstock.testing.provider.limits import ProviderLimits
from penstock.testing.provider.provider import Granted, Refused, SimulatedModel
from penstock.testing.scripted_endpoint import EndpointError

__all__ = ["SimulatedCalls"]


class SimulatedCalls:
    """The endpoints of a run by `provider/model`, each of which lives from its first call on, and the counts of calls.

    `cut_off`: an outage refuses also the calls that were out when it began, when they would have been answered.
    """

    def __init__(self, limits: Mapping[str, ProviderLimits], *, cut_off: bool = False, seed: int = 1) -> None:
        self._limits = limits
        self._cut_off = cut_off
        self._seed = seed
        self._began: dict[str, float] = {}
        self._models: dict[str, SimulatedModel] = {}
        self.done: Counter[str] = Counter()
        """The number of tasks that have ended, by endpoint."""
        self.finished_at: dict[str, list[float]] = {name: [] for name in limits}
        """The moments at which they did."""
        self.called_at: dict[str, list[float]] = {name: [] for name in limits}
        """The moments at which calls came in, the refused ones included."""
        self.at_work: Counter[str] = Counter()
        """The number of tasks that hold a place now."""

    def config(
        self, *, caps: Mapping[str, int], places: int = 64, plugins: Mapping[str, Any] | None = None, **scheduler: Any
    ) -> dict[str, Any]:
        """A configuration with these models and so many places; `scheduler` goes into its table."""
        providers: dict[str, Any] = {}
        for name, cap in caps.items():
            provider, _, model = name.partition("/")
            models = providers.setdefault(provider, {"models": {}})["models"]
            models[model] = {"max_parallel_requests": cap}
        return {
            "scheduler": {"submission_capacity": places, **scheduler},
            "providers": providers,
            "plugins": {"sinks": [], **(plugins or {})},
        }

    def start(
        self, scheduler: penstock.Scheduler, name: str, count: int, *, held: bool = True, flow: str = "", **options: Any
    ) -> list[penstock.TaskHandle[None]]:
        """The handles of `count` new tasks that call this endpoint, all of one group of kind `model`, or `group`."""
        provider, _, model = name.partition("/")
        if "group" not in options:
            resolver = penstock.TaskSchedulingResolver()
            metadata = penstock.SchedulingMetadata.model(provider, model)
            options["group"] = resolver.resolve(metadata, flow=(flow,) if flow else ()).group
        return [scheduler.start_soon(self.work, name, held, **options) for _ in range(count)]

    async def work(self, name: str, held: bool = True) -> None:
        """Make the call of one task."""
        self.at_work[name] += 1
        try:
            if held:
                await penstock.execute(lambda attempt: self._call(name, attempt), name)
            else:
                async with penstock.request(name) as attempt:
                    await self._call(name, attempt)
        finally:
            self.at_work[name] -= 1
        self.done[name] += 1
        self.finished_at[name].append(trio.current_time())

    async def _call(self, name: str, attempt: penstock.Attempt) -> None:
        model = self._model(name)
        now = trio.current_time()
        self.called_at[name].append(now)
        answer = model.arrive(now, name, 1)
        if isinstance(answer, Granted):
            await trio.sleep(answer.finish_after)
            now = trio.current_time()
            model.finish(answer.ticket, now)
            if not (self._cut_off and self._limits[name].in_outage(now - self._began[name])):
                attempt.answered(penstock.ResponseFacts(status=200, headers=answer.headers))
                return
            answer = model.arrive(now, name, 0)  # it gets the answer of those that come now
        assert isinstance(answer, Refused), "these endpoints neither queue nor hang"
        await trio.sleep(answer.after)
        attempt.answered(penstock.ResponseFacts(status=answer.status, headers=answer.headers))
        raise EndpointError(f"{name} answered {answer.status}")

    def _model(self, name: str) -> SimulatedModel:
        model = self._models.get(name)
        if model is None:
            rng = random.Random(f"{self._seed}/{name}")
            self._began[name] = trio.current_time()
            model = self._models[name] = SimulatedModel(self._limits[name], rng, self._began[name])
        return model

    def rate(self, name: str, begin: float, end: float) -> float:
        """The tasks that ended per second, from `begin` to `end`, moments of the run's clock."""
        return sum(begin <= moment < end for moment in self.finished_at[name]) / (end - begin)

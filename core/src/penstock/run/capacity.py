"""The capacity plan of a run: read off both gates, the configuration and what the program declares, when it is asked
for. Nothing is kept for it here but that declaration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from penstock.config.words import did_you_mean
from penstock.executor.executor import ModelRequestExecutor
from penstock.plugins.manager import PluginManager
from penstock.requests.observed import RequestMaxima
from penstock.run.configured_capacity import NO_POOL, NO_ROWS, configured_capacity
from penstock.scheduler.parts import SchedulerParts
from penstock.words.capacity import CapacityValue, ObservedMaxima, RuntimeCapacity
from penstock.words.capacity_plan import AsyncCapacityPlan
from penstock.words.checks import a_mapping, a_name, an_instance, shown, whole_number
from penstock.words.errors import ConfigError

__all__ = ["RunCapacity", "TransportUse"]

TransportUse = Callable[[], Mapping[str, int]]
"""Pool to the most connections that it has had open at once."""

_ONE_VALUE: Final = ("buffer_size", "row_group_admission")
_MANY_VALUES: Final = ("transport_pool_limits", "program")

_SILENT: Final = ("sinks", "task_runners", "ready_queue", "request_waiters")
_HEARD: Final = ("task_policies", "request_limiters")
"""Lists under `[plugins]` of those that may not refuse, and of those that may."""

_NO_ROW_GROUPS: Final = "the program tells of no row groups, by scheduler.emit"
_NO_COUNT: Final = "no transport counts its connections; there are at most as many as calls in flight"
_FORGOT: Final = "of many groups, only those with the highest figures are kept"


class RunCapacity:
    """What limits one run."""

    def __init__(
        self, run_id: str, tasks: SchedulerParts, requests: ModelRequestExecutor, plugins: PluginManager
    ) -> None:
        self._run_id = run_id
        self._tasks = tasks
        self._requests = requests
        self._plugins = plugins
        self._declared: dict[str, Any] = {}
        self._transport_use: TransportUse | None = None

    def declare(self, figures: Mapping[str, Any], transport_use: TransportUse | None) -> None:
        """Take what a program says of its run, in the place of what it said before under the same names.

        Raises `ConfigError` for a name or a figure that the plan has no place for, and then takes nothing.
        """
        known = (*_ONE_VALUE, *_MANY_VALUES)
        for name, figure in figures.items():
            if name not in known:
                raise ConfigError(f"a program declares no {shown(name)} of a run; {did_you_mean(name, known)}")
            if name in _ONE_VALUE:
                an_instance(figure, CapacityValue, name)
                continue
            for key, each in a_mapping(figure, name, "{'acme': CapacityValue(100, 'adapter_config')}").items():
                an_instance(each, CapacityValue, f"{name}: {a_name(key, f'each name in {name}')}")
        if transport_use is not None and not callable(transport_use):
            raise ConfigError(f"transport_use must be a function that gives a mapping, not {shown(transport_use)}")
        self._declared |= {name: dict(each) if isinstance(each, Mapping) else each for name, each in figures.items()}
        self._transport_use = transport_use or self._transport_use

    def plan(self, now: float) -> AsyncCapacityPlan:
        """What limits the run, at this moment of its clock."""
        models = self._requests.controller.pressure.global_snapshots(now)
        resources = {str(each.resource): each for model in models.values() for each in model.domains.values()}
        maxima, ledger = self._requests.controller.maxima(), self._tasks.gate.controller.view()
        limits = {
            name: min(limit for limit in (each.current_limit, each.effective_max) if limit is not None)
            for name, each in resources.items()
            if each.effective_max is not None
        }
        plugins = self._plugins
        return AsyncCapacityPlan(
            run_id=self._run_id,
            generation=max(1, plugins.generation),
            configured=configured_capacity(
                plugins.config,
                plugins.generation,
                self._limiters(),
                self._deciding(),
                ledger.resource_limits,
                models,
                maxima,
                self._declared,
            ),
            runtime_snapshot=RuntimeCapacity(
                captured_at=now,
                current_limits=limits,
                effective_maxima={n: e.effective_max for n, e in resources.items() if e.effective_max is not None},
                blocked_until={
                    name: each.blocked_until
                    for name, each in resources.items()
                    if each.blocked_until is not None and each.blocked_until > now
                },
                aggregate_in_flight={str(key): model.aggregate_in_flight for key, model in models.items()},
                task_leases=dict(ledger.leased_resources),
            ),
            observed_maxima=self._observed(maxima, limits),
        )

    def _limiters(self) -> dict[str, Any]:
        """The plugins that limit calls, with the `Config` of each."""
        plugins = self._plugins
        asked = plugins.chosen.asked["request_limiters"]
        return {name: plugins.plugin(name).config for name in asked if name in plugins.active}

    def _deciding(self) -> list[str]:
        """The plugins that may refuse: all but those that order, run and listen."""
        asked = self._plugins.chosen.asked
        silent = {name for key in _SILENT for name in asked[key]} - {name for key in _HEARD for name in asked[key]}
        return [name for name in self._plugins.active if name not in silent]

    def _observed(self, maxima: RequestMaxima, limits: Mapping[str, int]) -> ObservedMaxima:
        queued = self._tasks.gate.most_queued()
        by_resource = {str(key): each for key, each in maxima.resources.items()}
        row_groups = self._tasks.row_groups.most
        use, no_use = self._pools()
        missing = {
            "row_groups_in_flight": None if row_groups is not None else _NO_ROW_GROUPS if self._declared else NO_ROWS,
            "queued_by_group": _FORGOT if queued.forgot else None,
            "transport_use": no_use,
        }
        return ObservedMaxima(
            row_groups_in_flight=row_groups,
            queued_by_group={
                str(group): most for group, most in sorted(queued.figures.items(), key=lambda each: -each[1])
            },
            task_leases_by_resource=self._tasks.gate.controller.most_leased(),
            request_waiters_by_resource={name: each.waiters for name, each in by_resource.items()},
            request_in_flight_by_resource={name: each.in_flight for name, each in by_resource.items()},
            aggregate_in_flight={str(key): most for key, most in maxima.in_flight.items()},
            highest_current_limits={
                name: max(each.highest_limit or 0, limits.get(name, 0)) for name, each in by_resource.items()
            },
            transport_use=use,
            missing={name: why for name, why in missing.items() if why is not None},
        )

    def _pools(self) -> tuple[dict[str, int], str | None]:
        """The use of the program's pools, or why it is not known: what raises there must not end the run."""
        if self._transport_use is None:
            return {}, _NO_COUNT if "transport_pool_limits" in self._declared else NO_POOL
        try:
            given = a_mapping(self._transport_use(), "transport_use", "{'acme': 12}")
            return {
                a_name(name, "a pool"): whole_number(most, "connections", least=0) for name, most in given.items()
            }, None
        except ConfigError as error:
            return {}, f"the program does not tell it: {error}"
        except Exception as error:
            return {}, f"what the program gave to tell raised {type(error).__name__}"

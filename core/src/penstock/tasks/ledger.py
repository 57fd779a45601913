"""What the groups hold, and the live, read-only view of it that policies and rules are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from penstock.tasks.contenders import TaskContenders
from penstock.tasks.records import SchedulerResourceKey, SchedulerResourceRequest, TaskGroupKey
from penstock.words.verdicts import Released

__all__ = ["Holding", "LedgerView"]


class Holding:
    """What one group has out."""

    __slots__ = ("amounts", "capped", "limit", "released", "running", "weight")

    def __init__(self, key: TaskGroupKey) -> None:
        self.running = 0
        self.limit: int | None = None
        """The group's `admitted_limit`, as the task said that was admitted last."""
        self.capped = False
        self.amounts: dict[str, int] = {}
        self.released = Released(key)
        self.weight = 1.0
        """As the task said that was admitted last."""


class _ByGroup(Mapping[TaskGroupKey, Any]):
    """A live mapping from group to something read off what it holds."""

    def __init__(self, holdings: dict[TaskGroupKey, Holding], read: Callable[[Holding], Any]) -> None:
        self._holdings = holdings
        self._read = read

    def __getitem__(self, key: TaskGroupKey) -> Any:
        holding = self._holdings[key]
        if not holding.running:
            raise KeyError(key)
        return self._read(holding)

    def __iter__(self) -> Iterator[TaskGroupKey]:
        return (key for key, holding in self._holdings.items() if holding.running)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class LedgerView:
    """The live window onto the controller's ledger."""

    def __init__(
        self,
        limits: dict[str, int],
        available: dict[str, int],
        holdings: dict[TaskGroupKey, Holding],
        debt: dict[tuple[TaskGroupKey, str], int],
        contenders: TaskContenders,
        reserved: Mapping[Any, int],
    ) -> None:
        self.resource_limits: Mapping[SchedulerResourceKey, int] = MappingProxyType(limits)
        self.resources_available: Mapping[SchedulerResourceKey, int] = MappingProxyType(available)
        self.leased_resources_by_group: Mapping[TaskGroupKey, Mapping[str, int]] = _ByGroup(
            holdings, lambda h: MappingProxyType(h.amounts)
        )
        self.running_counts_by_group: Mapping[TaskGroupKey, int] = _ByGroup(holdings, lambda h: h.running)
        self.policy_debt_by_group_resource: Mapping[tuple[TaskGroupKey, str], int] = MappingProxyType(debt)
        self.reserved: Mapping[SchedulerResourceKey, int] = MappingProxyType(reserved)
        self._holdings = holdings
        self._contenders = contenders

    @property
    def leased_resources(self) -> Mapping[SchedulerResourceKey, int]:
        return {r: limit - self.resources_available[r] for r, limit in self.resource_limits.items()}

    def has_room(self, request: SchedulerResourceRequest) -> bool:
        """Whether what is free, and not reserved, is enough for this."""
        free, reserved = self.resources_available, self.reserved
        return all(free.get(r, 0) >= amount + reserved.get(r, 0) for r, amount in request.shape)

    def running(self, group: TaskGroupKey) -> int:
        """How many tasks of a group run."""
        holding = self._holdings.get(group)
        return 0 if holding is None else holding.running

    def held(self, group: TaskGroupKey, resource: SchedulerResourceKey) -> int:
        """How much of a resource a group holds."""
        holding = self._holdings.get(group)
        return 0 if holding is None else holding.amounts.get(resource, 0)

    def runnable_peers(self, resource: SchedulerResourceKey, besides: TaskGroupKey) -> int:
        return self._contenders.count(resource, besides)

    def debt_free_peers(self, resource: SchedulerResourceKey, besides: TaskGroupKey) -> int:
        return self._contenders.count_debt_free(resource, besides)

    def competing_weight(self, resource: SchedulerResourceKey, besides: TaskGroupKey) -> float:
        return self._contenders.weight(resource, besides)

    def snapshot(self) -> Mapping[str, Any]:
        return {
            "resource_limits": dict(self.resource_limits),
            "resources_available": dict(self.resources_available),
            "running_counts_by_group": {str(key): count for key, count in self.running_counts_by_group.items()},
            "policy_debt": {
                f"{group}: {resource}": debt for (group, resource), debt in self.policy_debt_by_group_resource.items()
            },
        }

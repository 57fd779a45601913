"""What a task policy answers: whether a task may start, and what is to change about the policy's own figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from penstock.tasks.records import SchedulerResourceKey, TaskGroupKey
from penstock.words.errors import PluginError
from penstock.words.verdicts import Denied

__all__ = ["Debt", "PolicyStateDelta", "TaskAdmissionPolicyDecision", "debts_after"]

Debt = tuple[TaskGroupKey, SchedulerResourceKey]
"""Who owes, and of which resource."""


@attrs.define(slots=True)
class TaskAdmissionPolicyDecision:
    """What a policy says: `denied is None` means yes."""

    denied: Denied | None = None
    diagnostics: Mapping[str, Any] | None = None


@attrs.define(slots=True)
class PolicyStateDelta:
    """What a policy wants changed. The controller applies it in the same step as the lease.

    `debt_changes`: (group, resource) to the change of its debt, in units of the resource.
    """

    debt_changes: Mapping[Debt, int] = attrs.field(factory=dict)
    diagnostic_counters: Mapping[str, int] = attrs.field(factory=dict)


def debts_after(delta: PolicyStateDelta, debts: Mapping[Debt, int], by: str) -> dict[Debt, int]:
    """What those debts come to that the policy of the plugin `by` wants changed. Raises `PluginError` for what is no
    whole number, in its counters too, and for a debt that would fall below 0.
    """
    found: dict[Debt, int] = {}
    for key, change in delta.debt_changes.items():
        if type(change) is not int or not _is_of_a_group(key):
            raise PluginError(by, "debt_changes must map (group key, resource) to whole numbers")
        found[key] = debt = debts.get(key, 0) + change
        if debt < 0:
            raise PluginError(by, f"the debt of {key[0]} in {key[1]} would fall to {debt}")
    counter: object
    for counter, count in delta.diagnostic_counters.items():
        if type(count) is not int or not isinstance(counter, str):
            raise PluginError(by, "diagnostic_counters must map names to whole numbers")
    return found


def _is_of_a_group(key: object) -> bool:
    return isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], TaskGroupKey) and isinstance(key[1], str)

"""What a task policy answers: whether a task may start, and what is to change about the policy's own figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from penstock.tasks.records import SchedulerResourceKey, TaskGroupKey
from penstock.words.verdicts import Denied

__all__ = ["PolicyStateDelta", "TaskAdmissionPolicyDecision"]


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

    debt_changes: Mapping[tuple[TaskGroupKey, SchedulerResourceKey], int] = attrs.field(factory=dict)
    diagnostic_counters: Mapping[str, int] = attrs.field(factory=dict)

"""Per-group caps that bind while peers want the place: the policy `strict-fair`.

A group at its `admitted_limit` is refused (`group_cap`) while a peer that could run now wants the same
resource: it has a task for it that is not parked, and is below its own limit. Typed resources (`gpu`,
`local`, …) are asked about before `submission`, which everybody wants. Where no such peer is, capped groups
share what is free in the queue's fair order, so no place stays empty for a cap.

Source: the strict policy of the task-admission plan of NeMo Data Designer (plan 645), with the peer test
made exact.
"""

from __future__ import annotations

import attrs

from penstock import (
    Denied,
    PolicyStateDelta,
    QueueView,
    Released,
    SchedulableTask,
    TaskAdmissionLease,
    TaskAdmissionPolicy,
    TaskAdmissionPolicyDecision,
    TaskAdmissionView,
    TaskGroupKey,
    Uncontested,
    hookimpl,
)

__all__ = ["StrictFairConfig", "StrictFairPlugin", "StrictFairPolicy"]

SUBMISSION = "submission"
REMEMBERED = 1024
_AGREED = TaskAdmissionPolicyDecision()


class StrictFairPolicy:
    """Holds a group at its cap while a peer could use the place. Pure; it keeps no figures of its own."""

    stateless = True

    def __init__(self) -> None:
        self._refusals: dict[tuple[TaskGroupKey, str], tuple[int, int, TaskAdmissionPolicyDecision]] = {}
        """The last refusals, by group and resource, with what ran and the limit: mostly they are the next too."""

    def evaluate(
        self, task: SchedulableTask, queue_view: QueueView, admission_view: TaskAdmissionView, now: float
    ) -> TaskAdmissionPolicyDecision:
        group = task.group
        limit = group.admitted_limit
        if limit is None:
            return _AGREED
        running = admission_view.running(group.key)
        if running < limit:
            return _AGREED
        shape = task.resource_request.shape
        if len(shape) == 1:
            if admission_view.runnable_peers(SUBMISSION, besides=group.key):
                return self._refusal(group.key, SUBMISSION, running, limit)
            return _AGREED
        for resource in _typed_first(shape):
            if admission_view.runnable_peers(resource, besides=group.key):
                return self._refusal(group.key, resource, running, limit)
        return _AGREED

    def _refusal(self, group: TaskGroupKey, resource: str, running: int, limit: int) -> TaskAdmissionPolicyDecision:
        known = self._refusals.get((group, resource))
        if known is not None and known[0] == running and known[1] == limit:
            return known[2]
        refusal = TaskAdmissionPolicyDecision(
            Denied(
                "group_cap",
                {Released(group), Uncontested(resource)},
                scope="shape",
                detail=f"{running} running, the limit is {limit}, and a peer wants {resource}",
                cohort=("group_cap", resource),
            )
        )
        if len(self._refusals) >= REMEMBERED:
            self._refusals.clear()
        self._refusals[group, resource] = running, limit, refusal
        return refusal

    def on_acquire(
        self, lease: TaskAdmissionLease, decision: TaskAdmissionPolicyDecision, now: float
    ) -> PolicyStateDelta | None:
        return None

    def on_release(self, lease: TaskAdmissionLease, now: float) -> PolicyStateDelta | None:
        return None


def _typed_first(shape: tuple[tuple[str, int], ...]) -> list[str]:
    return [*(resource for resource, _ in shape if resource != SUBMISSION), SUBMISSION]


@attrs.frozen(kw_only=True)
class StrictFairConfig:
    """`[plugins.strict-fair]` has no keys: limits are the groups' own, from `[scheduler.admitted_limits]` or
    the code.
    """


class StrictFairPlugin:
    """Task policy: a group at its admitted_limit waits while a peer that could run wants the same resource."""

    Config = StrictFairConfig
    exclusive = "task fairness"

    def __init__(self, config: StrictFairConfig) -> None:
        self._config = config

    @hookimpl
    def penstock_task_policy(self) -> TaskAdmissionPolicy:
        return StrictFairPolicy()

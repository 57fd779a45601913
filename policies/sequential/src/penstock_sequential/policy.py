"""At most one task holds a resource, and of those that wait only the one that came first may go.

Two questions for each named resource that a task asks for, in this order:

- Who is the oldest queued task that asks for it, over all groups? If that is another, this one waits behind it, until
  the resource is released or its backlog changes. All that wait behind the same task are one equivalence class: they
  wait as long as it is there, and when it leaves, started, cancelled or given up, each is looked at anew. So a release,
  or what arrives meanwhile, costs one question as long as the oldest is the same, not one for each that waits. Those of
  the oldest's own group and shape are none of the class: if another rule has refused the oldest alone, it comes back
  among them, and would be held with them.
- Does anybody hold some of it? Then the oldest waits too, until it is released.

It holds under any queue: a queue's order says who is asked first, and here all but one refuse. The order is strict: the
oldest keeps its place while another rule refuses it, or while it is short of another resource, and the resource waits
for it. A task that is not ready, or pauses before it is tried again, is not queued, and so has no place.

Several named resources make no deadlock: the oldest of all that ask for any of them is the oldest for each that it asks
for.

Lost: a cohort for all that wait, whoever is first. When it opens, the first who is asked and is not the oldest closes
it with the oldest in it. And the two questions the other way round: where plain tasks come and go beside the resource,
each group is then asked twice for each release, once while it is held and once when it is free.
"""

from __future__ import annotations

from collections.abc import Iterable

from penstock import (
    Backlog,
    Denied,
    PolicyStateDelta,
    QueueView,
    Released,
    SchedulableTask,
    TaskAdmissionLease,
    TaskAdmissionPolicyDecision,
    TaskAdmissionView,
)

__all__ = ["SequentialPolicy"]

_AGREED = TaskAdmissionPolicyDecision()


class SequentialPolicy:
    """Lets one task at a time hold each of `resources`, in the order of arrival. Pure; it keeps no figures."""

    stateless = True

    def __init__(self, resources: Iterable[str]) -> None:
        self._resources = frozenset(resources)

    def evaluate(
        self, task: SchedulableTask, queue_view: QueueView, admission_view: TaskAdmissionView, now: float
    ) -> TaskAdmissionPolicyDecision:
        for resource, _ in task.resource_request.shape:
            if resource not in self._resources:
                continue
            oldest = queue_view.oldest(resource)
            if oldest is not None and oldest is not task:
                return TaskAdmissionPolicyDecision(_behind(oldest, task, resource))
            if admission_view.resources_available[resource] < admission_view.resource_limits[resource]:
                return TaskAdmissionPolicyDecision(_held(resource))
        return _AGREED

    def on_acquire(
        self, lease: TaskAdmissionLease, decision: TaskAdmissionPolicyDecision, now: float
    ) -> PolicyStateDelta | None:
        return None

    def on_release(self, lease: TaskAdmissionLease, now: float) -> PolicyStateDelta | None:
        return None


def _held(resource: str) -> Denied:
    return Denied(
        "policy_denial",
        {Released(resource)},
        scope="shape",
        detail=f"one task at a time: another holds {resource}",
    )


def _behind(oldest: SchedulableTask, task: SchedulableTask, resource: str) -> Denied:
    same_shape = oldest.group.key is task.group.key and oldest.resource_request.shape == task.resource_request.shape
    return Denied(
        "policy_denial",
        {Released(resource), Backlog(resource)},
        scope="shape",
        detail=f"in order of arrival: task {oldest.task_id} came first for {resource}",
        cohort=None if same_shape else ("sequential", resource, oldest.arrival),
    )

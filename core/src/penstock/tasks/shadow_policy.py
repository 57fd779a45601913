"""A task policy or rule in shadow: asked about every task that could start, and heeded by nobody.

What a policy says is to change about its debts is kept here and not in the ledger, and it sees its own debts where
it asks for debts: so it decides as though it were in force, and no other policy sees anything of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, cast

from penstock.tasks.admission import TaskRule
from penstock.tasks.decision import PolicyStateDelta, TaskAdmissionPolicyDecision, debts_after
from penstock.tasks.lease import TaskAdmissionLease
from penstock.tasks.policy import TaskAdmissionPolicy, TaskAdmissionView
from penstock.tasks.ready_queue import QueueView
from penstock.tasks.records import SchedulableTask, SchedulerResourceKey, TaskGroupKey
from penstock.words.read_only import read_only
from penstock.words.shadow import ShadowCount, note_of
from penstock.words.verdicts import TASK_REASONS, check_denied

__all__ = ["RuleAsPolicy", "ShadowTaskPolicy", "shadow_notes"]

_NOBODY: Final = TaskGroupKey("nobody", ("nobody",))
_SAID: Final = "shadow"


class RuleAsPolicy:
    """A task rule with the face of a policy, so that it can be in shadow."""

    stateless = True

    def __init__(self, rule: TaskRule) -> None:
        self._rule = rule

    def evaluate(
        self, task: SchedulableTask, queue_view: QueueView, admission_view: TaskAdmissionView, now: float
    ) -> TaskAdmissionPolicyDecision:
        return TaskAdmissionPolicyDecision(self._rule(task, queue_view, admission_view, now))

    def on_acquire(self, *_: object, **__: object) -> None: ...

    def on_release(self, *_: object, **__: object) -> None: ...


class ShadowTaskPolicy:
    """A `TaskAdmissionPolicy` that never refuses, never raises, and reports to `count` what `policy` would have done.

    `on_error` is called with the method and what the policy raises in it.
    """

    def __init__(
        self, policy: TaskAdmissionPolicy, count: ShadowCount, on_error: Callable[[str, BaseException], None]
    ) -> None:
        self._policy = policy
        self.count = count
        self._on_error = on_error
        self._remembers = not getattr(policy, "stateless", False)
        self._debts: dict[tuple[TaskGroupKey, SchedulerResourceKey], int] = {}
        self._broken = False

    @property
    def remembers(self) -> bool:
        """Whether the policy knows something that a new one would not."""
        return self._remembers and not self._broken

    def evaluate(
        self, task: SchedulableTask, queue_view: QueueView, admission_view: TaskAdmissionView, now: float
    ) -> TaskAdmissionPolicyDecision:
        """Yes; what the policy said goes with it, and counts if the task gets its lease by this."""
        if self._broken:
            return TaskAdmissionPolicyDecision()
        seen = (
            cast("TaskAdmissionView", _ShadowView(admission_view, self._debts)) if self._remembers else admission_view
        )
        said: TaskAdmissionPolicyDecision | BaseException
        try:
            said = self._policy.evaluate(task, queue_view, seen, now)
            if said.denied is not None:
                check_denied(said.denied, by=self.count.plugin, now=now, reasons=TASK_REASONS)
        except BaseException as error:
            said = error
        return TaskAdmissionPolicyDecision(None, {_SAID: said})

    def on_acquire(
        self, lease: TaskAdmissionLease, decision: TaskAdmissionPolicyDecision, now: float
    ) -> PolicyStateDelta | None:
        """The task goes: what was said to it counts, and the policy gets the lease as though it had said yes."""
        said = None if decision.diagnostics is None else decision.diagnostics[_SAID]
        if isinstance(said, BaseException):
            self._failed("evaluate", said)
        elif isinstance(said, TaskAdmissionPolicyDecision):
            denied = said.denied
            self.count.asked(lease, denied, None if denied is None else denied.next_moment(), now)
        agreed = said if isinstance(said, TaskAdmissionPolicyDecision) else TaskAdmissionPolicyDecision()
        self._notify("on_acquire", lease, agreed, now)
        return None

    def on_release(self, lease: TaskAdmissionLease, now: float) -> PolicyStateDelta | None:
        """The task is done."""
        self.count.ended(lease)
        self._notify("on_release", lease, now)
        return None

    def _notify(self, method: str, *given: Any) -> None:
        if self.remembers:
            try:
                self._apply(getattr(self._policy, method)(*given))
            except BaseException as error:
                self._broken = True  # its figures are in doubt
                self._failed(method, error)

    def _apply(self, delta: PolicyStateDelta | None) -> None:
        if delta is None:
            return
        for key, debt in debts_after(delta, self._debts, self.count.plugin).items():
            if debt:
                self._debts[key] = debt
            else:
                self._debts.pop(key, None)

    def _failed(self, method: str, error: BaseException) -> None:
        self.count.failed(f"{method} raised {type(error).__name__}")
        self._on_error(f"penstock_task_policy.{method}", error)


@read_only
class _ShadowView:
    """The ledger's view with the debts of one policy in place of the ledger's."""

    _view: TaskAdmissionView
    _debts: Mapping[tuple[TaskGroupKey, SchedulerResourceKey], int]

    def __init__(self, view: TaskAdmissionView, debts: dict[tuple[TaskGroupKey, SchedulerResourceKey], int]) -> None:
        vars(self).update(_view=view, _debts=MappingProxyType(debts))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._view, name)

    @property
    def policy_debt_by_group_resource(self) -> Mapping[tuple[TaskGroupKey, SchedulerResourceKey], int]:
        return self._debts

    def debt_free_peers(self, resource: SchedulerResourceKey, besides: TaskGroupKey) -> int:
        view = self._view
        everybody = view.runnable_peers(resource, _NOBODY)
        # A group is among them if there are fewer without it.
        owing = sum(
            view.runnable_peers(resource, group) < everybody
            for group, owed in self._debts
            if owed == resource and group != besides
        )
        return view.runnable_peers(resource, besides) - owing


def shadow_notes(lease: TaskAdmissionLease, now: float) -> dict[str, Any]:
    """What the lease's event says of policies and rules in shadow that would have refused it; empty if none would."""
    notes = {}
    for name, policy in lease.watchers:
        if isinstance(policy, ShadowTaskPolicy) and (denied := policy.count.refusal_of(lease)) is not None:
            notes[name] = note_of(denied, denied.next_moment(), now)
    return {_SAID: notes} if notes else {}

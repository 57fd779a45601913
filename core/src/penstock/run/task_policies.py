"""Who decides about tasks in a run: the plugins' policies and rules, and, last of them, advice of the request gate."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.scheduler.parts import SchedulerParts
from penstock.tasks.admission import TaskRule
from penstock.tasks.policy import TaskAdmissionPolicy
from penstock.tasks.pressure_advice import ADVICE, RequestPressureAdvice
from penstock.words.identity import ProviderKey

__all__ = ["NamedPolicies", "TaskPolicies"]

NamedPolicies = Sequence[tuple[str, TaskAdmissionPolicy]]


class TaskPolicies:
    """The policies that the task gate of `tasks` was made with; `decide_by` puts others in their place.

    `advice` is asked from the moment on at which the first model is known, if it is to be `heeded`.
    """

    def __init__(
        self,
        tasks: SchedulerParts,
        policies: NamedPolicies,
        rule: TaskRule | None,
        advice: RequestPressureAdvice,
        *,
        heeded: bool = True,
    ) -> None:
        self._tasks = tasks
        self.policies = policies
        """Those of plugins that decide now."""
        self._rule = rule
        self._advice = advice
        self._heeded = heeded
        self._advised = False

    def decide_by(self, policies: NamedPolicies, rule: TaskRule | None, *, heeded: bool) -> None:
        """These decide from now on; whatever was refused is asked again by `wake_all_refused`."""
        self.policies, self._rule, self._heeded = policies, rule, heeded
        self._set()

    def _set(self) -> None:
        advice = [(ADVICE, self._advice)] if self._advised and self._heeded else []
        self._tasks.gate.controller.reconfigure([*self.policies, *advice], self._rule)

    def on_freed_provider(self, provider: ProviderKey, now: float) -> None:
        """Calls may meet less pressure at this provider than before: ask those again who stepped back for it."""
        advice = self._advice
        if not self._advised:
            self._advised = True
            self._set()
        if provider in advice.awaited:
            for condition in advice.freed(provider, now):
                self._tasks.wake(condition, now)

"""What mypy says of hooks by `penstock.mypy`. Nothing here runs: `mypy` reads it, and a mistake that it did not see
would make its `type: ignore` one that is not used, which is an error.
"""

from __future__ import annotations

from typing import Any

import penstock
from penstock import At, Denied, RequestAdmissionItem, RequestLimiter, SchedulableTask, Scope, Settings, hookimpl


class Sound:
    """Takes what it wants, in its own order, as wide as it likes, and answers as narrowly."""

    @hookimpl
    def penstock_task_eligible(self, now: float, task: SchedulableTask) -> Denied:
        return Denied("policy_denial", {At(now + task.arrival)})

    @hookimpl
    def penstock_request_eligible(self, item: object) -> None: ...

    @penstock.hookimpl(specname="penstock_request_limiter", trylast=True)
    def limiter(self, scope: Scope, cap: float | None, remembered: int = 3) -> RequestLimiter | None: ...

    @staticmethod
    @hookimpl
    def penstock_run_started() -> None: ...

    @hookimpl(optionalhook=True)
    def penstock_of_another_year(self, anything: Any) -> None: ...


class Wrong:
    """Every mistake that can be seen before anything runs."""

    @hookimpl
    def penstock_task_eligible(self, task: RequestAdmissionItem) -> Denied | None: ...  # type: ignore[penstock]

    @hookimpl
    def penstock_request_eligible(self, item: RequestAdmissionItem) -> bool: ...  # type: ignore[empty-body, penstock]

    @hookimpl
    def penstock_task_elegible(self, task: SchedulableTask) -> Denied | None: ...  # type: ignore[penstock]

    @hookimpl(specname="penstock_request_waiter")
    def waiters(self, settings: Settings) -> None: ...  # type: ignore[penstock]

    @hookimpl
    def penstock_task_policy(self, setings: Settings) -> None: ...  # type: ignore[penstock]

    @hookimpl
    def penstock_ready_queue(self, *, settings: Settings) -> None: ...  # type: ignore[penstock]

    @hookimpl
    def penstock_scheduler_event(self, event: object = None) -> None: ...  # type: ignore[penstock]

    @hookimpl
    def penstock_request_event(self, **more: object) -> None: ...  # type: ignore[penstock]

    @hookimpl(tryfirst=True)
    async def penstock_run_started(self, run: object) -> None: ...  # type: ignore[penstock]

    @penstock.hookimpl
    def penstock_run_finished(self, report: str) -> None: ...  # type: ignore[penstock]


@hookimpl
def penstock_check_names(settings: Settings) -> list[str]: ...  # type: ignore[empty-body, penstock]

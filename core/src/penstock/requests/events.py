"""The events of the request gate: everything of its stream that the controller and the shell record,
in one place.

A call that is refused at once records `request_acquire_denied` alone. One that gets its lease at once records
`request_wait_started` and `request_wait_completed` at the same instant, then `request_lease_acquired`. One
that waits in the queue ends its wait by exactly one of `request_wait_completed`, `request_wait_timeout` and
`request_wait_cancelled`; where it did not get its lease and still listens, `request_acquire_denied` follows.
Only called while somebody listens.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import asdict

from penstock.events.correlation import RuntimeCorrelation
from penstock.events.records import EventStream
from penstock.requests.items import RequestAdmissionDenied, RequestAdmissionItem, RequestAdmissionLease
from penstock.requests.limiter_change import LimiterChange
from penstock.requests.outcomes import RequestReleaseOutcome
from penstock.requests.registry import CapChange, ResourceState
from penstock.requests.waiters import RequestWaiter
from penstock.words.verdicts import Denied

__all__ = ["RequestEvents", "fields_of"]

_TIMEOUTS: Final = ("queue_timeout", "deadline", "cooldown")


def fields_of(item: RequestAdmissionItem) -> dict[str, Any]:
    """The fields by which every event of one call is found."""
    context = item.event_context
    correlation = context.correlation if context is not None else None
    execution = context.task_execution_id if context is not None else None
    if execution is None and correlation is not None:
        execution = correlation.task_execution_id
    return {
        "correlation": correlation,
        "task_execution_id": execution,
        "request_attempt_id": context.request_attempt_id if context is not None else None,
        "resource": str(item.resource),
        "group": str(item.group.key),
        "labels": item.labels,
    }


class RequestEvents:
    """The recorder of the stream's events; delivering them is the shell's."""

    def __init__(self, events: EventStream) -> None:
        self._events = events

    def registered(self, state: ResourceState, now: float) -> None:
        self._events.record(
            "request_resource_registered",
            now,
            resource=state.text,
            diagnostics={
                "effective_max": state.cap,
                "provider_model_cap": state.model.cap,
                "aliases": list(state.model.static.aliases),
            },
        )

    def cap_changed(self, change: CapChange, now: float) -> None:
        model = change.model
        if change.before is not None and change.before != model.cap:
            self._events.record(
                "request_effective_cap_changed",
                now,
                resource=str(model.key),
                diagnostics={"before": change.before, "after": model.cap, "in_flight": model.in_flight},
            )
        for state, limiter_change in change.changes:
            self.limiter_changed(state.text if state is not None else str(model.key), limiter_change, now)

    def limiter_changed(self, resource: str, change: LimiterChange, now: float) -> None:
        diagnostics = {
            "before": change.before,
            "after": change.after,
            "blocked_until": change.blocked_until,
            "detail": change.detail,
        }
        self._events.record(
            change.kind,
            now,
            resource=resource,
            diagnostics={k: v for k, v in diagnostics.items() if v not in (None, "")},
        )

    def wait_started(
        self,
        item: RequestAdmissionItem,
        state: ResourceState,
        now: float,
        correlation: RuntimeCorrelation | None = None,
    ) -> None:
        self._record("request_wait_started", item, now, correlation, diagnostics={"waiters": state.waiting})

    def wait_completed(
        self, item: RequestAdmissionItem, waited: float, now: float, correlation: RuntimeCorrelation | None = None
    ) -> None:
        self._record("request_wait_completed", item, now, correlation, diagnostics={"waited": waited})

    def queue_formed(self, state: ResourceState, now: float, denied: Denied | None) -> None:
        self._events.record(
            "request_queue_formed", now, resource=state.text, reason_or_outcome=denied.reason if denied else None
        )

    def queue_drained(self, state: ResourceState, now: float) -> None:
        self._events.record("request_queue_drained", now, resource=state.text)

    def wait_ended(self, waiter: RequestWaiter, reason: str, now: float) -> None:
        """The waiter has left the queue without a lease: its time is over, or it was taken out."""
        kind = "request_wait_timeout" if reason in _TIMEOUTS else "request_wait_cancelled"
        self._record(
            kind,
            waiter.item,
            now,
            waiter.correlation,
            reason_or_outcome=reason,
            diagnostics={"waited": now - waiter.enqueued_at},
        )

    def denied(self, denied: RequestAdmissionDenied, now: float, correlation: RuntimeCorrelation | None = None) -> None:
        refusal = denied.denied
        diagnostics: dict[str, Any] = {"until": sorted(map(str, refusal.until)), "by": refusal.by}
        if denied.retry_after_seconds is not None:
            diagnostics["retry_after_seconds"] = denied.retry_after_seconds
        self._record(
            "request_acquire_denied",
            denied.item,
            now,
            correlation,
            reason_or_outcome=refusal.reason,
            diagnostics=diagnostics,
        )

    def acquired(
        self,
        lease: RequestAdmissionLease,
        state: ResourceState,
        now: float,
        correlation: RuntimeCorrelation | None = None,
    ) -> None:
        diagnostics: dict[str, Any] = {
            "limit_at_admission": lease.limit_at_admission,
            "effective_max": lease.effective_max,
            "in_flight": state.in_flight,
            "provider_model_in_flight": state.model.in_flight,
        }
        if lease.diagnostics is not None:
            diagnostics |= lease.diagnostics
        self._record(
            "request_lease_acquired",
            lease.item,
            now,
            correlation,
            request_lease_id=lease.lease_id,
            diagnostics=diagnostics,
        )

    def released(
        self, lease: RequestAdmissionLease, outcome: RequestReleaseOutcome, state: ResourceState, now: float
    ) -> None:
        diagnostics: dict[str, Any] = {"held": now - lease.acquired_at, "in_flight": state.in_flight}
        if outcome.usage is not None:
            usage = asdict(outcome.usage)
            diagnostics |= {name: count for name, count in usage.items() if count is not None}
        words = {"limited_by": outcome.limited_by, "of": outcome.of, "ended": outcome.ended}
        diagnostics |= {name: word for name, word in words.items() if word is not None}
        self._record(
            "request_lease_released",
            lease.item,
            now,
            None,
            request_lease_id=lease.lease_id,
            reason_or_outcome=outcome.kind,
            diagnostics=diagnostics,
        )

    def not_released(self, lease: RequestAdmissionLease, reason: str, now: float) -> None:
        self._record(
            "request_release_diagnostic",
            lease.item,
            now,
            None,
            request_lease_id=lease.lease_id,
            reason_or_outcome=reason,
        )

    def started(self, lease: RequestAdmissionLease, now: float) -> None:
        self._record("model_request_started", lease.item, now, None, request_lease_id=lease.lease_id)

    def completed(
        self, lease: RequestAdmissionLease, outcome: RequestReleaseOutcome, seconds: float, now: float
    ) -> None:
        figures = {
            "seconds": seconds,
            "status": outcome.status,
            "retry_after_seconds": outcome.retry_after_seconds,
            "first_token_at": outcome.first_token_at,
            "detail": outcome.detail or None,
        }
        self._record(
            "model_request_completed",
            lease.item,
            now,
            None,
            request_lease_id=lease.lease_id,
            reason_or_outcome=outcome.kind,
            diagnostics={name: figure for name, figure in figures.items() if figure is not None},
        )

    def _record(
        self, kind: str, item: RequestAdmissionItem, now: float, correlation: RuntimeCorrelation | None, **fields: Any
    ) -> None:
        if kind not in self._events.wanted:
            return
        found = fields_of(item)
        if found["correlation"] is None and correlation is not None:
            found["correlation"] = correlation
            found["task_execution_id"] = found["task_execution_id"] or correlation.task_execution_id
        self._events.record(kind, now, **found, **fields)

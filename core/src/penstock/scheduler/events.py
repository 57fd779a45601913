"""The scheduler stream: what its events carry, in one place. Nothing is built while nobody listens."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from msgspec.structs import force_setattr

from penstock.events.correlation import RuntimeCorrelation
from penstock.events.records import EventStream, RuntimeEvent
from penstock.scheduler.jobs import Job, JobTerms
from penstock.tasks.gate import TaskGate
from penstock.tasks.lease import TaskAdmissionLease, block_summary
from penstock.tasks.records import TaskGroupKey
from penstock.tasks.shadow_policy import shadow_notes
from penstock.words.labels import words_of
from penstock.words.leases import ReleaseResult
from penstock.words.read_only import fixed
from penstock.words.settings import WallClock
from penstock.words.verdicts import Denied

__all__ = ["SchedulerEvents"]

REMEMBERED_GROUPS = 1024
"""How many groups' names are kept at hand."""

_OF_ADMISSION: Final = frozenset({"selected", "task_lease_acquired", "worker_spawned"})
_keep: Final = force_setattr  # a lease is written by nobody else
_OF_RELEASE: Final = frozenset({"task_completed", "task_lease_released", "release_diagnostic"})

IDLE_INTERVAL = 1.0
"""Seconds after which an idle loop of the same kind is recorded again."""


class SchedulerEvents:
    """The recorder of the scheduler's events. `run_id` names the run in every correlation; `promises` are those of
    plugins, by plugin, for the event of the start. That says by `clock` what time of day it was, too."""

    def __init__(
        self,
        stream: EventStream,
        run_id: str,
        promises: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
        clock: WallClock | None = None,
    ) -> None:
        self.stream = stream
        self.run_id = run_id
        self._promises = promises
        self._clock = clock
        self._of_run = RuntimeCorrelation(run_id)
        self._known = lru_cache(REMEMBERED_GROUPS)(self._name_and_correlation)
        """What a group is called, and the correlation of those of its tasks that run in no row group or column. Kept,
        since made anew for each event they would be a seventh of a task with its events."""
        self._idle: tuple[str, float] = ("", 0.0)

    # -- the run

    def job_started(self, now: float) -> None:
        said: dict[str, Any] = {}
        if self._clock is not None:
            said["wall_clock"] = self._clock.wall(now).isoformat()
        if self._promises:
            said["promises"] = {plugin: [*texts] for plugin, texts in self._promises.items()}
        self.stream.record("scheduler_job_started", now, correlation=self._of_run, diagnostics=said or None)

    def job_completed(self, now: float, counts: Mapping[str, int]) -> None:
        self.stream.record("queue_drained", now, correlation=self._of_run)
        self.stream.record("scheduler_job_completed", now, correlation=self._of_run, diagnostics=dict(counts))
        self.stream.deliver()

    def idle(self, gate: TaskGate, now: float) -> None:
        """The loop is about to sleep: the queue is empty, or all that is in it is refused. Recorded when that
        changes, and again after a second."""
        if not self.stream.active:
            return
        kind, diagnostics = "queue_empty", dict[str, Any]()
        if gate.view.queued_total:
            if not self._due(None, now):
                return
            summary = block_summary(gate.blocked(), gate.view)
            capped = set(summary.dominant_denial_reasons) <= {"group_cap", "borrow_debt"}
            kind = "group_capped" if capped else "admission_blocked"
            diagnostics = {
                "queued": summary.queued_count,
                "reasons": {reason: len(groups) for reason, groups in summary.dominant_denial_reasons.items()},
                "available_after": summary.available_after,
            }
        if self._due(kind, now):
            self._idle = (kind, now)
            self.stream.record(kind, now, correlation=self._of_run, diagnostics=diagnostics)
            self.stream.deliver()

    def _due(self, kind: str | None, now: float) -> bool:
        last, at = self._idle
        return now >= at + IDLE_INTERVAL or (last == "queue_empty" if kind is None else last != kind)

    def stalled(self, explanation: str, now: float) -> None:
        why = {"why": explanation}
        self.stream.record(
            "admission_blocked", now, correlation=self._of_run, reason_or_outcome="stalled", diagnostics=why
        )
        self.stream.deliver()

    def stepped_back(self, group: TaskGroupKey, resource: str, reason: str, denied: Denied, now: float) -> None:
        """A group leaves the places to others, since its provider is under pressure. Recorded once per such time."""
        if self.stream.active:
            self.stream.record(
                "request_pressure_advisory_skipped",
                now,
                correlation=self._known(group)[1],
                group=str(group),
                resource=resource,
                reason_or_outcome=reason,
                diagnostics={"until": sorted(map(str, denied.until)), "by": denied.by, "why": denied.detail},
            )

    # -- one task

    def denied(self, job: Job, denied: Denied, now: float) -> None:
        self.task("admission_denied", job, now, reason_or_outcome=denied.reason, diagnostics={"by": denied.by})

    def enqueued(self, task_ids: Iterable[str], jobs: Mapping[str, Job], now: float) -> None:
        """These tasks are in the ready queue."""
        if "ready_enqueued" in self.stream.wanted:
            for task_id in task_ids:
                self.task("ready_enqueued", jobs[task_id], now)

    def admitted(self, job: Job, lease: TaskAdmissionLease, now: float, *, spawned: bool = True) -> None:
        """The task was chosen, and its lease is out; with it, what plugins in shadow would have said. If it was
        `spawned`, a worker goes on with it."""
        stream = self.stream
        wanted = stream.wanted
        if wanted.isdisjoint(_OF_ADMISSION):
            return
        put, number, task_id = stream.put, stream.next_sequence, job.task_id
        group, correlation, labels = job.terms.in_events or self._of_terms(job.terms)
        if "selected" in wanted:
            put(
                RuntimeEvent(
                    "scheduler", number(), "selected", now, task_id, None, None, None, None, None, group,
                    None, None, None, labels, correlation,
                )
            )  # fmt: skip
        correlation = self._of_execution(job.terms, lease)
        lease_id = correlation.task_execution_id
        if "task_lease_acquired" in wanted:
            notes = shadow_notes(lease, now) if lease.watchers else None
            put(
                RuntimeEvent(
                    "scheduler", number(), "task_lease_acquired", now, task_id, lease_id, lease_id, None, None, None,
                    group, None, None, fixed(notes) if notes else None, labels, correlation,
                )
            )  # fmt: skip
        if spawned and "worker_spawned" in wanted:
            put(
                RuntimeEvent(
                    "scheduler", number(), "worker_spawned", now, task_id, lease_id, lease_id, None, None, None,
                    group, None, None, None, labels, correlation,
                )
            )  # fmt: skip

    def released(self, job: Job, lease: TaskAdmissionLease, result: ReleaseResult, outcome: str, now: float) -> None:
        """The worker is done and its lease has come back; `outcome` says how the worker ended."""
        stream = self.stream
        wanted = stream.wanted
        if wanted.isdisjoint(_OF_RELEASE):
            return
        put, number, task_id = stream.put, stream.next_sequence, job.task_id
        group, _, labels = job.terms.in_events or self._of_terms(job.terms)
        correlation = lease.correlation or self._of_execution(job.terms, lease)
        lease_id = correlation.task_execution_id
        if outcome != "not_started" and "task_completed" in wanted:
            put(
                RuntimeEvent(
                    "scheduler", number(), "task_completed", now, task_id, lease_id, lease_id, None, None, None,
                    group, outcome, None, None, labels, correlation,
                )
            )  # fmt: skip
        kind = "task_lease_released" if result.released else "release_diagnostic"
        if kind in wanted:
            reason = outcome if outcome == "abandoned" else result.reason
            put(
                RuntimeEvent(
                    "scheduler", number(), kind, now, task_id, lease_id, lease_id, None, None, None,
                    group, reason, None, None, labels, correlation,
                )
            )  # fmt: skip

    def task(
        self,
        kind: str,
        job: Job,
        now: float,
        *,
        reason_or_outcome: str | None = None,
        diagnostics: dict[str, Any] | None = None,
        lease_id: str | None = None,
    ) -> None:
        """An event of one task, with all that joins it to the others, but that it is of no execution of it."""
        stream = self.stream
        if kind not in stream.wanted:
            return
        group, correlation, labels = job.terms.in_events or self._of_terms(job.terms)
        said = None if diagnostics is None else fixed(diagnostics)
        stream.put(
            RuntimeEvent(
                "scheduler", stream.next_sequence(), kind, now, job.task_id, None, lease_id, None, None, None,
                group, reason_or_outcome, None, said, labels, correlation,
            )
        )  # fmt: skip

    # -- joining the streams

    def correlation(self, task_id: str, terms: JobTerms, lease: TaskAdmissionLease) -> RuntimeCorrelation:
        """What every event of this execution carries, and of the requests that it makes, with what these have of it.
        They may be made when the task has ended, by what it has left behind."""
        found = lease.correlation or self._of_execution(terms, lease)
        return found if found.task_id is not None else found.of_task(task_id, terms.group.key, terms.labels)

    def _of_terms(self, terms: JobTerms) -> tuple[str, RuntimeCorrelation, Mapping[str, str] | None]:
        group, correlation = self._known(terms.group.key)
        if terms.row_group is not None or terms.column is not None:
            kind, digest = correlation.scheduling_group_kind, correlation.scheduling_group_identity_hash
            correlation = RuntimeCorrelation(self.run_id, terms.row_group, terms.column, None, kind, digest)
        labels = terms.labels
        terms.in_events = found = group, correlation, None if labels is None else words_of(labels)
        return found

    def _of_execution(self, terms: JobTerms, lease: TaskAdmissionLease) -> RuntimeCorrelation:
        _, known, _ = terms.in_events or self._of_terms(terms)
        kind, digest = known.scheduling_group_kind, known.scheduling_group_identity_hash
        made = RuntimeCorrelation(self.run_id, terms.row_group, terms.column, None, kind, digest, lease.lease_id)
        _keep(lease, "correlation", made)
        return made

    def _name_and_correlation(self, key: TaskGroupKey) -> tuple[str, RuntimeCorrelation]:
        digest = hashlib.blake2b("\x1f".join(key.identity).encode(), digest_size=8).hexdigest()
        return str(key), RuntimeCorrelation(self.run_id, None, None, None, key.kind, digest)

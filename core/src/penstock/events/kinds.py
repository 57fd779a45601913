"""What each kind of event says, and what it holds beside what every event has: docs/reference/events.md as a table.

Nothing is decided by it. A test holds the events of runs to it, so that it says what is so.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import attrs

from penstock.events.records import StreamName

__all__ = ["EVENT_FACTS", "EventFacts"]


@attrs.frozen(kw_only=True)
class EventFacts:
    """What one kind of event says. `fields` are those of `RuntimeEvent` that it may bear; `reason` is what its
    `reason_or_outcome` holds, and `diagnostics` says of each key what it is.
    """

    says: str
    fields: tuple[str, ...] = ()
    reason: str = ""
    diagnostics: Mapping[str, str] = MappingProxyType({})


_TASK: Final = ("task_id", "group", "labels")
_EXECUTION: Final = (*_TASK, "task_execution_id", "task_lease_id")
_CALL: Final = ("resource", "group", "request_attempt_id", "task_execution_id", "labels")
_LEASED: Final = (*_CALL, "request_lease_id")
_OWN: Final = ("task_id", "resource", "group", "snapshot", "labels")
_OWNERS: Final = "said by whoever owns row groups, through `scheduler.emit`"
_BLOCKED: Final = {
    "queued": "tasks in the queue",
    "reasons": "how many groups are refused, by reason",
    "available_after": "seconds of the run's clock at which the first refusal ends; null if none has a moment",
}
_CHANGE: Final = {
    "before": "the limit before, calls in flight",
    "after": "the limit now",
    "blocked_until": "seconds of the run's clock up to which no calls go out",
    "detail": "why, in words",
}
_ERROR: Final = EventFacts(
    says="A plugin raised, or broke the contract; at most once a second for each plugin.",
    diagnostics={
        "plugin": "its name",
        "hook": "the hook, and of what it made the method",
        "place": "file and line",
        "count": "how often so far",
    },
)
_DROPPED: Final = EventFacts(
    says="Events that a sink with `on_full='drop'` has not got: a record of the gap, for that sink alone.",
    reason="`buffer_full`",
    diagnostics={
        "dropped": "how many",
        "first_sequence": "the first of them",
        "last_sequence": "the last of them",
    },
)

_SCHEDULER: Final[Mapping[str, EventFacts]] = {
    "scheduler_job_started": EventFacts(
        says="A run began.",
        diagnostics={
            "promises": "what plugins promise of the run, by plugin",
            "wall_clock": "the time of day of this event, in ISO 8601, by which those of all others can be told",
        },
    ),
    "scheduler_job_completed": EventFacts(
        says="A run ended.",
        diagnostics={
            "completed": "tasks that were carried out",
            "failed": "tasks that were given up after a failure",
            "dropped": "tasks that were not carried out",
            "cancelled": "tasks that somebody cancelled",
            "shutdown": "tasks that the end of the run stopped",
        },
    ),
    "scheduler_health_snapshot": EventFacts(
        says="What `scheduler.health()` says, each `[scheduler] health_interval` while there is work.",
        fields=("snapshot",),
    ),
    "dependency_ready": EventFacts(says="A task depends on nothing unfinished any more.", fields=_TASK),
    "ready_enqueued": EventFacts(says="A task is in the ready queue.", fields=_TASK),
    "row_group_admitted": EventFacts(says=f"A row group is in work; {_OWNERS}.", fields=_OWN),
    "row_group_admission_blocked": EventFacts(says=f"A row group has to wait; {_OWNERS}.", fields=_OWN),
    "row_group_admission_target_changed": EventFacts(
        says=f"Another number of row groups may be in work; {_OWNERS}.", fields=_OWN
    ),
    "row_group_checkpointed": EventFacts(says=f"A row group is done and kept; {_OWNERS}.", fields=_OWN),
    "selected": EventFacts(says="The queue chose a task, which is asked about next.", fields=_TASK),
    "queue_empty": EventFacts(says="The loop sleeps, since nothing is queued."),
    "admission_blocked": EventFacts(
        says="The loop sleeps, since all that is queued is refused; or a stall.",
        reason="`stalled` for a stall",
        diagnostics={**_BLOCKED, "why": "of a stall, what `explain` says"},
    ),
    "group_capped": EventFacts(
        says="The loop sleeps, since all that is queued is of groups at their caps, or with a debt.",
        diagnostics=_BLOCKED,
    ),
    "request_pressure_advisory_skipped": EventFacts(
        says="Tasks of a group step back, since their provider is cooling down or full; once for each such time.",
        fields=("group", "resource"),
        reason="what presses: `cooldown`, `no_capacity`, …",
        diagnostics={"until": "what ends it, as texts", "by": "who refused", "why": "in words"},
    ),
    "task_lease_acquired": EventFacts(
        says="A task has its lease.",
        fields=_EXECUTION,
        diagnostics={"shadow": "by plugin in shadow, what it would have refused"},
    ),
    "admission_denied": EventFacts(
        says="A task was refused, and waits for what ends the refusal.",
        fields=_TASK,
        reason="the reason of the refusal, one of `TASK_REASONS`",
        diagnostics={"by": "the plugin that refused, or `core`"},
    ),
    "worker_spawned": EventFacts(says="The worker of a task is about to start.", fields=_EXECUTION),
    "worker_spawn_failed": EventFacts(
        says="The worker of a task could not be started; its lease goes back.", fields=(*_TASK, "task_lease_id")
    ),
    "stale_selection": EventFacts(
        says="Something changed between choosing and admitting a task; it is chosen anew.", fields=_TASK
    ),
    "retry_deferred": EventFacts(
        says="A task failed, and is tried again.",
        fields=_TASK,
        diagnostics={"until": "seconds of the run's clock at which it is ready again", "failures": "how often so far"},
    ),
    "non_retryable_dropped": EventFacts(
        says="A task was given up, or comes after one that was.", fields=_TASK, reason="why, in words"
    ),
    "cancelled": EventFacts(
        says="A task was taken out before it was carried out.", fields=_TASK, reason="`cancelled` or `shutdown`"
    ),
    "salvage_redispatched": EventFacts(says="A task whose back-off is over is ready again.", fields=_TASK),
    "queue_drained": EventFacts(says="Nothing is queued or running any more, at the end of a run."),
    "task_completed": EventFacts(
        says="The worker of a task has ended.",
        fields=_EXECUTION,
        reason="`completed`, `failed`, `cancelled` or `abandoned`",
    ),
    "task_lease_released": EventFacts(
        says="The lease of a task has come back.",
        fields=_EXECUTION,
        reason="`released`, or `abandoned` for a task that its runner could not end",
    ),
    "release_diagnostic": EventFacts(
        says="A lease came back that is not out: a mistake of ours.", fields=_EXECUTION, reason="what was wrong"
    ),
    "plugin_error": _ERROR,
    "events_dropped": _DROPPED,
}

_REQUEST: Final[Mapping[str, EventFacts]] = {
    "request_resource_registered": EventFacts(
        says="A model, or a domain of one, is known from now on.",
        fields=("resource",),
        diagnostics={
            "effective_max": "its cap, calls in flight",
            "provider_model_cap": "that of the model over all its domains",
            "aliases": "names that lead to it",
        },
    ),
    "request_effective_cap_changed": EventFacts(
        says="The cap of a model changed, or a limiter says so of a limit.",
        fields=("resource",),
        diagnostics={**_CHANGE, "in_flight": "calls in flight at the time"},
    ),
    "request_queue_formed": EventFacts(
        says="The first call has to wait for a resource.",
        fields=("resource",),
        reason="why it waits, one of `REQUEST_REASONS`",
    ),
    "request_wait_started": EventFacts(
        says="A call asks for its lease; one that gets it at once says so too.",
        fields=_CALL,
        diagnostics={"waiters": "calls that wait for the same"},
    ),
    "request_wait_completed": EventFacts(
        says="A call is about to get its lease.", fields=_CALL, diagnostics={"waited": "seconds"}
    ),
    "request_wait_timeout": EventFacts(
        says="A call has waited as long as it may.",
        fields=_CALL,
        reason="`queue_timeout`, `deadline` or `cooldown`",
        diagnostics={"waited": "seconds"},
    ),
    "request_wait_cancelled": EventFacts(
        says="A call that waited was taken out.",
        fields=_CALL,
        reason="`cancellation`, or the reason of a refusal for good",
        diagnostics={"waited": "seconds"},
    ),
    "request_acquire_denied": EventFacts(
        says="A call got no lease, and the caller was told.",
        fields=_CALL,
        reason="one of `REQUEST_REASONS`",
        diagnostics={
            "until": "what would end the refusal, as texts",
            "by": "the plugin that refused, or `core`",
            "retry_after_seconds": "seconds until it may be worth asking again",
        },
    ),
    "request_lease_acquired": EventFacts(
        says="A call has its lease.",
        fields=_LEASED,
        diagnostics={
            "limit_at_admission": "the lowest limit that held, calls in flight",
            "effective_max": "the cap",
            "in_flight": "calls in flight with it",
            "provider_model_in_flight": "those of the model over all its domains",
            "shadow": "by plugin in shadow, what it would have refused",
        },
    ),
    "model_request_started": EventFacts(says="A call goes out.", fields=_LEASED),
    "model_request_completed": EventFacts(
        says="A call has its answer, or has failed.",
        fields=_LEASED,
        reason="one of `OUTCOME_KINDS`",
        diagnostics={
            "seconds": "how long it was out",
            "status": "the HTTP status",
            "retry_after_seconds": "how long the provider asks to wait",
            "first_token_at": "seconds of the run's clock at which the answer began",
            "detail": "what more is known, in words",
        },
    ),
    "request_queue_drained": EventFacts(says="No call waits for a resource any more.", fields=("resource",)),
    "request_rate_limited": EventFacts(
        says="A limiter takes in that the provider refused a call for its rate.",
        fields=("resource",),
        diagnostics=_CHANGE,
    ),
    "request_limit_decreased": EventFacts(says="A limit went down.", fields=("resource",), diagnostics=_CHANGE),
    "request_limit_increased": EventFacts(says="A limit went up.", fields=("resource",), diagnostics=_CHANGE),
    "request_soft_ceiling_recovered": EventFacts(
        says="A limit has proven the level at which it was cut.", fields=("resource",), diagnostics=_CHANGE
    ),
    "request_fully_recovered": EventFacts(
        says="A limit is back at its highest, or a circuit is closed.", fields=("resource",), diagnostics=_CHANGE
    ),
    "request_lease_released": EventFacts(
        says="The lease of a call has come back, with its outcome.",
        fields=_LEASED,
        reason="one of `OUTCOME_KINDS`",
        diagnostics={
            "held": "seconds",
            "in_flight": "calls in flight without it",
            "input_tokens": "tokens of the call, caches included",
            "output_tokens": "tokens of the answer, reasoning included",
            "cache_read_tokens": "tokens that were read from a cache",
            "cache_write_tokens": "tokens that were written to one",
            "reasoning_tokens": "tokens of reasoning",
            "limited_by": "what a rate limit was about, one of `LIMITED_BY`",
            "of": "whom a refusal for good concerns: the `call` or the `account`",
            "ended": "how the answer ended, one of `ENDINGS`",
        },
    ),
    "request_release_diagnostic": EventFacts(
        says="A lease came back that is not out; or a limiter has read what makes no sense.",
        fields=_LEASED,
        reason="what was wrong with the lease",
        diagnostics=_CHANGE,
    ),
    "plugin_error": _ERROR,
    "events_dropped": _DROPPED,
}

EVENT_FACTS: Final[Mapping[StreamName, Mapping[str, EventFacts]]] = MappingProxyType(
    {"scheduler": _SCHEDULER, "request": _REQUEST}
)
"""Of each kind of each stream, what it says, in the order of a run."""

"""Penstock admits work to rate-limited model APIs: which task starts next, and when each concrete call may go out."""

from __future__ import annotations

import penstock.cli.interrupted  # first: all that follows takes its time

# isort: split
from penstock.cli.command_line import CommandLine
from penstock.config.names import unknown_in
from penstock.config.reading import LoadedConfig, ModelConfig, PenstockConfig, ProviderConfig, load_config
from penstock.config.structuring import structure
from penstock.config.toml_reading import read_toml
from penstock.config.words import did_you_mean, value_in_words
from penstock.events.correlation import RuntimeCorrelation, current_correlation
from penstock.events.recorded import event_from_dict, event_to_dict, event_to_json, events_to_json_lines
from penstock.events.records import (
    EventStream,
    RequestEventKind,
    RuntimeEvent,
    SchedulerEventKind,
)
from penstock.executor.attempt import Attempt, AttemptContext, DetachedAttempt
from penstock.executor.call_items import CallOptions
from penstock.executor.executor import ModelRequestExecutor
from penstock.executor.thread_work import run_in_thread, wait_in_run
from penstock.executor.waiting_attempt import WaitingAttempt
from penstock.plugins.barring import Without
from penstock.plugins.hookspecs import hookimpl
from penstock.plugins.manager import PluginManager
from penstock.plugins.promises import Promise, RunPlan
from penstock.queueing.arrival_order import ArrivalOrder
from penstock.queueing.lane_queue import LaneQueue
from penstock.queueing.lanes import Arena, Entry, Lane, Order
from penstock.readiness.cycles import find_cycle
from penstock.requests.admission import RequestAdmissionController, RequestAdmissionEffects
from penstock.requests.classifying import classify
from penstock.requests.error_body import ErrorFields, error_fields, error_in
from penstock.requests.figures import duration_of, http_date, number_of, seconds_until
from penstock.requests.hint_reading import HEADER_FAMILIES, HintFamily, read_hints, retry_after_seconds
from penstock.requests.hints import Hints, LimitHint
from penstock.requests.items import (
    MOST_URGENT,
    RequestAdmissionDenied,
    RequestAdmissionError,
    RequestAdmissionItem,
    RequestAdmissionLease,
    RequestCost,
    RequestEventContext,
    RequestGroupSpec,
)
from penstock.requests.lane_waiters import FifoRequestWaiters, LaneRequestWaiters
from penstock.requests.limiter_bounds import bound_or_none, lowest_bound, require_effective_max
from penstock.requests.limiter_change import LimiterChange, LimiterChangeKind
from penstock.requests.limiter_snapshot import LimiterSnapshot
from penstock.requests.limiter_ticket import LimiterTicket
from penstock.requests.limiters import (
    CallObserver,
    HintObserver,
    LimiterSuccessor,
    RefusalExplainer,
    RequestCounter,
    RequestLimiter,
)
from penstock.requests.outcomes import RequestReleaseOutcome
from penstock.requests.own_failures import own_shortage, surely_unpaid
from penstock.requests.pressure import (
    ModelRequestPressureSnapshot,
    RequestPressureSnapshot,
    RequestPressureSnapshotProvider,
)
from penstock.requests.prices import Prices
from penstock.requests.reading import asks_for_too_much, verdict_of_refusal, verdict_of_status
from penstock.requests.response import ResponseFacts
from penstock.requests.slow_start import SlowStart
from penstock.requests.verdict import (
    ENDINGS,
    LIMITED_BY,
    OUTCOME_KINDS,
    Ended,
    LimitedBy,
    Of,
    OutcomeKind,
    Usage,
    Verdict,
)
from penstock.requests.waiters import RequestQueueSelection, RequestQueueView, RequestWaiter, RequestWaiterQueue
from penstock.run.calls import current_executor, execute, execute_from_thread, request, set_no_gate
from penstock.run.health import Health
from penstock.run.opening import open_scheduler
from penstock.run.preparing import PreparedRun, prepare_run
from penstock.run.reconfiguration import Reconfiguration
from penstock.run.scheduler import Scheduler
from penstock.scheduler.callables import check_plain_function
from penstock.scheduler.handles import EndStatus, TaskCancelled, TaskDropped, TaskHandle, TaskStatus
from penstock.scheduler.options import TaskSpec
from penstock.scheduler.places import CountedTaskRunner, RunnerStanding, WorkerPlaces
from penstock.scheduler.runner import LeavingTaskRunner, NurseryTaskRunner, TaskRunner
from penstock.scheduler.scheduler import AsyncTaskScheduler
from penstock.sinks.spec import SinkBinding, SinkSpec
from penstock.tasks.admission import TaskAdmissionConfig, TaskAdmissionController
from penstock.tasks.decision import PolicyStateDelta, TaskAdmissionPolicyDecision
from penstock.tasks.gate import TaskGate
from penstock.tasks.lease import TaskAdmissionBlockSummary, TaskAdmissionDenied, TaskAdmissionLease, TaskRefused
from penstock.tasks.policy import TaskAdmissionPolicy, TaskAdmissionView
from penstock.tasks.queue import FifoTaskQueue, LaneTaskQueue
from penstock.tasks.ready_queue import Blocked, QueueSelection, QueueView, ReadyQueue
from penstock.tasks.records import (
    SUBMISSION,
    ResolvedTaskScheduling,
    SchedulableTask,
    SchedulerResourceKey,
    SchedulerResourceRequest,
    SchedulingMetadata,
    SchedulingMetadataError,
    TaskGroupKey,
    TaskGroupSpec,
    TaskSchedulingResolver,
)
from penstock.views.task_timeline import TaskTimeline
from penstock.views.timeline import CorrelatedRuntimeView
from penstock.words.capacity import CapacitySource, CapacityValue, ConfiguredCapacity, ObservedMaxima, RuntimeCapacity
from penstock.words.capacity_plan import AsyncCapacityPlan
from penstock.words.checks import MOST_TOKENS
from penstock.words.decisions import HookFigures
from penstock.words.errors import (
    AdmissionError,
    ConfigError,
    PenstockError,
    PluginError,
    StallError,
    TaskAbandoned,
    WorkerLost,
)
from penstock.words.failures import FailureMark, failure_mark, mark_failure
from penstock.words.file_check import FileCheck
from penstock.words.files import opened_without_wait
from penstock.words.given_up import GivenUpModel
from penstock.words.identity import (
    LimiterScope,
    ProviderKey,
    ProviderModelKey,
    ProviderModelStaticCap,
    RequestDomain,
    RequestGroupKey,
    RequestResourceKey,
    RequestResourceResolver,
    Scope,
    scope_kind,
)
from penstock.words.labels import Labels
from penstock.words.leases import LeaseLedger, ReleaseResult
from penstock.words.metrics import METRICS
from penstock.words.plugin_failures import PluginFailure
from penstock.words.printable import printable
from penstock.words.problems import Problem
from penstock.words.report import RunFigures, RunInfo, RunReport
from penstock.words.schema_keywords import in_schema
from penstock.words.settings import Settings, WallClock
from penstock.words.shadow import ShadowTally
from penstock.words.validators import not_empty, number_above, number_from, one_of, true_or_false, whole_number_from
from penstock.words.verdicts import (
    NEVER,
    PROBE,
    REQUEST_REASONS,
    TASK_REASONS,
    At,
    Backlog,
    Condition,
    Denied,
    Probe,
    RefusalScope,
    Released,
    RequestReason,
    Signal,
    TaskReason,
    Uncontested,
    check_denied,
)

__all__ = [
    "ENDINGS", "HEADER_FAMILIES", "LIMITED_BY", "METRICS", "MOST_TOKENS", "MOST_URGENT", "NEVER", "OUTCOME_KINDS",
    "PROBE", "REQUEST_REASONS", "SUBMISSION", "TASK_REASONS", "AdmissionError", "Arena", "ArrivalOrder",
    "AsyncCapacityPlan", "AsyncTaskScheduler", "At", "Attempt", "AttemptContext", "Backlog", "Blocked",
    "CallObserver", "CallOptions", "CapacitySource", "CapacityValue", "CommandLine", "Condition", "ConfigError",
    "ConfiguredCapacity", "CorrelatedRuntimeView", "CountedTaskRunner", "Denied", "DetachedAttempt", "EndStatus",
    "Ended", "Entry", "ErrorFields", "EventStream", "FailureMark", "FifoRequestWaiters", "FifoTaskQueue",
    "FileCheck", "GivenUpModel", "Health", "HintFamily", "HintObserver", "Hints", "HookFigures", "Labels", "Lane",
    "LaneQueue", "LaneRequestWaiters", "LaneTaskQueue", "LeaseLedger", "LeavingTaskRunner", "LimitHint",
    "LimitedBy", "LimiterChange", "LimiterChangeKind", "LimiterScope", "LimiterSnapshot", "LimiterSuccessor",
    "LimiterTicket", "LoadedConfig", "ModelConfig", "ModelRequestExecutor", "ModelRequestPressureSnapshot",
    "NurseryTaskRunner", "ObservedMaxima", "Of", "Order", "OutcomeKind", "PenstockConfig", "PenstockError",
    "PluginError", "PluginFailure", "PluginManager", "PolicyStateDelta", "PreparedRun", "Prices", "Probe",
    "Problem", "Promise", "ProviderConfig", "ProviderKey", "ProviderModelKey", "ProviderModelStaticCap",
    "QueueSelection", "QueueView", "ReadyQueue", "Reconfiguration", "RefusalExplainer", "RefusalScope",
    "ReleaseResult", "Released", "RequestAdmissionController", "RequestAdmissionDenied", "RequestAdmissionEffects",
    "RequestAdmissionError", "RequestAdmissionItem", "RequestAdmissionLease", "RequestCost", "RequestCounter",
    "RequestDomain", "RequestEventContext", "RequestEventKind", "RequestGroupKey", "RequestGroupSpec",
    "RequestLimiter", "RequestPressureSnapshot", "RequestPressureSnapshotProvider", "RequestQueueSelection",
    "RequestQueueView", "RequestReason", "RequestReleaseOutcome", "RequestResourceKey", "RequestResourceResolver",
    "RequestWaiter", "RequestWaiterQueue", "ResolvedTaskScheduling", "ResponseFacts", "RunFigures", "RunInfo",
    "RunPlan", "RunReport", "RunnerStanding", "RuntimeCapacity", "RuntimeCorrelation", "RuntimeEvent",
    "SchedulableTask", "Scheduler", "SchedulerEventKind", "SchedulerResourceKey", "SchedulerResourceRequest",
    "SchedulingMetadata", "SchedulingMetadataError", "Scope", "Settings", "ShadowTally", "Signal", "SinkBinding",
    "SinkSpec", "SlowStart", "StallError", "TaskAbandoned", "TaskAdmissionBlockSummary", "TaskAdmissionConfig",
    "TaskAdmissionController", "TaskAdmissionDenied", "TaskAdmissionLease", "TaskAdmissionPolicy",
    "TaskAdmissionPolicyDecision", "TaskAdmissionView", "TaskCancelled", "TaskDropped", "TaskGate", "TaskGroupKey",
    "TaskGroupSpec", "TaskHandle", "TaskReason", "TaskRefused", "TaskRunner", "TaskSchedulingResolver", "TaskSpec",
    "TaskStatus", "TaskTimeline", "Uncontested", "Usage", "Verdict", "WaitingAttempt", "WallClock", "Without",
    "WorkerLost", "WorkerPlaces", "asks_for_too_much", "bound_or_none", "check_denied", "check_plain_function",
    "classify", "current_correlation", "current_executor", "did_you_mean", "duration_of", "error_fields",
    "error_in", "event_from_dict", "event_to_dict", "event_to_json", "events_to_json_lines", "execute",
    "execute_from_thread", "failure_mark", "find_cycle", "hookimpl", "http_date", "in_schema", "load_config",
    "lowest_bound", "mark_failure", "not_empty", "number_above", "number_from", "number_of", "one_of",
    "open_scheduler", "opened_without_wait", "own_shortage", "prepare_run", "printable", "read_hints", "read_toml",
    "request", "require_effective_max", "retry_after_seconds", "run_in_thread", "scope_kind", "seconds_until",
    "set_no_gate", "structure", "surely_unpaid", "true_or_false", "unknown_in", "value_in_words",
    "verdict_of_refusal", "verdict_of_status", "wait_in_run", "whole_number_from",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__

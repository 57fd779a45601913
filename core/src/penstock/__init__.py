"""Penstock admits work to rate-limited model APIs: which task starts next, and when each concrete call may go out."""

from __future__ import annotations

from penstock.arrival_order import ArrivalOrder
from penstock.cli import CommandLine
from penstock.config import LoadedConfig, ModelConfig, PenstockConfig, ProviderConfig, load_config
from penstock.correlation import RuntimeCorrelation, current_correlation
from penstock.errors import AdmissionError, ConfigError, PenstockError, PluginError, StallError, TaskRefused
from penstock.events import EventStream, RuntimeEvent, event_from_dict, event_to_dict, event_to_json
from penstock.failures import FailureMark, failure_mark, mark_failure
from penstock.handles import TaskCancelled, TaskDropped, TaskHandle, TaskSpec
from penstock.hookspecs import hookimpl
from penstock.identity import (
    ProviderKey,
    ProviderModelKey,
    ProviderModelStaticCap,
    RequestDomain,
    RequestResourceKey,
    RequestResourceResolver,
    Scope,
)
from penstock.lane_queue import LaneQueue
from penstock.lanes import Arena, Entry, Lane, Order
from penstock.leases import LeaseLedger, ReleaseResult
from penstock.plugins import PluginManager
from penstock.ready_queue import Blocked, QueueSelection, QueueView, ReadyQueue
from penstock.report import RunInfo, RunReport
from penstock.requests.admission import RequestAdmissionController, RequestAdmissionEffects
from penstock.requests.attempt import Attempt, AttemptContext, DetachedAttempt
from penstock.requests.executor import ModelRequestExecutor
from penstock.requests.items import (
    RequestAdmissionDenied,
    RequestAdmissionError,
    RequestAdmissionItem,
    RequestAdmissionLease,
    RequestCost,
    RequestEventContext,
    RequestGroupSpec,
    ResponseFacts,
)
from penstock.requests.lane_waiters import FifoRequestWaiters, LaneRequestWaiters
from penstock.requests.limiters import LimiterChange, LimiterSnapshot, RequestLimiter
from penstock.requests.outcomes import OUTCOME_KINDS, RequestReleaseOutcome, Usage, classify, retry_after_seconds
from penstock.requests.pressure import (
    GlobalRequestPressureSnapshot,
    RequestPressureSnapshot,
    RequestPressureSnapshotProvider,
)
from penstock.requests.waiters import RequestQueueSelection, RequestQueueView, RequestWaiter, RequestWaiterQueue
from penstock.run import Scheduler, current_executor, execute, open_scheduler, request
from penstock.runner import NurseryTaskRunner, TaskRunner
from penstock.scheduler import AsyncTaskScheduler
from penstock.settings import Settings, WallClock
from penstock.shadow import ShadowTally
from penstock.sink_spec import SinkBinding, SinkSpec
from penstock.structuring import structure
from penstock.task_admission import (
    TaskAdmissionBlockSummary,
    TaskAdmissionConfig,
    TaskAdmissionController,
    TaskAdmissionDenied,
    TaskAdmissionLease,
)
from penstock.task_policy import (
    PolicyStateDelta,
    TaskAdmissionPolicy,
    TaskAdmissionPolicyDecision,
    TaskAdmissionView,
)
from penstock.task_queue import FifoTaskQueue, LaneTaskQueue
from penstock.task_timeline import TaskTimeline
from penstock.tasks import (
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
from penstock.timeline import CorrelatedRuntimeView
from penstock.verdicts import NEVER, At, Backlog, Condition, Denied, Released, Signal, Uncontested

__all__ = [
    "NEVER",
    "OUTCOME_KINDS",
    "AdmissionError",
    "Arena",
    "ArrivalOrder",
    "AsyncTaskScheduler",
    "At",
    "Attempt",
    "AttemptContext",
    "Backlog",
    "Blocked",
    "CommandLine",
    "Condition",
    "ConfigError",
    "CorrelatedRuntimeView",
    "Denied",
    "DetachedAttempt",
    "Entry",
    "EventStream",
    "FailureMark",
    "FifoRequestWaiters",
    "FifoTaskQueue",
    "GlobalRequestPressureSnapshot",
    "Lane",
    "LaneQueue",
    "LaneRequestWaiters",
    "LaneTaskQueue",
    "LeaseLedger",
    "LimiterChange",
    "LimiterSnapshot",
    "LoadedConfig",
    "ModelConfig",
    "ModelRequestExecutor",
    "NurseryTaskRunner",
    "Order",
    "PenstockConfig",
    "PenstockError",
    "PluginError",
    "PluginManager",
    "PolicyStateDelta",
    "ProviderConfig",
    "ProviderKey",
    "ProviderModelKey",
    "ProviderModelStaticCap",
    "QueueSelection",
    "QueueView",
    "ReadyQueue",
    "ReleaseResult",
    "Released",
    "RequestAdmissionController",
    "RequestAdmissionDenied",
    "RequestAdmissionEffects",
    "RequestAdmissionError",
    "RequestAdmissionItem",
    "RequestAdmissionLease",
    "RequestCost",
    "RequestDomain",
    "RequestEventContext",
    "RequestGroupSpec",
    "RequestLimiter",
    "RequestPressureSnapshot",
    "RequestPressureSnapshotProvider",
    "RequestQueueSelection",
    "RequestQueueView",
    "RequestReleaseOutcome",
    "RequestResourceKey",
    "RequestResourceResolver",
    "RequestWaiter",
    "RequestWaiterQueue",
    "ResolvedTaskScheduling",
    "ResponseFacts",
    "RunInfo",
    "RunReport",
    "RuntimeCorrelation",
    "RuntimeEvent",
    "SchedulableTask",
    "Scheduler",
    "SchedulerResourceKey",
    "SchedulerResourceRequest",
    "SchedulingMetadata",
    "SchedulingMetadataError",
    "Scope",
    "Settings",
    "ShadowTally",
    "Signal",
    "SinkBinding",
    "SinkSpec",
    "StallError",
    "TaskAdmissionBlockSummary",
    "TaskAdmissionConfig",
    "TaskAdmissionController",
    "TaskAdmissionDenied",
    "TaskAdmissionLease",
    "TaskAdmissionPolicy",
    "TaskAdmissionPolicyDecision",
    "TaskAdmissionView",
    "TaskCancelled",
    "TaskDropped",
    "TaskGroupKey",
    "TaskGroupSpec",
    "TaskHandle",
    "TaskRefused",
    "TaskRunner",
    "TaskSchedulingResolver",
    "TaskSpec",
    "TaskTimeline",
    "Uncontested",
    "Usage",
    "WallClock",
    "classify",
    "current_correlation",
    "current_executor",
    "event_from_dict",
    "event_to_dict",
    "event_to_json",
    "execute",
    "failure_mark",
    "hookimpl",
    "load_config",
    "mark_failure",
    "open_scheduler",
    "request",
    "retry_after_seconds",
    "structure",
]

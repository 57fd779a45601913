"""What plugin authors test with: contract suites, a simulated provider, scenarios, virtual time.

`ready_queue_machine` needs Hypothesis and is imported when it is asked for; nothing else here needs a test framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.testing.limiter_contract import LimiterDriver, RequestLimiterContract
from penstock.testing.provider import (
    Granted,
    Hanging,
    KeyReport,
    Latency,
    ModelReport,
    ProviderLimits,
    Queued,
    Ramp,
    Refused,
    RetryAfterForm,
    SimulatedModel,
    Started,
    Ticket,
    limits_from_mapping,
)
from penstock.testing.ready_queue_contract import ReadyQueueContract
from penstock.testing.scenario import Bound, Scenario, Tenant, TokenSizes
from penstock.testing.scenario_config import load_scenarios, scenarios_from
from penstock.testing.scenario_figures import figures_of, ideal_seconds
from penstock.testing.scenario_log import RunLog
from penstock.testing.scenario_run import ScenarioResult, missing_plugins, run_scenario
from penstock.testing.scripted_endpoint import ScriptedEndpoint
from penstock.testing.scripted_limiter import ScriptedLimiter
from penstock.testing.sink_contract import SinkContract, one_of_each_event
from penstock.testing.task_gate import TaskGate
from penstock.testing.task_making import anything_goes, group_key, make_task, take_all, take_one
from penstock.testing.task_policy_contract import TaskPolicyContract
from penstock.testing.waiter_contract import RequestWaiterQueueContract
from penstock.testing.waiter_driver import QueueDriver, ScriptedCapacity

if TYPE_CHECKING:
    from penstock.testing.queue_machine import ready_queue_machine


def __getattr__(name: str) -> Any:
    if name == "ready_queue_machine":
        from penstock.testing.queue_machine import ready_queue_machine

        return ready_queue_machine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Bound",
    "Granted",
    "Hanging",
    "KeyReport",
    "Latency",
    "LimiterDriver",
    "ModelReport",
    "ProviderLimits",
    "QueueDriver",
    "Queued",
    "Ramp",
    "ReadyQueueContract",
    "Refused",
    "RequestLimiterContract",
    "RequestWaiterQueueContract",
    "RetryAfterForm",
    "RunLog",
    "Scenario",
    "ScenarioResult",
    "ScriptedCapacity",
    "ScriptedEndpoint",
    "ScriptedLimiter",
    "SimulatedModel",
    "SinkContract",
    "Started",
    "TaskGate",
    "TaskPolicyContract",
    "Tenant",
    "Ticket",
    "TokenSizes",
    "anything_goes",
    "figures_of",
    "group_key",
    "ideal_seconds",
    "limits_from_mapping",
    "load_scenarios",
    "make_task",
    "missing_plugins",
    "one_of_each_event",
    "ready_queue_machine",
    "run_scenario",
    "scenarios_from",
    "take_all",
    "take_one",
]

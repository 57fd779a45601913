"""The testing kit for plugin authors: contract suites, a simulated provider, scenarios, virtual time.

`ready_queue_machine` and `LimiterMachine` need Hypothesis, and what needs virtual time brings pytest wherever that is
installed: they are imported when they are asked for. Nothing else here needs a test framework.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from penstock.testing.contracts.limiter import LimiterDriver, RequestLimiterContract
from penstock.testing.contracts.limiter_plugin import RequestLimiterPluginContract
from penstock.testing.contracts.ready_queue import ReadyQueueContract
from penstock.testing.contracts.request_rule import RequestRuleContract
from penstock.testing.contracts.task_policy import TaskPolicyContract
from penstock.testing.contracts.task_rule import TaskRuleContract
from penstock.testing.contracts.waiter_driver import QueueDriver, ScriptedCapacity
from penstock.testing.contracts.waiters import RequestWaiterQueueContract
from penstock.testing.provider.limits import Latency, ProviderLimits, Ramp, RetryAfterForm
from penstock.testing.provider.provider import Granted, Hanging, Queued, Refused, SimulatedModel, Started, Ticket
from penstock.testing.provider.report import KeyReport, ModelReport
from penstock.testing.request_bench import RequestBench
from penstock.testing.scenarios.config import load_scenarios, scenarios_from
from penstock.testing.scenarios.figures import figures_of, ideal_seconds
from penstock.testing.scenarios.log import RunLog
from penstock.testing.scenarios.scenario import Bound, Scenario, Tenant, TokenSizes
from penstock.testing.scenarios.simulated_calls import SimulatedCalls
from penstock.testing.scheduler_rig import SchedulerRig, open_rig
from penstock.testing.scripted_endpoint import ScriptedEndpoint
from penstock.testing.scripted_limiter import ScriptedLimiter
from penstock.testing.task_bench import TaskBench
from penstock.testing.task_making import anything_goes, group_key, make_task, take_all, take_one

if TYPE_CHECKING:
    from penstock.testing.contracts.limiter_machine import LimiterMachine
    from penstock.testing.contracts.limiter_scenarios import RequestLimiterScenarios
    from penstock.testing.contracts.queue_machine import ready_queue_machine
    from penstock.testing.contracts.sink import SinkContract, one_of_each_event
    from penstock.testing.contracts.task_runner import TaskRunnerContract
    from penstock.testing.scenarios.run import ScenarioResult, missing_plugins, run_scenario
else:  # for type checkers, a name that is not there is an error
    _WHEN_ASKED_FOR = {
        "LimiterMachine": "contracts.limiter_machine",
        "RequestLimiterScenarios": "contracts.limiter_scenarios",
        "ScenarioResult": "scenarios.run",
        "SinkContract": "contracts.sink",
        "TaskRunnerContract": "contracts.task_runner",
        "missing_plugins": "scenarios.run",
        "one_of_each_event": "contracts.sink",
        "ready_queue_machine": "contracts.queue_machine",
        "run_scenario": "scenarios.run",
    }

    def __getattr__(name: str) -> Any:
        module = _WHEN_ASKED_FOR.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"penstock.testing.{module}"), name)


__all__ = [
    "Bound",
    "Granted",
    "Hanging",
    "KeyReport",
    "Latency",
    "LimiterDriver",
    "LimiterMachine",
    "ModelReport",
    "ProviderLimits",
    "QueueDriver",
    "Queued",
    "Ramp",
    "ReadyQueueContract",
    "Refused",
    "RequestBench",
    "RequestLimiterContract",
    "RequestLimiterPluginContract",
    "RequestLimiterScenarios",
    "RequestRuleContract",
    "RequestWaiterQueueContract",
    "RetryAfterForm",
    "RunLog",
    "Scenario",
    "ScenarioResult",
    "SchedulerRig",
    "ScriptedCapacity",
    "ScriptedEndpoint",
    "ScriptedLimiter",
    "SimulatedCalls",
    "SimulatedModel",
    "SinkContract",
    "Started",
    "TaskBench",
    "TaskPolicyContract",
    "TaskRuleContract",
    "TaskRunnerContract",
    "Tenant",
    "Ticket",
    "TokenSizes",
    "anything_goes",
    "figures_of",
    "group_key",
    "ideal_seconds",
    "load_scenarios",
    "make_task",
    "missing_plugins",
    "one_of_each_event",
    "open_rig",
    "ready_queue_machine",
    "run_scenario",
    "scenarios_from",
    "take_all",
    "take_one",
]

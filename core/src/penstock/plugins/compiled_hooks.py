"""The compiled hooks of a run: rules as plain functions; factories, sinks and notes bound."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import attrs
import pluggy

from penstock.plugins.foreign_code import describe_error
from penstock.plugins.hook_calls import BoundHook, Rule, bound_hooks, first_answer
from penstock.plugins.tracing import DecisionTrace
from penstock.requests.items import RequestAdmissionItem
from penstock.requests.limiters import LimiterSuccessor, RequestLimiter
from penstock.requests.outcomes import RequestReleaseOutcome
from penstock.requests.pressure import RequestPressureSnapshotProvider
from penstock.requests.reconfiguring import Successor
from penstock.requests.response import ResponseFacts
from penstock.requests.shadow_limiter import RuleAsLimiter, ShadowLimiter, sound_limiter
from penstock.requests.waiters import RequestWaiterQueue
from penstock.scheduler.runner import TaskRunner
from penstock.sinks.spec import SinkBinding
from penstock.tasks.policy import TaskAdmissionPolicy, TaskAdmissionView
from penstock.tasks.ready_queue import QueueView, ReadyQueue
from penstock.tasks.records import SchedulableTask
from penstock.tasks.shadow_policy import RuleAsPolicy, ShadowTaskPolicy
from penstock.words.errors import ConfigError, PluginError
from penstock.words.identity import RequestResourceKey, Scope
from penstock.words.plugin_failures import OnPluginFailure, PluginMaker, fails_closed, refuse_coroutine, unheard
from penstock.words.problems import Problem
from penstock.words.report import RunInfo, RunReport
from penstock.words.settings import Settings
from penstock.words.shadow import ShadowBook
from penstock.words.verdicts import REQUEST_REASONS, TASK_REASONS, Denied, RequestReason, TaskReason, check_denied

__all__ = ["CompiledHooks"]

_ASKED: Final = {"penstock_task_policy": "evaluate", "penstock_request_limiter": "check"}
"""The method by which the product of a factory is asked for its decisions."""

_MAY_HAVE: Final[Mapping[str, tuple[str, ...]]] = {
    "penstock_ready_queue": ("choose", "limits_changed", "check_invariants"),
    "penstock_request_waiters": ("choose", "check_invariants"),
    "penstock_task_policy": ("stateless",),
    "penstock_request_limiter": ("room", "observe", "observe_call", "explain_refusal", "adopt"),
    "penstock_task_runner": ("leave", "standing"),
}
"""What the product of a factory is asked for later, in the middle of a run, which not each has."""

TaskRule = Callable[[SchedulableTask, QueueView, TaskAdmissionView, float], Denied | None]
RequestRule = Callable[[RequestAdmissionItem, RequestPressureSnapshotProvider, float], Denied | None]
OutcomeRule = Callable[[ResponseFacts | None, BaseException | None], RequestReleaseOutcome | None]


class CompiledHooks:
    """The hooks of a run, ready to be called. Made by `PluginManager.freeze()`, and fixed from then on.

    `task_eligible(task, queue_view, admission_view, now)`, `request_eligible(item, pressure, now)` and
    `classify_outcome(facts, error)` are `None` when no plugin implements them, so that nothing is called at
    all. They never raise: a rule that raises, or whose answer breaks the rules of a refusal, refuses the
    candidate until `Signal("reconfigured")`; a classification that raises is no opinion. Both, and what notes and
    plugins in shadow raise, are given to `on_failure` each time.

    Plugins in `shadows` are asked by none of these; their policies, limiters and rules come wrapped from
    `make_task_policies` and `make_request_limiters`, and what they would have done is counted in `shadow_book`.

    `generation` counts the reconfigurations, from 1. After one, `kept` plugins have the object and the `Config` that
    they had before, and those of `same_code` at least the code. What rules, policies and limiters are asked goes
    through `trace`.
    """

    def __init__(
        self,
        callers: Mapping[str, pluggy.HookCaller],
        settings: Mapping[str, Settings],
        sinks: Sequence[SinkBinding],
        *,
        generation: int = 1,
        on_failure: OnPluginFailure = unheard,
        shadows: Collection[str] = (),
        shadow_book: ShadowBook | None = None,
        kept: Collection[str] = (),
        same_code: Collection[str] = (),
        origins: Mapping[str, str] = MappingProxyType({}),
        trace: DecisionTrace | None = None,
    ) -> None:
        self.generation = generation
        self._trace = DecisionTrace() if trace is None else trace
        self._kept = kept
        self._same_code = same_code
        self._shadows = tuple(shadows)
        self._shadow_book = ShadowBook() if shadow_book is None else shadow_book
        self._pressure: RequestPressureSnapshotProvider | None = None
        self.sinks = list(sinks)
        self._settings = settings
        self._on_failure = on_failure
        self._callers = callers
        self._makers: dict[str, PluginMaker] = {}
        self._origins = origins
        self._bound = {hook: bound_hooks(caller) for hook, caller in callers.items()}
        self.task_eligible: TaskRule | None = self._eligibility(
            callers["penstock_task_eligible"], TASK_REASONS, "policy_denial"
        )
        self.request_eligible: RequestRule | None = self._eligibility(
            callers["penstock_request_eligible"], REQUEST_REASONS, "hard_policy_denial"
        )
        self.classify_outcome: OutcomeRule | None = self._classification(callers["penstock_classify_outcome"])

    def _eligibility(
        self, caller: pluggy.HookCaller, reasons: frozenset[str], failed_reason: TaskReason | RequestReason
    ) -> Rule | None:
        hook = caller.name

        def check(answer: object, by: str, now: float) -> Denied:
            return check_denied(answer, by=by, now=now, reasons=reasons)

        def failed(error: BaseException, by: str, now: float, function: Callable[..., Any]) -> Denied:
            self._on_failure(by, hook, error, function)
            return fails_closed(by, failed_reason, error, now, function)

        return first_answer(
            caller, settings=self._settings, check=check, failed=failed, of=self._heeded, trace=self._trace
        )

    def _heeded(self, plugin: str) -> bool:
        return plugin not in self._shadows

    def _shadow_rules(self, hook: str) -> list[tuple[str, Rule]]:
        """The rules in shadow, each by itself; they answer as they are and raise what they raise."""

        def failed(error: BaseException, *_: object) -> object:
            raise error

        parts: Any = {"settings": self._settings, "check": lambda answer, *_: answer, "failed": failed}
        rules = ((name, first_answer(self._callers[hook], of=name.__eq__, **parts)) for name in self._shadows)
        return [(name, rule) for name, rule in rules if rule is not None]

    def _classification(self, caller: pluggy.HookCaller) -> Rule | None:
        def check(answer: object, by: str, _: float) -> RequestReleaseOutcome:
            if not isinstance(answer, RequestReleaseOutcome):
                refuse_coroutine(answer)
                raise PluginError(by, f"must answer with RequestReleaseOutcome or None, not {type(answer).__name__}")
            return answer

        def failed(error: BaseException, by: str, _: float, function: Callable[..., Any]) -> None:
            self._on_failure(by, caller.name, error, function)

        return first_answer(caller, settings=self._settings, check=check, failed=failed, trace=self._trace)

    # ------------------------------------------------------------------------------------------------------ factories

    def make_ready_queue(self) -> ReadyQueue | None:
        """The ready queue of the first plugin that makes one; `None`: the core's FIFO."""
        made: ReadyQueue | None = self._first("penstock_ready_queue", ReadyQueue)
        return made

    def make_request_waiters(self) -> RequestWaiterQueue | None:
        """The waiter queue of the first plugin that makes one; `None`: the core's FIFO."""
        made: RequestWaiterQueue | None = self._first("penstock_request_waiters", RequestWaiterQueue)
        return made

    def make_task_runners(self) -> list[tuple[PluginMaker, TaskRunner]]:
        """The runners with their plugins, whose names they have; beside the scheduler's own nursery."""
        return [
            (self._maker(bound), made)
            for bound in self._bound["penstock_task_runner"]
            if (made := self._make(bound, "penstock_task_runner", TaskRunner)) is not None
        ]

    def make_task_policies(
        self, before: Sequence[tuple[str, TaskAdmissionPolicy]] = ()
    ) -> list[tuple[str, TaskAdmissionPolicy]]:
        """The task policies with their plugins' names, in the order of asking; those in shadow come last.

        Of the policies that were there `before`, those of kept plugins stay.
        """
        kept = [(name, policy) for name, policy in before if name in self._kept]
        stay = {name: policy for name, policy in kept if not isinstance(policy, ShadowTaskPolicy)}
        made = [
            (bound.plugin, policy)
            for bound in self._bound["penstock_task_policy"]
            if (policy := self._policy(bound, stay)) is not None
        ]
        remembering = {
            name: policy for name, policy in kept if isinstance(policy, ShadowTaskPolicy) and policy.remembers
        }
        shadows = [(name, policy) for name, policy in made if name in self._shadows]
        shadows += [(name, RuleAsPolicy(rule)) for name, rule in self._shadow_rules("penstock_task_eligible")]
        heeded = [(name, policy) for name, policy in made if name not in self._shadows]
        for name, policy in shadows:
            shadow = None if getattr(policy, "stateless", False) else remembering.get(name)
            if shadow is None:
                count = self._shadow_book.count(name, "tasks")
                shadow = ShadowTaskPolicy(policy, count, partial(self._on_failure, name))
            heeded.append((name, shadow))
        return heeded

    def _policy(self, bound: BoundHook, stay: Mapping[str, TaskAdmissionPolicy]) -> TaskAdmissionPolicy | None:
        if bound.plugin in stay:
            return stay[bound.plugin]
        made: TaskAdmissionPolicy | None = self._make(bound, "penstock_task_policy", TaskAdmissionPolicy)
        return made

    def see_pressure(self, pressure: RequestPressureSnapshotProvider) -> None:
        """Set the pressure that request rules in shadow read. Called before the first limiter is made."""
        self._pressure = pressure

    def make_request_limiters(self, scope: Scope, cap: int | None) -> list[tuple[str, RequestLimiter]]:
        """The limiters of one scope value with their plugins' names, in the order of asking."""
        return [(each.plugin, each.limiter) for each in self.remake_request_limiters(scope, cap, ())]

    def remake_request_limiters(
        self, scope: Scope, cap: int | None, before: Sequence[tuple[str, RequestLimiter]]
    ) -> list[Successor]:
        """The limiters of one scope value, in the order of asking, after a reconfiguration.

        Of those that were there `before`, the ones of kept plugins stay. Where only the `Config` changed, the new one
        takes over if it can (`adopt`). The others are made anew; a lease keeps the limiters that granted it.
        """
        there = {name: limiter for name, limiter in before if sound_limiter(limiter) is not None}
        made: list[Successor] = []
        for bound in self._bound["penstock_request_limiter"]:
            name, shadow = bound.plugin, bound.plugin in self._shadows
            previous = there.get(name)
            known = None if previous is None else sound_limiter(previous)
            if known is not None and name in self._kept:
                stays = previous if shadow and isinstance(previous, ShadowLimiter) else known
                made.append(Successor(name, self._in_shadow(name, stays) if shadow else stays, inherits=True))
                continue
            limiter = self._make(bound, "penstock_request_limiter", RequestLimiter, scope=scope, cap=cap)
            if limiter is None:
                continue
            adopts = known is not None and name in self._same_code and isinstance(limiter, LimiterSuccessor)
            if adopts:
                self._adopt(name, limiter, known)
            made.append(Successor(name, self._in_shadow(name, limiter) if shadow else limiter, inherits=adopts))
        if self._shadows and self._pressure is not None and isinstance(scope, RequestResourceKey):
            made += [  # one for each call, so no wider scope
                Successor(name, self._in_shadow(name, RuleAsLimiter(scope, rule, self._pressure)))
                for name, rule in self._shadow_rules("penstock_request_eligible")
            ]
        return made

    def _adopt(self, plugin: str, limiter: LimiterSuccessor, previous: object) -> None:
        try:
            limiter.adopt(previous)
        except BaseException as error:
            self._on_failure(plugin, "penstock_request_limiter.adopt", error, limiter.adopt)
            raise PluginError(plugin, f"adopt failed: {describe_error(error)}") from error

    def _in_shadow(self, name: str, limiter: RequestLimiter) -> RequestLimiter:
        if isinstance(limiter, ShadowLimiter):
            return limiter
        return ShadowLimiter(limiter, self._shadow_book.count(name, "requests"), partial(self._on_failure, name))

    def _first(self, hook: str, kind: Any) -> Any:
        for bound in self._bound[hook]:
            made = self._make(bound, hook, kind)
            if made is not None:
                self._makers[hook] = self._maker(bound)
                return made
        return None

    def maker(self, hook: str) -> PluginMaker:
        """The plugin that made what is used of a factory hook; the core, if none did."""
        return self._makers.get(hook, PluginMaker())

    def _maker(self, bound: BoundHook) -> PluginMaker:
        return PluginMaker(bound.plugin, self._origins.get(bound.plugin, ""))

    def _make(self, bound: BoundHook, hook: str, kind: Any, **given: object) -> Any:
        """The product of a plugin's factory, if any. Raises `PluginError` if it raises or makes something else."""
        try:
            made = bound(settings=self._settings[bound.plugin], **given)
            fits = made is None or isinstance(made, kind)  # which looks at what it has
            for name in _MAY_HAVE[hook]:
                hasattr(made, name)  # which raises where it cannot be looked at
            lacks = "" if fits else ", ".join(name for name in _members(kind) if not hasattr(made, name))
        except PluginError:
            raise
        except ConfigError as error:
            raise ConfigError([_naming(bound.plugin, problem) for problem in error.records]) from error
        except BaseException as error:
            self._on_failure(bound.plugin, hook, error, bound.function)
            raise PluginError(bound.plugin, f"{hook} failed: {describe_error(error)}") from error
        if not fits:
            raise PluginError(
                bound.plugin, f"{hook} must make a {kind.__name__}; {type(made).__name__} is none, it lacks {lacks}"
            )
        if made is not None and hook in _ASKED:
            self._trace.watch(bound.plugin, hook, made, _ASKED[hook])
        return made

    # ---------------------------------------------------------------------------------------------------------- notes

    def run_started(self, run: RunInfo, besides: Collection[str] = ()) -> None:
        """Tell every plugin, or all but some, that a run is about to start. Errors are reported; the run goes on."""
        self._note("penstock_run_started", besides, run=run)

    def run_finished(self, report: RunReport, besides: Collection[str] = ()) -> None:
        """Tell every plugin, or all but some, that a run has ended. Errors are reported."""
        self._note("penstock_run_finished", besides, report=report)

    def _note(self, hook: str, besides: Collection[str], **given: object) -> None:
        for bound in self._bound[hook]:
            if bound.plugin in besides:
                continue
            try:
                refuse_coroutine(bound(**given))
            except BaseException as error:
                self._on_failure(bound.plugin, hook, error, bound.function)


def _naming(plugin: str, problem: Problem) -> Problem:
    """The problem that a plugin's factory found, with the plugin's name, unless its path leads to the plugin."""
    if problem.path[:2] == ("plugins", plugin):
        return problem
    return attrs.evolve(problem, what=f"plugin {plugin!r}: {problem.what}")


def _members(protocol: Any) -> list[str]:
    return sorted(
        name for name in {*vars(protocol), *getattr(protocol, "__annotations__", {})} if not name.startswith("_")
    )

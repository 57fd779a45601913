"""The contract between the core and its plugins: every hook, when it is called, what it may do, what an
error in it means.

Factory hooks are called when a run is set up and return an object that the core then calls directly. Rule
hooks are called per decision; `plugins.freeze()` makes one plain call of each. Sinks are called per
event. Notes report the run as a whole.

An implementation takes the arguments that it wants, by name. `None` always means "no opinion". Hooks are
synchronous; an `async def`, a misspelt name, and a wrapper on a rule or sink hook are refused at
registration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs
import pluggy

if TYPE_CHECKING:
    from typing import Generic, TypeVar

    import click

    from penstock.events.records import RuntimeEvent
    from penstock.plugins.promises import Promise
    from penstock.requests.items import RequestAdmissionItem
    from penstock.requests.limiters import RequestLimiter
    from penstock.requests.outcomes import RequestReleaseOutcome
    from penstock.requests.pressure import RequestPressureSnapshotProvider
    from penstock.requests.response import ResponseFacts
    from penstock.requests.waiters import RequestWaiterQueue
    from penstock.scheduler.runner import TaskRunner
    from penstock.tasks.policy import TaskAdmissionPolicy, TaskAdmissionView
    from penstock.tasks.ready_queue import QueueView, ReadyQueue
    from penstock.tasks.records import SchedulableTask
    from penstock.words.file_check import FileCheck
    from penstock.words.identity import Scope
    from penstock.words.problems import Problem
    from penstock.words.report import RunInfo, RunReport
    from penstock.words.settings import Settings
    from penstock.words.verdicts import Denied

    F = TypeVar("F")
    Name = TypeVar("Name", bound=str)

__all__ = ["HOOKS", "OF_COMMANDS", "HookFacts", "PenstockSpec", "hookimpl", "hookspec"]

hookspec: Final = pluggy.HookspecMarker("penstock")
hookimpl: Final = pluggy.HookimplMarker("penstock")

if TYPE_CHECKING:

    class NamedMark(Generic[Name]):
        """What `hookimpl(specname="...")` makes, for `penstock.mypy`: the name is the literal `Name`."""

        def __call__(self, function: F) -> F: ...


class PenstockSpec:
    """The hook specifications. Every hook is documented here and in `HOOKS`, or a test fails."""

    @hookspec(firstresult=True)
    def penstock_ready_queue(self, settings: Settings) -> ReadyQueue | None:
        """The ready queue of a run.

        Called once, when a run is set up; without an implementation the core's FIFO queue serves. An error
        ends the set-up; one in the queue itself ends the run.
        """

    @hookspec
    def penstock_task_policy(self, settings: Settings) -> TaskAdmissionPolicy | None:
        """A task admission policy.

        Called once per run for each active plugin; all policies must agree, and are asked in the order of
        the list `task_policies`. An error ends the set-up; an error in `evaluate` refuses the task until
        `Signal("reconfigured")`, for at most `[scheduler] stall_timeout`, and then ends it with a `PluginError`.
        """

    @hookspec
    def penstock_task_eligible(
        self, task: SchedulableTask, queue: QueueView, admission: TaskAdmissionView, now: float, settings: Settings
    ) -> Denied | None:
        """A refusal of a ready task that must not start now, with what would end it; else `None`.

        Called per candidate after the policies have agreed, so it must be quick; it changes nothing.
        `settings` are the asking plugin's own. An error, or an answer that breaks the rules of a refusal,
        refuses the task until `Signal("reconfigured")`, for at most `[scheduler] stall_timeout`, and then ends it
        with a `PluginError`.
        """

    @hookspec
    def penstock_request_limiter(self, scope: Scope, cap: int | None, settings: Settings) -> RequestLimiter | None:
        """The limiter of one scope value, or `None` where this plugin does not limit.

        Called once for each provider, provider + model and resource, when it is first registered, and for each
        group of calls at its first call; all limiters that apply to a call must agree. `cap` is the static cap of a
        provider + model or of a resource, `None` for a provider and for a group. A group that has had no call for
        long may be forgotten, and is asked for anew then. An error ends the registration, or that call; an
        error in `check` refuses the call until `Signal("reconfigured")`, for at most `[requests] stall_timeout`, and
        one in `acquire`, `release` or `set_cap` every call that the limiter has a say in; then they end with a
        `PluginError`.
        """

    @hookspec(firstresult=True)
    def penstock_request_waiters(self, settings: Settings) -> RequestWaiterQueue | None:
        """The queue of the calls that wait for a request lease.

        Called once per run; without an implementation the core's FIFO waiters serve. An error ends the
        set-up; one in the queue itself ends the request gate.
        """

    @hookspec
    def penstock_request_eligible(
        self, item: RequestAdmissionItem, pressure: RequestPressureSnapshotProvider, now: float, settings: Settings
    ) -> Denied | None:
        """A refusal of a call that must not go out now, though the caps and limiters have agreed; else `None`.

        Quick, and it changes nothing. Errors as for `penstock_task_eligible`, with `[requests] stall_timeout`.
        """

    @hookspec(firstresult=True)
    def penstock_classify_outcome(
        self, response: ResponseFacts | None, error: BaseException | None
    ) -> RequestReleaseOutcome | None:
        """The outcome of a call, for answers that mean something else than their status says; else `None`.

        Called once per call, before its lease is released. An error is logged, and the core's own
        classification holds.
        """

    @hookspec
    def penstock_task_runner(self, settings: Settings) -> TaskRunner | None:
        """A runner that carries out the tasks that name it.

        Called once per run for each active plugin; the runner has its plugin's name, by which `runner=` of a task or
        `[scheduler.runners]` chooses it. All others run in the scheduler's own nursery. An error ends the set-up. What
        `check` raises but a `ConfigError` is a `PluginError` of who hands the task in. What `run` raises is the
        task's; what is no `Exception` ends the task with a `PluginError`.
        """

    @hookspec
    def penstock_scheduler_event(self, event: RuntimeEvent) -> None:
        """A callback for one event of the scheduler stream, after the state change that it reports.

        An implementation that keeps raising is disabled after `[sinks] failures` errors, at once if what it raises
        is no `Exception`, with a log line; the others go on.
        """

    @hookspec
    def penstock_request_event(self, event: RuntimeEvent) -> None:
        """A callback for one event of the request stream; as `penstock_scheduler_event`."""

    @hookspec
    def penstock_run_started(self, run: RunInfo) -> None:
        """A callback for a run that is set up and about to start. An error is logged, and the run goes on."""

    @hookspec
    def penstock_run_finished(self, report: RunReport) -> None:
        """A callback for a run that has ended: every lease is back, and all events have been given to the sinks. An
        error is logged."""

    @hookspec
    def penstock_check_names(self, settings: Settings) -> Iterable[Problem] | None:
        """The names in the plugin's `Config` that name nothing: a provider, a model, a domain (`unknown_in`).

        Called when the plugins are made, with the `providers` and `models` of the configuration, and where it has
        none, once more before the first call, with those that are known then. Each `Problem` has its path below the
        plugin's table. With `[providers]` a problem ends the set-up; without, it is a warning at first, and then an
        error of the call. An error in the hook ends the set-up.
        """

    @hookspec
    def penstock_promises(self, settings: Settings) -> Iterable[Promise] | None:
        """The promises of the plugin: what holds of any run in which it is active, whatever else is configured.

        Called when the plugins are made, at the start and for each reconfiguration. Each `Promise` is then checked
        against the whole `RunPlan`, and what breaks it ends the set-up, or the reconfiguration, with the reason. While
        a run goes on a plugin goes on promising what it has promised. Such a plugin cannot be in shadow. An error in
        the hook, or in a check, ends the set-up.
        """

    @hookspec
    def penstock_cli(self, cli: click.Group) -> None:
        """A callback that adds commands to the `penstock` command line.

        Called when one of the plugin's commands, which it also names under the entry-point group
        `penstock.commands`, is invoked or asked for its help; the plugin is then made with the defaults of
        its `Config`. An error goes to standard error, and the other commands work."""

    @hookspec
    def penstock_check(
        self, file: Path, tables: Mapping[str, Any], plugin_files: tuple[Path, ...], left_out: tuple[str, ...]
    ) -> FileCheck | None:
        """What there is to say of a TOML file if it is the plugin's own, having tables that only this plugin reads;
        `None` if it is not.

        Called by `penstock check FILE` and `penstock doctor FILE` of every installed plugin that has the hook, made
        with the defaults of its `Config`. `tables` is the file as it was read, `plugin_files` the files of `--plugin`,
        and `left_out` the names of `--no-plugin` (since version 1.1 of the contract). Calls no provider and writes
        nothing. `ConfigError` and `PluginError` say what is wrong with the file; any other error is the plugin's own,
        and ends the command only if no other plugin knows the file.
        """

    @hookspec
    def penstock_tables(self) -> Mapping[str, Any] | None:
        """The tables that the plugin reads in a TOML file beside the core's, each by its name to its type, as
        `load_config` takes them.

        Called by `penstock schema` of every installed plugin that has the hook, made with the defaults of its `Config`.
        An error goes to standard error, and the schema has the tables of all others.
        """


@attrs.frozen
class HookFacts:
    """The facts about a hook that its signature does not say.

    `list_key` is the list under `[plugins]` that names and orders the plugins for it (`None`: every active
    plugin is asked). `since` is the version of the contract in which it came; `deprecated` the one from which on it
    should not be used any more, and what should be, as in "1.3: use penstock_task_runner".
    """

    kind: Literal["factory", "rule", "sink", "note"]
    on_error: str
    list_key: str | None = None
    first_result: bool = False
    since: str = "1.0"
    deprecated: str | None = None


_ENDS = "ends the set-up"
_CLOSED = "refuses the candidate until Signal('reconfigured'), at most stall_timeout"
_LOGGED = "is logged, and the run goes on"
_COUNTED = "is counted; a sink that keeps raising is disabled"

HOOKS: Final[Mapping[str, HookFacts]] = MappingProxyType(
    {
        "penstock_ready_queue": HookFacts("factory", _ENDS, "ready_queue", first_result=True),
        "penstock_task_policy": HookFacts("factory", _ENDS, "task_policies"),
        "penstock_task_eligible": HookFacts("rule", _CLOSED, "task_policies"),
        "penstock_request_limiter": HookFacts("factory", _ENDS, "request_limiters"),
        "penstock_request_waiters": HookFacts("factory", _ENDS, "request_waiters", first_result=True),
        "penstock_request_eligible": HookFacts("rule", _CLOSED, "request_limiters"),
        "penstock_classify_outcome": HookFacts("rule", "is logged; the core's classification holds", None, True),
        "penstock_task_runner": HookFacts("factory", _ENDS, "task_runners"),
        "penstock_scheduler_event": HookFacts("sink", _COUNTED, "sinks"),
        "penstock_request_event": HookFacts("sink", _COUNTED, "sinks"),
        "penstock_run_started": HookFacts("note", _LOGGED),
        "penstock_run_finished": HookFacts("note", _LOGGED),
        "penstock_check_names": HookFacts("factory", _ENDS),
        "penstock_promises": HookFacts("factory", _ENDS),
        "penstock_cli": HookFacts("factory", "goes to standard error"),
        "penstock_check": HookFacts("factory", "goes to standard error"),
        "penstock_tables": HookFacts("factory", "goes to standard error", since="1.1"),
    }
)

OF_COMMANDS: Final = frozenset({"penstock_cli", "penstock_check", "penstock_tables"})
"""The hooks that the command line asks for, and no run."""

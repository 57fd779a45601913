"""The records of a run as a whole: at its start, at any moment (`run/figures.py` takes those), and at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import attrs

from penstock.words.decisions import HookFigures
from penstock.words.given_up import GivenUpModel
from penstock.words.plugin_failures import PluginFailure
from penstock.words.read_only import fixed
from penstock.words.shadow import ShadowTally

__all__ = [
    "CallsFigures",
    "LiveFigures",
    "RunFigures",
    "RunInfo",
    "RunReport",
    "TasksFigures",
    "TenantFigures",
    "WaitingFor",
]


@attrs.frozen
class WaitingFor:
    """How many wait under refusals of one `reason`, and whose (`by`: `core` or a plugin). `turn` is the reason where
    nothing refuses them but the order."""

    reason: str
    by: str
    waiting: int


@attrs.frozen(kw_only=True)
class TasksFigures:
    """One group of tasks: how many run and wait, and for what. `longest_wait` is in seconds."""

    group: str
    kind: str
    active: int
    waiting: int
    longest_wait: float = 0.0
    waits_for: tuple[WaitingFor, ...] = ()


@attrs.frozen(kw_only=True)
class CallsFigures:
    """The calls to one domain of a model.

    `limit` is how many may be in flight now, `cap` how many ever; `gone_out` counts those that have gone out so far.
    `longest_wait` and `cooldown`, what is left of one, are in seconds; `paused` counts calls that pause after a failed
    attempt.
    """

    provider: str
    model: str
    domain: str
    limit: int | None
    cap: int | None
    active: int
    waiting: int
    gone_out: int
    longest_wait: float = 0.0
    cooldown: float = 0.0
    paused: int = 0
    waits_for: tuple[WaitingFor, ...] = ()


@attrs.frozen(kw_only=True)
class TenantFigures:
    """Calls by whom they are for, over all models. Calls that are for nobody in particular are in none."""

    group: str
    active: int
    waiting: int


@attrs.frozen(kw_only=True)
class RunFigures:
    """A run at the moment `captured_at` of its clock; `running_for` is in seconds since its start.

    `resources` has of each resource of the scheduler how much is taken, and its limit. `ended` counts tasks by how they
    ended, and `unfinished` those that have not. `decisions` has what each hook was asked so far, as far as decisions
    are traced (`[plugins] trace`).
    """

    run_id: str
    captured_at: float
    running_for: float
    unfinished: int
    resources: Mapping[str, tuple[int, int]]
    ended: Mapping[str, int]
    tasks: tuple[TasksFigures, ...] = ()
    calls: tuple[CallsFigures, ...] = ()
    tenants: tuple[TenantFigures, ...] = ()
    decisions: tuple[HookFigures, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain data, JSON-safe."""
        return attrs.asdict(self)


class LiveFigures(Protocol):
    """The figures of a run under way, for any thread."""

    def __call__(self) -> RunFigures | None:
        """As they are now. In another thread than the run's own the loop is asked, and waited for a second at most;
        `None` if it does not answer by then, or the run is over."""
        ...


@attrs.frozen(kw_only=True)
class RunInfo:
    """A run that is about to start. `started_at` is a moment of the run's clock; `plugins` are the active
    ones, in order.

    What the configuration names: `domains` of each provider, beside those that all have; `models`, the id of each by
    `provider/name`, for every name that it has; and `prices` by `provider/id`, as they stand there. `figures` gives the
    run's figures while it is under way, in any thread.
    """

    run_id: str
    started_at: float
    seed: int
    plugins: tuple[str, ...] = ()
    domains: Mapping[str, Sequence[str]] = attrs.field(factory=dict)
    models: Mapping[str, str] = attrs.field(factory=dict)
    prices: Mapping[str, Mapping[str, float]] = attrs.field(factory=dict)
    figures: LiveFigures | None = attrs.field(default=None, eq=False, repr=False)


@attrs.frozen(kw_only=True)
class RunReport:
    """A run that has ended.

    `not_done` says of each task that was not carried out why: `failed`, `dropped` (something that it needs failed, or
    its attempts or deadline ran out), `cancelled` or `shutdown`. It holds the first 1,000; `not_done_count` counts all.
    `leases` are the task gate's, `request_leases` the request gate's: issued and returned. `shadows` says what each
    plugin in shadow would have done, `plugin_failures` what plugins raised, and where; `given_up` names the models that
    were given up for a time, since their provider refused the account. `abandoned` says of each task whose code did not
    end why it was left behind; its lease counts as returned. `decisions` has what each hook was asked, as far as
    decisions were traced.
    """

    run_id: str
    started_at: float
    finished_at: float
    completed: int = 0
    failed: int = 0
    dropped: int = 0
    cancelled: int = 0
    not_done: Mapping[str, str] = attrs.field(factory=dict, converter=fixed)
    not_done_count: int = 0
    leases: tuple[int, int] = (0, 0)
    request_leases: tuple[int, int] = (0, 0)
    diagnostics: Mapping[str, Any] = attrs.field(factory=dict, converter=fixed)
    shadows: tuple[ShadowTally, ...] = ()
    plugin_failures: tuple[PluginFailure, ...] = ()
    abandoned: Mapping[str, str] = attrs.field(factory=dict, converter=fixed)
    given_up: tuple[GivenUpModel, ...] = ()
    decisions: tuple[HookFigures, ...] = ()

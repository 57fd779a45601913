"""The records of a run's figures at one moment: limits, what is in flight, who waits and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import attrs

__all__ = ["CallsFigures", "LiveFigures", "RunFigures", "TasksFigures", "TenantFigures", "WaitingFor"]


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
    ended, and `unfinished` those that have not.
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

    def as_dict(self) -> dict[str, Any]:
        """Plain data, JSON-safe."""
        return attrs.asdict(self)


class LiveFigures(Protocol):
    """The figures of a run under way, for any thread."""

    def __call__(self) -> RunFigures | None:
        """As they are now. In another thread than the run's own the loop is asked, and waited for a second at most;
        `None` if it does not answer by then, or the run is over."""
        ...

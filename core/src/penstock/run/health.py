"""How a run is: what is queued and in flight, who waits longest, and whether the loop keeps up. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import attrs

from penstock.scheduler.places import RunnerStanding
from penstock.tasks.records import TaskGroupKey
from penstock.words.decisions import HookFigures
from penstock.words.given_up import GivenUpModel

__all__ = ["Health", "top_groups"]

R = TypeVar("R", int, float)

TOP_GROUPS: Final = 10
"""How many groups are named: those with the longest waits, and those with the most tasks queued."""


@attrs.frozen(kw_only=True)
class Health:
    """A run at one moment; durations in seconds.

    `in_flight`            resource to how much of it is out
    `queued_by_group`      the groups with the most tasks queued
    `longest_waits`        group to how long its oldest queued task waits, the longest first
    `waiting_requests`     calls that wait at the request gate, and `requests_in_flight` those that are out
    `loop_lag`             how late the loop came to what was due, at worst since the last snapshot
    `blocked_by`           the task that kept the loop longest since then, and `blocked_seconds` for how long, if the
                           watchdog is on; `blocked_times`: how many such steps there were in the whole run
    `unconfigured_models`  how many models are known that nobody configured, with what their limiters have learnt; idle
                           ones are forgotten when there are more than `unconfigured_models_bound`
    `debts`                how many debts of groups policies keep, which outlive what the groups have queued
    `remembered_groups`    how many groups with nothing queued or waiting the queues remember, for what they took ahead
    `given_up`             the models to which no call goes out for a time, since their provider refuses the account
    `plugin_errors`        plugin to how often it raised in the whole run
    `decisions`            the figures of each hook, as far as decisions are traced (`[plugins] trace`)
    `promises`             plugin to what it promises of the run, in words
    `runners`              runner to how it stands: busy workers, who waits for one, and how long tasks have starved
    `abandoned`            how many tasks were left behind in the whole run, whose code did not end
    """

    captured_at: float
    queued: int
    running: int
    unfinished: int
    in_flight: Mapping[str, int]
    queued_by_group: Mapping[str, int]
    longest_waits: Mapping[str, float]
    waiting_requests: int = 0
    requests_in_flight: int = 0
    loop_lag: float = 0.0
    blocked_by: str | None = None
    blocked_seconds: float = 0.0
    blocked_times: int = 0
    debts: int = 0
    remembered_groups: int = 0
    unconfigured_models: int = 0
    unconfigured_models_bound: int = 0
    given_up: tuple[GivenUpModel, ...] = ()
    plugin_errors: Mapping[str, int] = attrs.field(factory=dict)
    decisions: tuple[HookFigures, ...] = ()
    promises: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    runners: Mapping[str, RunnerStanding] = attrs.field(factory=dict)
    abandoned: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain data, JSON-safe."""
        return attrs.asdict(self)


def top_groups(by_group: Mapping[TaskGroupKey, R]) -> dict[str, R]:
    """The groups with the highest figures, by their names, the highest first."""
    named = {str(group): figure for group, figure in by_group.items()}
    return dict(sorted(named.items(), key=lambda pair: (-pair[1], pair[0]))[:TOP_GROUPS])

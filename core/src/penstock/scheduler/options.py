"""What a program says of a task: the options of any task, and the task of a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypedDict

import msgspec

from penstock.tasks.records import SchedulingMetadata, TaskGroupSpec

__all__ = ["NO_ERRORS", "Group", "MapOptions", "StartOptions", "TaskOptions", "TaskSpec"]

Group = str | TaskGroupSpec | SchedulingMetadata | None
"""Whom a task is counted under: a plain name, a group, what a step declares, or nobody in particular."""


NO_ERRORS: Final[tuple[type[Exception], ...]] = ()
"""That of `retry_on` where nothing is said."""


class MapOptions(TypedDict, total=False):
    """The options of all tasks of one `map`; `Scheduler.start_soon` says what each means."""

    group: Group
    needs: Mapping[str, int] | None
    deadline: float | None
    max_attempts: int | None
    retry_on: tuple[type[Exception], ...]
    row_group: str | None
    column: str | None
    labels: Mapping[str, str] | None


class StartOptions(MapOptions, total=False):
    """The options of one task."""

    task_id: str | None
    cancellable: bool


class TaskOptions(msgspec.Struct, frozen=True, kw_only=True):  # each call makes one: attrs takes three times as long
    """The options of a task; `Scheduler.start_soon` says what each means."""

    group: Group = None
    runner: str | None = None
    needs: Mapping[str, int] | None = None
    deadline: float | None = None
    max_attempts: int | None = None
    retry_on: tuple[type[Exception], ...] = NO_ERRORS
    row_group: str | None = None
    column: str | None = None
    cancellable: bool = False
    labels: Mapping[str, str] | None = None


class TaskSpec(TaskOptions, frozen=True, kw_only=True):
    """A task of a graph, for `scheduler.add`.

    `after`: ids that must be complete first. `members_of`: barriers (ids of specs with `barrier=True` that
    are not sealed yet) that are to wait for this one. `deadline` counts for retries too. The other options are those
    of `start_soon`.
    """

    task_id: str
    fn: Callable[..., Any]
    args: Sequence[Any] = ()
    after: Sequence[str] = ()
    members_of: Sequence[str] = ()
    barrier: bool = False

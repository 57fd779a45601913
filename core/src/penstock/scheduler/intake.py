"""What callers hand in becomes tasks and jobs: ids, groups and resources are settled here, once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from penstock.readiness.finished_ids import NUMBERED
from penstock.scheduler.callables import FunctionCheck
from penstock.scheduler.handles import Group, TaskHandle, TaskSpec
from penstock.scheduler.jobs import Job
from penstock.tasks.records import (
    ONE_PLACE,
    SchedulableTask,
    SchedulerResourceRequest,
    SchedulingMetadata,
    TaskGroupSpec,
    TaskSchedulingResolver,
)
from penstock.words.checks import (
    a_mapping,
    a_moment,
    a_name,
    an_instance,
    exception_types,
    names,
    shown,
    true_or_false,
    whole_number,
)
from penstock.words.errors import ConfigError
from penstock.words.labels import labels_of

__all__ = ["Intake"]

REMEMBERED = 256
"""How many groups and resource requests are kept at hand though no task has them any more."""


class Intake:
    """Makes jobs. Groups and resource requests are made once per kind and shared by all tasks of that kind."""

    def __init__(
        self,
        resolver: TaskSchedulingResolver,
        max_attempts: int,
        on_wait: Callable[[TaskHandle[Any]], AbstractContextManager[None]],
    ) -> None:
        self._resolver = resolver
        self._max_attempts = max_attempts
        self._on_wait = on_wait
        self.functions = FunctionCheck()
        self.numbered = 0
        """The number in the last id that was made here."""
        self._given: set[str] = set()
        """Ids that callers gave and that look like ours."""
        self._groups: dict[str | SchedulingMetadata | None, TaskGroupSpec] = {}
        self._groups_in_use: WeakValueDictionary[str | SchedulingMetadata | None, TaskGroupSpec] = WeakValueDictionary()
        """All groups of unfinished tasks, so that tasks of one group share one object however many groups there are."""
        self._requests: dict[tuple[tuple[str, int], ...], SchedulerResourceRequest] = {(): ONE_PLACE}

    def set_figures(self, resolver: TaskSchedulingResolver, max_attempts: int) -> dict[TaskGroupSpec, TaskGroupSpec]:
        """From now on these hold for what comes in; the groups made so far that are others now, old to new."""
        self._resolver, self._max_attempts = resolver, max_attempts
        before = dict(self._groups_in_use)
        self._groups.clear()
        self._groups_in_use.clear()
        changed = {}
        for given, group in before.items():
            now = self._group(given)
            if now != group:
                changed[group] = now
        return changed

    def job(
        self,
        fn: Callable[..., Awaitable[Any]],
        args: Sequence[Any],
        group: Group = None,
        needs: Mapping[str, int] | None = None,
        task_id: str | None = None,
        deadline: float | None = None,
        max_attempts: int | None = None,
        retry_on: tuple[type[Exception], ...] = (),
        row_group: str | None = None,
        column: str | None = None,
        cancellable: bool = False,
        labels: Mapping[str, str] | None = None,
    ) -> Job:
        """A job for `fn(*args)`. Raises `ConfigError` for a function that cannot be called so, or a wrong option."""
        self.functions.check(fn, args)
        if max_attempts is None:
            max_attempts = self._max_attempts
        else:
            whole_number(max_attempts, "max_attempts")
        if task_id is None:
            task_id = self._next_id()
        else:
            a_name(task_id, "task_id")
            if task_id.startswith(NUMBERED):
                self._given.add(task_id)
        if deadline is not None:
            deadline = a_moment(deadline, "deadline")
        task = SchedulableTask(
            task_id,
            partial(fn, *args) if args else fn,
            group if isinstance(group, TaskGroupSpec) else self._group(group),
            ONE_PLACE if needs is None else self._request(needs),
            deadline,
            None if labels is None else labels_of(labels),
        )
        job = Job(task, TaskHandle(task_id, self._on_wait), max_attempts)
        if retry_on != ():
            job.retry_on = exception_types(retry_on, "retry_on")
        if row_group is not None:
            job.row_group = a_name(row_group, "row_group")
        if column is not None:
            job.column = a_name(column, "column")
        if cancellable is not False and true_or_false(cancellable, "cancellable"):
            job.cancellable = True
        return job

    def _next_id(self) -> str:
        """An id that nobody has given."""
        while True:
            self.numbered += 1
            task_id = f"{NUMBERED}{self.numbered}"
            if not self._given or task_id not in self._given:
                return task_id
            self._given.remove(task_id)

    def job_of(self, spec: TaskSpec) -> Job:
        """A job for a task of a graph. Raises `ConfigError` as `job`."""
        an_instance(spec, TaskSpec, "each task of the batch")
        if isinstance(spec.args, str | bytes) or not isinstance(spec.args, Sequence):
            raise ConfigError(f"args must be a list or a tuple, not {shown(spec.args)}")
        for what in ("after", "members_of"):
            names(getattr(spec, what), what)
        true_or_false(spec.barrier, "barrier")
        a_name(spec.task_id, "task_id")
        return self.job(
            spec.fn,
            spec.args,
            group=spec.group,
            needs=spec.needs,
            task_id=spec.task_id,
            deadline=spec.deadline,
            max_attempts=spec.max_attempts,
            retry_on=spec.retry_on,
            row_group=spec.row_group,
            column=spec.column,
            labels=spec.labels,
        )

    def _group(self, group: str | SchedulingMetadata | None) -> TaskGroupSpec:
        """The group that a caller means; from here on it is a `TaskGroupSpec` everywhere."""
        try:
            return self._groups[group]
        except Exception:  # no such group yet, or something that raises when it is looked up
            metadata = _metadata(group)
        found = self._groups_in_use.get(group)
        if found is None:
            found = self._groups_in_use[group] = self._resolver.resolve(metadata).group
        if len(self._groups) >= REMEMBERED:
            self._groups.clear()
        self._groups[group] = found
        return found

    def _request(self, needs: Mapping[str, int]) -> SchedulerResourceRequest:
        key = tuple(a_mapping(needs, "needs", "{'gpu': 1}").items())
        try:
            return self._requests[key]
        except (KeyError, TypeError):
            request = SchedulerResourceRequest(dict(key))
        if len(self._requests) >= REMEMBERED:
            self._requests = {(): ONE_PLACE}
        self._requests[key] = request
        return request


def _metadata(group: object) -> SchedulingMetadata:
    if group is None:
        return SchedulingMetadata.local()
    if isinstance(group, str):
        return SchedulingMetadata.local(a_name(group, "group"))
    if isinstance(group, SchedulingMetadata):
        return group
    raise ConfigError(f"group must be a name, a TaskGroupSpec or SchedulingMetadata, not {shown(group)}")

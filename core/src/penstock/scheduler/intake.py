"""What callers hand in becomes tasks and jobs: ids, groups and resources are settled here, once; then it is entered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache, partial
from typing import Any
from weakref import WeakValueDictionary

import trio

from penstock.readiness.completion import TaskNode
from penstock.readiness.finished_ids import NUMBERED
from penstock.scheduler.callables import FunctionCheck
from penstock.scheduler.dispatch import DispatchLoop
from penstock.scheduler.endings import TaskEndings
from penstock.scheduler.events import SchedulerEvents
from penstock.scheduler.handles import TaskHandle
from penstock.scheduler.jobs import Job, JobTerms
from penstock.scheduler.options import Group, TaskOptions, TaskSpec
from penstock.scheduler.runners import NamedRunner, TaskRunners
from penstock.scheduler.waits import TaskWaits
from penstock.tasks.admission import TaskAdmissionController
from penstock.tasks.lease import TaskRefused
from penstock.tasks.limits import never_fits
from penstock.tasks.records import (
    ONE_PLACE,
    SchedulerResourceRequest,
    SchedulingMetadata,
    TaskGroupSpec,
    TaskSchedulingResolver,
    set_group,
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

CACHED_REQUESTS = 256
"""How many resource requests are kept at hand though no task has them any more."""


class Intake:
    """The way in: each task is made a job, checked, and entered in the book.

    Groups and resource requests are made once per kind and shared by all tasks of that kind.
    """

    def __init__(
        self,
        loop: DispatchLoop,
        controller: TaskAdmissionController,
        endings: TaskEndings,
        waits: TaskWaits,
        events: SchedulerEvents,
        resolver: TaskSchedulingResolver,
        max_attempts: int,
        runners: TaskRunners,
    ) -> None:
        self._loop = loop
        self._controller = controller
        self._endings = endings
        self._book = endings.book
        self._wait = waits.wait_for
        self._waiting = self._wait_for
        self._events = events
        self._resolver = resolver
        self._max_attempts = max_attempts
        self._functions = FunctionCheck()
        self._runners = runners
        self._numbered = 0
        """The number in the last id that was made here."""
        self._given: set[str] = set()
        """Ids that callers gave and that look like ours."""
        self._groups: WeakValueDictionary[str | SchedulingMetadata | None, TaskGroupSpec] = WeakValueDictionary()
        """All groups of unfinished tasks, so that tasks of one group share one object however many groups there are."""
        self._plain: WeakValueDictionary[tuple[Group, bool], JobTerms] = WeakValueDictionary()
        """The terms of unfinished tasks for which a group was named and nothing else, but perhaps that they can be
        cancelled."""
        self._cached_request = lru_cache(CACHED_REQUESTS)(_request)

    def set_figures(self, resolver: TaskSchedulingResolver, max_attempts: int) -> None:
        """From now on these hold: for what comes in, and for the groups of unfinished tasks."""
        self._resolver, self._max_attempts = resolver, max_attempts
        before = dict(self._groups)
        self._groups.clear()
        changed = {group: now for given, group in before.items() if (now := self._group(given)) != group}
        self._plain.clear()
        for terms in {job.terms for job in self._book.jobs.values()} if changed else ():
            terms.group = changed.get(terms.group, terms.group)
        for job in self._book.jobs.values() if changed else ():
            if (task := job.made) is not None:
                set_group(task, job.terms.group)
        for group in changed.values():
            self._controller.set_admitted_limit(group.key, group.admitted_limit)

    def start(
        self, fn: Callable[..., Any], args: Sequence[Any], options: TaskOptions, task_id: str | None = None
    ) -> TaskHandle[Any]:
        """The handle of a task that comes after nothing. Raises `ConfigError` and `TaskRefused`."""
        self._loop.check_open()
        job = self._job(fn, args, options, task_id)
        if options.needs is not None:  # one place is there in any run
            self._check_fits(job)
        return self._enter(job, task_id)

    def start_plain(self, fn: Callable[..., Any], args: Sequence[Any], group: Group, task_id: str | None) -> Job:
        """As `start`, for a task of which nothing is said but its group: without options, which would be a twentieth of
        what a task takes that does nothing."""
        self._loop.check_open()
        self._functions.check(fn, args)
        found = self._next_id() if task_id is None else self._given_id(task_id)
        terms = self._plain_terms(group, False)
        if terms is None:
            terms = self._terms(fn, args, TaskOptions(group=group))
        return self._enter(Job(found, partial(fn, *args) if args else fn, terms), task_id)

    def _enter(self, job: Job, task_id: str | None) -> Job:
        """A task that comes after nothing is in the book; `task_id`: the id that its caller gave it."""
        self._book.take_on_one(job, self._numbered if task_id is None else 0)
        if self._events.stream.active:
            self._events.task("dependency_ready", job, trio.current_time())
        self._loop.wakeup.ring()
        return job

    def add(self, batch: Iterable[TaskSpec]) -> Mapping[str, TaskHandle[Any]]:
        """The handles of a graph of tasks, by task id. Raises `ConfigError` and `TaskRefused`, and then takes none."""
        given: object = batch
        if isinstance(given, str | bytes) or not isinstance(given, Iterable):
            raise ConfigError(f"batch must be an iterable of TaskSpec, not {shown(batch)}")
        nodes = []
        for spec in batch:
            job = self._job_of(spec)
            after, members_of = names(spec.after, "after"), names(spec.members_of, "members_of")
            nodes.append(TaskNode(job, after, members_of, spec.row_group, spec.barrier))
        self._loop.check_open()
        for node in nodes:
            self._check_fits(node.task)
        now = trio.current_time()
        dropped = self._book.take_on(nodes, now)
        self._endings.drop(dropped, "something that it comes after was dropped", now)
        self._loop.wakeup.ring()
        return {node.task.task_id: node.task for node in nodes}

    def _check_fits(self, job: Job) -> None:
        """Raises `TaskRefused`, with the figures, for what could never run."""
        never = never_fits(job.terms.resource_request, self._controller.view().resource_limits)
        if never is not None:
            raise TaskRefused(job.task_id, never)

    def _job(self, fn: Callable[..., Any], args: Sequence[Any], options: TaskOptions, task_id: str | None) -> Job:
        """A job for `fn(*args)`. Raises `ConfigError` for a function that cannot be called so, or a wrong option."""
        self._functions.check(fn, args)
        if options.max_attempts is not None:
            whole_number(options.max_attempts, "max_attempts")
        task_id = self._next_id() if task_id is None else self._given_id(task_id)
        terms = self._plain_terms(options.group, options.cancellable) if _is_plain(options) else None
        if terms is None:
            terms = self._terms(fn, args, options)
        return Job(task_id, partial(fn, *args) if args else fn, terms)

    def _plain_terms(self, group: Group, cancellable: bool) -> JobTerms | None:
        """The terms of a task for which nothing but a group was named; `None` if more is to be settled."""
        if self._runners.by_group:
            return None
        key = group, cancellable
        try:
            return self._plain[key]
        except Exception:  # no such group yet, or something that raises when it is looked up
            found = self._group(group)
        made = JobTerms(found, ONE_PLACE, None, None, self._waiting, self._max_attempts, cancellable=cancellable)
        self._plain[key] = made
        return made

    def _terms(self, fn: Callable[..., Any], args: Sequence[Any], options: TaskOptions) -> JobTerms:
        """What the options of a task say. Raises `ConfigError` for a wrong one."""
        group, needs = self._group(options.group), options.needs
        runner = self._runner(fn, args, options.runner, group)
        return JobTerms(
            group,
            ONE_PLACE if needs is None else self._resource_request(needs),
            None if options.deadline is None else a_moment(options.deadline, "deadline"),
            None if options.labels is None else labels_of(options.labels),
            self._waiting,
            options.max_attempts or self._max_attempts,
            exception_types(options.retry_on, "retry_on"),
            None if options.row_group is None else a_name(options.row_group, "row_group"),
            None if options.column is None else a_name(options.column, "column"),
            true_or_false(options.cancellable, "cancellable"),
            runner,
        )

    def check(self, fn: Callable[..., Any], args: Sequence[Any], options: TaskOptions) -> None:
        """Raises `ConfigError` for a function that cannot be called so, or not where it is to run."""
        self._functions.check(fn, args)
        self._runner(fn, args, options.runner, self._group(options.group))

    def _wait_for(self, handle: TaskHandle[Any]) -> AbstractContextManager[None]:
        """The block in which a trio task of this run waits for a task."""
        self._loop.check_thread()  # the end of the task would wake it in this run's loop, where it is not
        return self._wait(handle)

    def _runner(
        self, fn: Callable[..., Any], args: Sequence[Any], name: str | None, group: TaskGroupSpec
    ) -> NamedRunner | None:
        """Where a task runs, which must be able to carry it out; `None`: in the nursery."""
        if name is None and not self._runners.by_group:
            return None
        runner = self._runners.find(name, group)
        if runner is not None:
            runner.check(fn, args)
        return runner

    def _job_of(self, spec: TaskSpec) -> Job:
        an_instance(spec, TaskSpec, "each task of the batch")
        if isinstance(spec.args, str | bytes) or not isinstance(spec.args, Sequence):
            raise ConfigError(f"args must be a list or a tuple, not {shown(spec.args)}")
        true_or_false(spec.barrier, "barrier")
        return self._job(spec.fn, spec.args, spec, a_name(spec.task_id, "task_id"))

    def _given_id(self, task_id: str) -> str:
        """The id that a caller gave. Raises `ConfigError` for what is no name."""
        a_name(task_id, "task_id")
        if task_id.startswith(NUMBERED):
            self._given.add(task_id)
        return task_id

    def _next_id(self) -> str:
        """An id that nobody has given."""
        while True:
            self._numbered += 1
            task_id = f"{NUMBERED}{self._numbered}"
            if not self._given or task_id not in self._given:
                return task_id
            self._given.remove(task_id)

    def _group(self, group: Group) -> TaskGroupSpec:
        """The group that a caller means; from here on it is a `TaskGroupSpec` everywhere."""
        if isinstance(group, TaskGroupSpec):
            return group
        try:
            return self._groups[group]
        except Exception:  # no such group yet, or something that raises when it is looked up
            metadata = _metadata(group)
        found = self._groups[group] = self._resolver.resolve(metadata).group
        return found

    def _resource_request(self, needs: Mapping[str, int]) -> SchedulerResourceRequest:
        key = tuple(a_mapping(needs, "needs", "{'gpu': 1}").items())
        try:
            return self._cached_request(key)
        except TypeError:  # an amount that cannot be looked up is none
            return _request(key)


def _is_plain(options: TaskOptions) -> bool:
    """Whether nothing was said of a task but its group and whether it can be cancelled."""
    cancellable: object = options.cancellable
    retry_on: object = options.retry_on
    return (
        options.needs is None
        and options.runner is None
        and options.deadline is None
        and options.max_attempts is None
        and options.row_group is None
        and options.column is None
        and options.labels is None
        and type(cancellable) is bool
        and type(retry_on) is tuple
        and not retry_on
    )


def _request(needs: tuple[tuple[str, int], ...]) -> SchedulerResourceRequest:
    return SchedulerResourceRequest(dict(needs))


def _metadata(group: object) -> SchedulingMetadata:
    if group is None:
        return SchedulingMetadata.local()
    if isinstance(group, str):
        return SchedulingMetadata.local(a_name(group, "group"))
    if isinstance(group, SchedulingMetadata):
        return group
    raise ConfigError(f"group must be a name, a TaskGroupSpec or SchedulingMetadata, not {shown(group)}")

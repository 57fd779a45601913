"""The runner: tasks at a Ray cluster, and their leases kept until the cluster has let go of them.

Of a cancelled task the cluster may still use what it was admitted for. So it is told to end, and waited for; what does
not end within `cancel_within` loses its worker, and is waited for again. Only then is the lease given back. A worker of
which nothing is heard even so keeps its task's place while the run goes on; the end of the run leaves it behind.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from math import inf
from types import TracebackType
from typing import Any, Final

import trio

from penstock import (
    ConfigError,
    PenstockError,
    RunnerStanding,
    SchedulableTask,
    TaskAbandoned,
    TaskAdmissionLease,
    WorkerLost,
    WorkerPlaces,
    check_plain_function,
)
from penstock_ray.cluster import Cluster, RemoteCall
from penstock_ray.config import RayConfig
from penstock_ray.losses import NODES, result_of

__all__ = ["RayTaskRunner"]

_log: Final = logging.getLogger("penstock.ray")


class RayTaskRunner:
    """A runner of plain functions on a Ray cluster; so many at a time, the others in order of arrival."""

    def __init__(self, config: RayConfig | None = None) -> None:
        self._config = config or RayConfig()
        self._places = WorkerPlaces(self._config.places)
        self._cluster: Cluster | None = None
        self._leave_at = inf
        self._unheard_of: set[trio.CancelScope] = set()

    # -- the run

    async def __aenter__(self) -> None:
        cluster = Cluster(self._config)
        await trio.to_thread.run_sync(cluster.connect)
        self._cluster = cluster
        try:
            await self._prove_that_workers_start(cluster)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        cluster, self._cluster = self._connected, None
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(cluster.disconnect)

    async def _prove_that_workers_start(self, cluster: Cluster) -> None:
        """Also the moment at which Ray is told of our function, which later tasks need not wait for."""
        call = cluster.submit(bool, cpus=0)
        with trio.move_on_after(self._config.start_within):
            await call.ended.wait()
        if not call.ended.is_set():
            within = self._config.start_within
            raise ConfigError(f"plugins.ray: no worker of the cluster answered within {within:g} s (start_within)")
        try:
            result_of(call.future.result, cluster.load, "proof")
        except PenstockError as error:
            advice = "" if isinstance(error, WorkerLost) else f"; {NODES}"
            raise ConfigError(f"plugins.ray: no worker can carry out tasks: {error}{advice}") from error

    @property
    def _connected(self) -> Cluster:
        if self._cluster is None:
            raise RuntimeError("a runner at a cluster must be entered before it runs tasks: `async with runner:`")
        return self._cluster

    # -- tasks

    def check(self, fn: Callable[..., Any], args: Sequence[Any]) -> None:
        """Raise `ConfigError` for an async function, and for what does not pickle."""
        check_plain_function(fn)
        self._connected.check_picklable(fn, args)

    @trio.lowlevel.enable_ki_protection
    async def run(self, task: SchedulableTask, lease: TaskAdmissionLease) -> Any:
        """The result of the task, from the cluster. Raises `WorkerLost` if worker, node or result are lost."""
        async with self._places.place(task.task_id):
            cluster = self._connected
            call = cluster.submit(task.payload)
            try:
                await call.ended.wait()
            except trio.Cancelled:
                self._places.cancelled(task.task_id)
                with trio.CancelScope(shield=True):
                    await self._end(cluster, call, task.task_id)
                if call.future.exception() is not None:
                    raise
            return result_of(call.future.result, cluster.load, task.task_id)

    async def _end(self, cluster: Cluster, call: RemoteCall, task_id: str) -> None:
        """The end of a cancelled task at the cluster. Raises `TaskAbandoned` if the run ends first."""
        for force in (False, True):
            cluster.cancel(call, force=force)
            with trio.move_on_after(self._config.cancel_within):
                await call.ended.wait()
            if call.ended.is_set():
                return
        _log.warning("task %r: its worker was killed, and the cluster has not told its end yet", task_id)
        with trio.CancelScope(deadline=self._leave_at) as scope:
            self._unheard_of.add(scope)
            try:
                await call.ended.wait()
            finally:
                self._unheard_of.remove(scope)
        if not call.ended.is_set():
            raise TaskAbandoned("the cluster did not tell the end of its worker, and it was left behind")

    def leave(self) -> None:
        """The run ends: workers of which nothing is heard are left."""
        self._leave_at = min(self._leave_at, trio.current_time() + self._config.leave_after)
        for scope in self._unheard_of:
            scope.deadline = self._leave_at

    def standing(self, now: float) -> RunnerStanding:
        """How many are busy, and who waits."""
        return self._places.standing(now)

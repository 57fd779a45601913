"""Tasks at a Ray cluster: what is refused, what is lost, and when a lease is given back. Ray itself is not there."""

from __future__ import annotations

import operator
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from threading import Lock
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

import penstock
from penstock import ConfigError, PenstockError, WorkerLost
from penstock.testing import SchedulerRig, open_rig
from penstock_ray import NodeLost, OutOfMemory, RayConfig, RayPlugin, RayTaskRunner, ResultLost


def hangs(how: str) -> dict[str, str]:
    return {"fake": how}


def calls() -> None:
    with penstock.request("acme/fast"):
        pass


def nested() -> None:
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise ValueError("outer") from error


class Stubborn(Exception):
    def __reduce__(self) -> Any:
        raise RuntimeError("stays here")


def stubborn() -> None:
    raise Stubborn("its words")


class Kept:
    async def later(self) -> int:
        return 1

    def coroutine(self) -> Any:
        return self.later()


@asynccontextmanager
async def opened(**config: Any) -> AsyncIterator[SchedulerRig]:
    """A run with the runner, by the name `it`."""
    runner = RayTaskRunner(RayConfig(**{"workers": 2, **config}))
    async with open_rig(runners={"it": runner}) as rig:
        try:
            yield rig
        finally:
            runner.leave()  # a test that fails ends, though its task would not


def start(rig: SchedulerRig, fn: Any, *args: Any, **options: Any) -> Any:
    return rig.scheduler.start_soon(fn, *args, runner="it", **options)


# -- starting


async def test_a_local_ray_is_on_loopback_without_dashboard_and_statistics(ray: Any) -> None:
    async with opened(workers=3, cpus=0.5):
        (options,) = ray.started
        assert options["address"] == "local"
        assert options["_node_ip_address"] == "127.0.0.1"
        assert options["include_dashboard"] is False
        assert options["num_cpus"] == 2
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
        assert ray.function_options == {"max_retries": 0, "retry_exceptions": False, "num_cpus": 0.5}
    assert not ray.is_initialized()


async def test_an_address_connects_to_a_cluster(ray: Any) -> None:
    async with opened(address="10.0.0.1:6379"):
        (options,) = ray.started
        assert options["address"] == "10.0.0.1:6379"
        assert "num_cpus" not in options


async def test_what_keeps_ray_from_starting_is_told(ray: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def problem(**config: Any) -> str:
        with pytest.raises(ConfigError) as caught:
            async with opened(**config):
                raise AssertionError("it started")
        return str(caught.value)

    ray.broken = ConnectionError("nobody there")
    assert "plugins.ray: no connection to the cluster at 10.0.0.1:6379: ConnectionError: nobody" in await problem(
        address="10.0.0.1:6379"
    )
    assert "no connection to a local Ray" in await problem()
    ray.broken = None
    ray.started.append({})
    assert "Ray is already in use in this process" in await problem()
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "`pip install penstock-ray` brings it" in await problem()


async def test_a_cluster_whose_workers_do_not_answer_is_told_and_left(ray: Any, autojump_clock: MockClock) -> None:
    ray.answers = False
    with pytest.raises(ConfigError, match=r"no worker of the cluster answered within 60 s \(start_within\)"):
        async with opened(start_within=60):
            pass
    assert trio.current_time() == 60
    assert not ray.is_initialized()


async def test_a_run_finds_the_runner_by_its_plugin(ray: Any) -> None:
    async with penstock.open_scheduler(plugins=[RayPlugin(RayConfig(workers=1))]) as scheduler:
        (name,) = scheduler.runners
        assert await scheduler.start_soon(operator.mul, 6, 7, runner=name) == 42
        assert (scheduler.health().runners[name].workers, scheduler.health().runners[name].busy) == (1, 0)


# -- what is refused when it is handed in


async def test_what_does_not_pickle_is_refused_and_named(ray: Any) -> None:
    async with opened() as rig:
        with pytest.raises(ConfigError, match=r"args\[1\] cannot be pickled for a worker of the cluster: .*lock"):
            start(rig, operator.add, 1, Lock())
        with pytest.raises(ConfigError, match="fn cannot be pickled for a worker of the cluster"):
            start(rig, partial(operator.add, Lock()), 1)
        with pytest.raises(ConfigError, match="fn must be a plain function, and sleep is an async one"):
            start(rig, trio.sleep, 1)
        assert rig.scheduler.progress["unfinished"] == 0


# -- what comes back


async def test_what_cannot_come_back_fails_its_task_alone(ray: Any) -> None:
    async with opened() as rig:
        with pytest.raises(ValueError, match="outer") as caught:
            await start(rig, nested)
        assert isinstance(caught.value.__cause__, KeyError)
        with pytest.raises(PenstockError, match=r"raised Stubborn, which cannot be pickled \(RuntimeError: stays here"):
            await start(rig, stubborn)
        with pytest.raises(PenstockError, match="or its result not sent: TypeError: cannot pickle"):
            await start(rig, Lock)
        with pytest.raises(ConfigError, match="it returned a coroutine: write `def`"):
            await start(rig, Kept().coroutine)
        assert await start(rig, operator.mul, 2, 2) == 4


async def test_workers_are_told_that_there_is_no_gate(ray: Any) -> None:
    async with opened() as rig:
        await start(rig, operator.mul, 2, 2)
    assert set(ray.said) == {"there is no gate in this process: call before or after, in the process of the run"}


# -- losses


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("WorkerCrashedError", WorkerLost),
        ("RpcError", WorkerLost),
        ("NodeDiedError", NodeLost),
        ("LocalRayletDiedError", NodeLost),
        ("ObjectLostError", ResultLost),
        ("OwnerDiedError", ResultLost),
        ("ObjectStoreFullError", ResultLost),
        ("OutOfDiskError", ResultLost),
        ("OutOfMemoryError", OutOfMemory),
    ],
)
async def test_a_loss_is_told_by_its_kind(ray: Any, error: str, kind: type[WorkerLost]) -> None:
    async with opened() as rig:
        handle = start(rig, hangs, error, task_id="x")
        await handle.wait()
        assert type(handle.error) is kind
        assert str(handle.error).startswith("task 'x': ")
        assert "retry_on=(penstock.WorkerLost,)" in str(handle.error)
        assert type(handle.error.__cause__).__name__ == error
        assert handle.attempts == 1


async def test_a_loss_is_tried_again_only_where_the_task_may_run_twice(ray: Any, autojump_clock: MockClock) -> None:
    async with opened() as rig:
        for retry_on, attempts in ((), 1), ((ResultLost,), 1), ((NodeLost,), 3), ((WorkerLost,), 3):
            handle = start(rig, hangs, "NodeDiedError", retry_on=retry_on)
            await handle.wait()
            assert isinstance(handle.error, NodeLost)
            assert handle.attempts == attempts, retry_on


async def test_what_ray_says_beside_losses_is_no_loss(ray: Any) -> None:
    async with opened() as rig:
        for error, words in (
            ("RuntimeEnvSetupError", "was not carried out by Ray: RuntimeEnvSetupError"),
            ("TaskCancelledError", "raised KeyboardInterrupt, or somebody else cancelled it at the cluster"),
        ):
            handle = start(rig, hangs, error)
            await handle.wait()
            assert type(handle.error) is PenstockError
            assert words in str(handle.error)


# -- cancelling


async def cancelled(rig: SchedulerRig, how: str) -> Any:
    """The handle of a task that was cancelled while it ran."""
    handle = start(rig, hangs, how, task_id=how, cancellable=True)
    await trio.testing.wait_all_tasks_blocked()
    rig.scheduler.cancel_task(handle.task_id)
    return handle


@pytest.mark.parametrize(
    ("how", "forces", "after", "status"),
    [
        ("ends when told", [False], 0, "cancelled"),
        ("ends by force", [False, True], 5, "cancelled"),
        ("returns when told", [False], 0, "completed"),
    ],
)
async def test_a_cancelled_task_is_told_and_then_forced(
    ray: Any, autojump_clock: MockClock, how: str, forces: list[bool], after: float, status: str
) -> None:
    async with opened(cancel_within=5) as rig:
        began = trio.current_time()
        handle = await cancelled(rig, how)
        with trio.fail_after(60):
            await handle.wait()
        assert handle.status == status
        assert ray.cancelled == forces
        assert trio.current_time() - began == pytest.approx(after, abs=0.01)


async def test_a_lease_is_given_back_only_when_the_cluster_has_let_go(ray: Any, autojump_clock: MockClock) -> None:
    async with opened(workers=1, cancel_within=5) as rig:
        handle = await cancelled(rig, "ends by force")
        following = start(rig, operator.mul, 2, 2)
        await trio.sleep(4.9)
        assert rig.scheduler.admission.in_flight == 2
        assert not handle.done
        assert not following.done
        with trio.fail_after(60):
            assert await following == 4
        assert handle.done


async def test_a_worker_that_is_never_heard_of_keeps_its_place_until_the_run_ends(
    ray: Any, autojump_clock: MockClock
) -> None:
    runner = RayTaskRunner(RayConfig(workers=1, cancel_within=5, leave_after=2))
    async with open_rig(runners={"it": runner}) as rig:
        handle = await cancelled(rig, "never ends")
        await trio.sleep(100)
        assert not handle.done
        assert runner.standing(trio.current_time()).cancelled == {"never ends": pytest.approx(100, abs=0.01)}
        runner.leave()
        with trio.fail_after(60):
            await handle.wait()
        assert trio.current_time() == pytest.approx(102, abs=0.01)
        assert "did not tell the end of its worker" in str(handle.error)
        assert ray.cancelled == [False, True]


# -- the configuration


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"workers": 0}, "workers must be a whole number from 1 on, not 0"),
        ({"address": "10.0.0.1:6379"}, "workers must be set where address is: how many tasks run at the cluster"),
        ({"address": "10.0.0.1", "workers": 1}, "address must be host:port of the cluster's head, or auto, not '10.0"),
        ({"address": "ray://10.0.0.1:1", "workers": 1}, "address must be host:port .*not 'ray://10.0.0.1:1': Ray's"),
        ({"cpus": 0}, "cpus must be a number above 0, not 0"),
        ({"start_within": 0}, "start_within must be a number above 0, not 0"),
        ({"cancel_within": -1}, "cancel_within must be a number of at least 0, not -1"),
        ({"leave_after": float("nan")}, "leave_after must be a number of at least 0, not nan"),
        ({"show_output": 1}, "show_output must be true or false, not 1"),
    ],
)
def test_what_cannot_be_set_is_refused(config: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        RayConfig(**config)

"""A whole run, with its loop and its nursery, in virtual time: random tasks, held against the naive gate at rest."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import attrs
import trio
from trio.testing import wait_all_tasks_blocked

import penstock
from penstock import (
    Denied,
    QueueView,
    SchedulableTask,
    TaskAdmissionView,
    TaskCancelled,
    TaskDropped,
    TaskHandle,
    hookimpl,
)
from penstock.testing import make_task
from penstock_model.naive_tasks import NaiveTaskGate
from penstock_model.task_run import Mismatch, Step, TaskScenario
from penstock_model.task_seeds import Holds, scenario_and_steps

__all__ = ["run_of_tasks"]


class Doors:
    """The rules of a scenario, as a plugin."""

    def __init__(self, naive: NaiveTaskGate, scenario: TaskScenario) -> None:
        self._naive = naive
        self._scenario = scenario

    @hookimpl
    def penstock_task_eligible(
        self, task: SchedulableTask, queue: QueueView, admission: TaskAdmissionView, now: float
    ) -> Denied | None:
        seen = _Seen(self._naive, queue, admission, now)
        for rule in self._scenario.rules:
            if (denied := rule.answer(task, seen)) is not None:
                return denied
        return None


class _Seen:
    def __init__(self, naive: NaiveTaskGate, queue: QueueView, admission: TaskAdmissionView, now: float) -> None:
        self._queue, self._admission = queue, admission
        self.now, self.shut, self.doomed, self.moments = now, naive.shut, naive.doomed, naive.moments

    def queued(self, key: Any) -> int:
        return self._queue.queued_by_group.get(key, self._queue.queued_peer_demand_by_resource.get(key, 0))

    def leased(self, resource: str) -> int:
        return self._admission.leased_resources.get(resource, 0)

    def running(self, group: Any) -> int:
        return self._admission.running(group)

    def peers(self, resource: str, besides: Any) -> int:
        return self._admission.runnable_peers(resource, besides)


@attrs.define
class _Work:
    """One task of the run, and what it is to come to."""

    task: SchedulableTask
    handle: TaskHandle[str]
    fails: bool


class _Run:
    def __init__(
        self, scheduler: penstock.Scheduler, naive: NaiveTaskGate, scenario: TaskScenario, seed: object
    ) -> None:
        self.scheduler, self.naive, self.scenario = scheduler, naive, scenario
        self.rng = Random(f"shell/{seed}")
        self.work: list[_Work] = []
        self.ended: Counter[str] = Counter()

    def start(self, group: str, needs: dict[str, int]) -> None:
        number = len(self.work) + 1
        weight, limit = self.scenario.groups[group]
        task = make_task(str(number), group, needs, weight=weight, admitted_limit=limit)
        fails, seconds = self.rng.random() < 0.2, self.rng.choice((0.0, 1.0, 2.5))

        async def work() -> str:
            await trio.sleep(seconds)
            if fails:
                raise ValueError(task.task_id)
            return task.task_id

        handle = self.scheduler.start_soon(
            work,
            group=task.group,
            needs=needs,
            task_id=task.task_id,
            max_attempts=1,
            cancellable=self.rng.random() < 0.5,
        )
        handle.add_done_callback(lambda handle: self.ended.update([handle.task_id]))
        self.work.append(_Work(task, handle, fails))

    def take(self, step: Step) -> None:
        naive = self.naive
        match step:
            case ("offer", group, needs, count):
                for _ in range(count):
                    self.start(group, needs)
            case ("discard" | "finish", n) if self.work:  # what runs finishes by itself; one in ten is cancelled
                if step[0] == "discard" or self.rng.random() < 0.1:
                    self.scheduler.cancel_task(self.work[n % len(self.work)].task.task_id)
            case ("shut", name):
                naive.shut.add(name)
            case ("open", name):
                naive.shut.discard(name)
                self.scheduler.signal(name)
            case ("put off", name, seconds):
                naive.moments[name] = max(naive.moments.get(name, 0.0), trio.current_time() + seconds)
            case ("doom", name):
                naive.doomed.add(name)

    async def rest(self) -> None:
        """When nothing moves any more, nobody sleeps who could go."""
        await wait_all_tasks_blocked()
        naive = self.naive
        naive.now = trio.current_time()
        naive.out = [work.task for work in self.work if work.handle.status == "running"]
        naive.line = [work.task for work in self.work if work.handle.status == "pending"]
        self.scheduler.check_invariants()
        view = self.scheduler.admission.view()
        if dict(view.resources_available) != naive.free():
            raise Mismatch(f"{dict(view.resources_available)} is said to be free, and {naive.free()} is")
        able = naive.able()
        if able and not _is_room_kept(view):
            raise Mismatch(f"at {naive.now}: {[task.task_id for task in able]} could go, and sleep")


def _is_room_kept(view: Any) -> bool:
    return any(view.reserved.values())


async def run_of_tasks(seed: int, holds: Holds) -> int:
    """How many tasks ended well in the run of this seed. Raises `Mismatch`."""
    scenario, steps = scenario_and_steps(seed, holds)
    naive = NaiveTaskGate(scenario.limits, scenario.rules)
    limits = dict(scenario.limits)
    plugins: dict[str, Any] = {"task_policies": [], "request_limiters": [], "sinks": []}
    if scenario.queue == "fair":
        plugins["ready_queue"] = "fair"
    config = {
        "scheduler": {"submission_capacity": limits.pop("submission"), "resources": limits, "stall_timeout": 1e6},
        "plugins": plugins,
    }
    ends_early = Random(f"end/{seed}").random() < 0.2
    async with penstock.open_scheduler(config, plugins=[Doors(naive, scenario)]) as scheduler:
        run = _Run(scheduler, naive, scenario, seed)
        for step in steps:
            match step:
                case ("time", seconds):
                    await trio.sleep(seconds)
                case ("rest",):
                    await run.rest()
                case _:
                    run.take(step)
        if ends_early:
            scheduler.shutdown()
        for name in sorted(naive.shut):
            run.take(("open", name))
        await trio.sleep(500.0)
        await run.rest()
        scheduler.shutdown()
        for work in run.work:
            with trio.move_on_after(1000.0):
                await _judge_end(work)
    issued, returned = scheduler.admission.leases
    if issued != returned:
        raise Mismatch(f"{issued - returned} leases are out at the end")
    if any(count != 1 for count in run.ended.values()) or len(run.ended) != len(run.work):
        raise Mismatch(f"not every task ended once: {run.ended}")
    return sum(work.handle.status == "completed" for work in run.work)


async def _judge_end(work: _Work) -> None:
    """A task gives its own result, or fails as it was to fail, or says that it was not carried out."""
    try:
        result = await work.handle
    except (TaskCancelled, TaskDropped):
        return
    except ValueError as error:
        if not work.fails or str(error) != work.task.task_id:
            raise Mismatch(f"task {work.task.task_id} failed with {error!r}") from error
        return
    if work.fails or result != work.task.task_id:
        raise Mismatch(f"task {work.task.task_id} gave {result!r}")

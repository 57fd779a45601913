"""One run of a task gate beside the naive one: steps as data, and what must hold after each.

every grant       the naive gate would let this one go now; of its lane nobody who came before it could go
at rest           nobody who is queued could go, but for whom room is kept for another
until a moment    that `next_change` told, time alone makes nobody able to go
always            what is given and what is free add up; `next` ends; nobody is lost
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from penstock import Backlog, Denied, QueueView, SchedulableTask, Signal, TaskAdmissionView, TaskGroupKey
from penstock.testing import make_task
from penstock_model.naive_tasks import NaiveTaskGate
from penstock_model.task_gates import task_gate
from penstock_model.task_rules import TaskRule

__all__ = ["Mismatch", "Step", "TaskRun", "TaskScenario", "play"]

Step = tuple[Any, ...]
"""("offer", group, shape, count), ("discard", n), ("finish", n), ("next",), ("rest",), ("time", seconds),
("shut", name), ("open", name), ("put off", name, seconds), ("doom", name), ("again",), ("close",)."""


class Mismatch(AssertionError):
    """The gate did what the naive one would not do."""


@attrs.frozen
class TaskScenario:
    """What a run is made with. `groups`: name to weight and `admitted_limit`."""

    limits: Mapping[str, int]
    groups: Mapping[str, tuple[float, int | None]]
    rules: tuple[TaskRule, ...] = ()
    queue: str = "fifo"
    strict_fair: bool = False
    room_by_law: bool = False
    """Whether kept room is judged by sentence 12 of the law, or only by whether somebody asks for so much."""

    @property
    def untrue(self) -> bool:
        return any(rule.untrue for rule in self.rules)


class TaskRun:
    """A gate and its naive twin, which take the same steps."""

    def __init__(self, scenario: TaskScenario) -> None:
        self.scenario = scenario
        self.naive = NaiveTaskGate(scenario.limits, scenario.rules, strict_fair=scenario.strict_fair)
        self.gate = task_gate(scenario.queue, scenario.limits, self._ask, strict_fair=scenario.strict_fair)
        self.judging = True
        """Whether what the gate does is judged: not while steps are taken again that were judged before."""
        self.numbered = 0
        self.granted = 0
        self.questions = 0
        self.most_questions = 0
        self._dooms_told = 0
        self._wrong: list[str] = []
        """What was found while the gate asked. It is not raised there: what rules raise is caught."""
        self._at_rest = True
        self._change: float | None = None

    # -- what the gate asks

    def _ask(
        self, task: SchedulableTask, queue_view: QueueView, admission_view: TaskAdmissionView, now: float
    ) -> Denied | None:
        self.questions += 1
        if self.questions > self.most_questions:
            return None  # so that it ends, and is found
        if not any(task is queued for queued in self.naive.line):
            self._wrong.append(f"task {task.task_id} is asked, and is not queued")
        seen = _Seen(self.naive, queue_view, admission_view, None if self._dooms_told else self._wrong)
        for rule in self.scenario.rules:
            denied = rule.answer(task, seen)
            if denied is not None:
                self._dooms_told += denied.final
                return denied
        return None

    # -- steps

    def take(self, step: Step) -> None:
        """Do one step, and judge what comes of it."""
        verb, *rest = step
        getattr(self, "_" + verb.replace(" ", "_"))(*rest)
        if verb not in ("next", "rest", "time", "again"):
            self._at_rest = False
        if self.judging:
            self._balance()

    def _offer(self, group: str, shape: Mapping[str, int], count: int) -> None:
        weight, limit = self.scenario.groups[group]
        fresh = []
        for _ in range(count):
            self.numbered += 1
            fresh.append(make_task(str(self.numbered), group, shape, weight=weight, admitted_limit=limit))
        again = self.naive.line[:1]
        accepted = self.gate.offer([*fresh, *again], self.naive.now)
        if accepted != tuple(task.task_id for task in fresh):
            raise Mismatch(f"offered {[t.task_id for t in fresh]} and {len(again)} again, accepted {accepted}")
        self.naive.line += fresh

    def _next(self) -> bool:
        naive, gate = self.naive, self.gate
        judging = self.judging
        kept_before = dict(gate.reserved()) if judging else {}
        able_before = {task.task_id for task in naive.able()} if judging else set()
        self.questions, self._dooms_told = 0, 0
        self.most_questions = 60 + 60 * len(naive.line)
        task = gate.next(naive.now)
        if self.questions > self.most_questions:
            raise Mismatch(f"`next` does not end: {self.questions} questions with {len(naive.line)} queued")
        if self._wrong:
            raise Mismatch(self._wrong[0])
        given_up = gate.take_given_up()
        if task is not None and judging:
            self._judge_grant(task, able_before, kept_before)
        for task_id in given_up:
            self._judge_given_up(task_id)
        if task is None:
            self._at_rest, self._change = True, gate.next_change(naive.now)
            if judging:
                self._judge_rest()
            return False
        self.granted += 1
        naive.line.remove(task)
        naive.out.append(task)
        self._at_rest = False
        return True

    def _rest(self) -> None:
        for _ in range(len(self.naive.line) + 1):
            if not self._next():
                return
        raise Mismatch("more were admitted than were queued")

    def _finish(self, n: int) -> None:
        if self.naive.out:
            task = self.naive.out.pop(n % len(self.naive.out))
            if not self.gate.finish(task.task_id, self.naive.now).released:
                raise Mismatch(f"the lease of {task.task_id} was not taken back")

    def _again(self) -> None:
        result = self.gate.finish_again(self.naive.now)
        if result is not None and result.released:
            raise Mismatch("a lease came back twice")

    def _discard(self, n: int) -> None:
        if self.naive.line:
            task = self.naive.line.pop(n % len(self.naive.line))
            self.gate.discard(task.task_id, self.naive.now)

    def _shut(self, name: str) -> None:
        self.naive.shut.add(name)

    def _open(self, name: str) -> None:
        self.naive.shut.discard(name)
        self.gate.wake(Signal(name), self.naive.now)

    def _put_off(self, name: str, seconds: float) -> None:
        moments = self.naive.moments
        moments[name] = max(moments.get(name, 0.0), self.naive.now + seconds)

    def _doom(self, name: str) -> None:
        self.naive.doomed.add(name)

    def _close(self) -> None:
        self.naive.closed = True
        self.gate.close(self.naive.now)

    def _time(self, seconds: float) -> None:
        self.naive.now += seconds
        if self._at_rest and (self._change is None or self.naive.now < self._change):
            self._nobody_sleeps("time passed, and `next_change` told of no moment")

    def drain(self) -> None:
        """Let everything end: what is shut is opened, moments pass, and what runs finishes."""
        for name in sorted(self.naive.shut):
            self.take(("open", name))
        for _ in range(3 * self.numbered + 10):
            self.take(("rest",))
            if self.naive.out:
                self.take(("finish", 0))
            elif (moment := self.gate.next_change(self.naive.now)) is not None and moment > self.naive.now:
                self.take(("time", moment - self.naive.now))
            else:
                break
        else:
            raise Mismatch("it does not come to an end")
        if self.naive.out:
            raise Mismatch("it ended with leases out")
        if dict(self.gate.available()) != dict(self.scenario.limits):
            raise Mismatch(f"at the end {dict(self.gate.available())} is free of {dict(self.scenario.limits)}")

    # -- judging

    def _judge_grant(self, task: SchedulableTask, able_before: set[str], kept_before: Mapping[str, int]) -> None:
        naive = self.naive
        who = _told(task)
        if not any(task is queued for queued in naive.line):
            raise Mismatch(f"{who} was granted, and is not queued")
        if naive.closed:
            raise Mismatch(f"{who} was granted after the gate was closed")
        if not naive.fits(task):
            raise Mismatch(f"{who} was granted where {naive.free()} is free")
        if self.scenario.untrue or self._dooms_told:
            return
        denied = naive.refusal(task)
        if denied is not None:
            raise Mismatch(f"{who} was granted, which {denied} refuses")
        kept = {**kept_before, **self.gate.reserved()}
        if not kept and naive.has_to_wait(task, kept, able_before):
            raise Mismatch(f"{who} was granted, which has to wait for peers")
        self._judge_order(task, kept)

    def _judge_order(self, task: SchedulableTask, kept: Mapping[str, int]) -> None:
        for other in self.naive.line:
            if other is task:
                return
            if not self.naive.could_go(other) or self.naive.looks_at_peers(other):
                continue
            same = other.group.key is task.group.key and other.resource_request.shape == task.resource_request.shape
            if same or (self.scenario.queue != "fair" and not kept):
                raise Mismatch(f"{_told(task)} was granted before {_told(other)}, which came before it and could go")

    def _judge_given_up(self, task_id: str) -> None:
        (task,) = (task for task in self.naive.line if task.task_id == task_id)
        doomed = [rule for rule in self.scenario.rules if rule.final and rule.answer(task, self.naive) is not None]
        if not doomed and not self.naive.closed:
            raise Mismatch(f"{_told(task)} was given up, and no rule refuses it for good")
        self.naive.line.remove(task)

    def _judge_rest(self) -> None:
        if self._change is not None and self._change <= self.naive.now:
            raise Mismatch(f"at rest at {self.naive.now}, and the next change is at {self._change}")
        self._nobody_sleeps("at rest")

    def _nobody_sleeps(self, when: str) -> None:
        if self.scenario.untrue:
            return
        able = self.naive.able()
        if not able:
            return
        kept = {resource: amount for resource, amount in self.gate.reserved().items() if amount}
        for task in able:
            if not kept or not self._is_held_by_room(task, kept):
                under = [str(b.denied) for b in self.gate.refusals()]
                raise Mismatch(f"{when}: {_told(task)} could go, and sleeps; kept {kept}; refusals in force {under}")

    def _is_held_by_room(self, task: SchedulableTask, kept: Mapping[str, int]) -> bool:
        if self.scenario.room_by_law:
            return self.naive.is_reservation(kept, task)
        return any(resource in task.resource_request.amounts and self.naive.asks(resource, amount)
                   for resource, amount in kept.items())  # fmt: skip

    def _balance(self) -> None:
        gate, naive = self.gate, self.naive
        gate.check_invariants()
        if dict(gate.available()) != naive.free():
            raise Mismatch(f"{dict(gate.available())} is said to be free, and {naive.free()} is")
        if gate.queued_total() != len(naive.line):
            raise Mismatch(f"{gate.queued_total()} are said to be queued, and {len(naive.line)} are")


def _told(task: SchedulableTask) -> str:
    shape = ", ".join(f"{amount} {resource}" for resource, amount in task.resource_request.shape)
    return f"task {task.task_id} of {task.group.key.identity[1]} ({shape})"


class _Seen:
    """What rules see through the live views of the gate: the same as in the naive one, while nobody was given up."""

    def __init__(
        self, naive: NaiveTaskGate, queue: QueueView, admission: TaskAdmissionView, wrong: list[str] | None
    ) -> None:
        self._naive, self._queue, self._admission, self._wrong = naive, queue, admission, wrong
        self.now, self.shut, self.doomed, self.moments = naive.now, naive.shut, naive.doomed, naive.moments

    def queued(self, key: object) -> int:
        if isinstance(key, TaskGroupKey):
            count = self._queue.queued_by_group.get(key, 0)
        else:
            count = self._queue.queued_peer_demand_by_resource.get(str(key), 0)
        return self._agreed(count, self._naive.queued(key), Backlog(key))

    def leased(self, resource: str) -> int:
        leased = self._admission.leased_resources.get(resource, 0)
        return self._agreed(leased, self._naive.leased(resource), resource)

    def running(self, group: TaskGroupKey) -> int:
        return self._agreed(self._admission.running(group), self._naive.running(group), group)

    def peers(self, resource: str, besides: TaskGroupKey) -> int:
        return self._admission.runnable_peers(resource, besides)

    def _agreed(self, told: int, counted: int, about: object) -> int:
        if self._wrong is not None and told != counted:
            self._wrong.append(f"the view says {told} of {about}, and it is {counted}")
        return told


def play(scenario: TaskScenario, steps: Sequence[Step]) -> TaskRun:
    """The run after these steps, when everything has come to its end. Raises `Mismatch` where the gates differ."""
    run = TaskRun(scenario)
    for step in steps:
        run.take(step)
    run.drain()
    return run

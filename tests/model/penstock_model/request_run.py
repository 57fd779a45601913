"""One run of a request gate beside the naive one: steps as data, and what must hold after each.

every grant      the naive gate would let this one go now; of its lane nobody who came before it could go
at rest          nobody waits who could go, but where room may be kept for a larger call; nobody's time is over
until a moment   that `next_change` told, time alone makes nobody able to go
always           what is in flight is what is out; deciding ends; every wait ends once
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from math import inf
from typing import Any

import attrs

from penstock import (
    Denied,
    EventStream,
    FifoRequestWaiters,
    OutcomeKind,
    Probe,
    ProviderKey,
    ProviderModelKey,
    RefusalScope,
    RequestAdmissionController,
    RequestAdmissionDenied,
    RequestAdmissionEffects,
    RequestAdmissionItem,
    RequestAdmissionLease,
    RequestCost,
    RequestGroupKey,
    RequestGroupSpec,
    RequestPressureSnapshotProvider,
    RequestReleaseOutcome,
    RequestResourceKey,
    RequestWaiter,
    RequestWaiterQueue,
)
from penstock.testing import ScriptedLimiter
from penstock_fairqueue import FairRequestWaiters
from penstock_model.list_waiters import ListWaiters
from penstock_model.naive_requests import LIMITED, MODELS, RESOURCES, Limit, NaiveRequestGate
from penstock_model.request_rules import RequestRule
from penstock_model.task_run import Mismatch, Step

__all__ = ["WAITERS", "RequestRun", "RequestScenario", "SeenPressure", "play"]

WAITERS: Mapping[str, Callable[[], RequestWaiterQueue]] = {
    "fifo": FifoRequestWaiters,
    "fair": FairRequestWaiters,
    "deadline": lambda: FairRequestWaiters(within_group="deadline"),
    "list": ListWaiters,
}


@attrs.frozen
class RequestScenario:
    """What a run is made with. `groups`: name to weight."""

    caps: Mapping[ProviderModelKey, int]
    groups: Mapping[str, float]
    rules: tuple[RequestRule, ...] = ()
    waiters: str = "fifo"
    limiter_scope: RefusalScope = "all"
    cohorts: bool = True
    """Whether the scripted limiters refuse under a cohort."""
    group_limits: Mapping[str, int] = attrs.field(factory=dict)
    """Group to its `admitted_limit`, where it has one."""
    room_by_law: bool = False
    """Whether room may be kept only for a call that nothing else holds back."""

    @property
    def untrue(self) -> bool:
        return any(rule.untrue for rule in self.rules)


class RequestRun:
    """A gate and its naive twin, which take the same steps.

    Steps: ("ask", resource, group, requests, timeout, seconds to the deadline), ("attempt", resource, group, requests),
    ("release", n, kind, places that come with it), ("again",), ("cancel", n), ("time", seconds), ("advance",),
    ("register", model, cap, chat cap), ("tighten", scope, places, seconds), ("loosen", scope, places), ("shut", name),
    ("open", name), ("put off", name, seconds), ("doom", name), ("reconfigure",), ("close",).
    """

    def __init__(self, scenario: RequestScenario) -> None:
        self.scenario = scenario
        self.naive = NaiveRequestGate(scenario.rules)
        self.gate = RequestAdmissionController(
            EventStream("request"),
            make_limiters=self._make_limiters,
            waiters=WAITERS[scenario.waiters](),
            rule=self._ask_rules if scenario.rules else None,
        )
        self.judging = True
        self.granted = 0
        self.questions = 0
        self.most_questions = 1_000
        self._said: dict[RequestAdmissionItem, Denied | None] = {}
        self._ended: set[int] = set()
        self._last: RequestAdmissionLease | None = None
        self._change: float | None = None
        self._turned = False
        """Whether an answer has turned from yes to no since the gate had reason to ask: nobody tells it."""
        for model, cap in scenario.caps.items():
            self._register(MODELS.index(model), cap, cap)

    # -- what the gate asks

    def _make_limiters(self, scope: Any, cap: int | None) -> list[tuple[str, ScriptedLimiter]]:
        limit = self.naive.limits.setdefault(scope, Limit())
        limit.limiter = _Counted(scope, self._question, self.scenario)
        limit.set(None, None)
        return [("scripted", limit.limiter)]

    def _question(self) -> bool:
        """Whether to answer as ever. After too many questions everybody agrees, so that deciding ends."""
        self.questions += 1
        return self.questions <= self.most_questions

    def _ask_rules(
        self, item: RequestAdmissionItem, pressure: RequestPressureSnapshotProvider, now: float
    ) -> Denied | None:
        if not self._question():
            return None
        seen = SeenPressure(self.naive, pressure)
        answers = (rule.answer(item, seen) for rule in self.scenario.rules)
        denied = self._said[item] = next((answer for answer in answers if answer is not None), None)
        return denied

    # -- steps

    def take(self, step: Step) -> None:
        """Do one step, and judge what comes of it."""
        verb, *rest = step
        self.questions, self._said = 0, {}
        self.most_questions = 500 + 200 * len(self.naive.line)
        getattr(self, "_" + verb.replace(" ", "_"))(*rest)
        self._judge_questions()
        if verb != "time":
            self._change = self.gate.next_change(self.naive.now)
        if self.judging:
            self._balance()
            self._judge_rest("time passed, and `next_change` told of no moment" if verb == "time" else "at rest")

    def _item(
        self, resource: int, group: str, requests: int, timeout: float | None = None, deadline: float | None = None
    ) -> RequestAdmissionItem:
        spec = RequestGroupSpec(group, self.scenario.groups[group], self.scenario.group_limits.get(group))
        moment = None if deadline is None else self.naive.now + deadline
        return RequestAdmissionItem(RESOURCES[resource], spec, RequestCost(requests), timeout, moment)

    def _ask(self, resource: int, group: str, requests: int, timeout: float | None, deadline: float | None) -> None:
        naive = self.naive
        item = self._item(resource, group, requests, timeout, deadline)
        alone, able = not naive.line, naive.could_go(item)
        waiter = self.gate.enqueue(item, naive.now)
        if waiter.lease is not None:
            self._judge_grant(item, None)
            naive.out.append((waiter.lease, naive.generation))
            self.granted += 1
        elif waiter.refused is not None:
            self._judge_refused_at_once(waiter.refused, alone=alone, able=able)
        else:
            naive.line.append(waiter)

    def _attempt(self, resource: int, group: str, requests: int) -> None:
        naive = self.naive
        item = self._item(resource, group, requests)
        alone, able = not naive.line, naive.could_go(item)
        answer = self.gate.try_acquire(item, naive.now)
        if isinstance(answer, RequestAdmissionLease):
            self._judge_grant(item, None)
            naive.out.append((answer, naive.generation))
            self.granted += 1
        elif alone and able and not self.scenario.untrue:
            raise Mismatch(f"{_told(item)} was refused with {answer.denied}, though it could go and nobody waits")

    def _release(self, n: int, kind: OutcomeKind, more: int) -> None:
        naive = self.naive
        if not naive.out:
            return
        lease, made = naive.out.pop(n % len(naive.out))
        if more and made == naive.generation:
            limit = naive.limits[lease.item.resource]
            limit.set(limit.places + more, None)
        self._last = lease
        effects = self.gate.release(lease, RequestReleaseOutcome(kind=kind), naive.now)
        if effects.release is None or not effects.release.released:
            raise Mismatch(f"{lease.lease_id} was not taken back")
        self._note(effects)

    def _again(self) -> None:
        if self._last is not None:
            effects = self.gate.release(self._last, RequestReleaseOutcome(kind="success"), self.naive.now)
            if effects.release is None or effects.release.released or effects.granted:
                raise Mismatch("a lease came back twice")

    def _cancel(self, n: int) -> None:
        naive = self.naive
        if naive.line:
            waiter = naive.line.pop(n % len(naive.line))
            self._ended.add(waiter.sequence)
            if not self.gate.cancel(waiter, naive.now) or self.gate.cancel(waiter, naive.now):
                raise Mismatch(f"{_told(waiter.item)} was not cancelled once")

    def _advance(self) -> None:
        self._note(self.gate.advance(self.naive.now))
        for waiter in self.naive.line:
            if waiter.gives_up_at is not None and waiter.gives_up_at <= self.naive.now:
                raise Mismatch(f"{_told(waiter.item)} still waits, and its time was over at {waiter.gives_up_at}")

    def _register(self, model: int, cap: int, chat: int) -> None:
        key = MODELS[model]
        self.naive.caps[key], self.naive.domain_caps[key] = cap, {"chat": chat}
        effects = self.gate.register(key.provider_name, key.model_id, cap, self.naive.now, domain_caps={"chat": chat})
        self._note(effects)

    def _tighten(self, scope: int, places: int, seconds: float) -> None:
        self._turned = True
        limit = self.naive.limits[LIMITED[scope]]
        limit.set(min(places, limit.places), max(limit.blocked_until, self.naive.now + seconds))

    def _loosen(self, scope: int, places: int) -> None:
        """Limits that grow are told of by a registration, those of groups by new limiters: then everybody may ask
        again.
        """
        key = LIMITED[scope]
        limit = self.naive.limits[key]
        limit.set(max(places, limit.places), None)
        if isinstance(key, RequestGroupKey):
            self._reconfigure()
            return
        provider = key.provider_name
        for n, model in enumerate(MODELS):
            if model.provider_name == provider or isinstance(key, ProviderKey):
                self._register(n, self.naive.caps[model], self.naive.domain_caps[model]["chat"])

    def _shut(self, name: str) -> None:
        self._turned = True
        self.naive.shut.add(name)

    def _open(self, name: str) -> None:
        self.naive.shut.discard(name)
        self._note(self.gate.signal(name, self.naive.now))

    def _put_off(self, name: str, seconds: float) -> None:
        self._turned = True
        moments = self.naive.moments
        moments[name] = max(moments.get(name, 0.0), self.naive.now + seconds)

    def _doom(self, name: str) -> None:
        self._turned = True
        self.naive.doomed.add(name)

    def _reconfigure(self) -> None:
        self.naive.generation += 1
        rule = self._ask_rules if self.scenario.rules else None
        self._note(self.gate.reconfigure(self._make_limiters, self.naive.now, rule=rule))

    def _close(self) -> None:
        self.naive.closed = True
        self._note(self.gate.close(self.naive.now))
        if self.naive.line:
            raise Mismatch("somebody still waits after the gate was shut")

    def _time(self, seconds: float) -> None:
        self.naive.now += seconds

    def drain(self) -> None:
        """Let everything end: what is shut is opened, moments pass, and what is out comes back."""
        for name in sorted(self.naive.shut):
            self.take(("open", name))
        for scope in range(len(LIMITED)):
            self.take(("loosen", scope, 100))
        for _ in range(10_000):
            self.take(("advance",))
            if self.naive.out:
                self.take(("release", 0, "success", 0))
            elif (moment := self.gate.next_change(self.naive.now)) is not None:
                self.take(("time", max(moment - self.naive.now, 0.0)))
            else:
                break
        issued, returned = self.gate.leases
        if self.naive.out or issued != returned:
            raise Mismatch(f"it ended with {issued - returned} leases out")

    # -- judging

    def _note(self, effects: RequestAdmissionEffects) -> None:
        naive = self.naive
        self._turned = False
        for waiter in effects.granted:
            if waiter.lease is None or waiter not in naive.line:
                raise Mismatch(f"{_told(waiter.item)} was granted, and does not wait")
            self._judge_grant(waiter.item, waiter, alone=not effects.refused)
            self._end(waiter)
            naive.out.append((waiter.lease, naive.generation))
            self.granted += 1
        for waiter in effects.refused:
            if waiter.refused is None or waiter not in naive.line:
                raise Mismatch(f"{_told(waiter.item)} was refused, and does not wait")
            self._judge_refused(waiter, waiter.refused)
            self._end(waiter)

    def _end(self, waiter: RequestWaiter) -> None:
        if waiter.sequence in self._ended:
            raise Mismatch(f"the wait of {_told(waiter.item)} ended twice")
        self._ended.add(waiter.sequence)
        self.naive.line.remove(waiter)

    def _judge_questions(self) -> None:
        if self.questions > self.most_questions:
            raise Mismatch(f"it does not end: {self.questions} questions with {len(self.naive.line)} waiting")

    def _judge_grant(self, item: RequestAdmissionItem, waiter: RequestWaiter | None, *, alone: bool = True) -> None:
        naive = self.naive
        self._judge_questions()
        if naive.closed:
            raise Mismatch(f"{_told(item)} was granted after the gate was shut")
        if not naive.fits(item):
            raise Mismatch(f"{_told(item)} was granted with {naive.in_flight(item.resource)} in flight")
        if naive.is_limited(item):
            raise Mismatch(f"{_told(item)} was granted, which a limiter refuses")
        if item.deadline is not None and item.deadline < naive.now:
            raise Mismatch(f"{_told(item)} was granted {naive.now - item.deadline} s after its deadline")
        if self.scenario.untrue:
            return
        if naive.rules and self._said.get(item, True) is not None:
            raise Mismatch(f"{_told(item)} was granted, and the rules did not agree")
        denied = naive.refusal(item, waiters=False)
        if denied is not None:
            raise Mismatch(f"{_told(item)} was granted, which {denied} refuses")
        for other in naive.line if alone else ():
            if other is waiter:
                break
            same = (
                other.item.group.key == item.group.key
                and other.item.resource == item.resource
                and other.item.cost.requests == item.cost.requests
            )
            if (
                same
                and self.scenario.waiters != "deadline"
                and naive.could_go(other.item)
                and not self._watchers(other)
            ):
                raise Mismatch(f"{_told(item)} was granted before {_told(other.item)}, which came before and could go")

    def _watchers(self, waiter: RequestWaiter) -> bool:
        return any(rule.looks_at_waiters and rule.is_about(waiter.item) for rule in self.scenario.rules)

    def _judge_refused(self, waiter: RequestWaiter, refused: RequestAdmissionDenied) -> None:
        naive, item, reason = self.naive, waiter.item, refused.denied.reason
        if naive.closed:
            ok = reason == "shutdown"
        elif reason == "queue_timeout":
            ok = waiter.gives_up_at is not None and waiter.gives_up_at <= naive.now
        elif reason == "deadline":
            ok = item.deadline is not None and item.deadline <= naive.now
        elif reason == "never_fits":
            ok = item.cost.requests > min(naive.cap(item.resource), item.group.admitted_limit or inf)
        elif refused.denied.final:
            ok = any(rule.final and rule.answer(item, naive) is not None for rule in naive.rules)
        else:
            moment = refused.denied.next_moment()
            ok = moment is not None and waiter.gives_up_at is not None and moment > waiter.gives_up_at
        if not ok:
            raise Mismatch(f"the wait of {_told(item)} was ended with {refused.denied}")

    def _judge_refused_at_once(self, refused: RequestAdmissionDenied, *, alone: bool, able: bool) -> None:
        item, naive = refused.item, self.naive
        if self.scenario.untrue:
            return
        if alone and able:
            raise Mismatch(f"{_told(item)} was refused with {refused.denied}, though it could go and nobody waits")
        patient = item.deadline is None and item.queue_wait_timeout is None
        doomed = any(rule.final and rule.answer(item, naive) is not None for rule in naive.rules)
        most = min(naive.cap(item.resource), item.group.admitted_limit or inf)
        if patient and not naive.closed and item.cost.requests <= most and not doomed:
            raise Mismatch(f"{_told(item)} was refused at once with {refused.denied}, and would have waited")

    def _judge_rest(self, when: str) -> None:
        naive = self.naive
        if self.scenario.untrue or (self._change is not None and self._change <= naive.now):
            return
        for waiter in naive.line:
            if waiter.gives_up_at is not None and waiter.gives_up_at < naive.now:
                raise Mismatch(f"{when}: {_told(waiter.item)} waits, and its time is over")
            if naive.could_go(waiter.item) and not naive.room_may_be_kept(
                waiter, agreed=self.scenario.room_by_law and not self._turned
            ):
                raise Mismatch(f"{when}: {_told(waiter.item)} could go, and sleeps; last refused: {waiter.denied}")

    def _balance(self) -> None:
        naive = self.naive
        self.gate.check_invariants()
        for resource in RESOURCES:
            snapshot = self.gate.pressure.snapshot(resource, naive.now)
            told = (0, 0) if snapshot is None else (snapshot.in_flight_count, snapshot.waiters)
            if told != (naive.in_flight(resource), naive.waiting(resource)):
                raise Mismatch(f"{resource} is said to have {told} in flight and waiting")


class _Counted(ScriptedLimiter):
    """A scripted limiter that says when it is asked, and refuses with the scope of the scenario."""

    def __init__(self, scope: Any, asked: Callable[[], bool], scenario: RequestScenario) -> None:
        super().__init__(scope, cohort=scenario.cohorts)
        self._asked = asked
        self._scope = scenario.limiter_scope

    def check(self, item: RequestAdmissionItem, now: float) -> Denied | Probe | None:
        goes_on = self._asked()
        denied = super().check(item, now)
        return attrs.evolve(denied, scope=self._scope) if isinstance(denied, Denied) and goes_on else None


class SeenPressure:
    """What rules see through the pressure of the gate."""

    def __init__(self, naive: NaiveRequestGate, pressure: RequestPressureSnapshotProvider) -> None:
        self._pressure = pressure
        self.now, self.shut, self.doomed, self.moments = naive.now, naive.shut, naive.doomed, naive.moments

    def in_flight(self, key: Hashable) -> int:
        if isinstance(key, RequestResourceKey):
            snapshot = self._pressure.snapshot(key, self.now)
            return 0 if snapshot is None else snapshot.in_flight_count
        models = self._pressure.global_snapshots(self.now).values()
        return sum(m.aggregate_in_flight for m in models if key in (m.key, ProviderKey(m.key.provider_name)))

    def waiting(self, resource: RequestResourceKey) -> int:
        snapshot = self._pressure.snapshot(resource, self.now)
        return 0 if snapshot is None else snapshot.waiters


def _told(item: RequestAdmissionItem) -> str:
    return f"a call of {item.group.key} for {item.cost.requests} at {item.resource}"


def play(scenario: RequestScenario, steps: Sequence[Step]) -> RequestRun:
    """The run after these steps, when everything has come to its end. Raises `Mismatch` where the gates differ."""
    run = RequestRun(scenario)
    for step in steps:
        run.take(step)
    run.drain()
    return run

"""A task whose provider is cooling down or full steps back: a policy of the task gate that reads the request gate.

A worker that stands in line at the second gate holds its place at the first, and does nothing with it. So that a
provider in trouble does not fill the places with such workers, its tasks wait in the ready queue, where they hold
nothing. What a call would meet is read per decision; it is never changed, and nothing is reserved.

    open         places are free at the provider, and nobody stands in line there: go
    on trial     no call has gone well yet that went out after the last 429: as open, but one call at a time
    full         no place is free, or calls stand in line: its tasks may stand there too, but only a few, or one
                 in the stead of another, and only if nobody else could use the place
    cooling      until its moment: its tasks may get ready for that moment, but only as many as could then go
                 out, while more than half of the places are free, and only if nobody else could use the place

The few are a quarter of the current limit and two more, enough to refill a place the moment it is free; and
none at a provider whose last call did not go well, since whoever stands there may stand there for long. One
in the stead of another: as many as ran when the provider was last open. For work that goes on for a while
before it calls, that many are what keeps the provider busy; whoever only counts the line lets nobody go
while it is long, and a moment later has nobody to put there. While a resource has no task at work, one may
go: or nobody would find out that others, who are no tasks of ours, have let go of it.

A task that calls one of several resources, whichever takes it first, may go where one of them would let it go; its
refusal is that of all of them together, and ends with whatever ends one of theirs.

Tasks that have been let go at this very moment have not reached the second gate yet. They are counted by
hand: what was let go since the moment began, less the calls that have arrived since. Where it is they that
fill the resource, a moment later is asked again; by then they have arrived, or they do other things first.

A refusal ends with `Released(resource)`, which is said here when a task of it has ended, and once a call came back,
somebody left the line, or a limit changed (`freed`): always for all that stand under it. The queue offers them one by
one, and the first that is refused again is noted anew, so nobody is forgotten. A cooldown and a limit that grows by
itself end by their moments; what is left to a peer ends when no peer is left.

Pure: no clock, no trio. What lost against this, with figures, is in docs/design/request-pressure.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import inf
from typing import Final

import attrs

from penstock.requests.pressure import RequestStanding, RequestStandingProvider
from penstock.tasks.decision import TaskAdmissionPolicyDecision
from penstock.tasks.lease import TaskAdmissionLease
from penstock.tasks.policy import TaskAdmissionView
from penstock.tasks.ready_queue import QueueView
from penstock.tasks.records import SUBMISSION, SchedulableTask, TaskGroupKey, TaskGroupSpec
from penstock.words.identity import ProviderKey, RequestResourceKey, RequestResourceResolver
from penstock.words.verdicts import At, Condition, Denied, Released, Uncontested

__all__ = ["ADVICE", "RequestPressureAdvice"]

ADVICE: Final = "request-pressure"
"""By what name refusals say that this is whose they are."""
SETTLING: Final = 0.01
"""Seconds after which a task that was let go has arrived at the second gate, or has something else to do first."""
REMEMBERED: Final = 4096
"""How many groups are remembered per resource as having stepped back."""
IDLE_KEPT: Final = 256
"""How many resources that no task calls may keep their books open before it is seen which those are."""

OnStepBack = Callable[[TaskGroupKey, str, str, Denied, float], None]
"""A group begins to step back: its key, the resource, why (`cooldown` or `no_capacity`), the refusal, and when."""
Wake = Callable[[Condition, float], None]
"""A condition came true."""

_AGREED: Final = TaskAdmissionPolicyDecision()
_OPEN: Final = TaskAdmissionPolicyDecision(diagnostics={"provider": "open"})
"""As well, since the call could go out at once."""
_PLACES: Final = Released(SUBMISSION)
_NO_PEERS: Final = Uncontested(SUBMISSION)


@attrs.define(slots=True, eq=False)
class _Traffic:
    """The tasks of one request resource."""

    key: RequestResourceKey
    released: Released = attrs.field(default=attrs.Factory(lambda self: Released(self.key), takes_self=True))
    running: int = 0
    level: int = 0
    """How many ran when one was let go last because the provider was open."""
    moment: float = -inf
    just_admitted: int = 0
    """How many were let go at `moment`."""
    base: int = 0
    """How many calls had arrived when the first of them was."""
    arrived: int = 0
    """How many calls had arrived when one was asked about last."""
    ended: bool = False
    """Whether any has ended."""
    awaited: bool = False
    """Whether somebody may stand under `released`."""
    refused_in: str = ""
    """The state in which a task was refused last: `cooling`, `on trial` or `full`."""
    beyond: bool = False
    """Whether somebody who stands under `released` would be more than can go out after a cooldown."""
    stepped_back: set[TaskGroupKey] = attrs.field(factory=set)
    """The groups of which `on_step_back` has heard."""

    def fresh(self, arrived: int, now: float) -> int:
        """How many of those that were let go at this moment have not arrived at the second gate yet."""
        if self.moment != now:
            return 0
        return max(0, min(self.just_admitted, self.just_admitted - (arrived - self.base)))


@attrs.frozen
class _Held:
    """Why a task is not to go to one resource: the refusal, and the state of the resource in which it holds. `beyond`:
    it would be more than can go out after a cooldown.
    """

    denied: Denied
    state: str
    beyond: bool = False


class RequestPressureAdvice:
    """The policy by which tasks of pressed providers step back. A `TaskAdmissionPolicy`; asked last of all.

    `standings`     what is read of the request gate
    `resolver`      makes keys of a group's identity, aliases resolved
    `on_step_back`  is called once when a group begins to step back, until its resource was open again
    `wake`          is called where a condition has come true at the end of a task
    """

    def __init__(
        self,
        standings: RequestStandingProvider,
        resolver: RequestResourceResolver,
        *,
        on_step_back: OnStepBack | None = None,
        wake: Wake | None = None,
    ) -> None:
        self._standings = standings
        self._resolver = resolver
        self._on_step_back = on_step_back
        self._wake = wake
        self._traffic: dict[RequestResourceKey, _Traffic] = {}
        self.awaited: dict[ProviderKey, dict[_Traffic, None]] = {}
        """The providers for which `freed` has to be called, since a task may wait for them; to be read only."""
        self._held: dict[str, tuple[_Traffic, ...]] = {}
        """Task lease to what it counts for: aliases may change meanwhile."""
        self._sweep_at = IDLE_KEPT

    # -- deciding

    def evaluate(
        self, task: SchedulableTask, queue_view: QueueView, admission_view: TaskAdmissionView, now: float
    ) -> TaskAdmissionPolicyDecision:
        """Whether the task's provider is in a state in which the task would be of use there."""
        group = task.group
        decision = _AGREED
        held: list[tuple[_Traffic, _Held]] = []
        for traffic in self._called_by(group):
            opinion = self._opinion(traffic, group.key, admission_view, now)
            if isinstance(opinion, _Held):
                held.append((traffic, opinion))
            elif not (group.alike and decision is _OPEN):
                decision = opinion
            if held and not group.alike:
                break
        if not held or (group.alike and len(held) < len(group.calls)):
            return decision
        for traffic, opinion in held:
            self._step_back(traffic, opinion, group.key, now)
        return TaskAdmissionPolicyDecision(_together([opinion.denied for _, opinion in held]))

    def _called_by(self, group: TaskGroupSpec) -> tuple[_Traffic, ...]:
        if len(self._traffic) >= self._sweep_at:
            self._forget_idle()
        if group.calls:
            parts = [(call.provider_name, call.model_id, call.domain) for call in group.calls]
            return tuple(self._traffic_of(self._resolver.find(each)) for each in parts)
        key = group.key
        if key.kind == "model" and len(key.identity) >= 4:
            return (self._traffic_of(self._resolver.find(key.identity[1:4])),)
        return ()

    def _forget_idle(self) -> None:
        """Close the books of resources that nobody calls or waits for: what is known of them is no longer true."""
        self._traffic = {key: each for key, each in self._traffic.items() if each.running or each.awaited}
        self._sweep_at = IDLE_KEPT + 2 * len(self._traffic)

    def _traffic_of(self, resource: RequestResourceKey) -> _Traffic:
        traffic = self._traffic.get(resource)
        if traffic is None:
            traffic = self._traffic[resource] = _Traffic(resource)
        return traffic

    def _opinion(
        self, traffic: _Traffic, group: TaskGroupKey, admission: TaskAdmissionView, now: float
    ) -> TaskAdmissionPolicyDecision | _Held:
        standing = self._standings.standing(traffic.key, now)
        if standing is None:
            return _AGREED
        traffic.arrived = standing.arrived
        fresh = traffic.fresh(standing.arrived, now)
        blocked = standing.blocked_until
        if blocked is not None and blocked > now:
            return self._while_it_cools(traffic, group, standing, admission, now)
        if not standing.arrived and traffic.ended:
            return _OPEN  # they come and go without a call: then nothing is known, and nobody stands anywhere
        if not standing.waiters and fresh < _free(standing):
            traffic.stepped_back.clear()
            return _OPEN
        if not traffic.running:
            return _AGREED
        until: set[Condition] = {traffic.released}
        instead = traffic.running < traffic.level and not standing.on_trial
        useful = instead or fresh + standing.waiters < _most_in_line(standing)
        if useful:
            if not admission.runnable_peers(SUBMISSION, besides=group):
                return _AGREED
            until.add(_NO_PEERS)
        if not standing.waiters:  # otherwise the line will move when that moment comes
            grows = self._standings.next_change(traffic.key, now)
            if grows is not None and grows > now:
                until.add(At(grows))
        if fresh:
            until.add(At(now + SETTLING))
        detail = f"{traffic.key} is full"
        if standing.waiters:
            detail += f", and {standing.waiters} calls stand in line there"
        cohort = (ADVICE, traffic.key, "full", useful)
        denied = Denied("policy_denial", until, "group", detail, cohort=cohort, by=ADVICE)
        return _Held(denied, "on trial" if standing.on_trial else "full")

    def _while_it_cools(
        self,
        traffic: _Traffic,
        group: TaskGroupKey,
        standing: RequestStanding,
        admission: TaskAdmissionView,
        now: float,
    ) -> TaskAdmissionPolicyDecision | _Held:
        assert standing.blocked_until is not None
        until: set[Condition] = {traffic.released, At(standing.blocked_until)}
        amount = 1
        useful = traffic.running < standing.limit
        half = admission.resource_limits[SUBMISSION] // 2
        if useful and admission.resources_available[SUBMISSION] <= half:
            amount = half + 1
            until.add(_PLACES)
        elif useful:
            if not admission.runnable_peers(SUBMISSION, besides=group):
                return _AGREED
            until.add(_NO_PEERS)
        cohort = (ADVICE, traffic.key, "cooling", useful, amount)
        detail = f"{traffic.key} is cooling down"
        denied = Denied("policy_denial", until, "group", detail, cohort=cohort, amount=amount, by=ADVICE)
        return _Held(denied, "cooling", beyond=not useful)

    def _step_back(self, traffic: _Traffic, held: _Held, group: TaskGroupKey, now: float) -> None:
        traffic.refused_in = held.state
        traffic.beyond = traffic.beyond or held.beyond
        if not traffic.awaited:
            traffic.awaited = True
            self.awaited.setdefault(traffic.key.provider, {})[traffic] = None
        if group not in traffic.stepped_back:
            if len(traffic.stepped_back) >= REMEMBERED:
                traffic.stepped_back.clear()  # so many in one time of trouble: better reported twice than kept
            traffic.stepped_back.add(group)
            if self._on_step_back is not None:
                reason = "cooldown" if held.state == "cooling" else "no_capacity"
                self._on_step_back(group, str(traffic.key), reason, held.denied, now)

    # -- what ends it

    def freed(self, provider: ProviderKey, now: float) -> list[Condition]:
        """The conditions that came true by less pressure at a provider; who waits for them is to be woken."""
        found: list[Condition] = []
        for traffic in tuple(self.awaited.get(provider, ())):
            standing = self._standings.standing(traffic.key, now)
            if standing is None or self._asks_again(traffic, standing, now):
                found.append(self._no_longer_awaited(traffic))
        return found

    def _asks_again(self, traffic: _Traffic, standing: RequestStanding, now: float) -> bool:
        """Whether anybody could go, were it not for those who were let go just now, which refuse for a moment only.

        Or whether the resource is in another state than it was: then other moments and other rules hold for everybody.
        """
        state = traffic.refused_in
        if standing.blocked_until is not None and standing.blocked_until > now:
            return state != "cooling" or (traffic.beyond and traffic.running < standing.limit)
        if state != ("on trial" if standing.on_trial else "full"):
            return True
        return standing.waiters < _most_in_line(standing) or (not standing.waiters and _free(standing) > 0)

    def _no_longer_awaited(self, traffic: _Traffic) -> Condition:
        traffic.awaited = traffic.beyond = False
        awaited = self.awaited[traffic.key.provider]
        del awaited[traffic]
        if not awaited:
            del self.awaited[traffic.key.provider]
        return traffic.released

    # -- what it counts

    def on_acquire(self, lease: TaskAdmissionLease, decision: TaskAdmissionPolicyDecision, now: float) -> None:
        """A task was let go."""
        if called := self._called_by(lease.item.group):
            self._held[lease.lease_id] = called
        for traffic in called:
            traffic.running += 1
            if decision is _OPEN:
                traffic.level = traffic.running
            if traffic.moment != now:
                traffic.moment, traffic.just_admitted = now, 0
                traffic.base = traffic.arrived  # it was asked about at this moment
            traffic.just_admitted += 1

    def on_release(self, lease: TaskAdmissionLease, now: float) -> None:
        """A task has ended: another of its resource may go in its stead."""
        for traffic in self._held.pop(lease.lease_id, ()):
            traffic.running -= 1
            traffic.ended = True
            if traffic.running < 0:
                raise AssertionError(f"more tasks that call {traffic.key} have ended than were let go")
            if traffic.awaited and self._wake is not None:
                self._wake(self._no_longer_awaited(traffic), now)

    def check_invariants(self) -> None:
        """Every count is the sum of the leases that are out. Raises `AssertionError`."""
        running = Counter(traffic for called in self._held.values() for traffic in called)
        for traffic in self._traffic.values():
            assert traffic.running == running[traffic], str(traffic.key)
            assert traffic.awaited == (traffic in self.awaited.get(traffic.key.provider, {})), str(traffic.key)


def _together(denials: list[Denied]) -> Denied:
    """The refusal of a task that each of several resources holds back."""
    if len(denials) == 1:
        return denials[0]
    first = denials[0]
    return attrs.evolve(
        first,
        until=frozenset().union(*(denied.until for denied in denials)),
        detail="; ".join(denied.detail for denied in denials),
        cohort=tuple(denied.cohort for denied in denials),
        amount=min(denied.amount for denied in denials),
    )


def _free(standing: RequestStanding) -> int:
    """How many calls would go out now; one at a time while the provider is on trial."""
    return min(standing.free, 1) if standing.on_trial else standing.free


def _most_in_line(standing: RequestStanding) -> int:
    """How many, in line or on their way there, are useful there."""
    few = standing.limit // 4 + 2 if standing.went_well and not standing.on_trial else 0
    return few if standing.waiters else max(_free(standing), 0) + few

"""The standing of the request gate: for each resource with waiters the refusals under which they are parked, and the
calls that pause before their next attempt; of one moment, as records and in words.

Nobody is asked anew: the refusal is the one that covers a waiter, whoever met it, or what it has too little room in.
Equal refusals are one record, so ten thousand waiters are a few lines.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from math import inf
from typing import Any, Final

import attrs

from penstock.requests.items import RequestAdmissionItem
from penstock.requests.limiter_guard import GuardedLimiter
from penstock.requests.pressure import RequestPressureSnapshotProvider
from penstock.requests.registry import ResourceState
from penstock.requests.shadow_limiter import shadow_refusals
from penstock.requests.waiters import RequestWaiter
from penstock.words.given_up import GivenUpModel
from penstock.words.labels import labels_in_words
from penstock.words.printable import printable
from penstock.words.verdicts import Denied, describe_until

__all__ = [
    "HeldCalls",
    "RefusedCalls",
    "RequestExplanation",
    "ResourceStanding",
    "RetryPause",
    "explanation_of",
    "held_calls",
]

RefusalOf = Callable[[RequestWaiter], "tuple[Denied | None, float]"]

LISTED_REFUSALS: Final = 5
"""How many groups, and how many refusals of one resource, are listed one by one."""


@attrs.frozen(kw_only=True)
class RefusedCalls:
    """The calls that are parked under equal refusals. `reason` is `"turn"` where nothing refuses them but the order.

    `waiting` is a number of calls, `refused_for` the seconds since the first of them met this refusal. `until` has what
    would end it in words, `moment` the earliest moment among that. `groups` are the first names of those for whom
    they are, `more_groups` counts the others; a call that is for nobody in particular has none. `labels` are those of
    the first call.
    """

    waiting: int
    reason: str
    by: str
    detail: str
    refused_for: float
    until: str
    moment: float | None
    groups: tuple[str, ...]
    more_groups: int
    labels: Mapping[str, str] = attrs.field(factory=dict)

    def __str__(self) -> str:
        whose = [_names(self.groups, self.more_groups)] if self.groups else []
        whose += [f"the first with {labels_in_words(self.labels)}"] if self.labels else []
        groups = f" ({'; '.join(whose)})" if whose else ""
        if self.reason == "turn":
            return f"{self.waiting} wait for their turn: nothing refuses them{groups}"
        who = f" by {self.by}" if self.by else ""
        detail = f": {self.detail}" if self.detail else ""
        so_far = f"for {self.refused_for:.1f} s, until {self.until}"
        return f"{self.waiting} refused, {self.reason}{who}{detail}; {so_far}{groups}"


@attrs.frozen(kw_only=True)
class ResourceStanding:
    """One resource with waiters, at one moment.

    `waiting` is a number of calls, `first_wait` the seconds that the first of them has waited; `in_flight` and `cap`
    are in requests. `refusals` are those under which its waiters are parked, the oldest first. `shadow_refusals` are
    what plugins in shadow would say to the first of them.
    """

    resource: str
    waiting: int
    first_wait: float
    in_flight: int
    cap: int
    refusals: tuple[RefusedCalls, ...] = ()
    shadow_refusals: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class RetryPause:
    """Calls that pause after a failed attempt, without a lease. The moments are of the run's clock, `ends_in` and
    `last_ends_in` the same in seconds from now: the first and the last of them to try again."""

    resource: str
    calls: int
    moment: float
    ends_in: float
    last_ends_in: float

    def __str__(self) -> str:
        until = f"{self.ends_in:.1f}" if self.calls == 1 else f"{self.ends_in:.1f} to {self.last_ends_in:.1f}"
        who = "1 call pauses" if self.calls == 1 else f"{self.calls} calls pause"
        return f"{self.resource}: {who} after a failed attempt, until {until} s from now"


@attrs.frozen(kw_only=True)
class HeldCalls:
    """New calls that are held, since this machine is short of what `short_of` says; the last of them for `ends_in`
    seconds from now, if no call ends before."""

    short_of: str
    calls: int
    ends_in: float

    def __str__(self) -> str:
        calls = "1 new call is" if self.calls == 1 else f"{self.calls} new calls are"
        return f"{calls} held, {self.short_of}: until another ends, or {self.ends_in:.1f} s from now"


@attrs.frozen(kw_only=True)
class RequestExplanation:
    """The request gate at one moment: resources with waiters, pauses of retries, resource to the seconds that its
    cooldown has left, the models that are given up for a time, and new calls that are held."""

    resources: tuple[ResourceStanding, ...] = ()
    pauses: tuple[RetryPause, ...] = ()
    cooldowns: Mapping[str, float] = attrs.field(factory=dict)
    given_up: tuple[GivenUpModel, ...] = ()
    held: tuple[HeldCalls, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain data, JSON-safe."""
        return attrs.asdict(self)

    def __str__(self) -> str:
        lines = []
        for standing in self.resources:
            lines.append(
                f"{standing.resource}: {standing.waiting} waiting, the first for {standing.first_wait:.1f} s; "
                f"{standing.in_flight} of {standing.cap} in flight"
            )
            lines += [f"  {refused}" for refused in standing.refusals[:LISTED_REFUSALS]]
            rest = standing.refusals[LISTED_REFUSALS:]
            if rest:
                lines.append(f"  and {sum(each.waiting for each in rest)} under {len(rest)} more refusals")
            lines += [f"  in shadow: {refused}" for refused in standing.shadow_refusals]
        if not lines:
            lines.append("no request is waiting")
        lines += map(str, self.pauses)
        lines += map(str, self.held)
        lines += map(str, self.given_up)
        lines += [f"{resource} is cooling down, for {left:.1f} s from now" for resource, left in self.cooldowns.items()]
        return "\n".join(map(printable, lines))


def _parked_refusals(waiters: Sequence[RequestWaiter], refusal_of: RefusalOf, now: float) -> tuple[RefusedCalls, ...]:
    """The refusals under which these waiters of one resource are parked, folded; the oldest first.

    One is in force since the first of its group met it, also if it ended and was met again.
    """
    met: dict[Hashable, float] = {}
    for waiter in waiters:
        if waiter.denied is not None:
            key = waiter.item.group.key, _sameness(waiter.denied)
            met[key] = min(met.get(key, inf), waiter.denied_since)
    folded: dict[Hashable, list[tuple[RequestWaiter, Denied | None, float]]] = {}
    for waiter in waiters:
        denied, since = refusal_of(waiter)
        same = None if denied is None else _sameness(denied)
        since = max(min(since, met.get((waiter.item.group.key, same), since)), waiter.enqueued_at)
        folded.setdefault(same, []).append((waiter, denied, since))
    found = [_folded(same, now) for same in folded.values()]
    return tuple(sorted(found, key=lambda refused: -refused.refused_for))


def _sameness(denied: Denied) -> Hashable:
    """Equal for equal refusals; where they stand for a plugin that could not answer, each has an end of its own."""
    return denied.reason, denied.by, denied.detail, denied.until if denied.failed_at is None else None


def _folded(same: list[tuple[RequestWaiter, Denied | None, float]], now: float) -> RefusedCalls:
    denied = min((each for _, each, _ in same if each is not None), key=_moment, default=None)
    items = [waiter.item for waiter, _, _ in same]
    groups = tuple(dict.fromkeys(str(item.group.key) for item in items if item.group.key != item.resource))
    return RefusedCalls(
        waiting=len(same),
        reason="turn" if denied is None else denied.reason,
        by="" if denied is None else denied.by,
        detail="" if denied is None else denied.detail,
        refused_for=now - min(since for _, _, since in same),
        until="" if denied is None else describe_until(denied.until, now),
        moment=None if denied is None else denied.next_moment(),
        groups=groups[:LISTED_REFUSALS],
        more_groups=len(groups[LISTED_REFUSALS:]),
        labels=dict(items[0].labels or {}),
    )


def _moment(denied: Denied) -> float:
    moment = denied.next_moment()
    return inf if moment is None else moment


def retry_pauses(pauses: Iterable[tuple[str, float]], now: float) -> tuple[RetryPause, ...]:
    """The pauses, of which each is a resource and the moment of its end, folded by resource."""
    by_resource: dict[str, list[float]] = {}
    for resource, moment in pauses:
        by_resource.setdefault(resource, []).append(moment)
    return tuple(
        RetryPause(
            resource=resource,
            calls=len(moments),
            moment=min(moments),
            ends_in=min(moments) - now,
            last_ends_in=max(moments) - now,
        )
        for resource, moments in by_resource.items()
    )


def held_calls(held: Iterable[tuple[str, float]], now: float) -> tuple[HeldCalls, ...]:
    """The calls that are held, of which each is what is short and the moment of the end, folded by that."""
    by_want: dict[str, list[float]] = {}
    for short_of, moment in held:
        by_want.setdefault(short_of, []).append(moment)
    return tuple(
        HeldCalls(short_of=short_of, calls=len(moments), ends_in=max(moments) - now)
        for short_of, moments in by_want.items()
    )


def resource_standing(
    state: ResourceState,
    waiters: Sequence[RequestWaiter],
    refusal_of: RefusalOf,
    shadows: Iterable[Denied],
    now: float,
) -> ResourceStanding:
    """The standing of one resource with these waiters, the first first. `refusal_of` says what one stands under, and
    since when at least."""
    return ResourceStanding(
        resource=state.text,
        waiting=len(waiters),
        first_wait=now - waiters[0].enqueued_at,
        in_flight=state.in_flight,
        cap=state.cap,
        refusals=_parked_refusals(waiters, refusal_of, now),
        shadow_refusals=tuple(denied.describe(now) for denied in shadows),
    )


def explanation_of(
    waiting: Mapping[RequestWaiter, ResourceState],
    refusal_of: Callable[[RequestWaiter, float], tuple[Denied | None, float]],
    limiters_of: Callable[[ResourceState, RequestAdmissionItem], Iterable[GuardedLimiter]],
    pressure: RequestPressureSnapshotProvider,
    pauses: Iterable[tuple[str, float]],
    now: float,
) -> RequestExplanation:
    """The request gate at this moment. `refusal_of` as for `resource_standing`, `limiters_of` says who has a say in a
    call, `pauses` as for `retry_pauses`."""
    by_state: dict[ResourceState, list[RequestWaiter]] = {}
    for waiter, state in waiting.items():
        by_state.setdefault(state, []).append(waiter)
    cooling = ((snapshot.cooldown_remaining, key) for key, snapshot in pressure.snapshots(now).items())
    return RequestExplanation(
        resources=tuple(
            resource_standing(
                state,
                waiters,
                lambda waiter: refusal_of(waiter, now),
                shadow_refusals(limiters_of(state, waiters[0].item), waiters[0].item, now),
                now,
            )
            for state, waiters in by_state.items()
        ),
        pauses=retry_pauses(pauses, now),
        cooldowns={str(key): left for left, key in cooling if left > 0},
    )


def _names(names: Sequence[str], more: int) -> str:
    return ", ".join(names) + (f" and {more} more" if more else "")

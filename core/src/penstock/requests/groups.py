"""The groups of calls: what is in flight for each over all models, how many may be (`admitted_limit`), and the limiters
of each.

A group comes into being with its first call. It is kept while calls of it are out or wait; of the others, some thousand
are, and beyond that those go first of which nothing is lost, and then those that have been there longest. A call that
is for nobody in particular is in the group of its resource, which has a count and no limiters.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from penstock.requests.items import RequestAdmissionItem
from penstock.requests.limiter_guard import GuardedLimiter
from penstock.words.identity import RequestGroupKey, RequestResourceKey
from penstock.words.verdicts import NEVER, Denied, Released

__all__ = ["GroupState", "RequestGroups"]

REMEMBERED: Final = 1024
"""How many groups are kept that have no call."""
_SIZES: Final = 64
"""Of how many limits and sizes of calls a group keeps the refusal."""


class GroupState:
    """A group. `in_flight` is in requests, over all models."""

    __slots__ = ("_full", "in_flight", "key", "limiters", "released")

    def __init__(self, key: RequestGroupKey, limiters: tuple[GuardedLimiter, ...] = ()) -> None:
        self.key = key
        self.limiters = limiters
        self.in_flight = 0
        self.released = Released(key)
        """What a call of it that comes back makes true."""
        self._full: dict[tuple[int, int], Denied] = {}

    def restrains(self, item: RequestAdmissionItem) -> bool:
        """Whether a call of it may have to wait for others of it at other models."""
        return item.group.admitted_limit is not None or bool(self.limiters)

    def refusal(self, limit: int, requests: int) -> Denied | None:
        """The refusal of a call for so many beyond the `admitted_limit` that its group has by now; `None`: it has room
        there.
        """
        if self.in_flight + requests <= limit:
            return None
        denied = self._full.get((limit, requests))
        if denied is None:
            if len(self._full) >= _SIZES:
                self._full.clear()
            denied = self._full[limit, requests] = self._made(limit, requests)
        return denied

    def _made(self, limit: int, requests: int) -> Denied:
        if requests > limit:
            detail = f"asks for {requests} places, and {self.key} has {limit}"
            return Denied("never_fits", {NEVER}, detail=detail, by="core")
        return Denied(
            "no_capacity",
            {self.released},
            scope="shape",
            detail=f"the {limit} places of {self.key} are taken",
            diagnostics={"limit_of": str(self.key)},
            cohort=(self.key, limit, requests),
            by="core",
        )


class RequestGroups:
    """The groups by their keys. `limiters_for` makes the limiters of one."""

    def __init__(self, limiters_for: Callable[[RequestGroupKey], tuple[GuardedLimiter, ...]]) -> None:
        self._limiters_for = limiters_for
        self.known: dict[object, GroupState] = {}
        """By the key of the `RequestGroupSpec`."""
        self._tidy_at = REMEMBERED

    def first_call(self, item: RequestAdmissionItem, waiting: Callable[[], Collection[object]]) -> GroupState:
        """The state of a group that has none yet. `waiting` tells the keys of those for whom calls wait; it is asked
        only when there are too many. Raises `PluginError` where a limiter cannot be made.
        """
        group = item.group.key
        key = RequestGroupKey(group)
        state = GroupState(key, () if isinstance(group, RequestResourceKey) else self._limiters_for(key))
        if len(self.known) >= self._tidy_at:
            self._forget_idle(waiting())
        self.known[group] = state
        return state

    def _forget_idle(self, waiting: Collection[object]) -> None:
        idle = [group for group, state in self.known.items() if not state.in_flight and group not in waiting]
        plain = [group for group in idle if not self.known[group].limiters]
        limited = [group for group in idle if self.known[group].limiters]
        for group in (*plain, *limited[: max(0, len(limited) - REMEMBERED // 2)]):
            del self.known[group]
        self._tidy_at = max(REMEMBERED, 2 * len(self.known))

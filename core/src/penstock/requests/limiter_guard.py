"""A plugin's limiter, called so that its errors stay its own.

Whatever a limiter raises is given to `on_failure`, with the plugin's name, and never loses a lease. It fails closed: an
error in `check` refuses that call, and one in `acquire`, `release` or `set_cap`, which leaves the limiter's
own counts in doubt, refuses everything that it has a say in, until the configuration is renewed. How long a call
waits for that is decided by `failing.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import Any, Final, cast

import attrs

from penstock.requests.hints import Hints
from penstock.requests.items import RequestAdmissionItem, RequestAdmissionLease
from penstock.requests.limiter_change import LimiterChange
from penstock.requests.limiter_snapshot import LimiterSnapshot
from penstock.requests.limiters import CallObserver, HintObserver, RefusalExplainer, RequestCounter, RequestLimiter
from penstock.requests.outcomes import RequestReleaseOutcome
from penstock.requests.verdict import LIMITED_BY, LimitedBy
from penstock.words.checks import shown
from penstock.words.errors import PluginError
from penstock.words.identity import RequestGroupKey, Scope
from penstock.words.plugin_failures import OnPluginFailure, fails_closed, refuse_coroutine
from penstock.words.verdicts import PROBE, REQUEST_REASONS, At, Denied, check_denied

__all__ = ["LIMITER", "GuardedLimiter"]

LIMITER: Final = "penstock_request_limiter"
_NUMBERS: Final = (int, float)
_NOTHING_KNOWN: Final = LimiterSnapshot()


class GuardedLimiter:
    """A `RequestLimiter` that never raises. Who opens a lease asks `limiter` itself to `acquire`, and calls `fail` if
    that raises: the lease is then counted nowhere.
    """

    __slots__ = ("broken", "counts", "has_no_limit", "limiter", "on_failure", "plugin", "scope")

    def __init__(self, plugin: str, limiter: RequestLimiter, on_failure: OnPluginFailure) -> None:
        self.plugin = plugin
        self.limiter = limiter
        self.on_failure = on_failure
        self.broken: Denied | None = None
        self.has_no_limit = False
        """Its first snapshot had no limit, and a limiter that has one always shows it: it need not be asked per
        lease."""
        self.scope: Scope = limiter.scope
        self.counts = False
        """Whether it says how many more requests may go out, which is not looked at of a group: room is that of
        models."""
        self._look_whether_it_counts()

    def _look_whether_it_counts(self) -> None:
        self.counts = isinstance(self.limiter, RequestCounter) and not isinstance(self.scope, RequestGroupKey)

    def use(self, limiter: RequestLimiter) -> None:
        """Put another limiter in the place of the one that is guarded, which takes over from it; the calls that are
        out end with it.
        """
        if limiter is not self.limiter:
            self.limiter, self.broken, self.has_no_limit = limiter, None, False
            self._look_whether_it_counts()

    def check(self, item: RequestAdmissionItem, now: float) -> Denied | None:
        """The limiter's answer. A refusal that names no moment gets the limiter's own next one."""
        if self.broken is not None:
            return self.broken
        try:
            denied = self.limiter.check(item, now)
        except BaseException as error:
            return self.check_failed(error, now)
        return None if denied is None or denied is PROBE else self.refusal(denied, now)

    def room(self, now: float) -> int | None:
        """How many more requests may go out by its count; `None` if it does not say, or raised: then `check` tells."""
        if self.broken is not None or not self.counts:
            return None
        try:
            found: Any = cast("RequestCounter", self.limiter).room(now)
            if found is not None and (not isinstance(found, int) or isinstance(found, bool)):
                refuse_coroutine(found)
                raise PluginError(self.plugin, f"room must return a whole number or None, not {found!r}")
            return found
        except BaseException as error:
            self._note("room", error)
            return None

    def wants_room(self, denied: Denied, item: RequestAdmissionItem, now: float) -> bool:
        """Whether it refuses for want of the room that it says it has: that is no refusal where room is looked at."""
        if not self.counts or denied.reason != "no_capacity":
            return False
        left = self.room(now)
        return left is not None and left < item.cost.requests

    def check_failed(self, error: BaseException, now: float) -> Denied:
        """It raised when it was asked: that is a refusal, too."""
        return self._fails_closed("check", error, now)

    def refusal(self, answer: object, now: float) -> Denied:
        """Its refusal, as others may rely on it."""
        try:
            denied = check_denied(answer, by=self.plugin, now=now, reasons=REQUEST_REASONS)
        except BaseException as error:
            return self.check_failed(error, now)
        if denied.scope == "all":  # all of its own scope, that is, and not of other models
            cohort = (self.plugin, self.scope) if denied.cohort is None else denied.cohort
            denied = attrs.evolve(denied, scope="shape", cohort=cohort)
        if isinstance(self.scope, RequestGroupKey):
            denied = attrs.evolve(denied, diagnostics={**denied.diagnostics, "limit_of": str(self.scope)})
        if not denied.final and denied.next_moment() is None:
            moment = self.next_change(now)
            if moment is not None and moment > now:
                denied = attrs.evolve(denied, until=denied.until | {At(moment)})
        return denied

    def release(
        self, lease: RequestAdmissionLease, token: object, outcome: RequestReleaseOutcome, now: float
    ) -> Sequence[LimiterChange]:
        """Count a call that came back."""
        try:
            changes = self.limiter.release(lease, token, outcome, now)
            return self._checked(changes) if changes else ()
        except BaseException as error:
            self.fail("release", error, now)
            return ()

    def observe_call(
        self, lease: RequestAdmissionLease, token: object, hints: Hints, now: float
    ) -> Sequence[LimiterChange]:
        """Learn from hints, if the limiter does; what cannot be learnt from them is noted and forgotten."""
        limiter = self.limiter
        try:
            if isinstance(limiter, CallObserver):
                changes = limiter.observe_call(lease, token, hints, now)
            elif isinstance(limiter, HintObserver):
                changes = limiter.observe(hints, now)
            else:
                return ()
            return self._checked(changes) if changes else ()
        except BaseException as error:
            self._note("observe_call" if isinstance(limiter, CallObserver) else "observe", error)
            return ()

    def explain_refusal(
        self, lease: RequestAdmissionLease, token: object, outcome: RequestReleaseOutcome, now: float
    ) -> LimitedBy | None:
        """What a rate limit was about, if the limiter knows."""
        limiter = self.limiter
        if not isinstance(limiter, RefusalExplainer):
            return None
        try:
            about: Any = limiter.explain_refusal(lease, token, outcome, now)
            if about is not None and about not in LIMITED_BY:
                refuse_coroutine(about)
                words = ", ".join(LIMITED_BY)
                raise PluginError(
                    self.plugin, f"explain_refusal must return one of {words} or None, not {shown(about)}"
                )
            return cast("LimitedBy | None", about)
        except BaseException as error:
            self._note("explain_refusal", error)
            return None

    def set_cap(self, cap: int | None, now: float) -> Sequence[LimiterChange]:
        """The static cap changed."""
        try:
            return self._checked(self.limiter.set_cap(cap, now) or ())
        except BaseException as error:
            self.fail("set_cap", error, now)
            return ()

    def next_change(self, now: float) -> float | None:
        """The next moment at which time alone changes an answer."""
        try:
            moment: Any = self.limiter.next_change(now)
            if moment is not None and (not isinstance(moment, _NUMBERS) or isnan(moment)):
                refuse_coroutine(moment)
                raise PluginError(self.plugin, f"next_change must return a moment or None, not {moment!r}")
            return cast("float | None", moment)
        except BaseException as error:
            self._note("next_change", error)
            return None

    def snapshot(self, now: float) -> LimiterSnapshot:
        """The limiter's state; empty if it raised."""
        try:
            found: Any = self.limiter.snapshot(now)
            if not isinstance(found, LimiterSnapshot):
                refuse_coroutine(found)
                raise PluginError(self.plugin, f"snapshot must return a LimiterSnapshot, not {type(found).__name__}")
            return found
        except BaseException as error:
            self._note("snapshot", error)
            return _NOTHING_KNOWN

    def fail(self, method: str, error: BaseException, now: float) -> None:
        """Its own counts are in doubt: everything that it has a say in is refused from now on."""
        self.broken = self._fails_closed(method, error, now)

    def _fails_closed(self, method: str, error: BaseException, now: float) -> Denied:
        self._note(method, error)
        return fails_closed(self.plugin, "hard_policy_denial", error, now, getattr(self.limiter, method, None))

    def _note(self, method: str, error: BaseException) -> None:
        self.on_failure(self.plugin, f"{LIMITER}.{method}", error, getattr(self.limiter, method, None))

    def _checked(self, changes: Sequence[LimiterChange]) -> Sequence[LimiterChange]:
        """What the limiter says has changed. Raises if that is something else."""
        refuse_coroutine(changes)
        found = tuple(changes)  # once: it may be a generator
        for change in found:
            if not isinstance(change, LimiterChange):
                raise PluginError(self.plugin, f"must return LimiterChange records, not {type(change).__name__}")
        return found

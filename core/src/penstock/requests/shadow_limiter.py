"""A limiter in shadow: it counts every call that goes out, and refuses none.

It is asked when everybody else has agreed to a call, just before the call is counted: what it says then is
what it would have said. Its limits are in no snapshot but its own, its changes in no event, and what it knows of a
rate limit reaches nobody but itself. One that raises is counted; where that leaves its own
counts in doubt, it is asked no more until the configuration is renewed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from msgspec.structs import replace

from penstock.requests.hints import Hints
from penstock.requests.items import RequestAdmissionItem, RequestAdmissionLease, set_notes
from penstock.requests.limiter_change import LimiterChange
from penstock.requests.limiter_guard import GuardedLimiter
from penstock.requests.limiter_snapshot import LimiterSnapshot
from penstock.requests.limiters import CallObserver, HintObserver, RefusalExplainer, RequestLimiter
from penstock.requests.outcomes import RequestReleaseOutcome
from penstock.requests.pressure import RequestPressureSnapshotProvider
from penstock.words.identity import Scope
from penstock.words.shadow import ShadowCount, note_of
from penstock.words.verdicts import PROBE, REQUEST_REASONS, Denied, check_denied

__all__ = ["RuleAsLimiter", "ShadowLimiter", "shadow_refusals", "shadow_snapshots", "sound_limiter"]

_NOT_COUNTED: Final = object()
_UNLIMITED: Final = LimiterSnapshot()

RequestRule = Callable[[RequestAdmissionItem, RequestPressureSnapshotProvider, float], "Denied | None"]


class ShadowLimiter:
    """A `RequestLimiter` that never refuses and never raises; `count` gets what `limiter` would have done.

    `on_error` is called with the method and what the limiter raises in it.
    """

    def __init__(
        self, limiter: RequestLimiter, count: ShadowCount, on_error: Callable[[str, BaseException], None]
    ) -> None:
        self.scope: Scope = limiter.scope
        self._limiter = limiter
        self._count = count
        self._on_error = on_error
        self._broken = False

    @property
    def sound(self) -> RequestLimiter | None:
        """The limiter that is in shadow, unless its counts are in doubt, or it is a rule and has none."""
        return None if self._broken or isinstance(self._limiter, RuleAsLimiter) else self._limiter

    def check(self, item: RequestAdmissionItem, now: float) -> Denied | None:
        """Never a refusal."""
        return None

    def would_refuse(self, item: RequestAdmissionItem, now: float) -> Denied | None:
        """What the limiter says. Raises what it raises, and `PluginError` for what is no sound refusal."""
        denied = None if self._broken else self._limiter.check(item, now)
        if denied is None or denied is PROBE:
            return None
        return check_denied(denied, by=self._count.plugin, now=now, reasons=REQUEST_REASONS)

    def acquire(self, lease: RequestAdmissionLease, now: float) -> object:
        """Ask, then count the call as though the answer had been yes."""
        if self._broken:
            return _NOT_COUNTED
        denied = self._asked(lease, now)
        kept = _swap_notes(lease, None)  # what the limiter notes is noted as a shadow's
        try:
            token = self._limiter.acquire(lease, now)
        except BaseException as error:
            self._break("acquire", error)
            token = _NOT_COUNTED
        noted = _swap_notes(lease, kept)
        note = {} if denied is None else note_of(denied, self._ends(denied, now), now)
        if noted:
            note["noted"] = noted
        if note:
            others = {} if kept is None else kept.get("shadow", {})
            lease.note("shadow", {**others, self._count.plugin: note | others.get(self._count.plugin, {})})
        return token

    def release(
        self, lease: RequestAdmissionLease, token: object, outcome: RequestReleaseOutcome, now: float
    ) -> Sequence[LimiterChange]:
        """Count the call out, and how it ended beside what would have been said to it."""
        self._count.ended(lease, outcome.kind if outcome.went_out else "not_sent")
        limiter = self._limiter
        if not self._broken and token is not _NOT_COUNTED:
            try:
                if (
                    outcome.kind == "rate_limited"
                    and outcome.limited_by in (None, "unknown")
                    and isinstance(limiter, RefusalExplainer)
                ):
                    about = limiter.explain_refusal(lease, token, outcome, now)
                    outcome = replace(outcome, limited_by=about or outcome.limited_by)
                limiter.release(lease, token, outcome, now)
            except BaseException as error:
                self._break("release", error)
        return ()

    def observe_call(
        self, lease: RequestAdmissionLease, token: object, hints: Hints, now: float
    ) -> Sequence[LimiterChange]:
        """Let the limiter learn, with whose answer it was if it wants to know."""
        limiter = self._limiter
        if self._broken or token is _NOT_COUNTED:
            return ()
        try:
            if isinstance(limiter, CallObserver):
                limiter.observe_call(lease, token, hints, now)
            elif isinstance(limiter, HintObserver):
                limiter.observe(hints, now)
        except BaseException as error:
            self._failed("observe_call" if isinstance(limiter, CallObserver) else "observe", error)
        return ()

    def set_cap(self, cap: int | None, now: float) -> Sequence[LimiterChange]:
        """Pass the static cap on."""
        if not self._broken:
            try:
                self._limiter.set_cap(cap, now)
            except BaseException as error:
                self._break("set_cap", error)
        return ()

    def next_change(self, now: float) -> float | None:
        """Time alone changes no answer that counts."""
        return None

    def snapshot(self, now: float) -> LimiterSnapshot:
        """It limits nothing; `shadow_snapshot` has what it would."""
        return _UNLIMITED

    def shadow_snapshot(self, now: float) -> LimiterSnapshot:
        """The limiter's own state. Raises what it raises."""
        return self._limiter.snapshot(now)

    def _asked(self, lease: RequestAdmissionLease, now: float) -> Denied | None:
        try:
            denied = self.would_refuse(lease.item, now)
        except BaseException as error:
            self._failed("check", error)
            return None
        self._count.asked(lease, denied, None if denied is None else self._ends(denied, now), now)
        return denied

    def _ends(self, denied: Denied, now: float) -> float | None:
        """The moment at which the refusal would have ended, if it or its limiter says one."""
        moment = denied.next_moment()
        if moment is None and not denied.final:
            try:
                moment = self._limiter.next_change(now)
            except BaseException as error:
                self._failed("next_change", error)
        return moment

    def _break(self, method: str, error: BaseException) -> None:
        self._broken = True
        self._failed(method, error)

    def _failed(self, method: str, error: BaseException) -> None:
        self._count.failed(f"{method} of the limiter of {self.scope} raised {type(error).__name__}")
        self._on_error(f"penstock_request_limiter.{method}", error)


def _swap_notes(lease: RequestAdmissionLease, notes: dict[str, Any] | None) -> dict[str, Any] | None:
    before = lease.diagnostics
    set_notes(lease, notes)
    return before


class RuleAsLimiter:
    """A request rule with the face of a limiter, so that it can be in shadow. `pressure` is where it looks."""

    def __init__(self, scope: Scope, rule: RequestRule, pressure: RequestPressureSnapshotProvider) -> None:
        self.scope = scope
        self._rule = rule
        self._pressure = pressure

    def check(self, item: RequestAdmissionItem, now: float) -> Denied | None:
        return self._rule(item, self._pressure, now)

    def acquire(self, lease: RequestAdmissionLease, now: float) -> object:
        """A rule has no memory."""
        return None

    def release(
        self, lease: RequestAdmissionLease, token: object, outcome: RequestReleaseOutcome, now: float
    ) -> Sequence[LimiterChange]:
        return ()

    def set_cap(self, cap: int | None, now: float) -> Sequence[LimiterChange]:
        return ()

    def next_change(self, now: float) -> float | None:
        return None

    def snapshot(self, now: float) -> LimiterSnapshot:
        return _UNLIMITED


def sound_limiter(limiter: RequestLimiter) -> RequestLimiter | None:
    """The limiter itself, in shadow or not; `None` if nothing that it knows could be used by another."""
    return limiter.sound if isinstance(limiter, ShadowLimiter) else limiter


def shadow_refusals(limiters: Iterable[GuardedLimiter], item: RequestAdmissionItem, now: float) -> Iterator[Denied]:
    """What the limiters in shadow say to a call that waits, for people; one that raises says nothing here."""
    for guarded in limiters:
        shadow = guarded.limiter
        if isinstance(shadow, ShadowLimiter):
            try:
                denied = shadow.would_refuse(item, now)
            except BaseException:
                continue  # it is counted and reported when it raises for a call that goes
            if denied is not None:
                yield denied


def shadow_snapshots(limiters: Iterable[GuardedLimiter], now: float) -> dict[str, LimiterSnapshot]:
    """The states of the limiters in shadow, by plugin and scope; one that raises is left out."""
    found = {}
    for guarded in limiters:
        shadow = guarded.limiter
        if isinstance(shadow, ShadowLimiter):
            try:
                found[f"{guarded.plugin} of {guarded.scope}"] = shadow.shadow_snapshot(now)
            except BaseException:
                continue
    return found

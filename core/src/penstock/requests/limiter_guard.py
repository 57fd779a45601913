"""A plugin's limiter, called so that its errors stay its own.

Whatever a limiter raises is noted once, with the plugin's name, and never loses a lease. It fails closed: an
error in `check` refuses that call, and one in `acquire`, `release` or `set_cap`, which leaves the limiter's
own counts in doubt, refuses everything that it has a say in, until the configuration is renewed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs

from penstock.requests.items import RequestAdmissionItem, RequestAdmissionLease
from penstock.requests.limiter_change import LimiterChange
from penstock.requests.limiter_snapshot import LimiterSnapshot
from penstock.requests.limiters import CallObserver, RefusalExplainer, RequestLimiter
from penstock.requests.outcomes import RequestReleaseOutcome
from penstock.words.errors import PluginError
from penstock.words.identity import Scope
from penstock.words.verdicts import REQUEST_REASONS, At, Denied, Signal, check_denied

__all__ = ["GuardedLimiter", "PluginProblems", "fails_closed", "guarded_rule_answer"]

_NOTHING_KNOWN: Final = LimiterSnapshot()
RECONFIGURED: Final = frozenset({Signal("reconfigured")})


class PluginProblems:
    """What plugins did wrong, the first time each: `on_problem` is called with its name and a
    sentence for people."""

    def __init__(self, on_problem: Callable[[str, str], None] | None = None) -> None:
        self._on_problem = on_problem
        self.by_plugin: dict[str, str] = {}

    def note(self, plugin: str, message: str) -> None:
        """Keep the first message of a plugin, and pass it to the callback."""
        if plugin not in self.by_plugin:
            self.by_plugin[plugin] = message
            if self._on_problem is not None:
                self._on_problem(plugin, message)


def fails_closed(plugin: str, message: str) -> Denied:
    """The refusal in place of an answer that a plugin could not give."""
    return Denied("hard_policy_denial", RECONFIGURED, detail=message, by=plugin)


def guarded_rule_answer(answer: Denied, by: str, now: float, problems: PluginProblems) -> Denied:
    """A refusal as it was given, or, if it breaks the rules of a refusal, one that says so."""
    try:
        return check_denied(answer, by=by, now=now, reasons=REQUEST_REASONS)
    except PluginError as error:
        problems.note(error.plugin, error.message)
        return fails_closed(error.plugin, error.message)


@attrs.define(slots=True, eq=False)
class GuardedLimiter:
    """A `RequestLimiter` that never raises. Who opens a lease asks `limiter` itself to `acquire`, and calls `fail` if
    that raises: the lease is then counted nowhere.
    """

    plugin: str
    limiter: RequestLimiter
    problems: PluginProblems
    broken: Denied | None = None
    has_no_limit: bool = False
    """Its first snapshot had no limit, and a limiter that has one always shows it: it need not be asked per lease."""
    scope: Scope = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.scope = self.limiter.scope

    def check(self, item: RequestAdmissionItem, now: float) -> Denied | None:
        """The limiter's answer. A refusal that names no moment gets the limiter's own next one."""
        if self.broken is not None:
            return self.broken
        try:
            denied = self.limiter.check(item, now)
        except Exception as error:
            return self.check_failed(error)
        return None if denied is None else self.refusal(denied, now)

    def check_failed(self, error: Exception) -> Denied:
        """It raised when it was asked: that is a refusal, too."""
        return fails_closed(self.plugin, self._note("check", error))

    def refusal(self, denied: Denied, now: float) -> Denied:
        """Its refusal, as others may rely on it."""
        denied = guarded_rule_answer(denied, self.plugin, now, self.problems)
        if denied.scope == "all":  # all of its own scope, that is, and not of other models
            cohort = (self.plugin, self.scope) if denied.cohort is None else denied.cohort
            denied = attrs.evolve(denied, scope="shape", cohort=cohort)
        if not denied.final and denied.next_moment() is None and denied.until is not RECONFIGURED:
            moment = self.next_change(now)
            if moment is not None and moment > now:
                denied = attrs.evolve(denied, until=denied.until | {At(moment)})
        return denied

    def release(
        self, lease: RequestAdmissionLease, token: object, outcome: RequestReleaseOutcome, now: float
    ) -> Sequence[LimiterChange]:
        """Count a call that came back."""
        try:
            return self.limiter.release(lease, token, outcome, now)
        except Exception as error:
            self.fail("release", error)
            return ()

    def observe(self, headers: Mapping[str, str], now: float) -> Sequence[LimiterChange]:
        """Learn from headers; what cannot be learnt from them is noted and forgotten."""
        try:
            return self.limiter.observe(headers, now)
        except Exception as error:
            self._note("observe", error)
            return ()

    def observe_call(
        self, lease: RequestAdmissionLease, token: object, headers: Mapping[str, str], now: float
    ) -> Sequence[LimiterChange]:
        """As `observe`, with whose answer it was, if the limiter wants to know."""
        limiter = self.limiter
        if not isinstance(limiter, CallObserver):
            return self.observe(headers, now)
        try:
            return limiter.observe_call(lease, token, headers, now)
        except Exception as error:
            self._note("observe_call", error)
            return ()

    def explain_refusal(
        self, lease: RequestAdmissionLease, token: object, outcome: RequestReleaseOutcome, now: float
    ) -> str | None:
        """What a rate limit was about, if the limiter knows."""
        limiter = self.limiter
        if not isinstance(limiter, RefusalExplainer):
            return None
        try:
            return limiter.explain_refusal(lease, token, outcome, now)
        except Exception as error:
            self._note("explain_refusal", error)
            return None

    def set_cap(self, cap: int | None, now: float) -> Sequence[LimiterChange]:
        """The static cap changed."""
        try:
            return self.limiter.set_cap(cap, now)
        except Exception as error:
            self.fail("set_cap", error)
            return ()

    def next_change(self, now: float) -> float | None:
        """The next moment at which time alone changes an answer."""
        try:
            return self.limiter.next_change(now)
        except Exception as error:
            self._note("next_change", error)
            return None

    def snapshot(self, now: float) -> LimiterSnapshot:
        """The limiter's state; empty if it raised."""
        try:
            return self.limiter.snapshot(now)
        except Exception as error:
            self._note("snapshot", error)
            return _NOTHING_KNOWN

    def fail(self, method: str, error: Exception) -> None:
        """Its own counts are in doubt: everything that it has a say in is refused from now on."""
        self.broken = fails_closed(self.plugin, self._note(method, error))

    def _note(self, method: str, error: Exception) -> str:
        message = f"{method} of the limiter of {self.scope} raised {type(error).__name__}: {error}"
        self.problems.note(self.plugin, message)
        return message

"""The protocols of request limiters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from penstock.requests.hints import Hints
from penstock.requests.items import RequestAdmissionItem, RequestAdmissionLease
from penstock.requests.limiter_change import LimiterChange
from penstock.requests.limiter_snapshot import LimiterSnapshot
from penstock.requests.outcomes import RequestReleaseOutcome
from penstock.requests.verdict import LimitedBy
from penstock.words.identity import Scope
from penstock.words.verdicts import Denied, Probe

__all__ = ["CallObserver", "HintObserver", "LimiterSuccessor", "RefusalExplainer", "RequestCounter", "RequestLimiter"]


@runtime_checkable
class RequestLimiter(Protocol):
    """Bounds the calls of one scope value: a provider, a provider + model, or a resource.

    Made by `penstock_request_limiter(scope, cap, settings)`. Pure: every method is synchronous, takes `now`
    and changes nothing but its own state; `check` changes nothing at all. All limiters that apply to a call
    must agree. Being above a lowered limit is a legal state. The controller holds the static cap itself;
    `cap` is what the limiter can grow to.
    """

    scope: Scope

    def check(self, item: RequestAdmissionItem, now: float) -> Denied | Probe | None:
        """Whether the call may go out now: `None`, or `PROBE` if it would be one, which its lease then says to every
        limiter. A refusal names `Released(self.scope)` and/or `At(...)` in `until`.
        """
        ...

    def acquire(self, lease: RequestAdmissionLease, now: float) -> object:
        """Count a call that is about to go out, after every limiter agreed; the answer comes back with its
        release.
        """
        ...

    def release(
        self, lease: RequestAdmissionLease, token: object, outcome: RequestReleaseOutcome, now: float
    ) -> Sequence[LimiterChange]:
        """Count the call out again and learn from how it ended. Called exactly once per `acquire`."""
        ...

    def set_cap(self, cap: int | None, now: float) -> Sequence[LimiterChange]:
        """The static cap of this scope changed. A raised cap is grown into; a lowered one holds at once."""
        ...

    def next_change(self, now: float) -> float | None:
        """The next moment at which time alone would change an answer of `check`."""
        ...

    def snapshot(self, now: float) -> LimiterSnapshot:
        """The state, for people and for the pressure snapshot."""
        ...


@runtime_checkable
class HintObserver(Protocol):
    """What a limiter may have that learns from what answers tell of limits."""

    def observe(self, hints: Hints, now: float) -> Sequence[LimiterChange]:
        """Learn from the hints of an answer, which come before the release when its body is streamed."""
        ...


@runtime_checkable
class CallObserver(Protocol):
    """What a limiter may have in place of `observe`: it gets the lease whose answer came, too.

    What an answer says of a limit is as old as its call, so who counts needs to know which call it was.
    """

    def observe_call(
        self, lease: RequestAdmissionLease, token: object, hints: Hints, now: float
    ) -> Sequence[LimiterChange]:
        """Learn from the hints of the answer to a call that is out; `token` is what `acquire` answered for it. The
        release, which comes later, may carry the same hints again.
        """
        ...


@runtime_checkable
class RequestCounter(Protocol):
    """What a limiter may have that counts requests in flight: what it leaves is room, like that of a cap.

    Calls that do not fit are not asked, so a full limiter costs no question, and a call of several requests is not
    passed by smaller ones for ever. `check` refuses for want of this room with `no_capacity`, and for nothing else with
    that.
    """

    def room(self, now: float) -> int | None:
        """How many requests more may go out now; `None` while its count is not what holds calls back.

        Changes nothing. What it says changes with the calls of the limiter, or at the moment of `next_change`.
        """
        ...


@runtime_checkable
class RefusalExplainer(Protocol):
    """What a limiter of requests or tokens per time may have: it knows which 429s are about its budget.

    It is asked before any limiter gets the release, and all get its answer as `outcome.limited_by`.
    """

    def explain_refusal(
        self, lease: RequestAdmissionLease, token: object, outcome: RequestReleaseOutcome, now: float
    ) -> LimitedBy | None:
        """What this rate limit was about (`requests`, `tokens`); `None` if it does not know. Changes nothing."""
        ...


@runtime_checkable
class LimiterSuccessor(Protocol):
    """What a limiter may have that can go on from where another left off: its plugin's `Config` changed under way.

    Without it such a limiter begins anew, and the calls that are out end with the one before.
    """

    def adopt(self, previous: Any) -> None:
        """Take over what `previous` knows, which the same plugin made for the same scope with another `Config`.

        Called once, before anything else but `check`, `next_change` and `snapshot`. `previous` must not be changed: the
        reconfiguration may yet be refused. If it is not, every call that is out ends with this limiter, with the
        token that `previous` gave for it. What it raises refuses the reconfiguration.
        """
        ...

"""What mypy must know of what plugins give and take. Nothing here runs: `mypy` reads it."""

from __future__ import annotations

from collections.abc import Sequence

from penstock import (
    REQUEST_REASONS,
    SUBMISSION,
    At,
    CallObserver,
    Denied,
    HintObserver,
    Hints,
    LimitedBy,
    LimiterChange,
    LimiterSnapshot,
    RefusalExplainer,
    RefusalScope,
    Released,
    RequestAdmissionItem,
    RequestAdmissionLease,
    RequestCounter,
    RequestLimiter,
    RequestReleaseOutcome,
    SchedulableTask,
    Scope,
    TaskReason,
    TaskRunner,
    check_denied,
)


class OneAtATime:
    """A limiter with all that one may have."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def check(self, item: RequestAdmissionItem, now: float) -> Denied | None:
        return Denied("no_capacity", {Released(self.scope), At(now + 1)})

    def acquire(self, lease: RequestAdmissionLease, now: float) -> object:
        return None

    def release(
        self, lease: RequestAdmissionLease, token: object, outcome: RequestReleaseOutcome, now: float
    ) -> Sequence[LimiterChange]:
        return [LimiterChange("request_limit_increased", 1, 2)]

    def observe(self, hints: Hints, now: float) -> Sequence[LimiterChange]:
        return ()

    def observe_call(
        self, lease: RequestAdmissionLease, token: object, hints: Hints, now: float
    ) -> Sequence[LimiterChange]:
        return ()

    def explain_refusal(
        self, lease: RequestAdmissionLease, token: object, outcome: RequestReleaseOutcome, now: float
    ) -> LimitedBy | None:
        return "requests"

    def room(self, now: float) -> int | None:
        return None

    def set_cap(self, cap: int | None, now: float) -> Sequence[LimiterChange]:
        return ()

    def next_change(self, now: float) -> float | None:
        return None

    def snapshot(self, now: float) -> LimiterSnapshot:
        return LimiterSnapshot()


def a_limiter_keeps_its_protocols(limiter: OneAtATime) -> None:
    _plain: RequestLimiter = limiter
    _observer: CallObserver = limiter
    _listener: HintObserver = limiter
    _explainer: RefusalExplainer = limiter
    _counter: RequestCounter = limiter


def make_limiter(scope: Scope, cap: int | None) -> RequestLimiter | None:
    return cap  # type: ignore[return-value]


class Blocks:
    """Is no runner: it does not wait."""

    def run(self, task: SchedulableTask, lease: object) -> object:
        return None


def make_runner() -> TaskRunner | None:
    return Blocks()  # type: ignore[return-value]


def refusals_are_given_for_known_reasons(reason: TaskReason, scope: RefusalScope, text: str) -> None:
    Denied(reason, {Released(SUBMISSION)}, scope)
    Denied("too_tired", {At(1.0)})  # type: ignore[arg-type]
    Denied("policy_denial", {At(1.0)}, "world")  # type: ignore[arg-type]
    Denied("policy_denial", {At(1.0)}, scope=text)  # type: ignore[arg-type]
    Denied("policy_denial", {"soon"})  # type: ignore[arg-type]
    LimiterChange("limit_grew")  # type: ignore[arg-type]
    check_denied(Denied("cooldown", {At(1.0)}), by="me", now=0.0, reasons=REQUEST_REASONS)

"""How a call ended, in the words that limiters understand.

A limiter may only learn from what the provider did. So what ended on our side (`local_cancelled`,
`local_timeout`) has kinds of its own, and `classify` never makes a provider's failure of a local refusal.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import force_setattr

from penstock.requests.answer_checks import check_outcome
from penstock.requests.hints import Hints
from penstock.requests.own_failures import surely_unpaid
from penstock.requests.reading import hints_of, verdict_of_answer
from penstock.requests.response import ResponseFacts
from penstock.requests.verdict import Ended, LimitedBy, Of, OutcomeKind, Usage, Verdict
from penstock.words.read_only import read_only

__all__ = ["RequestReleaseOutcome", "classify"]


@read_only
class RequestReleaseOutcome(Struct, frozen=True, kw_only=True, weakref=True):
    """The end of a call. `kind` is one of `OUTCOME_KINDS`; `retry_after_seconds` is what the provider asked
    for, if it did. `usage` is what the call really used, if the answer said; `went_out` is false for a call that
    was never sent, and so used nothing.

    `limited_by` is what a rate limit was about, `None` meaning unknown; `of` is set on a refusal for good, of this
    `call` or of the whole `account`: no limiter learns from it. `may_pass`: whether the same call may succeed later;
    `None`: as the kind and the status say. `ended` is how the answer ended.

    `elapsed` and `first_token_at` are seconds since the call went out; `hints` is what the answer reports of limits.
    """

    kind: OutcomeKind
    retry_after_seconds: float | None = None
    usage: Usage | None = None
    status: int | None = None
    detail: str = ""
    elapsed: float | None = None
    first_token_at: float | None = None
    hints: Hints | None = None
    went_out: bool = True
    limited_by: LimitedBy | None = None
    of: Of | None = None
    may_pass: bool | None = None
    ended: Ended | None = None

    __post_init__ = check_outcome  # type: ignore[misc]  # compiled, and nothing around it

    def measured(self, elapsed: float, usage: Usage | None) -> RequestReleaseOutcome:
        """The same, with the seconds that the call took and what it used, where it does not say so itself."""
        outcome: Any = self
        made: RequestReleaseOutcome = outcome.__copy__()  # msgspec has it, and its stubs do not
        if self.elapsed is None:
            force_setattr(made, "elapsed", elapsed)
        if self.usage is None:
            force_setattr(made, "usage", usage)
        return made

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later: rate limits, provider failures but for 4xx, and timeouts; never
        what was refused for good.
        """
        if self.of is not None:
            return False
        if self.may_pass is not None:
            return self.may_pass
        return self.kind in ("rate_limited", "provider_timeout") or (
            self.kind == "provider_failure" and (self.status is None or not 400 <= self.status < 500)
        )

    @property
    def short_of(self) -> str:
        """What of ours the call was never sent for want of: files, ports, memory; empty for every other end."""
        return (self.detail or "something of our own") if self.kind == "local_timeout" and not self.went_out else ""

    @property
    def limits_calls_in_flight(self) -> bool:
        """Whether it is a rate limit that fewer calls in flight might have avoided: one by places, by the provider's
        overload, or by nobody knows what. One by requests, by tokens or by a day's quota is no such limit.
        """
        return (
            self.kind == "rate_limited"
            and self.of is None
            and self.limited_by in (None, "places", "overload", "unknown")
        )


SUCCESS: Final = RequestReleaseOutcome(kind="success")


def classify(
    facts: ResponseFacts | None, error: BaseException | None, *, wall_now: datetime | None = None
) -> RequestReleaseOutcome:
    """The outcome of a call when no plugin has an opinion: what the verdict in `facts` says, else what the core reads
    in them (`reading.py`).

    An error without a status, or after a good answer (a body that broke off): `TimeoutError` is a provider timeout,
    `ConnectionError`, other `OSError` and what a client makes of a refused connection provider failures, anything else
    unexpected; a call that nobody took never went out. A group of errors is what all
    its members are, or unexpected. `wall_now` is for a moment in an answer that does not say its own time.

    The exception's text stays out of the outcome: it may hold what must not reach a sink.
    """
    if facts is None:
        if error is None:
            return SUCCESS
        went_out = not surely_unpaid(error)
        return RequestReleaseOutcome(kind=_kind_of_error(error), detail=_name(error), went_out=went_out)
    hints, verdict = _read(facts, wall_now)
    if verdict.kind == "success" and error is not None:
        ended: Ended | None = None if facts.status is None else "cut"
        verdict = Verdict(kind=_kind_of_error(error), ended=ended, usage=verdict.usage, code=_name(error))
    return RequestReleaseOutcome(
        kind=verdict.kind,
        retry_after_seconds=hints.not_before_seconds,
        usage=verdict.usage,
        status=facts.status,
        detail=verdict.code,
        elapsed=facts.elapsed,
        first_token_at=facts.first_token_at,
        hints=hints,
        limited_by=verdict.limited_by,
        of=verdict.of,
        may_pass=verdict.may_pass,
        ended=verdict.ended,
    )


def _read(facts: ResponseFacts, wall_now: datetime | None) -> tuple[Hints, Verdict]:
    hints, verdict = facts.hints, facts.verdict
    if hints is None:
        hints = hints_of(facts.status, facts.headers, wall_now)
    if verdict is None:
        asked = hints.not_before_seconds is not None
        verdict = verdict_of_answer(facts.status, facts.body, facts.error_type or "", asked=asked)
    return hints, verdict


def _name(error: BaseException) -> str:
    return type(error).__name__


def _kind_of_error(error: BaseException) -> OutcomeKind:
    if isinstance(error, BaseExceptionGroup):
        kinds = {_kind_of_error(member) for member in error.exceptions}
        return kinds.pop() if len(kinds) == 1 else "unexpected_exception"
    if isinstance(error, TimeoutError):
        return "provider_timeout"
    return "provider_failure" if isinstance(error, OSError) or surely_unpaid(error) else "unexpected_exception"

"""How a call ended, where no plugin has an opinion."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from penstock.requests.hints import Hints
from penstock.requests.outcomes import SUCCESS, RequestReleaseOutcome
from penstock.requests.own_failures import surely_unpaid
from penstock.requests.reading import hints_of, verdict_of_answer
from penstock.requests.response import ResponseFacts
from penstock.requests.verdict import Ended, OutcomeKind, Verdict
from penstock.words.read_only import become, unchecked

__all__ = ["classify"]

_draft: Final = unchecked(RequestReleaseOutcome)
"""What it is made of has been checked: it comes out of other records."""


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
    made = _draft(
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
    become(made, RequestReleaseOutcome)
    return made


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

"""Models that are given up for a time, since their provider refuses the account: no credit, a bad key, a day's quota.

Every call would be refused, and some providers count that against the account. So after `IN_A_ROW` such refusals in a
row, in words that mean nothing else, calls are refused here for as long as the provider says, but no shorter than
`SHORTEST` and no longer than `LONGEST` seconds; then calls go out again, and show what has changed. Pure.
"""

from __future__ import annotations

from typing import Final

import attrs

from penstock.requests.deciding import CORE
from penstock.requests.outcomes import RequestReleaseOutcome
from penstock.words.given_up import GivenUpModel
from penstock.words.identity import ProviderModelKey
from penstock.words.verdicts import At, Denied

__all__ = ["RefusedAccounts"]

IN_A_ROW: Final = 3
SHORTEST: Final = 60.0
LONGEST: Final = 3600.0
MOST: Final = 1000
"""So many models are remembered."""


@attrs.define(slots=True)
class _Refusals:
    in_a_row: int = 0
    calls: int = 0
    refused_at: float = 0.0
    since: float = 0.0
    until: float | None = None
    why: str = ""


class RefusedAccounts:
    """The models of one executor whose provider refuses the account."""

    def __init__(self) -> None:
        self.models: dict[ProviderModelKey, _Refusals] = {}
        """Those of which a refusal is remembered; to be read only."""

    def ended(self, model: ProviderModelKey, outcome: RequestReleaseOutcome, sent_at: float, now: float) -> None:
        """A call at this model has ended, which went out at `sent_at`. A success of one that went out before the last
        refusal came says nothing: what was let in by then is still answered.
        """
        refusals = self.models.get(model)
        if outcome.kind == "success" and refusals is not None and sent_at >= refusals.refused_at:
            if refusals.until is None:
                del self.models[model]
            else:
                refusals.in_a_row = 0
        if outcome.of != "account" or not (outcome.may_pass is False or outcome.status == 402):
            return
        if refusals is None:
            if len(self.models) >= MOST:
                del self.models[next(iter(self.models))]
            refusals = self.models[model] = _Refusals()
        if refusals.in_a_row == 0:
            refusals.since, refusals.calls = now, 0
        refusals.in_a_row += 1
        refusals.calls += 1
        refusals.refused_at = now
        refusals.why = outcome.detail or f"status {outcome.status}"
        if refusals.in_a_row >= IN_A_ROW:
            asked = SHORTEST if outcome.retry_after_seconds is None else outcome.retry_after_seconds
            refusals.until = now + min(max(asked, SHORTEST), LONGEST)

    def refusal(self, model: ProviderModelKey, now: float) -> Denied | None:
        """Why no call goes out to this model now; `None` if one may. A call that is refused counts."""
        refusals = self.models.get(model)
        if refusals is None or refusals.until is None or now >= refusals.until:
            return None
        refusals.calls += 1
        return Denied(
            "hard_policy_denial",
            {At(refusals.until)},
            detail=f"given up for now: the provider refuses the account ({refusals.why})",
            by=CORE,
        )

    def given_up(self, now: float, *, at_present: bool) -> tuple[GivenUpModel, ...]:
        """The models that are given up at present, or all that ever were."""
        return tuple(
            GivenUpModel(
                model=str(model),
                why=refusals.why,
                since=refusals.since,
                until=refusals.until,
                given_up_for=now - refusals.since,
                ends_in=refusals.until - now,
                calls=refusals.calls,
            )
            for model, refusals in self.models.items()
            if refusals.until is not None and (now < refusals.until or not at_present)
        )

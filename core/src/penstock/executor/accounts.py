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
from penstock.words.identity import ProviderModelKey
from penstock.words.verdicts import At, Denied

__all__ = ["RefusedAccounts"]

IN_A_ROW: Final = 3
SHORTEST: Final = 60.0
LONGEST: Final = 3600.0


@attrs.define(slots=True)
class _Refusals:
    in_a_row: int = 0
    until: float = 0.0
    why: str = ""


class RefusedAccounts:
    """The models of one executor whose provider refuses the account."""

    def __init__(self) -> None:
        self._models: dict[ProviderModelKey, _Refusals] = {}

    def ended(self, model: ProviderModelKey, outcome: RequestReleaseOutcome, now: float) -> None:
        """A call at this model has ended."""
        if outcome.kind == "success":
            self._models.pop(model, None)
        if outcome.of != "account" or not (outcome.may_pass is False or outcome.status == 402):
            return
        refusals = self._models.setdefault(model, _Refusals())
        refusals.in_a_row += 1
        refusals.why = outcome.detail or f"status {outcome.status}"
        if refusals.in_a_row >= IN_A_ROW:
            asked = SHORTEST if outcome.retry_after_seconds is None else outcome.retry_after_seconds
            refusals.until = now + min(max(asked, SHORTEST), LONGEST)

    def refusal(self, model: ProviderModelKey, now: float) -> Denied | None:
        """Why no call goes out to this model now; `None` if one may."""
        refusals = self._models.get(model)
        if refusals is None or now >= refusals.until:
            return None
        return Denied(
            "hard_policy_denial",
            {At(refusals.until)},
            detail=f"given up for now: the provider refuses the account ({refusals.why})",
            by=CORE,
        )

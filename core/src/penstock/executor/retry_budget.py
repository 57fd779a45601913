"""How many calls may be tried again: a share of all calls, so that a provider in trouble is not asked many times over.

With four attempts for each call, a provider that fails everything is asked four times as often as it was when it was
well. A budget bounds that for all calls together: each call puts its share in, each retry takes one out, and when there
is nothing left the failure is final. A few are there from the start, for runs that have made few calls yet; what is
saved up is bounded, so that an hour of health does not pay for a storm.

A rate limit takes nothing out: what comes after it is paced by admission.

Source: the retry budget of Twitter's Finagle, and gRPC's retry throttling (proposal A6); both with a share of the
calls of the last seconds, here of the last thousand calls, which needs no clock.
"""

from __future__ import annotations

from typing import Final

__all__ = ["RetryBudget"]

RESERVE: Final = 10.0
"""Retries that are there from the start."""

REMEMBERED: Final = 1000
"""Of how many calls the shares are saved up."""


class RetryBudget:
    """The retries that one provider's calls may have. `share` (0 to 1) of all calls. Pure."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._most = RESERVE + share * REMEMBERED
        self._left = RESERVE
        self.refused = 0
        """How many retries there were not, since nothing was left."""

    def set_share(self, share: float) -> None:
        """Set the share that holds from now on; what is left stays, up to what may be saved up."""
        self._share = share
        self._most = RESERVE + share * REMEMBERED
        self._left = min(self._left, self._most)

    def called(self) -> None:
        """Add the share of a call that is made for the first time."""
        self._left = min(self._left + self._share, self._most)

    def take(self) -> bool:
        """Whether one more retry is within the budget; it counts."""
        if self._left < 1:
            self.refused += 1
            return False
        self._left -= 1
        return True

"""Calls that somebody above tries again, each time as a new attempt: an SDK through a transport, a task. Pure.

Whoever makes the attempts says which are the same call. What the attempts before have shown holds for the next one: a
call that alone is refused is given up, as is one that asks for more than a whole limit, and no attempt goes out sooner
than the provider asked for. What nobody repeats for `REMEMBERED` seconds is forgotten.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

import attrs

from penstock.executor.lone_refusals import ALONE_MOST, LoneRefusals
from penstock.requests.outcomes import RequestReleaseOutcome

__all__ = ["RepeatedCall", "RepeatedCalls"]

REMEMBERED: Final = 300.0
MOST: Final = 2000
"""So many calls are remembered; the oldest are forgotten then."""

TOO_LARGE: Final = (413, 429)
"""The statuses of a call that asks for more than a whole limit. What else is refused for good is left to its caller."""


@attrs.define(slots=True, eq=False)
class RepeatedCall:
    """One call, as its attempts so far have shown it. `given_up` says why there is no other, `not_before` is the moment
    before which the provider wants none.
    """

    refusals: LoneRefusals = attrs.field(factory=LoneRefusals)
    given_up: str = ""
    not_before: float = 0.0
    seen_at: float = 0.0


class RepeatedCalls:
    """The calls that have failed and may be repeated."""

    def __init__(self) -> None:
        self._calls: dict[Hashable, RepeatedCall] = {}

    def known(self, key: Hashable, now: float) -> RepeatedCall | None:
        """What is known of a call; `None` if none of its attempts has failed lately."""
        call = self._calls.get(key)
        if call is None or now < max(call.seen_at, call.not_before) + REMEMBERED:
            return call
        del self._calls[key]
        return None

    def ended(
        self,
        key: Hashable,
        outcome: RequestReleaseOutcome,
        now: float,
        *,
        passed_at: float | None,
        asked: float,
    ) -> None:
        """An attempt has ended. `passed_at` as for `LoneRefusals`; `asked`: seconds before which there is to be no
        other.
        """
        if outcome.kind == "success":
            self._calls.pop(key, None)
            return
        call = self.known(key, now) or RepeatedCall()
        if outcome.kind == "rate_limited" and (outcome.of is None or call.refusals.stands_alone):
            call.refusals.refused(now, passed_at)
            if call.refusals.given_up:
                call.given_up = f"refused {ALONE_MOST} times in a row, while other calls passed"
        elif outcome.of == "call" and outcome.status in TOO_LARGE:
            call.given_up = "it asks for more than a whole limit"
        elif outcome.kind in ("provider_failure", "provider_timeout") and outcome.of is None:
            call.refusals.forget()
        else:
            return
        call.not_before, call.seen_at = now + asked, now
        self._calls.pop(key, None)
        self._calls[key] = call
        if len(self._calls) > MOST:
            del self._calls[next(iter(self._calls))]

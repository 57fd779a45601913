"""The standing of the request gate: for each resource with waiters, the figures and refusals of one moment, and
their text.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from penstock.words.printable import printable
from penstock.words.verdicts import Denied

__all__ = ["ResourceStanding", "explanation_text"]


@attrs.frozen(kw_only=True)
class ResourceStanding:
    """One resource with waiters, at one moment.

    `waiting` is a number of calls, `first_wait` the seconds that the first of them has waited; `in_flight` and `cap`
    are in requests. `refusals` are all that the first of them meets, in the order of asking; none means that its turn
    is next. `shadow_refusals` are what plugins in shadow would say to it.
    """

    resource: str
    waiting: int
    first_wait: float
    in_flight: int
    cap: int
    refusals: tuple[Denied, ...] = ()
    shadow_refusals: tuple[Denied, ...] = ()


def explanation_text(standings: Iterable[ResourceStanding], now: float) -> str:
    """What waiting calls wait for, in words, with moments as seconds from `now`."""
    lines = []
    for standing in standings:
        lines.append(
            f"{standing.resource}: {standing.waiting} waiting, the first for {standing.first_wait:.1f} s; "
            f"{standing.in_flight} of {standing.cap} in flight"
        )
        lines += [f"  {denied.describe(now)}" for denied in standing.refusals] or ["  its turn is next"]
        lines += [f"  in shadow: {denied.describe(now)}" for denied in standing.shadow_refusals]
    return "\n".join(map(printable, lines)) if lines else "no request is waiting"

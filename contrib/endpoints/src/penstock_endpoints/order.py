"""In which order the endpoints of a model are tried: by the fewest calls ahead, under each one's limit. Pure.

A call waits at all of them and is made where its turn comes first, so the order decides only where several are free.
There it is the share of its limit that is in use that counts, and not the number of calls: 8 calls under a limit of 64
leave more room than 2 under one of 4. Equals take turns, so that calls that come one by one, which find all of them
idle, are spread as well: what is limited there is calls per minute.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

__all__ = ["EndpointStanding", "by_calls_ahead"]


@attrs.frozen
class EndpointStanding:
    """One endpoint at one moment: calls that it takes at a time, calls `ahead` that are out or wait for it, and until
    when it takes none at all (`None`: it does), in seconds of the run's clock.
    """

    limit: int
    ahead: int
    blocked_until: float | None = None


def by_calls_ahead(standings: Sequence[EndpointStanding], now: float, turn: int = 0) -> list[int]:
    """The places in `standings`, the best first: those that take calls now by the share in use, then the others by when
    they open. `turn` is the number of calls so far: equals take turns by it.

    >>> by_calls_ahead([EndpointStanding(4, 2), EndpointStanding(64, 8), EndpointStanding(8, 0, blocked_until=9)], 1.0)
    [1, 0, 2]
    """
    count = len(standings)

    def rank(place: int) -> tuple[bool, float, float, int]:
        standing = standings[place]
        opens = standing.blocked_until if standing.blocked_until is not None else now
        closed = opens > now
        return closed, opens if closed else now, (standing.ahead + 1) / standing.limit, (place - turn) % count

    return sorted(range(count), key=rank)

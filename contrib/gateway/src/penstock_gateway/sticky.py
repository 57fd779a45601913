"""The place of a session: the same for all its calls, as long as that is there. Pure, and nothing is kept.

Each place is given a number by a hash of the session and of its own name, and the highest is the session's (rendezvous
hashing; D. Thaler and C. Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM Transactions on
Networking 6(1), 1998). So a place that goes takes only its own sessions along, and they come back when it does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b

from penstock import RequestResourceKey

__all__ = ["place_of_session"]


def place_of_session(
    places: Sequence[RequestResourceKey], session: str, takes_calls: Callable[[RequestResourceKey], bool]
) -> RequestResourceKey:
    """The place of a session among those that take calls, or among all if none does."""

    def number(place: RequestResourceKey) -> bytes:
        return blake2b(f"{place}\0{session}".encode("utf-8", "surrogatepass"), digest_size=8).digest()

    return max(filter(takes_calls, places), key=number, default=None) or max(places, key=number)

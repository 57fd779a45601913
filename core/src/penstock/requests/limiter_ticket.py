"""The record that a limiter answers `acquire` with, and is handed again when the call ends."""

from __future__ import annotations

from typing import ClassVar, Self

import attrs

from penstock.requests.items import RequestAdmissionLease
from penstock.requests.limiters import RequestLimiter

__all__ = ["LimiterTicket"]


@attrs.define(slots=True, eq=False)
class LimiterTicket:
    """One call that is out. A limiter derives its own, with what it remembers of the call.

    >>> @attrs.define(slots=True, eq=False)
    ... class Ticket(LimiterTicket):
    ...     held = "a slot of the cooldown"
    ...     acquired_at: float
    >>> Ticket(acquired_at=7.0)
    Ticket(out=True, acquired_at=7.0)
    """

    held: ClassVar[str] = "a slot"
    """What a ticket stands for, in words that go before `of SCOPE`."""
    out: bool = attrs.field(default=True, init=False)
    """Whether the call has not ended yet."""

    @classmethod
    def redeem(cls, token: object, lease: RequestAdmissionLease, limiter: RequestLimiter) -> Self:
        """The ticket of a call that ends now; from here on it is no longer out.

        Raises `ValueError` if `token` is no ticket of this class, or was redeemed before.
        """
        if not isinstance(token, cls) or not token.out:
            raise ValueError(f"{lease.lease_id} does not hold {cls.held} of {limiter.scope}")
        token.out = False
        return token

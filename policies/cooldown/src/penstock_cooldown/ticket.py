"""What is remembered of a call that is out."""

from __future__ import annotations

import attrs

from penstock import LimiterTicket

__all__ = ["Ticket"]


@attrs.define(slots=True, eq=False)
class Ticket(LimiterTicket):
    """One call that is out."""

    held = "a slot of the cooldown"
    acquired_at: float

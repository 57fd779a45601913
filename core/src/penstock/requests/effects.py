"""The consequences of a change at the request gate, for the shell to deliver."""

from __future__ import annotations

from penstock.requests.items import RequestAdmissionDenied, RequestAdmissionItem
from penstock.requests.limiter_change import LimiterChange
from penstock.requests.waiters import RequestWaiter
from penstock.words.identity import ProviderKey
from penstock.words.leases import ReleaseResult
from penstock.words.verdicts import Denied

__all__ = ["RequestAdmissionEffects", "refusal"]


class RequestAdmissionEffects:
    """The consequences of a change of state, for the shell to deliver.

    `granted` are the waiters that have their `lease` now, `refused` those whose wait ended with `refused`
    set, both in order; `changes` are the limiters' own; `release` is set by `release` alone.
    `freed_providers` are those at which calls may meet less pressure than before: a call came back, a waiter
    left the queue, a cap or a limiter changed. It may name one twice; the end of a cooldown is not among them.
    """

    __slots__ = ("changes", "freed_providers", "granted", "refused", "release")

    def __init__(
        self,
        changes: list[LimiterChange] | None = None,
        release: ReleaseResult | None = None,
        freed_providers: list[ProviderKey] | None = None,
    ) -> None:
        self.granted: list[RequestWaiter] = []
        self.refused: list[RequestWaiter] = []
        self.changes: list[LimiterChange] = [] if changes is None else changes
        self.release = release
        self.freed_providers: list[ProviderKey] = [] if freed_providers is None else freed_providers

    def add(self, later: RequestAdmissionEffects) -> None:
        """The consequences of the next part of the same change."""
        self.granted += later.granted
        self.refused += later.refused
        self.changes += later.changes
        self.freed_providers += later.freed_providers


def refusal(item: RequestAdmissionItem, denied: Denied, now: float) -> RequestAdmissionDenied:
    """A refusal as the caller gets it, with the moment at which it might be worth asking again."""
    return RequestAdmissionDenied(item, denied, now)

"""The ledger of leases that both gates use, which decides whether a lease that comes back counts.

Exactly-once is decided here and nowhere else. Lease ids are counters with a prefix, so the ledger knows a
released id from an id that was never given out without remembering any: an id of this ledger that was
issued and is not out has been released. Memory is the live leases and nothing more. A run that recreates a
controller gives it the next generation, by which a lease of an older one is recognised.

What a lease *counts for* (resources, calls in flight) belongs to the controller that owns those counters.
"""

from __future__ import annotations

from collections.abc import Hashable, KeysView, Mapping
from types import MappingProxyType
from typing import Any, Final, Generic, Protocol, TypeVar

import attrs

from penstock.words.verdicts import Condition

__all__ = ["LeaseLedger", "ReleaseResult"]

RELEASED: Final = "released"
DUPLICATE: Final = "duplicate"
STALE_LEASE: Final = "stale_lease"
WRONG_GENERATION: Final = "wrong_controller_generation"
UNKNOWN_LEASE: Final = "unknown_lease"


@attrs.define(slots=True)
class ReleaseResult:
    """The result of a release.

    `released` is true exactly once per lease. `reason` is `released`, or why nothing was given back:
    `duplicate` (this lease came back before), `stale_lease` (the id is out, but to another record than the
    one shown), `wrong_controller_generation`, `unknown_lease` (never issued here).
    """

    released: bool
    reason: str
    diagnostics: Mapping[str, Any] = MappingProxyType({})
    freed: tuple[tuple[Condition, int], ...] = ()
    """The conditions that came true, and how much of each is free now."""


class Lease(Hashable, Protocol):
    """The fields of a lease that the ledger needs. A lease is equal to itself alone."""

    @property
    def lease_id(self) -> str: ...

    @property
    def controller_generation(self) -> int: ...


L = TypeVar("L", bound=Lease)

_OK: Final = ReleaseResult(True, RELEASED)


class LeaseLedger(Generic[L]):
    """The leases that one controller has out. Never raises on release, never counts one twice."""

    def __init__(self, prefix: str, generation: int = 1) -> None:
        self.generation = generation
        self.prefix = f"{prefix}{generation}-"
        """What the id of each lease begins with; the number of the lease follows."""
        self.issued = 0
        """The number of the latest lease. The controller counts it up for the next."""
        self.out: dict[L, None] = {}
        """The leases that are out. The controller puts a lease in before anything else has it; `close` takes it out."""
        self.live: KeysView[L] = self.out.keys()

    @property
    def returned(self) -> int:
        """How many leases came back."""
        return self.issued - len(self.out)

    def close(self, lease: L) -> ReleaseResult:
        """The result of taking a lease back: `released` only the first time, for exactly the record that was issued."""
        try:
            del self.out[lease]
        except KeyError:
            return ReleaseResult(False, self._why_not(lease), {"lease_id": lease.lease_id})
        return _OK

    def _why_not(self, lease: L) -> str:
        if lease.controller_generation != self.generation:
            return WRONG_GENERATION
        if any(each.lease_id == lease.lease_id for each in self.out):
            return STALE_LEASE
        prefix, _, number = lease.lease_id.rpartition("-")
        issued_here = f"{prefix}-" == self.prefix and number.isdecimal() and 0 < int(number) <= self.issued
        return DUPLICATE if issued_here else UNKNOWN_LEASE

    def check_invariants(self) -> None:
        """Check that what is out was issued here, each lease under a number of its own. Raises `AssertionError`."""
        assert 0 <= self.returned <= self.issued, f"{len(self.out)} leases out, {self.issued} issued"
        assert len({lease.lease_id for lease in self.out}) == len(self.out)

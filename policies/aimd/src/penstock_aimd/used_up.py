"""The refusal of a limit that is used up.

Such a limit is met at every call that ends, and mostly with the same again: as many in flight, and the same limit.
"""

from __future__ import annotations

from penstock import At, Condition, Denied, Released, Scope

__all__ = ["UsedUp"]


class UsedUp:
    """The refusal of one limit: the same record for as long as it says the same."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._said: tuple[int, int, float | None] | None = None
        self._refusal = self._made(0, 0, None)

    def refusal(self, in_flight: int, limit: int, opens: float | None) -> Denied:
        """The refusal with so many in flight. `opens` is the moment at which the limit rises by itself."""
        said = in_flight, limit, opens
        if said != self._said:
            self._said, self._refusal = said, self._made(in_flight, limit, opens)
        return self._refusal

    def _made(self, in_flight: int, limit: int, opens: float | None) -> Denied:
        until: set[Condition] = {Released(self._scope)}
        if opens is not None:
            until.add(At(opens))
        detail = f"{in_flight} in flight, limit {limit}"
        return Denied("no_capacity", until, scope="shape", detail=detail, cohort=("aimd", self._scope))

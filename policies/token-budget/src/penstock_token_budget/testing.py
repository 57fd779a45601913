"""Calls through the limiter by hand, in virtual time: for tests of it, and of what is built on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from penstock import (
    Denied,
    LimiterChange,
    OutcomeKind,
    RequestAdmissionItem,
    RequestAdmissionLease,
    RequestCost,
    RequestReleaseOutcome,
    RequestResourceKey,
    Usage,
    read_hints,
)
from penstock_token_budget.limiter import TokenBudgetLimiter

__all__ = ["Calls"]

RESOURCE = RequestResourceKey("acme", "small", "chat")


class Calls:
    """Calls through one limiter, by hand, in virtual time."""

    def __init__(self, *limits: tuple[str, float, float], learn: bool = False, **settings: Any) -> None:
        self.limiter = TokenBudgetLimiter(RESOURCE, limits, learn=learn, **settings)
        self.now = 0.0
        self.changes: list[LimiterChange] = []
        self.sent = 0

    def ask(self, tokens: int = 0, *, output: int = 0, deadline: float | None = None) -> Denied | None:
        """The answer to a call of so many tokens now."""
        item = RequestAdmissionItem(RESOURCE, cost=RequestCost(1, tokens, output), deadline=deadline)
        return self.limiter.check(item, self.now)

    def send(self, tokens: int = 0, *, output: int = 0, requests: int = 1) -> tuple[RequestAdmissionLease, object]:
        """A call goes out, whatever the limiter would have said."""
        self.sent += 1
        item = RequestAdmissionItem(RESOURCE, cost=RequestCost(requests, tokens, output))
        lease = RequestAdmissionLease(f"lease-{self.sent}", item, self.now, 1)
        return lease, self.limiter.acquire(lease, self.now)

    def end(
        self,
        call: tuple[RequestAdmissionLease, object],
        kind: str = "success",
        *,
        used: tuple[int, int] | None = None,
        headers: Mapping[str, str] | None = None,
        went_out: bool = True,
    ) -> None:
        """The call comes back."""
        outcome = RequestReleaseOutcome(
            kind=cast(OutcomeKind, kind),
            usage=None if used is None else Usage(*used),
            hints=None if headers is None else read_hints(headers, refused=kind != "success"),
            went_out=went_out,
        )
        self.changes += self.limiter.release(*call, outcome, self.now)
        self.limiter.check_invariants()

    def wait(self, tokens: int = 0) -> float:
        """Let time pass until a call of so many tokens may go; how long that was."""
        begin = self.now
        while (denied := self.ask(tokens)) is not None:
            moment = denied.next_moment()
            assert moment is not None
            assert moment > self.now
            self.now = moment
        return self.now - begin

    def budgets(self) -> dict[str, Any]:
        """Limit in words to what the snapshot says of it."""
        return {budget["limit"]: budget for budget in self.limiter.snapshot(self.now).details["budgets"]}

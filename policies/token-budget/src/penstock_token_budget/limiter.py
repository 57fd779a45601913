"""The limiter: every budget that applies to one scope, charged and corrected together.

    check     the latest of the moments at which each budget is ready; the same for every call, whatever its size
    acquire   charges the estimate to all of them; no single charge is larger than the whole budget
    answer    what its hints say goes to the learnt budgets, as early as the head of the answer is there
    release   corrects the charge by the usage. Without usage: a call that never went out gives everything back, one
              that was refused gives its tokens back, every other keeps its estimate

All who wait here wait for one moment, so they are one cohort: at that moment the first waiter is asked, goes, and
puts the moment off for all others. A release that may have given something back lets the first waiter ask again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from penstock import (
    At,
    Condition,
    Denied,
    Hints,
    LimitedBy,
    LimiterChange,
    LimiterSnapshot,
    LimitHint,
    Released,
    RequestAdmissionItem,
    RequestAdmissionLease,
    RequestReleaseOutcome,
    Scope,
)
from penstock_token_budget.amounts import PLACES, Sum, estimated, used_by
from penstock_token_budget.blind import BlindRate, holding_back
from penstock_token_budget.budgets import LONG, EvenBudget, WindowBudget
from penstock_token_budget.learnt import LearntBudget, is_little
from penstock_token_budget.ticket import Budget, Ticket

__all__ = ["TokenBudgetLimiter"]

MOST_BUDGETS: Final = 10.0
"""However much an answer says was used, it counts for no more than so many whole budgets: nonsense must end too."""


class TokenBudgetLimiter:
    """The budgets of one scope value. Pure: `now` in seconds of the run's clock.

    `limits` are the configured ones as (dimension, seconds, amount); `learn`: and those that answers report.
    """

    def __init__(
        self,
        scope: Scope,
        limits: Sequence[tuple[str, float, float]],
        *,
        learn: bool,
        share: float = 1.0,
        burst_seconds: float = 1.0,
    ) -> None:
        self.scope = scope
        self._learn = learn
        self._share = share
        self._burst_seconds = burst_seconds
        self._cohort = ("token-budget", scope)
        budgets: list[Budget] = [
            WindowBudget(dimension, amount * share, seconds)
            if seconds >= LONG
            else EvenBudget(dimension, amount * share, seconds, burst_seconds)
            for dimension, seconds, amount in limits
        ]
        self._windows: dict[str, dict[float, float]] = {}
        for dimension, seconds, amount in limits:
            self._windows.setdefault(dimension, {})[amount] = seconds
        self._learnt: dict[tuple[str, str], LearntBudget] = {}
        self._blind = {unit: BlindRate(unit, burst_seconds) for unit in ("requests", "tokens")} if learn else {}
        self._use([*budgets, *self._blind.values()])
        self._admitted = 0
        self._total = Sum()
        self._out = Sum()
        self._calls_out = 0
        self._ignored: dict[str, int] = {}
        self._adopted = False  # whether calls may end here that were charged on other budgets

    # -- the protocol --

    def adopt(self, previous: TokenBudgetLimiter) -> None:
        """Go on from the budgets of the same scope that had another `Config`: what is spent of a window stays spent,
        also of a larger or smaller limit, and what was learnt stays known.
        """
        self._adopted = True
        self._admitted, self._calls_out = previous._admitted, previous._calls_out
        self._total, self._out = previous._total.copy(), previous._out.copy()
        self._ignored = dict(previous._ignored)
        before = {budget.key: budget for budget in previous._budgets}
        for budget in self._budgets:
            known = before.get(budget.key)
            if isinstance(budget, EvenBudget | WindowBudget) and known is not None:
                budget.adopt(known)
        if self._learn and previous._learn:
            self._blind = {unit: rate.heir(self._burst_seconds) for unit, rate in previous._blind.items()}
            for name, learnt in previous._learnt.items():
                windows = self._windows.get(learnt.dimension, {})
                self._learnt[name] = learnt.heir(self._burst_seconds, self._share, windows)
            configured = [budget for budget in self._budgets if not isinstance(budget, BlindRate)]
            self._use([*configured, *self._blind.values(), *self._learnt.values()])

    def check(self, item: RequestAdmissionItem, now: float) -> Denied | None:
        """Refused with `no_capacity` until the last is paid for, or an answer gives tokens back or may raise a pace."""
        latest: Budget | None = None
        ready_at = now
        if self._holding:
            amounts = estimated(item.cost)
            for budget in self._holding:
                moment = budget.ready_at(amounts[budget.place], now)
                if moment > ready_at:
                    latest, ready_at = budget, moment
        if latest is None:
            return None
        detail = f"the budget of {latest.text} is used"
        until: set[Condition] = {At(ready_at)}
        if self._out.input_tokens or self._out.output_tokens or (self._calls_out and isinstance(latest, LearntBudget)):
            if item.deadline is not None and item.deadline < self._soonest(now):
                return Denied("no_capacity", until, detail=detail)  # too late for this call, whatever comes back
            until.add(Released(self.scope))
        return Denied("no_capacity", until, scope="shape", detail=detail, cohort=self._cohort)

    def acquire(self, lease: RequestAdmissionLease, now: float) -> object:
        """Charge the estimate. What exceeds a whole budget is noted in the lease's diagnostics."""
        amounts = estimated(lease.item.cost)
        charges: list[tuple[Budget, float, object]] = []
        capped: dict[str, float] = {}
        for budget in self._budgets:
            amount = amounts[budget.place]
            if amount > budget.limit:
                capped[budget.text] = amount
                amount = budget.limit
            charges.append((budget, amount, budget.charge(amount, now)))
        if capped:
            lease.note(f"capped to the budget of {self.scope}", capped)
        self._admitted += 1
        self._calls_out += 1
        self._out.add(amounts)
        total = self._total
        if self._learn:
            total.add(amounts)
            total = total.copy()
        return Ticket(self._admitted, now, amounts, charges, total, not self._learn)

    def release(
        self, lease: RequestAdmissionLease, token: object, outcome: RequestReleaseOutcome, now: float
    ) -> Sequence[LimiterChange]:
        """Correct the charge, and learn from the answer's hints. Raises `ValueError` for a call that is not out."""
        if not isinstance(token, Ticket) or not token.out:
            raise ValueError(f"{lease.lease_id} does not hold a charge on the budgets of {self.scope}")
        token.out = False
        self._calls_out -= 1
        if self._learn and (outcome.kind == "rate_limited" or self._learnt):
            self._learn_from_end(token, outcome, now)
        estimate = token.estimate
        self._out.subtract(estimate)
        used = used_by(estimate, outcome)
        if used is not None:
            for charged_to, charged, entry in token.charges:
                budget = self._by_key.get(charged_to.key) if self._adopted else charged_to  # its own heir
                if budget is None:
                    continue
                difference = used[budget.place] - charged
                if difference > 0:
                    difference = min(difference, MOST_BUDGETS * budget.limit - charged)
                if difference or budget.learns_from_estimates:
                    budget.correct(entry, difference, now)
            if self._learn:
                self._total.correct(estimate, used)
        return self._heard(token, outcome.hints, now) if self._learn else ()

    def observe_call(
        self, lease: RequestAdmissionLease, token: object, hints: Hints, now: float
    ) -> Sequence[LimiterChange]:
        """Learn from the head of an answer, while its body still streams. What remains makes sense only together with
        the call that was answered.
        """
        return self._heard(token, hints, now) if isinstance(token, Ticket) and token.out else ()

    def explain_refusal(
        self, lease: RequestAdmissionLease, token: object, outcome: RequestReleaseOutcome, now: float
    ) -> LimitedBy | None:
        """Requests or tokens, if the refusal itself says that too few remained for this call; `None` without."""
        if not self._learn or not isinstance(token, Ticket):
            return None
        if "requests" in self._blind and self._blind["requests"].known:
            return "requests"
        for reported in () if outcome.hints is None else outcome.hints.limits:
            place, budget = PLACES.get(reported.dimension), self._learnt.get(_name(reported))
            estimate = 0.0 if place is None else token.estimate[place]
            if reported.remaining is not None and is_little(reported.remaining, estimate, reported.dimension, budget):
                return "requests" if reported.dimension == "requests" else "tokens"
        return None

    def set_cap(self, cap: int | None, now: float) -> Sequence[LimiterChange]:
        """A budget has no use for the cap."""
        return ()

    def next_change(self, now: float) -> float | None:
        """The next moment at which a budget is paid for, or enough for a larger call is there."""
        moments = [moment for budget in self._budgets if (moment := budget.next_change(now)) is not None]
        return min(moments, default=None)

    def snapshot(self, now: float) -> LimiterSnapshot:
        """`details` has each budget with what is left of it (below 0: what is not paid for yet)."""
        details: dict[str, Any] = {
            "budgets": [
                budget.snapshot(now) for budget in self._budgets if not isinstance(budget, BlindRate) or budget.known
            ]
        }
        if self._ignored:
            details["ignored_headers"] = dict(self._ignored)
        return LimiterSnapshot(details=details)

    def check_invariants(self) -> None:
        """Raises `AssertionError` if the state contradicts itself."""
        assert self._calls_out >= 0, "more calls came back than went out"
        if self._calls_out == 0:
            assert self._out.nothing, f"nothing is out, and {self._out} is still held"
        assert all(budget.limit > 0 for budget in self._budgets)

    # -- inside --

    def _use(self, budgets: list[Budget]) -> None:
        self._budgets = budgets
        self._by_key = {budget.key: budget for budget in budgets}
        self._holding = holding_back(budgets)

    def _learn_from_end(self, ticket: Ticket, outcome: RequestReleaseOutcome, now: float) -> None:
        kind = outcome.kind
        blind = self._blind.get(self._unit_of(outcome)) if kind == "rate_limited" else None
        for line, _, entry in ticket.charges:
            if blind is not None and line.key == blind.key:
                blind.refused(entry, now)
                self._holding = holding_back(self._budgets)
            elif isinstance(line, LearntBudget) and kind in ("success", "rate_limited"):
                line.ended(entry, refused=kind == "rate_limited")

    def _unit_of(self, outcome: RequestReleaseOutcome) -> str:
        """In which unit a rate limit counts for a rate that nobody tells; empty if in none."""
        if outcome.of is not None:
            return ""
        if outcome.limited_by in ("requests", "tokens"):
            return outcome.limited_by
        unsaid = outcome.limited_by in (None, "unknown") and outcome.retry_after_seconds is None
        return "requests" if unsaid and not self._learnt else ""

    def _soonest(self, now: float) -> float:
        """When the next call could go if all that is out had cost nothing."""
        return max(budget.soonest(self._out.of(budget.place), now) for budget in self._budgets)

    def _heard(self, ticket: Ticket, hints: Hints | None, now: float) -> list[LimiterChange]:
        if not self._learn or ticket.heard or hints is None or not (hints.limits or hints.ignored):
            return []
        ticket.heard = True
        changes: list[LimiterChange] = []
        for reported in hints.limits:
            place = PLACES.get(reported.dimension)
            if place is None:
                continue
            name = _name(reported)
            budget = self._learnt.get(name)
            if budget is None:
                if reported.limit is None:
                    continue
                windows = self._windows.get(reported.dimension)
                budget = self._learnt[name] = LearntBudget(reported, self._burst_seconds, self._share, windows)
                unit = "requests" if reported.dimension == "requests" else "tokens"
                guessed = self._blind.pop(unit, None)  # who tells need not be guessed
                self._use([*(each for each in self._budgets if each is not guessed), budget])
                changes.append(LimiterChange("request_effective_cap_changed", detail=f"learnt: {budget.text}"))
            since = self._total.of(place) - ticket.total.of(place)
            if (change := budget.learn(reported, ticket.number, ticket.sent_at, since, now)) is not None:
                before, after = change
                changes.append(LimiterChange("request_effective_cap_changed", detail=f"learnt: {after}, was {before}"))
        for header in hints.ignored:
            if header not in self._ignored:
                changes.append(LimiterChange("request_release_diagnostic", detail=f"{header} makes no sense: ignored"))
            self._ignored[header] = self._ignored.get(header, 0) + 1
        return changes


def _name(reported: LimitHint) -> tuple[str, str]:
    """What it is of a scope. Of one dimension there may be several, over several windows."""
    return reported.dimension, reported.said_by

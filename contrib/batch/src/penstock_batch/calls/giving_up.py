"""The rules by which a model is given up, so that a dead provider costs a few calls and not one for every row. Pure.

The kind of failure decides how long it may last:

- `account`: the provider says that this account is not served, in words that mean nothing else (no credit, a bad
  key, no such model, the quota of a day): once is enough.
- `refused`: the endpoint answers that we may not call it at all (401, 403, 404). At a model
  that has never answered, the first such answer is enough; at one that has (a gateway may err), `failures` in a row
  are.
- `unfit`: it refused this call as such (any other 4xx), or its answer cannot be read. That may be the row's fault, so
  it only counts at a model that has never answered, and then `failures` in a row end it: a wrong parameter would fail
  every row. At one that has answered, as many *of the same words* in a row do: a credit that ran out is a 400 at some.
- `down`: 5xx, no connection, no answer in time. `failures` in a row *and* so for a while: `start` seconds if the
  model has never answered, `after` seconds if it has. Many calls are in flight at once, so a blip of a second fails
  many in a row.
- `limited`: 429. That is what admission is for; only after `rate_limited` seconds of nothing else it is no limit any
  more.

A success anywhere between resets all of this. A model that was given up stays so for the run: the next run
tries again.
"""

from __future__ import annotations

from typing import Literal

import attrs

__all__ = ["FailureKind", "GiveUpRules", "ModelHealth"]

FailureKind = Literal["account", "refused", "unfit", "down", "limited"]


@attrs.frozen(kw_only=True)
class GiveUpRules:
    """The bounds for each kind of failure: `failures` in calls, the others in seconds. See the module."""

    failures: int = 20
    start: float = 10.0
    after: float = 120.0
    rate_limited: float = 3600.0


class ModelHealth:
    """The health of one model, as its calls show it. `given_up` is the reason why no more are made, or `None`."""

    def __init__(self, rules: GiveUpRules) -> None:
        self._rules = rules
        self._answered = False
        self._in_a_row = 0
        self._same = ("", 0)
        self._failing_since: float | None = None
        self._limited_since: float | None = None
        self.given_up: str | None = None

    def succeeded(self) -> None:
        """Note that a call was answered as it should be."""
        self._answered = True
        self._in_a_row = 0
        self._same = ("", 0)
        self._failing_since = None
        self._limited_since = None

    def failed(self, kind: FailureKind, reason: str, now: float) -> str | None:
        """Note that a call failed at `now`; returns the reason if the model is given up, by this or before."""
        if self.given_up is None and self._should_give_up(kind, reason, now):
            self.give_up(reason)
        return self.given_up

    def give_up(self, reason: str) -> None:
        """Give the model up for this reason, so that no more calls are made."""
        self.given_up = reason

    def _should_give_up(self, kind: FailureKind, reason: str, now: float) -> bool:
        if kind == "account":
            return True
        if kind == "limited":
            if self._limited_since is None:
                self._limited_since = now
            return now - self._limited_since >= self._rules.rate_limited
        if kind == "unfit" and self._answered:
            before, times = self._same
            self._same = (reason, times + 1 if reason == before else 1)
            return self._same[1] >= self._rules.failures
        self._in_a_row += 1
        if self._failing_since is None:
            self._failing_since = now
        if kind == "refused" and not self._answered:
            return True
        if self._in_a_row < self._rules.failures:
            return False
        timeout = self._rules.after if self._answered else self._rules.start
        return kind != "down" or now - self._failing_since >= timeout

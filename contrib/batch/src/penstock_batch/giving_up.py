"""When a model is given up, so that a dead provider costs a few calls and not one for every row. Pure.

Which failure it is decides how much patience it gets:

- `refused`: the endpoint answers that we may not call it at all (401, 403, 404, a quota that is used up). At a model
  that has never answered, the first such answer is enough; at one that has (a gateway may err), `failures` in a row
  are.
- `unfit`: it did not like this call (any other 4xx), or its answer cannot be read. That may be the row's fault, so it
  only counts at a model that has never answered, and then `failures` in a row end it: a wrong parameter would fail
  every row.
- `down`: 5xx, no connection, no answer in time. `failures` in a row *and* so for a while: `start` seconds if the
  model has never answered, `after` seconds if it has. Many calls are out at once, so a blip of a second fails many in
  a row.
- `limited`: 429. That is what admission is for; only after `rate_limited` seconds of nothing else it is no limit any
  more.

A success anywhere between begins all of this again. A model that was given up stays so for the run: the next run
tries again.
"""

from __future__ import annotations

from typing import Literal

import attrs

__all__ = ["FailureKind", "GiveUpRules", "ModelHealth"]

FailureKind = Literal["refused", "unfit", "down", "limited"]


@attrs.frozen(kw_only=True)
class GiveUpRules:
    """`failures` is a number of calls; the others are seconds. See the module for what they mean."""

    failures: int = 20
    start: float = 10.0
    after: float = 120.0
    rate_limited: float = 3600.0


class ModelHealth:
    """How the calls to one model go. `given_up` is the reason why no more are made, or `None`."""

    def __init__(self, rules: GiveUpRules) -> None:
        self._rules = rules
        self._answered = False
        self._in_a_row = 0
        self._failing_since: float | None = None
        self._limited_since: float | None = None
        self.given_up: str | None = None

    def succeeded(self) -> None:
        """A call was answered as it should be."""
        self._answered = True
        self._in_a_row = 0
        self._failing_since = None
        self._limited_since = None

    def failed(self, kind: FailureKind, reason: str, now: float) -> str | None:
        """A call failed at `now`. Returns the reason if that makes the model be given up, now or before."""
        if self.given_up is None and self._has_had_enough(kind, now):
            self.give_up(reason)
        return self.given_up

    def give_up(self, reason: str) -> None:
        """Make no more calls, for this reason."""
        self.given_up = reason

    def _has_had_enough(self, kind: FailureKind, now: float) -> bool:
        if kind == "limited":
            if self._limited_since is None:
                self._limited_since = now
            return now - self._limited_since >= self._rules.rate_limited
        if kind == "unfit" and self._answered:
            return False
        self._in_a_row += 1
        if self._failing_since is None:
            self._failing_since = now
        if kind == "refused" and not self._answered:
            return True
        if self._in_a_row < self._rules.failures:
            return False
        patience = self._rules.after if self._answered else self._rules.start
        return kind != "down" or now - self._failing_since >= patience

"""The record of a model that is given up for a time, since its provider refuses the account."""

from __future__ import annotations

import attrs

__all__ = ["GivenUpModel"]


@attrs.frozen(kw_only=True)
class GivenUpModel:
    """A model to which no call goes out for a time. `since` and `until` are moments of the run's clock, `given_up_for`
    and `ends_in` the same in seconds from the moment of the record; below 0: it is over.

    `why` is the provider's word for it; `calls` is how many calls ended by it, those that were refused here included.
    """

    model: str
    why: str
    since: float
    until: float
    given_up_for: float
    ends_in: float
    calls: int

    def __str__(self) -> str:
        so_far = f"given up for {self.given_up_for:.1f} s"
        calls = "1 call" if self.calls == 1 else f"{self.calls:,} calls"
        end = f"is asked again in {self.ends_in:.1f} s" if self.ends_in > 0 else "may be asked again"
        return f"{self.model}: {so_far}, its provider refuses the account ({self.why}); ended {calls} so far, {end}"

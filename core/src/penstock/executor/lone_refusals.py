"""Whether a call is refused alone, while others pass: then it asks for what it cannot get. Pure.

Its refusals say nothing of the limits from the third in a row on, and after eight it is given up.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ALONE_MOST", "LoneRefusals"]

ALONE_FROM: Final = 3
"""From so many refusals in a row on, with others let in between, it is the call and not the limit."""
ALONE_MOST: Final = 8
"""After so many it is given up. Between its first two nobody need have passed: they cool the model for all."""


class LoneRefusals:
    """The refusals in a row of one call, as far as others passed between them."""

    def __init__(self) -> None:
        self._alone = self._in_a_row = 0
        self._refused_at = 0.0

    @property
    def stands_alone(self) -> bool:
        """Whether it has been refused so often while others passed that its refusals say nothing of the limits."""
        return self._alone >= ALONE_FROM

    @property
    def steps_back(self) -> bool:
        """Whether others passed between its last two refusals: if others wait, one of them shows first what is let in.
        Otherwise a call that can never pass is the probe after each cooldown, and nobody else ever passes.
        """
        return self._alone > 1

    @property
    def given_up(self) -> bool:
        """Whether it has been refused too often while others passed to be tried again."""
        return self._in_a_row >= ALONE_MOST and self._alone >= ALONE_MOST - 1

    def refused(self, now: float, passed_at: float | None) -> None:
        """The call was refused. `passed_at`: when the latest call at the same resource went out that was answered."""
        others_pass = passed_at is not None and self._alone > 0 and passed_at >= self._refused_at
        self._in_a_row += 1
        self._alone = self._alone + 1 if others_pass else 1
        self._refused_at = now

    def forget(self) -> None:
        """It ended in another way."""
        self._alone = self._in_a_row = 0

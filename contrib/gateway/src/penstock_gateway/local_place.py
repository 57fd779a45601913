"""A place that an attempt of this process holds."""

from __future__ import annotations

from typing import Final

import msgspec

from penstock import Attempt, RequestReleaseOutcome, RequestResourceKey, ResponseFacts, Usage

__all__ = ["LocalPlace"]

_UNUSED: Final = RequestReleaseOutcome(kind="local_cancelled", went_out=False, detail="not called")


class LocalPlace(msgspec.Struct, eq=False):
    """A place that an attempt holds."""

    attempt: Attempt
    resource: RequestResourceKey

    def answered(self, facts: ResponseFacts, usage: Usage | None) -> None:
        self.attempt.answered(facts, usage)

    def release(self, error: BaseException | None = None) -> None:
        self.attempt.end(error)

    def give_back(self) -> None:
        if not self.attempt.ended:
            self.attempt.finish(_UNUSED)
            self.attempt.end(None)

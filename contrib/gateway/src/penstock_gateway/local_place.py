"""A place that an attempt of this process holds."""

from __future__ import annotations

from typing import Final

from penstock import Attempt, RequestReleaseOutcome, RequestResourceKey, ResponseFacts, Usage

__all__ = ["LocalPlace"]

_UNUSED: Final = RequestReleaseOutcome(kind="local_cancelled", went_out=False, detail="not called")


class LocalPlace:
    """A place that an attempt holds."""

    __slots__ = ("_attempt", "resource")

    def __init__(self, attempt: Attempt, resource: RequestResourceKey) -> None:
        self._attempt = attempt
        self.resource = resource

    def answered(self, facts: ResponseFacts, usage: Usage | None) -> None:
        self._attempt.answered(facts, usage)

    def release(self, error: BaseException | None = None) -> None:
        self._attempt.end(error)

    def give_back(self) -> None:
        if not self._attempt.ended:
            self._attempt.finish(_UNUSED)
            self._attempt.end(None)

"""The mark of a failed call, for the layer above: whether it may be tried again, and whether it was a rate limit.

The request gate marks the exception that leaves an attempt, and the scheduler reads the mark, also through
causes, contexts and groups. Neutral, so that the task gate learns how a call failed without knowing the
request gate. An exception that has used up the executor's own retries is marked as final, so the retries of
the two layers do not multiply.
"""

from __future__ import annotations

import attrs

__all__ = ["FailureMark", "failure_mark", "mark_failure"]

_ATTRIBUTE = "__penstock_failure__"


@attrs.frozen
class FailureMark:
    """The way in which a call failed: `kind` as in `OUTCOME_KINDS`, and whether another try may succeed."""

    kind: str
    retryable: bool

    @property
    def rate_limited(self) -> bool:
        """Whether the provider said "too many": then another try uses up no attempt."""
        return self.kind == "rate_limited"


def mark_failure(error: BaseException, mark: FailureMark) -> None:
    """Note on an exception how its call failed. The last mark holds."""
    try:
        setattr(error, _ATTRIBUTE, mark)
    except (AttributeError, TypeError):  # an exception class with slots: nothing can be noted on it
        return


def failure_mark(error: BaseException) -> FailureMark | None:
    """The mark of an exception, or of what it wraps: its cause, its context, or all members of its group.

    A group is retryable if all its members are.
    """
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        mark = getattr(current, _ATTRIBUTE, None)
        if isinstance(mark, FailureMark):
            return mark
        if isinstance(current, BaseExceptionGroup):
            marks = [failure_mark(member) for member in current.exceptions]
            known = [mark for mark in marks if mark is not None and mark.retryable]
            return known[0] if len(known) == len(marks) else None
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return None

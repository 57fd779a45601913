"""The mark of a failed call, for the layer above: whether it may be tried again, and whether it was a rate limit.

The request gate marks the exception that leaves an attempt, and the scheduler reads the mark, also through
causes, contexts and groups. Neutral, so that the task gate learns how a call failed without knowing the
request gate. An exception that has used up the executor's own retries is marked as final, so the retries of
the two layers do not multiply.
"""

from __future__ import annotations

import attrs

__all__ = ["FailureMark", "failure_mark", "mark_failure", "note_on", "text_of"]

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
    except Exception:  # an exception class with slots, or with a `__setattr__` of its own: nothing can be noted on it
        return


def failure_mark(error: BaseException) -> FailureMark | None:
    """The mark of an exception, or of what it wraps: its cause, its context, or all members of its group.

    A group is retryable if all its members are. An exception that cannot be looked at has none.
    """
    try:
        return _found_mark(error)
    except Exception:  # a `__getattribute__` or a property of its own that raises
        return None


def _found_mark(error: BaseException) -> FailureMark | None:
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
        cause = current.__cause__  # which may count as false
        current = current.__context__ if cause is None and not current.__suppress_context__ else cause
    return None


def text_of(error: BaseException) -> str:
    """The words of an exception; its type alone if its `__str__` raises."""
    try:
        return str(error)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return f"{type(error).__name__}, which cannot be shown"


def note_on(error: BaseException, note: str) -> None:
    """Add a note to an exception, if it takes one."""
    try:
        error.add_note(note)
    except Exception:  # an `add_note` of its own, or `__notes__` that is no list
        return

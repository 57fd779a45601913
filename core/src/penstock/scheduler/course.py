"""How the tries of a task have gone."""

from __future__ import annotations

from typing import Final

import trio

__all__ = ["NOTHING_YET", "JobCourse"]


class JobCourse:
    """How the tries of a task have gone, of those of which there is something to tell. What most have nothing of
    stands as a default on the class, and costs no memory."""

    scope: trio.CancelScope | None = None
    """By which the running task can be cancelled alone, where the caller wanted that: a new one for each try."""
    failures: int = 0
    rate_limits: int = 0
    last_error: Exception | None = None
    """Why it is to be tried again."""
    failing_since: float | None = None
    """Since when it waits for nothing but a plugin that could not answer."""


NOTHING_YET: Final = JobCourse()
"""The course of a task of which there is nothing to tell; nobody writes it."""

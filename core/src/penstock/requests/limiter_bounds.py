"""What bounds a limiter of concurrency from above: the static cap, and `effective_max` of its configuration.

Inside a limiter, infinity stands for no bound; in snapshots and events, `None` does.
"""

from __future__ import annotations

from math import inf

from penstock.words.identity import LimiterScope

__all__ = ["bound_or_none", "lowest_bound", "require_effective_max"]


def lowest_bound(*bounds: int | None) -> float:
    """The lowest of the bounds that there are; infinity if there is none.

    >>> lowest_bound(64, None), lowest_bound(64, 9), lowest_bound(None)
    (64.0, 9.0, inf)
    """
    return float(min((bound for bound in bounds if bound is not None), default=inf))


def bound_or_none(limit: float) -> float | None:
    """A limit as snapshots and events have it: `None` for infinity."""
    return None if limit == inf else limit


def require_effective_max(scope: LimiterScope, effective_max: int | None) -> None:
    """Raises `ValueError` if a limiter per provider or per group is configured without `effective_max`."""
    if scope in ("provider", "group") and effective_max is None:
        raise ValueError(f'scope "{scope}" needs effective_max: a {scope} has no static cap to grow to')

"""Whether this process may open as many files as a pipeline's calls need: each call in flight has a socket."""

from __future__ import annotations

import sys

__all__ = ["OTHERS", "open_files_limit", "too_few_files"]

OTHERS = 64
"""Files that are open beside the calls: input, output, store, libraries."""


def open_files_limit() -> int | None:
    """How many files this process may have open; `None` where that is not limited, or not known."""
    if sys.platform == "win32":
        return None
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def too_few_files(calls: int, limit: int | None) -> str | None:
    """What is wrong if so many calls may be in flight at once; `None` if nothing is.

    >>> too_few_files(1000, 1024)
    'up to 1,000 calls at a time need some 1,064 open files, and this process may have 1,024: raise it (ulimit -n)'
    """
    needed = calls + OTHERS
    if limit is None or needed <= limit:
        return None
    return (
        f"up to {calls:,} calls at a time need some {needed:,} open files, "
        f"and this process may have {limit:,}: raise it (ulimit -n)"
    )

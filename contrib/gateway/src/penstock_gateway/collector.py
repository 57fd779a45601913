"""The collector of circles in a process that leaves none behind per call: what is imported it need not look at again,
and at what comes it looks seldom.
"""

from __future__ import annotations

import gc
import sys
from typing import Final

__all__ = ["settle_down"]

SELDOM: Final = 5_000
"""Objects more than before, at which it looks for circles among them: those of a hundred calls under way."""


def settle_down() -> None:
    """Take all that is there for what stays. For a process that has imported what it needs, before it serves, and
    before it forks: a collection in a child touches no page that it shares.

    Nor does a child let go of the names that Python's cache of attributes holds since the imports, whose counts of
    references lie on hundreds of such pages. From 3.12 on names are not counted.
    """
    gc.collect()
    if sys.version_info < (3, 12):
        sys._clear_type_cache()
    gc.freeze()
    gc.set_threshold(SELDOM, 10, 10)

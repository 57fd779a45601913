"""Large blocks of memory, which the C library takes from the system one by one and gives back when they are freed.

It does so at first, and raises its bound by each of them that is freed: then they lie in its heaps, among what stays,
and in a process that is forked each page of a heap that is written to is one that it shares no more.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from typing import Final

__all__ = ["keep_large_blocks_apart"]

LARGE: Final = 128 * 1024
"""Bytes, as glibc begins."""
_M_MMAP_THRESHOLD: Final = -3


def keep_large_blocks_apart() -> None:
    """Leave that bound where it is, in this process and those that it forks. Does nothing where there is no glibc."""
    if sys.platform == "linux":
        with suppress(AttributeError):
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE)

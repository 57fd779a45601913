"""What a gateway says to whoever started it, on standard error. Calls go on where nobody can be told.

The standard error may be a file on a full disk, or a pipe whose reader has gone: that is no reason to end.
"""

from __future__ import annotations

import sys
from contextlib import suppress

__all__ = ["say"]


def say(line: str) -> None:
    """Say a line, if that can be."""
    with suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)

"""Whether the run's clock is virtual: then nothing may depend on threads or on the time of day.

A clock is asked whether it can be made to `jump`, as trio's `MockClock` can. Its class is not looked up, since
`trio.testing` imports pytest wherever that is installed.
"""

from __future__ import annotations

import trio

__all__ = ["in_virtual_time"]


def in_virtual_time() -> bool:
    """Whether the clock of the current trio run is virtual."""
    return hasattr(trio.lowlevel.current_clock(), "jump")

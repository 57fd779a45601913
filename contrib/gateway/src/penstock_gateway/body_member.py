"""Where a member of a body stands."""

from __future__ import annotations

import msgspec

__all__ = ["Member"]


class Member(msgspec.Struct, eq=False, gc=False):
    """The value of a member, and where it stands in the body; `end` is behind its last byte."""

    value: memoryview
    start: int
    end: int

"""A strict share by weight, and borrowing above it that is given back: the policy `bounded-borrow`."""

from __future__ import annotations

from penstock_bounded_borrow.plugin import BoundedBorrowConfig, BoundedBorrowPlugin
from penstock_bounded_borrow.policy import BoundedBorrowPolicy, strict_share

__all__ = ["BoundedBorrowConfig", "BoundedBorrowPlugin", "BoundedBorrowPolicy", "strict_share"]

"""Counts, durations and money, for people. Pure."""

from __future__ import annotations

__all__ = ["counted", "duration", "money"]


def counted(count: int, noun: str) -> str:
    """So many of something, whose name takes an s.

    >>> counted(1, "row"), counted(0, "row"), counted(1200, "text")
    ('1 row', '0 rows', '1,200 texts')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"


def duration(seconds: float) -> str:
    """A duration for people.

    >>> duration(3.21), duration(75), duration(3700)
    ('3.2 s', '1 min 15 s', '1 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def money(amount: float) -> str:
    """An amount of whatever money the prices are in; of small ones as many digits as say something.

    >>> money(1234.5), money(25), money(0.01234), money(0.0000123), money(0)
    ('1,234.50', '25.00', '0.0123', '0.0000123', '0')
    """
    if amount == 0:
        return "0"
    if abs(amount) >= 1:
        return f"{amount:,.2f}"
    zeros = int(f"{amount:.1e}".partition("e-")[2])
    return f"{amount:.{zeros + 2}f}"

"""What each text of a call has used, where only the whole is told. Pure.

Tokens are whole, and the shares add up to what was told: each has its part by weight, rounded down, and what is left
goes to those that lost most by that (the largest remainders, the way of A. Hamilton).
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import asdict

from penstock import Usage

__all__ = ["shares_of", "usages_of"]


def shares_of(total: int, weights: Sequence[int]) -> list[int]:
    """`total` divided by these `weights`, which are above 0.

    >>> shares_of(10, [1, 1, 1])
    [4, 3, 3]
    """
    whole = sum(weights)
    shares = [total * weight // whole for weight in weights]
    left = total - sum(shares)
    by_loss = sorted(range(len(weights)), key=lambda at: -(total * weights[at] % whole))
    for at in by_loss[:left]:
        shares[at] += 1
    return shares


def usages_of(usage: Usage, weights: Sequence[int]) -> list[Usage]:
    """The part of `usage` that falls on each weight; what was not told is told of none."""
    told = {name: count for name, count in asdict(usage).items() if count is not None}
    parts = {name: shares_of(count, weights) for name, count in told.items()}
    return [Usage(**{name: counts[at] for name, counts in parts.items()}) for at in range(len(weights))]

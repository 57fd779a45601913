"""Why somebody may be better than we are in a cell of `penstock bench sockets`: reasons, and when they hold."""

from __future__ import annotations

from typing import Final

from penstock_bench.sockets.cells import OURS
from penstock_bench.sockets.results import CellOutcome

__all__ = ["HAMMERS", "KNOWS_RATE", "SLOWER", "why_not"]

KNOWS_RATE: Final = "it was told the true rate before its first call, which Penstock has to find"
HAMMERS: Final = "a refusal costs nothing here, and it asks until it gets in; the 429s beside it are the price"
SLOWER: Final = "it is slower by more than half, and asks for less"

MANY: Final = 0.2
"""Who has so many 429s per call asks until it gets in."""
START: Final = 3.0
"""Seconds for the start and one cooldown. Beyond that and twice the time at best no reason is good enough."""


def why_not(outcome: CellOutcome, figure: str, contender: str) -> str | None:
    """The reason for which a contender is better in a figure; `None` if none holds."""
    mine, theirs = outcome.seconds(OURS), outcome.seconds(contender)
    if mine is None or mine > 2 * outcome.cell.least_seconds + START:
        return None
    if figure == "fairness":
        return None
    if contender == "aiolimiter":
        return KNOWS_RATE
    if figure == "time" and outcome.refused(contender) >= MANY * outcome.cell.calls:
        return HAMMERS
    if figure == "429s" and (theirs is None or theirs > 1.5 * mine):
        return SLOWER
    return None

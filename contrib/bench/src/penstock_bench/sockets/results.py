"""What came of a cell: time, 429s and fairness of each contender, and whether ours is the best of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

import attrs

from penstock_bench.sockets.cells import CONTENDERS, OURS, SocketCell

__all__ = ["CellOutcome", "SocketRun", "fairness"]

TOLERANCE: Final = 0.05
"""Times that differ by less are the same: a latency drawn otherwise makes as much."""

FAIRNESS_TOLERANCE: Final = 0.02


@attrs.frozen
class SocketRun:
    """One run: seconds to the last success, 429s by the provider's count, fairness (`None` with one tenant), and the
    calls that succeeded before it was broken off.
    """

    seconds: float
    refused: int
    fairness: float | None
    complete: bool
    done: int


def fairness(cell: SocketCell, done: Sequence[tuple[float, str]]) -> float | None:
    """Jain's index of the calls per tenant by when the first tenant has all of its calls; 1 is fair."""
    if len(cell.tenants) < 2:
        return None
    counts: Counter[str] = Counter()
    for _, tenant in sorted(done):
        counts[tenant] += 1
        if counts[tenant] == cell.tenants[tenant]:
            break
    got = [counts[tenant] for tenant in cell.tenants]
    return sum(got) ** 2 / (len(got) * sum(one * one for one in got)) if any(got) else None


@attrs.frozen
class CellOutcome:
    """One cell, each contender with the runs of its rounds."""

    cell: SocketCell
    runs: Mapping[str, Sequence[SocketRun]]

    def seconds(self, contender: str) -> float | None:
        """The median; `None` if a run did not come to its end."""
        runs = self.runs[contender]
        return median(run.seconds for run in runs) if all(run.complete for run in runs) else None

    def done(self, contender: str) -> float:
        """The median of the calls that succeeded."""
        return median(run.done for run in self.runs[contender])

    def refused(self, contender: str) -> float:
        """The median of the 429s."""
        return median(run.refused for run in self.runs[contender])

    def fairness(self, contender: str) -> float | None:
        """The median, where there are tenants."""
        indices = [run.fairness for run in self.runs[contender] if run.fairness is not None]
        return median(indices) if indices else None

    def better(self) -> list[tuple[str, str, str]]:
        """Where ours is not the best: figure, contender, and a sentence."""
        if OURS not in self.runs:
            return []
        found = []
        for other in self.runs:
            if other != OURS:
                found += [(figure, other, words) for figure, words in self._against(other)]
        return found

    def _against(self, other: str) -> list[tuple[str, str]]:
        name = CONTENDERS[other]
        mine, theirs = self.seconds(OURS), self.seconds(other)
        found = []
        if theirs is not None and (mine is None or mine > theirs * (1 + TOLERANCE)):
            ours = "did not finish" if mine is None else f"took {mine:.1f} s"
            found.append(("time", f"{self.cell.name}: Penstock {ours}, {name} {theirs:.1f} s"))
        if self.refused(OURS) > self.refused(other):
            found.append(
                (
                    "429s",
                    f"{self.cell.name}: Penstock met {self.refused(OURS):.0f} 429s, {name} {self.refused(other):.0f}",
                )
            )
        fair, fair_too = self.fairness(OURS), self.fairness(other)
        if fair is not None and fair_too is not None and fair < fair_too - FAIRNESS_TOLERANCE:
            found.append(
                ("fairness", f"{self.cell.name}: Penstock's fairness is {fair:.2f}, that of {name} {fair_too:.2f}")
            )
        return found

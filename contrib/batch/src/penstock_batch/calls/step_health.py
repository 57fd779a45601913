"""Whether anything that a step is answered is accepted: what no answer fulfils is paid for a few rows only. Pure."""

from __future__ import annotations

from penstock_batch.words.amounts import counted

__all__ = ["StepHealth"]


class StepHealth:
    """The health of one step's judging. After `failures` cells without one that was accepted it is given up, until the
    next run; a step of which a cell was ever accepted in this run is not.
    """

    def __init__(self, failures: int) -> None:
        self._left = failures
        self._failures = failures
        self._proven = False
        self._reason: str | None = None

    @property
    def given_up(self) -> str | None:
        """Why no more cells are asked, in one line; `None` while they are."""
        return self._reason

    def accepted(self) -> None:
        """Note a cell that has an accepted answer, asked in this run or kept."""
        self._proven = True

    def rejected(self, reason: str) -> None:
        """Note a cell that was asked, and has no accepted answer in the end."""
        self._left -= 1
        if self._left <= 0 and not self._proven and self._reason is None:
            first = counted(self._failures, "row")
            self._reason = f"not asked, of the first {first} none had an answer that was accepted: {reason}"
